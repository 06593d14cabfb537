"""One append-only file of records, readable anywhere.

    history.txt    |rec|rec|rec|rec|rec|rec|rec|rec|
                        ^ a reader is an offset     ^ end: records are appended here, whole or not at all

Nothing here depends on the size of the file: a read costs what it reads.
"""

from __future__ import annotations

import bisect
import errno
import os
import stat
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

from chat import record
from chat.record import RECORD_BYTES, NotARecord, Record

Position = tuple[int, int]  # in the history: the file's number, the offset in it

BLOCK = 64 * 1024  # read at once when searching the file
CHECK_BYTES = 64 * 1024  # checked at once, in a millisecond
RUNS = 1000  # that are remembered of what was checked
SHORTEST_RECORD = len("2026-11-21T10:15:42.123Z\t-\ta\ta\t\n")  # in bytes

MOVES_OPEN_FILES = os.name != "nt"
HAS_PREAD = hasattr(
    os, "pread"
)  # Windows lacks it: there a read moves the file's only position, under a lock
_BINARY = getattr(os, "O_BINARY", 0)  # Windows opens files as text by default


class HistoryFile:
    """One file of records, open for reading anywhere and for appending at its end.

    Any thread may read. What is before `opened_end` was already there and may have been edited by hand; what
    follows is records that this process wrote.
    """

    def __init__(self, path: Path, number: int, *, new: bool = False) -> None:
        """`new`: it must not be there yet, not even as a link. Raises OSError."""
        self.path = path
        self.number = number  # 0, 1, …: a later file is a later time
        self.next: HistoryFile | None = None  # the file that replaced it
        # Where readers of the previous file continue; None: at its `clear`.
        self.resume_offset: int | None = None
        self._position = threading.Lock()  # guards the file's position, where a read has to set it
        self._fd = -1
        self._closing: weakref.finalize[..., HistoryFile]  # what happens when nothing refers to it any more
        self._open(os.O_EXCL if new else 0)
        self.end = self.opened_end = os.fstat(self._fd).st_size
        self._recent = b""  # the last append, which most readers want next
        self.recent_start = self.end  # its offset: a reader that lacks no more is up to date
        self._lost_before = 0  # bytes before this offset were removed from outside
        self._may_have_partial = False  # a failed append may have left bytes past the end
        # Runs of records that were checked, by their starts and their ends. The broadcaster's own.
        self._run_starts: list[int] = []
        self._run_ends: list[int] = []

    # ----- reading

    def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from the offset, whatever they are."""
        size = min(size, self.end - offset)
        if sys.platform != "win32" and HAS_PREAD:
            return os.pread(self._fd, size, offset)
        with self._position:
            os.lseek(self._fd, offset, os.SEEK_SET)
            return os.read(self._fd, size)

    def identity(self) -> tuple[int, int]:
        """By which another process knows that it reads the same file: device and inode."""
        status = os.fstat(self._fd)
        return status.st_dev, status.st_ino

    def records(self, offset: int, size: int) -> tuple[int, bytes | memoryview]:
        """Records from the offset: where they begin, and at most `size` bytes of them, or all of the last
        append.

        They begin after the offset if a line that is not a record was skipped; then there may be no bytes
        yet. An offset inside a record returns the rest of it. `size` must exceed RECORD_BYTES.
        """
        if offset >= self.recent_start:
            passed = offset - self.recent_start
            return offset, self._recent if not passed else memoryview(self._recent)[passed:]
        if offset < self._lost_before or os.fstat(self._fd).st_size < self.end:
            raise OSError(errno.EIO, "the history was truncated from outside")
        if offset >= self.opened_end:
            return offset, self.read(offset, size)
        return self._checked(offset, min(size, self.opened_end - offset))

    def _checked(self, offset: int, size: int) -> tuple[int, bytes]:
        """`records` for the part of the file that others may have written."""
        known = bisect.bisect_right(self._run_starts, offset) - 1
        if known >= 0 and offset < self._run_ends[known]:
            return offset, self.read(offset, min(size, self._run_ends[known] - offset))
        start = max(0, offset - RECORD_BYTES)
        block = self.read(start, offset - start + min(size, CHECK_BYTES))
        here = offset - start
        line = block.rfind(b"\n", 0, here) + 1  # where the line around the offset begins
        if line or start == 0:
            run = record.HISTORY_RECORDS.match(block, line)
            if run and run.end() > here:
                self._remember(known, start + line, start + run.end())
                return offset, block[here : run.end()]
        return start + (block.find(b"\n", here) + 1 or len(block)), b""

    def _remember(self, before: int, start: int, end: int) -> None:
        """Note a run of records. `before`: the number of the run before it; -1: none."""
        if before >= 0 and self._run_ends[before] >= start:
            self._run_ends[before] = end
        else:
            if len(self._run_starts) >= RUNS:
                self._run_starts, self._run_ends, before = [], [], -1
            self._run_starts.insert(before + 1, start)
            self._run_ends.insert(before + 1, end)
        self._join_runs(max(before, 0))

    def _join_runs(self, first: int) -> None:
        """Make one of those that meet: this one or the next one with what follows."""
        for number in (first + 1, first):
            while (
                number + 1 < len(self._run_starts) and self._run_starts[number + 1] <= self._run_ends[number]
            ):
                self._run_ends[number] = max(self._run_ends[number], self._run_ends[number + 1])
                del self._run_starts[number + 1], self._run_ends[number + 1]

    def blocks_back(self, end: int) -> Iterator[tuple[int, bytes]]:
        """The lines before `end`, newest block first: (offset of the first line, whole lines).

        Lines longer than BLOCK are left out.
        """
        while end > 0:
            start = max(0, end - BLOCK)
            block = self.read(start, end - start)
            first = block.find(b"\n") + 1 if start else 0  # before it: the rest of an earlier line
            last = block.rfind(b"\n") + 1
            if first < last:
                yield start + first, block[first:last]
            end = start + first if first < last else start

    def record_before(self, offset: int) -> Record | None:
        """The record that ends at the offset; None if none does."""
        if not 0 < offset <= self.end:
            return None
        block = self.read(max(0, offset - RECORD_BYTES), min(offset, RECORD_BYTES))
        if not block.endswith(b"\n"):
            return None
        try:
            return record.parse(block[block.rfind(b"\n", 0, -1) + 1 :])
        except NotARecord:
            return None

    def last_record(self) -> Record | None:
        """The newest record, if any."""
        for _, lines in self.blocks_back(self.end):
            for match in reversed(list(record.HISTORY_RECORD.finditer(lines))):
                return record.parse(match.group())
        return None

    # ----- writing: one thread

    def append(self, records: bytes, *, sync: bool = False) -> None:
        """Append all of the records or none; with `sync`, flush them to the disk. Raises OSError."""
        self._discard_partial()
        try:
            rest = memoryview(records)
            while rest:
                with self._position:
                    rest = rest[os.write(self._fd, rest) :]
            if sync:
                self.sync()
        except OSError:
            self._may_have_partial = True
            self._discard_partial()
            raise
        self.recent_start, self._recent = self.end, records
        self.end += len(records)  # last: whatever is before `end` must be in the file

    def _discard_partial(self) -> None:
        """Remove what a failed append left; if that fails, try again before the next append."""
        if self._may_have_partial:
            os.ftruncate(self._fd, self.end)
            self._may_have_partial = False

    def was_changed(self) -> bool:
        """Whether the file was changed from outside: made shorter or longer, or replaced."""
        self._discard_partial()
        here = os.fstat(self._fd)
        try:
            return here.st_size != self.end or not os.path.samestat(here, self.path.stat())
        except FileNotFoundError:
            return True

    def hand_over(self, successor: HistoryFile) -> None:
        """Let readers continue at the end of the successor once they have read the rest of this file."""
        if os.fstat(self._fd).st_size < self.end:
            self._lost_before = self.recent_start = self.end
            self._recent = b""  # its readers have it, or the successor begins with it
        successor.resume_offset = successor.end
        self.next = successor

    def truncate(self, end: int) -> None:
        """Truncate the file at this offset. Raises OSError."""
        os.ftruncate(self._fd, end)
        self.end = self.recent_start = end
        self.opened_end = min(self.opened_end, end)
        self._recent = b""

    def sync(self) -> None:
        """Flush everything appended to the disk. Raises OSError."""
        getattr(os, "fdatasync", os.fsync)(self._fd)

    def rename(self, path: Path) -> None:
        """Move the file; its readers don't notice. Raises OSError."""
        if MOVES_OPEN_FILES:
            self.path.rename(path)
            self.path = path
            return
        with self._position:
            self.close()
            try:
                self.path.rename(path)
                self.path = path
            finally:
                self._open()

    def delete(self) -> None:
        """Delete the file as soon as nothing refers to it any more, since Windows keeps what is open."""
        self._closing.detach()
        self._closing = weakref.finalize(self, _close_and_delete, self._fd, self.path)

    def close(self) -> None:
        """Close the descriptor, which also happens once nothing refers to the file."""
        self._closing()

    def _open(self, flags: int = 0) -> None:
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _BINARY | flags, 0o644)
        self._closing = weakref.finalize(self, os.close, self._fd)
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            self._closing()
            raise OSError(errno.EINVAL, f"{self.path.name} is not a file")


def _close_and_delete(fd: int, path: Path) -> None:
    os.close(fd)
    path.unlink(missing_ok=True)
