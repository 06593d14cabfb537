"""The history: a file of records that only grows, read from any place in it.

    history.txt    |rec|rec|rec|rec|rec|rec|rec|rec|
                        ^ a reader is an offset     ^ end: records are appended here, whole or not at all

Clearing starts a new file. A reader that has not finished the old one reads it to its end and goes on in
the `next`; the old one is closed when its last reader has left. So a reader never has to hurry:

    HistoryFile 1 (history.cleared-….txt) --next--> HistoryFile 2 (history.txt)

Nothing here depends on the size of the file: opening looks at its two ends, a read costs what it reads.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from chat import record
from chat.lock import FileLock, Locked
from chat.record import RECORD_BYTES, NotARecord, Record

Sync = Literal["always", "everysec", "no"]
Place = tuple[int, int]  # in the history: the file's number, the offset in it

BLOCK = 64 * 1024  # what is read at once when looking for something in the file
SHORTEST_RECORD = len("2026-11-21T10:15:42.123Z\t-\ta\ta\t\n")  # in bytes
SYNC_SECONDS = 1.0  # "everysec": what a power cut may cost

_PREAD = hasattr(os, "pread")  # Windows has none: there a read moves the file's one position, under a lock
_MOVES_OPEN_FILES = os.name != "nt"
_BINARY = getattr(os, "O_BINARY", 0)  # and there a file is text unless one says otherwise
_sync_data = getattr(os, "fdatasync", os.fsync)


log = logging.getLogger("chat.history")


class HistoryError(Exception):
    """The history can't be used; the message says why and what to do, in one sentence."""


class HistoryFile:
    """One file of records, open for reading anywhere and for appending at its end.

    Readers in any thread. What is before `opened_end` was there already and may have been edited by hand;
    what comes after it is records that this process wrote.
    """

    def __init__(self, path: Path, number: int) -> None:
        self.path = path
        self.number = number  # 0, 1, …: a later file is a later time
        self.next: HistoryFile | None = None  # what took its place
        # Where the readers of the one before begin; None: with its `clear`.
        self.goes_on_at: int | None = None
        self._position = threading.Lock()  # guards the file's position, where a read has to set it
        self._fd = -1
        self._open()
        self.end = self.opened_end = os.fstat(self._fd).st_size
        self._recent = b""  # the last append, which most readers want next
        self._recent_start = self.end
        self._lost_before = 0  # what somebody has taken out of the file
        self._may_have_rest = False  # a failed append may have left something behind the end

    # ----- reading

    def read(self, offset: int, size: int) -> bytes:
        """The bytes from offset on, at most `size` of them, whatever they are."""
        size = min(size, self.end - offset)
        if _PREAD:
            return os.pread(self._fd, size, offset)
        with self._position:
            os.lseek(self._fd, offset, os.SEEK_SET)
            return os.read(self._fd, size)

    def records(self, offset: int, size: int) -> tuple[int, bytes | memoryview]:
        """Records from offset on: where they begin, and at most `size` bytes of them, or all the last append.

        They begin behind offset where a line that is no record was passed over; then there may be no bytes
        yet. An offset inside a record gives the rest of it. `size` is to be more than RECORD_BYTES.
        """
        if offset >= self._recent_start:
            passed = offset - self._recent_start
            return offset, self._recent if not passed else memoryview(self._recent)[passed:]
        if offset < self._lost_before or os.fstat(self._fd).st_size < self.end:
            raise OSError(errno.EIO, "somebody has shortened the history")
        if offset >= self.opened_end:
            return offset, self.read(offset, size)
        return self._checked(offset, min(size, self.opened_end - offset))

    def _checked(self, offset: int, size: int) -> tuple[int, bytes]:
        """`records` for the part of the file that others may have written."""
        start = max(0, offset - RECORD_BYTES)
        block = self.read(start, offset - start + size)
        here = offset - start
        line = block.rfind(b"\n", 0, here) + 1  # where the line begins that offset is in
        if line or start == 0:
            run = record.HISTORY_RECORDS.match(block, line)
            if run and run.end() > here:
                return offset, block[here : run.end()]
        return start + (block.find(b"\n", here) + 1 or len(block)), b""

    def blocks_back(self, end: int) -> Iterator[tuple[int, bytes]]:
        """The lines before `end`, newest block first: (offset of the first line, whole lines).

        A line longer than BLOCK is in none of them.
        """
        while end > 0:
            start = max(0, end - BLOCK)
            block = self.read(start, end - start)
            first = block.find(b"\n") + 1 if start else 0  # before it: the rest of a line from further up
            last = block.rfind(b"\n") + 1
            if first < last:
                yield start + first, block[first:last]
            end = start + first if first < last else start

    def start_of_last(self, count: int) -> int:
        """Where the last `count` records begin; 0 where there are not so many."""
        if count == 0:
            return self.end
        if count * SHORTEST_RECORD > self.end:
            return 0
        for offset, lines in self.blocks_back(self.end):
            starts = [match.start() for match in record.HISTORY_RECORD.finditer(lines)]
            if len(starts) >= count:
                return offset + starts[-count]
            count -= len(starts)
        return 0

    def record_before(self, offset: int) -> Record | None:
        """The record that ends at offset; None where none does."""
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
        """The newest line that is a record."""
        for _, lines in self.blocks_back(self.end):
            for match in reversed(list(record.HISTORY_RECORD.finditer(lines))):
                return record.parse(match.group())
        return None

    # ----- writing: one thread

    def append(self, records: bytes, *, sync: bool = False) -> None:
        """Write them all, or none; with `sync` they are on the disk then. Raises OSError."""
        self._cut()
        try:
            rest = memoryview(records)
            while rest:
                with self._position:
                    rest = rest[os.write(self._fd, rest) :]
            if sync:
                self.sync()
        except OSError:
            self._may_have_rest = True
            self._cut()
            raise
        self._recent_start, self._recent = self.end, records
        self.end += len(records)  # last: whoever reads up to it finds it there for good

    def _cut(self) -> None:
        """Take away what a failed append left behind. Tried again before the next one if it fails."""
        if self._may_have_rest:
            os.ftruncate(self._fd, self.end)
            self._may_have_rest = False

    def was_changed(self) -> bool:
        """Whether somebody else has made the file shorter or longer, or put another one in its place."""
        self._cut()
        here = os.fstat(self._fd)
        try:
            return here.st_size != self.end or not os.path.samestat(here, self.path.stat())
        except FileNotFoundError:
            return True

    def give_up(self, successor: HistoryFile) -> None:
        """Let readers go on at the end of the successor; what is still here, they get before."""
        if os.fstat(self._fd).st_size < self.end:
            self._lost_before = self._recent_start = self.end
        successor.goes_on_at = successor.end
        self.next = successor

    def truncate(self, end: int) -> None:
        """Let the file end here."""
        os.ftruncate(self._fd, end)
        self.end = self._recent_start = end
        self.opened_end = min(self.opened_end, end)
        self._recent = b""

    def sync(self) -> None:
        """Return when all that was appended is on the disk. Raises OSError."""
        _sync_data(self._fd)

    def rename(self, path: Path) -> None:
        """Move the file; its readers don't notice. Raises OSError."""
        if _MOVES_OPEN_FILES:
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

    def close(self) -> None:
        """Let go of the file; called by itself when nobody refers to it any more."""
        self._closing()

    def _open(self) -> None:
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _BINARY, 0o644)
        self._closing = weakref.finalize(self, os.close, self._fd)


class History:
    """The history that the server writes. One thread appends and clears; any thread reads `file`.

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
            self._news = b""  # a notice that is to come before the next record
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
    def place(self) -> Place:
        """Where it ends now."""
        return self.file.number, self.file.end

    def now(self) -> str:
        """The time of a record made now: the clock's, but never earlier than the record before."""
        return max(record.format_time(time.time()), self._last_time)

    def append(self, drafts: bytes) -> str:
        """Append the records that the drafts become now, and return their time. All of them, or OSError."""
        self._news += self._take_up_changes()
        now = self.now()
        self.file.append(record.stamp(now, self._news + drafts), sync=self._sync == "always")
        self._news = b""
        self._last_time = now
        if not self._unsynced.is_set():
            self._unsynced.set()
        return now

    def clear(self, address: str, name: str) -> None:
        """Go on in a new file that begins with a `clear` record; keep the old one, or forget it.

        Raises OSError; the history is then as it was, or the old one could not be deleted.
        """
        self._news += self._take_up_changes()
        now = self.now()
        kept = self._kept_path(now)
        fate = "was deleted" if self._forget else f"is kept as {kept.name}"
        new = HistoryFile(self._new_path, self.file.number + 1)
        try:
            new.truncate(0)
            new.append(
                record.stamp(now, record.draft(address, name, "clear", f"The history before this {fate}."))
            )
            new.sync()
            self.file.sync()
            self._replace(self.file, kept, new)
        except OSError:
            new.path.unlink()
            raise
        self._last_time = now
        self.file.next = new
        self.file = new
        with contextlib.suppress(OSError):  # it is cleared, even if a power cut may undo that
            _sync_folder(self.path.parent)
        if self._forget and not _MOVES_OPEN_FILES:
            kept.unlink()

    def close(self) -> None:
        """Bring everything to the disk and let go of the file. Raises HistoryError."""
        self._closed.set()
        self._unsynced.set()
        if self._syncer.is_alive():
            self._syncer.join()
        try:
            self.file.sync()
        except OSError as error:
            raise HistoryError(
                f"{self.path}: what was said last may not be on the disk: {error.strerror}."
            ) from None
        finally:
            self.file.close()
            self._lock.release()

    # ----- opening

    def _acquire(self, holder: str) -> FileLock:
        if not self.path.name.isprintable():  # it stands in records
            raise HistoryError(
                f"{self.path.name!a} has something in it that can't be printed. "
                "Name another file with --history."
            )
        if not self.path.parent.is_dir():
            raise HistoryError(
                f"{self.path.parent}: no such folder. Make it, or name another with --history."
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
                f"{self.path.parent}: {error.strerror}. Name a folder that you may write to."
            ) from None

    def _finish_clearing(self) -> None:
        """Mend what a crash in the middle of `clear` left: the new file is not yet where the old one was."""
        if self._new_path.exists() and not self.path.exists():
            self._new_path.rename(self.path)
        self._new_path.unlink(missing_ok=True)

    def _open(self, number: int) -> HistoryFile:
        """The file at the history's path, without a torn end. Raises HistoryError, OSError."""
        file = HistoryFile(self.path, number)
        self._repair(file)
        last = file.last_record()
        self._last_time = max(self._last_time, last.time if last else "")
        return file

    def _take_up_changes(self) -> bytes:
        """Go on in what somebody has made of the file: a shorter one, another one, none.

        The draft of a notice where that was so. Raises OSError.
        """
        if not self.file.was_changed():
            return b""
        try:
            file = self._open(self.file.number + 1)
        except HistoryError as failure:
            log.error("history: %s", failure)
            raise OSError(errno.EINVAL, f"the host's {self.path.name} is no chat history any more") from None
        self.file.give_up(file)
        self.file = file
        return record.draft(
            record.NOBODY,
            "server",
            "notice",
            f"{self.path.name} was changed on the host's computer while the chat was running.",
        )

    def _repair(self, file: HistoryFile) -> None:
        """Move a last line without LF, which was never on the wire, out of the way."""
        whole = self._end_of_lines(file)
        if not self._looks_like_history(file, whole):
            raise HistoryError(f"{self.path} is no chat history. Name another file with --history.")
        torn = file.end - whole
        if torn:
            aside = self.path.with_name(f"{self.path.stem}.torn{self.path.suffix}")
            with aside.open("ab") as kept:
                for offset in range(whole, file.end, BLOCK):
                    kept.write(file.read(offset, BLOCK))
                kept.write(b"\n")
                kept.flush()
                os.fsync(kept.fileno())
            file.truncate(whole)
            log.warning(
                "The last line of %s was cut off in writing and never sent (%d bytes); it is now in %s.",
                *(self.path.name, torn, aside.name),
            )

    @staticmethod
    def _end_of_lines(file: HistoryFile) -> int:
        """The offset behind the last LF."""
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
        """Whether there are records at either end, or nothing yet: nobody wants a chat in a photograph."""
        if whole == 0:
            return record.could_begin(file.read(0, RECORD_BYTES))
        ends = (file.read(0, BLOCK), file.read(max(0, whole - BLOCK), BLOCK))
        lines = [line for end in ends for line in end.split(b"\n") if line.strip()]
        return not lines or any(map(record.is_record, lines))

    # ----- the disk

    def _replace(self, old: HistoryFile, kept: Path, new: HistoryFile) -> None:
        """Put the new file where the old one is, which becomes `kept`. On an OSError all is as before."""
        if self._forget and _MOVES_OPEN_FILES:
            new.rename(self.path)  # in one step: a crash leaves nothing of the old one
            return
        old.rename(kept)
        try:
            new.rename(self.path)
        except OSError:
            old.rename(self.path)
            raise

    def _kept_path(self, now: str) -> Path:
        """A name for the cleared history that nothing has yet."""
        stem = f"{self.path.stem}.cleared-{now.replace(':', '-')}"  # Windows has no colon in names
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
                log.error("history: can't bring it to the disk: %s; trying again", error.strerror)
                self._unsynced.set()
            self._closed.wait(SYNC_SECONDS)


def _sync_folder(folder: Path) -> None:
    """Make renames in the folder last. Windows syncs no folders, but in time does it by itself."""
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
