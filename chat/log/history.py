"""The history: files of records, how clearing and outside changes affect them, and when they are synced.

Clearing starts a new file. A reader still in the old file reads it to the end and continues with `next`; the
old file is closed when its last reader has left. So no reader ever has to hurry:

    HistoryFile 1 (history.cleared-….txt) --next--> HistoryFile 2 (history.txt)

Opening looks only at both ends of the file, so its cost does not depend on the size.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
from pathlib import Path
from typing import Literal

from chat import record
from chat.log.file import BLOCK, MOVES_OPEN_FILES, HistoryFile, Position
from chat.log.lock import FileLock, Locked
from chat.record import RECORD_BYTES

Sync = Literal["always", "everysec", "no"]

KEPT_FILES = 1000  # cleared histories: nobody can fill a folder by clearing, and none is deleted unasked
SYNC_SECONDS = 1.0  # "everysec": what a power cut may cost

log = logging.getLogger("chat.log.history")


class HistoryError(Exception):
    """The history can't be used; the message says why and what to do, in one sentence."""


class History:
    """The history that this server writes. One thread appends and clears; any thread may read `file`.

    Raises HistoryError.
    """

    def __init__(
        self, path: Path, *, sync: Sync = "everysec", forget: bool = False, holder: str = ""
    ) -> None:
        self.path = Path(os.path.realpath(path))
        self._sync = sync
        self._forget = forget
        self._new_path = self.path.with_name(self.path.name + ".new")
        self._lock = self._acquire(holder)
        try:
            self._finish_clearing()
            self._last_time = ""
            self._pending_notice = b""  # goes before the next record
            self.file = self._open(0)
        except OSError as error:
            self._lock.release()
            raise HistoryError(f"{self.path}: {error.strerror}. Name another file with --history.") from None
        except HistoryError:
            self._lock.release()
            raise
        self._unsynced = threading.Event()  # set by an append, cleared by the syncer
        self._closed = threading.Event()
        self._syncer = threading.Thread(target=self._sync_every_second, name="syncer", daemon=True)
        if sync == "everysec":
            self._syncer.start()

    @property
    def position(self) -> Position:
        """The end of the history."""
        return self.file.number, self.file.end

    @property
    def last_time(self) -> str:
        """The time of the newest record; "" if there is none."""
        return self._last_time

    def append(self, drafts: bytes, now: str) -> None:
        """Append the drafts, stamped with this time: all of them or none. Raises OSError."""
        self._pending_notice += self._take_up_changes()
        self.file.append(record.stamp(now, self._pending_notice + drafts), sync=self._sync == "always")
        self._pending_notice = b""
        self._last_time = now
        if not self._unsynced.is_set():
            self._unsynced.set()

    def clear(self, address: str, name: str, now: str) -> None:
        """R9: start a new file that begins with a `clear` record; keep the old file or delete it.

        Raises OSError: either the history is unchanged, or the old file could not be deleted.
        """
        self._pending_notice += self._take_up_changes()
        if not self._forget and self._kept() >= KEPT_FILES:
            raise OSError(
                errno.EDQUOT,
                f"there are already {KEPT_FILES} cleared histories; the host must move some away",
            )
        kept = self._kept_path(now)
        fate = "was deleted" if self._forget else f"is kept as {kept.name}"
        self.start_anew(record.draft(address, name, "clear", f"The earlier history {fate}."), now, kept)

    def start_anew(self, drafts: bytes, now: str, kept: Path, *, forget: bool | None = None) -> None:
        """Start a new file with these drafts; the old one is kept at the path or deleted. Raises OSError."""
        forget = self._forget if forget is None else forget
        if os.path.lexists(self._new_path):  # left by a crash, or put there by somebody
            self._new_path.unlink()
        new = HistoryFile(self._new_path, self.file.number + 1, new=True)
        try:
            if drafts:
                new.append(record.stamp(now, drafts))
            new.sync()
            self.file.sync()
            self._replace(self.file, kept, new, forget=forget)
        except OSError:
            new.close()  # or Windows would refuse to delete it, and hide why it could not be done
            new.path.unlink()
            raise
        self._last_time = max(now, self._last_time)
        old, self.file = self.file, new
        old.next = new
        with contextlib.suppress(OSError):  # it is cleared, although a power cut may undo that
            _sync_folder(self.path.parent)
        self._delete_index()
        if forget and not MOVES_OPEN_FILES:
            old.delete()

    def close(self) -> None:
        """Sync and close the file, and release the lock. Raises HistoryError."""
        self._closed.set()
        self._unsynced.set()
        if self._syncer.is_alive():
            self._syncer.join()
        try:
            self.file.sync()
        except OSError as error:
            raise HistoryError(
                f"{self.path}: the latest messages may not be on the disk: {error.strerror}."
            ) from None
        finally:
            self.file.close()
            self._lock.release()

    # ----- opening

    def _acquire(self, holder: str) -> FileLock:
        if not self.path.name.isprintable():  # it appears in records
            raise HistoryError(
                f"{self.path.name!a} contains unprintable characters. Name another file with --history."
            )
        if not self.path.parent.is_dir():
            raise HistoryError(
                f"{self.path.parent}: no such folder. Create it, or name another with --history."
            )
        if self.path.exists() and not self.path.is_file():
            raise HistoryError(f"{self.path} is not a file. Name another with --history.")
        try:
            return FileLock(self.path.with_name(self.path.name + ".lock"), holder)
        except Locked as locked:
            raise HistoryError(
                f"{self.path} is in use by {locked}. Stop that one, or name another file with --history."
            ) from None
        except OSError as error:
            raise HistoryError(
                f"{self.path.parent}: {error.strerror}. Name a folder that you can write to."
            ) from None

    def _finish_clearing(self) -> None:
        """Finish a `clear` that a crash interrupted before the new file took the place of the old one."""
        if self._new_path.exists() and not self.path.exists():
            self._new_path.rename(self.path)
        self._new_path.unlink(missing_ok=True)

    def _open(self, number: int) -> HistoryFile:
        """Open the file at the history's path, and repair a torn end. Raises HistoryError, OSError."""
        file = HistoryFile(self.path, number)
        self._repair(file)
        last = file.last_record()
        self._last_time = max(self._last_time, last.time if last else "")
        return file

    def _take_up_changes(self) -> bytes:
        """Reopen the file if it was changed from outside: truncated, extended, replaced or removed.

        Returns the draft of a notice about it, empty if nothing changed. Raises OSError.
        """
        if not self.file.was_changed():
            return b""
        try:
            file = self._open(self.file.number + 1)
        except HistoryError as failure:
            log.error("history: %s", failure)
            raise OSError(errno.EINVAL, f"the host's {self.path.name} is no longer a chat history") from None
        self.file.hand_over(file)
        self.file = file
        return record.draft(
            record.NOBODY,
            "server",
            "notice",
            f"{self.path.name} was changed on the host's computer while the chat was running.",
        )

    def _repair(self, file: HistoryFile) -> None:
        """Move a torn last line, which was never sent, to a file of its own."""
        whole = self._end_of_lines(file)
        if not self._looks_like_history(file, whole):
            raise HistoryError(f"{self.path} is not a chat history. Name another file with --history.")
        torn = file.end - whole
        if torn:
            aside = self.path.with_name(f"{self.path.stem}.torn{self.path.suffix}")
            with open(aside, "ab", opener=_open_no_link) as kept:
                for offset in range(whole, file.end, BLOCK):
                    kept.write(file.read(offset, BLOCK))
                kept.write(b"\n")
                kept.flush()
                os.fsync(kept.fileno())
            file.truncate(whole)
            log.warning(
                "The last line of %s was only partly written and never sent (%d bytes); it is now in %s.",
                *(self.path.name, torn, aside.name),
            )

    @staticmethod
    def _end_of_lines(file: HistoryFile) -> int:
        """The offset after the last LF."""
        end = file.end
        while end > 0:
            start = max(0, end - BLOCK)
            behind = file.read(start, end - start).rfind(b"\n") + 1
            if behind:
                return start + behind
            end = start
        return 0

    @staticmethod
    def _looks_like_history(file: HistoryFile, whole: int) -> bool:
        """Whether either end has records, or there is nothing yet: a chat must not be appended to a photo."""
        if whole == 0:
            return record.could_begin(file.read(0, RECORD_BYTES))
        ends = (file.read(0, BLOCK), file.read(max(0, whole - BLOCK), BLOCK))
        lines = [line for end in ends for line in end.split(b"\n") if line.strip()]
        return not lines or any(map(record.is_record, lines))

    # ----- the disk

    def _replace(self, old: HistoryFile, kept: Path, new: HistoryFile, *, forget: bool) -> None:
        """Put the new file in place of the old one, now `kept`. On OSError nothing has changed."""
        if forget and MOVES_OPEN_FILES:
            new.rename(self.path)  # atomic: a crash leaves nothing of the old file
            return
        old.rename(kept)
        try:
            new.rename(self.path)
        except OSError:
            old.rename(self.path)
            raise

    def _delete_index(self) -> None:
        """What has been cleared is not to be read from the index of its words (index.py) either."""
        for suffix in ("", "-wal", "-shm", "-journal"):
            with contextlib.suppress(OSError):  # Windows: it is open, and is deleted by who has it open
                self.path.with_name(f"{self.path.name}.index{suffix}").unlink()

    def _kept(self) -> int:
        """How many cleared histories there are beside this one."""
        return sum(
            name.startswith(f"{self.path.stem}.cleared-")
            for name in os.listdir(self.path.parent)  # noqa: PTH208
        )

    def _kept_path(self, now: str) -> Path:
        """An unused name for the cleared history."""
        stem = f"{self.path.stem}.cleared-{now.replace(':', '-')}"  # Windows allows no colon in names
        path = self.path.with_name(stem + self.path.suffix)
        count = 1
        while path.exists():
            count += 1
            path = self.path.with_name(f"{stem}-{count}{self.path.suffix}")
        return path

    def _sync_every_second(self) -> None:
        """The syncer thread, for "everysec": sleeps while all is synced, ends when the history is closed."""
        while self._unsynced.wait() and not self._closed.is_set():
            self._unsynced.clear()
            try:
                self.file.sync()
            except OSError as error:
                log.error("history: can't sync to the disk: %s; trying again", error.strerror)
                self._unsynced.set()
            self._closed.wait(SYNC_SECONDS)


def _sync_folder(folder: Path) -> None:
    """Make renames in the folder durable. Windows can't sync a folder, but does so by itself in time."""
    try:
        fd = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


def _open_no_link(path: str, flags: int) -> int:
    """An opener: what is appended to must not be another file that somebody has linked to."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o644)
