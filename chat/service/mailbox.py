"""Private messages for owners of names who are not here: one small file for each, beside the history.

    kept-messages/          readable only by the user that runs the server
        NAME'S HASH.txt     the records, as they were sent, oldest first

    kept --(delivered: a line in the file says so)--> delivered --(received: the file is deleted)--> gone

So a crash between delivery and deletion loses nothing: what precedes such a line is delivered again, and
marked as such.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from chat import private, record
from chat.record import Record
from chat.service.accounts import Account
from chat.service.budget import network_of

BOX_BYTES = 64 * 1024  # for one name: about a hundred messages
# Of what the others have left of it, for one address: whoever floods a mailbox leaves room for the others.
ADDRESS_SHARE = 0.75
TOTAL_BYTES = 64 * 1024 * 1024  # for all of them: a thousand full ones
KEPT_DAYS = 30
SWEEP_SECONDS = 3600.0  # between searches for older ones

_HANDED_OVER = b"# handed over\n"


class BoxFull(Exception):
    """No more messages from there can be kept for this name until its owner comes back."""


@dataclass(frozen=True)
class Kept:
    """The messages kept for a name: records as sent. `again`: those that may have been delivered before."""

    again: list[Record]
    new: list[Record]


class Mailbox:
    """All kept messages. Thread-safe. Raises OSError, private.Exposed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()  # guards the files; nobody else waits for it
        self._bytes = 0  # of all of them
        self._sweep_at = 0.0  # time.monotonic() when to look for messages that are too old
        if folder.exists():
            private.check(folder)
            self._sweep()

    def keep(self, account: Account, sent: Record) -> None:
        """Keep a message, synced to the disk. Raises BoxFull."""
        line = sent.encode()
        with self._lock:
            self._sweep_if_due()
            path = self._path(account)
            content = path.read_bytes() if path.exists() else b""
            if not _has_room(content, sent) or self._bytes + len(line) > TOTAL_BYTES:
                raise BoxFull
            self._append(path, line)

    def hand_over(self, account: Account) -> Kept:
        """The messages for the owner, who is here now. They stay until `received`."""
        path = self._path(account)
        with self._lock:
            self._sweep_if_due()
            if not path.exists():
                return Kept([], [])
            private.check(path)
            again, new = _split(path.read_bytes())
            if not (again or new):
                self._delete(path)
            elif new:
                self._append(path, _HANDED_OVER)
            return Kept(again, new)

    def received(self, account: Account) -> None:
        """The owner has received what was handed over: delete it."""
        path = self._path(account)
        with self._lock:
            if not path.exists():
                return
            content = path.read_bytes()
            later = content.rpartition(_HANDED_OVER)[2]
            if _HANDED_OVER not in content:
                return
            if later:  # arrived in between
                private.write(path, later)
                self._bytes -= len(content) - len(later)
            else:
                self._delete(path)

    def discard(self, account: Account) -> None:
        """Delete the messages for a name that nobody owns any more."""
        with self._lock, contextlib.suppress(FileNotFoundError):
            self._delete(self._path(account))

    # ----- parts

    def _path(self, account: Account) -> Path:
        """The account's file. A later owner of the same name has another one."""
        return self._folder / (
            hashlib.sha256(f"{account.name}\n{account.since}".encode()).hexdigest()[:32] + ".txt"
        )

    # ----- requires holding the lock

    def _append(self, path: Path, line: bytes) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        try:
            private.create(path).close()
        except FileExistsError:
            private.check(path)
        with path.open("r+b") as file:
            end = len(_whole_lines(file.read()))
            file.seek(end)
            file.truncate()  # half a line left by a crash
            try:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                file.truncate(end)
                raise
        self._bytes += len(line)

    def _delete(self, path: Path) -> None:
        size = path.stat().st_size
        path.unlink()
        self._bytes -= size

    def _sweep_if_due(self) -> None:
        if time.monotonic() >= self._sweep_at:
            self._sweep()

    def _sweep(self) -> None:
        """Delete messages that are too old, and count the rest."""
        self._sweep_at = time.monotonic() + SWEEP_SECONDS
        self._bytes = 0
        oldest = record.format_time(time.time() - KEPT_DAYS * 86400)
        for path in self._folder.glob("*.txt"):
            content = path.read_bytes()
            kept = b"".join(
                line
                for line in content.splitlines(keepends=True)
                if line == _HANDED_OVER or line[: record.TIME_BYTES].decode(errors="replace") > oldest
            )
            if not kept.replace(_HANDED_OVER, b""):
                path.unlink()
                continue
            if kept != content:
                private.write(path, kept)
            self._bytes += len(kept)


def _has_room(content: bytes, sent: Record) -> bool:
    """Whether there is room for one more from its address."""
    source = network_of(sent.address)
    own = sum(len(each.encode()) for each in _records(content) if network_of(each.address) == source)
    others = len(content) - own
    return own + len(sent.encode()) <= ADDRESS_SHARE * (BOX_BYTES - others)


def _split(content: bytes) -> tuple[list[Record], list[Record]]:
    """(what may have been handed over before, what is new)."""
    before, _, after = _whole_lines(content).rpartition(_HANDED_OVER)
    return _records(before), _records(after)


def _whole_lines(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]


def _records(lines: bytes) -> list[Record]:
    return [record.parse(line) for line in lines.splitlines(keepends=True) if record.is_record(line)]
