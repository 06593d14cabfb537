"""The replica: this server's history as a copy of what the log yields, and a note of how far it goes.

The note (history.applied.json, beside the history) is written now and then, not with every append. So after a
crash the history is ahead of it. Then the log is applied again from the note on, and what the history already
has is compared instead of written. So nothing is lost, nothing is stored twice, and a history that this log
did not produce is detected.

    history.txt  |..........|..........|          what is in between is applied again, and compared
                            ^ the note            ^ end
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from pathlib import Path
from typing import Any

from chat import private, record
from chat.log.cluster import Cleared
from chat.log.file import HistoryFile
from chat.log.history import History, HistoryError

NOTE_SECONDS = 5.0  # between two notes: what has to be applied again after a crash
TAIL_BYTES = 256  # of the history before the note, to recognize it


class Replica:
    """Writes to the history what the log yields. One thread. `offset` is where the next record goes."""

    def __init__(self, history: History, chat: str) -> None:
        self.history = history
        self.offset = 0
        self._chat = chat  # which log this is
        self._path = history.path.with_name(f"{history.path.stem}.applied.json")
        self._elsewhere = False  # the history is later than the note: after a `clear` not yet applied again
        self._noted = 0.0  # when the last note was begun
        self._writer: threading.Thread | None = None  # writes one note, and ends

    # ----- the note

    def read_note(self) -> dict[str, Any] | None:
        """The state in the last note; None if there is none. Raises HistoryError."""
        try:
            note = json.loads(self._path.read_bytes())
            chat, self.offset, tail, state = note["chat"], note["offset"], note["tail"], note["state"]
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            raise self._not_ours(f"{self._path.name} can't be read") from None
        if chat != self._chat:
            raise self._not_ours("it belongs to another chat")
        self._elsewhere = self._tail(self.history.file, self.offset) != tail
        return dict(state)

    def write_note(self, state: dict[str, Any], *, wait: bool = False) -> None:
        """Note that the history has reached this state; not while its records are still being compared."""
        if self.behind or (self._writer and self._writer.is_alive() and not wait):
            return
        if self._writer:
            self._writer.join()
        file, offset = self.history.file, self.offset
        note = {"chat": self._chat, "offset": offset, "tail": self._tail(file, offset), "state": state}
        content = json.dumps(note, ensure_ascii=False).encode()
        self._noted = time.monotonic()
        self._writer = threading.Thread(
            target=self._write_note, args=(file, content), name="note", daemon=True
        )
        self._writer.start()
        if wait:
            self._writer.join()

    @property
    def note_is_due(self) -> bool:
        """Whether the last note is old."""
        return time.monotonic() - self._noted > NOTE_SECONDS

    def _write_note(self, file: HistoryFile, content: bytes) -> None:
        """The note's thread: syncs the history before the note. On a full disk the old note stays."""
        with contextlib.suppress(OSError):
            file.sync()
            private.write(self._path, content)

    # ----- beginning

    def adopt(self) -> None:
        """Adopt the history as it is: the chat begins with it."""
        self.offset = self.history.file.end

    def require_empty(self) -> None:
        """Raises HistoryError if there is a history without a note that says whose."""
        if self.history.file.end:
            raise self._not_ours("another server began the chat")

    def start_anew(self) -> None:
        """Begin with an empty history; the present one, which is outdated, is kept aside."""
        if self.history.file.end:
            kept = self._unused(f"{self.history.path.stem}.before{self.history.path.suffix}")
            self.history.start_anew(b"", "", kept, forget=False)
        self.offset, self._elsewhere = 0, False

    def add(self, records: bytes) -> None:
        """Put these bytes of a snapshot into the history. Raises OSError, HistoryError."""
        there = self.history.file.read(self.offset, len(records))
        if not records.startswith(there):
            raise self._not_ours("it differs from the chat's snapshot")
        if rest := records[len(there) :]:
            self.history.file.append(rest)
        self.offset += len(records)

    # ----- writing

    @property
    def elsewhere(self) -> bool:
        """Whether the history is another one than the note's."""
        return self._elsewhere

    @property
    def behind(self) -> bool:
        """Whether the history is ahead of what has been applied."""
        return self._elsewhere or self.offset < self.history.file.end

    def write(self, drafts: bytes, now: str) -> None:
        """Put the drafts into the history as records of this time. Raises OSError, HistoryError."""
        if self._elsewhere:
            return
        size = record.stamped_size(drafts)
        if self.behind:
            records = record.stamp(now, drafts)
            if not records.startswith(self.history.file.read(self.offset, size)):
                self._elsewhere = True
                return
            self.add(records)
        else:
            self._check_unchanged()
            self.history.append(drafts, now)
            self.offset += size

    def clear(self, cleared: Cleared, now: str) -> None:
        """Start a new history. Raises OSError, HistoryError."""
        first = record.stamp(now, cleared.drafts)
        if self.history.file.read(0, len(first)) != first:
            if self._elsewhere:
                return
            self._check_unchanged()
            kept = self._unused(cleared.kept or f"{self.history.path.name}.old")
            self.history.start_anew(cleared.drafts, now, kept, forget=not cleared.kept)
        self._elsewhere = False
        self.offset = len(first)

    def finish(self) -> None:
        """The whole log has been applied. Raises HistoryError if the history has anything else."""
        if self.behind:
            raise self._not_ours("it has records that the chat doesn't have")

    def close(self, state: dict[str, Any]) -> None:
        """Write the last note."""
        self.write_note(state, wait=True)

    # ----- parts

    def _check_unchanged(self) -> None:
        if self.history.file.was_changed():
            raise self._not_ours("it was changed on this computer")

    def _not_ours(self, why: str) -> HistoryError:
        return HistoryError(
            f"{self.history.path} is not the chat's history: {why}. Move it and {self._path.name} away, "
            "and this server will fetch the chat's own."
        )

    def _unused(self, name: str) -> Path:
        """An unused path for a cleared history: servers may share a folder."""
        path = self.history.path.with_name(name)
        count = 1
        while path.exists():
            count += 1
            path = self.history.path.with_name(f"{Path(name).stem}-{count}{Path(name).suffix}")
        return path

    @staticmethod
    def _tail(file: HistoryFile, offset: int) -> str:
        start = max(0, offset - TAIL_BYTES)
        return file.read(start, offset - start).decode(errors="replace") if offset <= file.end else "?"
