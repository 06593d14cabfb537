"""A text file that the server writes and the host may edit while it runs: one entry a line.

It is checked for changes when it is used, but at most once a second. A line that is not an entry is logged
with its number and stays where it is; the others apply.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from chat import private

# How long an edit of the file may go unnoticed. Asking the disk for every newcomer would hold up a crowd.
LOOK_SECONDS = 1.0

Entry = TypeVar("Entry")

log = logging.getLogger("chat.service.hostfile")


@dataclass(frozen=True)
class Credential:
    """A line of a file: a name, since when (a record's time), and the hash of the secret for it."""

    name: str
    since: str
    hash: str

    @property
    def line(self) -> str:
        """The line."""
        return f"{self.name}\t{self.since}\t{self.hash}"


class HostFile(Generic[Entry]):
    """The file, and what it says now. `parse` turns a line into an entry, or None for a comment.

    `parse` raises ValueError, with a sentence, for a line that is neither. Thread-safe.
    """

    def __init__(self, path: Path, header: str, parse: Callable[[str], Entry | None]) -> None:
        self.path = path
        self._header = header
        self._parse = parse
        self._lock = threading.Lock()  # guards the file and what was read of it
        self._lines: list[str] = []
        self._parsed: dict[str, Entry | None] = {}  # what each valid line says
        self._entries: list[Entry] = []
        self._unreadable: OSError | None = None  # why the last attempt to read it failed
        self._seen: tuple[int, int] | None = None  # the file's time and size when it was read
        self._look_at = 0.0  # time.monotonic() when to check for changes

    def entries(self) -> list[Entry]:
        """The current entries, in the order of the file: the same list until the file changes."""
        with self._lock:
            if time.monotonic() >= self._look_at:
                self._read_if_changed()
            return self._entries

    def add(self, line: str, instead_of: Callable[[Entry], bool]) -> None:
        """Store an entry in place of those that it replaces. Raises OSError."""
        with self._lock:
            self._look_again()
            self._write([*self._without(instead_of), line])

    def remove(self, which: Callable[[Entry], bool]) -> bool:
        """Remove these entries; whether there were any. Raises OSError."""
        with self._lock:
            self._look_again()
            left = self._without(which)
            found = len(left) < len(self._lines)
            if found:
                self._write(left)
            return found

    def check(self) -> None:
        """Raises OSError if the file can't be read: to be called once at the start."""
        with self._lock:
            self._look_again()

    # ----- requires holding the lock

    def _look_again(self) -> None:
        """Read the file before it is rewritten. Raises OSError if it can't be read."""
        self._read_if_changed()
        if self._unreadable:
            raise self._unreadable

    def _without(self, which: Callable[[Entry], bool]) -> list[str]:
        """The lines of the file, except those of these entries."""
        return [line for line in self._lines if (entry := self._parsed.get(line)) is None or not which(entry)]

    def _read_if_changed(self) -> None:
        self._look_at = time.monotonic() + LOOK_SECONDS
        try:
            status = self.path.stat()
            seen = (status.st_mtime_ns, status.st_size)
            if seen == self._seen and not self._unreadable:
                return
            text = self.path.read_text("utf-8", errors="surrogateescape")
        except FileNotFoundError:
            seen, text = None, ""
        except OSError as error:
            log.error("%s can't be read: %s; what was read before still applies", self.path, error.strerror)
            self._unreadable = error
            return
        self._seen, self._unreadable = seen, None
        self._lines = text.removesuffix("\n").split("\n") if text else []
        # A line that was there before is not parsed again: one edit costs one line.
        known, self._parsed = self._parsed, {}
        for number, line in enumerate(self._lines, 1):
            try:
                self._parsed[line] = known[line] if line in known else self._parse(line)
            except ValueError as wrong:
                log.warning("%s, line %d: %s", self.path.name, number, wrong)
        self._entries = [entry for line in self._lines if (entry := self._parsed.get(line)) is not None]

    def _write(self, lines: list[str]) -> None:
        lines = lines if self._lines else [self._header, *lines]
        private.write(self.path, "".join(line + "\n" for line in lines).encode(errors="surrogateescape"))
        self._seen = None
        self._read_if_changed()
