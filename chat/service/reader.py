"""The process that reads a long history and answers questions about it: `python -m chat.service.reader PATH`.

It reads the history once in the background, counts for `/stats`, notes how much was said in each block, and
maintains the word index. New records are read when it is asked.

The first line on standard output says that it is ready. Then a question is a line of JSON on standard input,
its answer one on standard output. It names the `file` (see
`identity`) and its `end` as the asker sees them:

    {"ask": "search", "words", "most"}    {"offsets": newest first, "complete": whether all was searched}
    {"ask": "said", "most"}               {"offsets": newest first, of the kinds in SAID}
    {"ask": "last", "count"}              {"offset": where the last `count` records begin}
    {"ask": "stats"}                      {"lines": the sentences}

Each answer also has the `seconds` that it took; {"failed": why} is an answer, too.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import sqlite3
import sys
import threading
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chat import record
from chat.log.index import Index
from chat.log.search import Search
from chat.service.counters import Counters

BLOCK_BYTES = 64 * 1024
SLICE_BYTES = 512 * 1024  # read between two checks for questions: about twenty milliseconds
SEARCH_SECONDS = 0.1  # for one search; what has been found by then is the answer
BLIND_SECONDS = 0.025  # for one that no index helps with, such as for `:)`
CATCH_UP_SECONDS = 0.05  # to read what is new when a question arrives; the next one is waiting
# This much is read without being asked; less is read with the next question.
FOLLOW_BYTES = 1024 * 1024
FOLLOW_SECONDS = 2.0  # between two checks how much that is
NICE = 10  # those who chat come first
MEMORY_BYTES = 1 << 30  # of the process
SAID = (b"message", b"action", b"notice")  # the kinds that can be found


class Changed(Exception):
    """The history is not the one that was read."""


class Reader:
    """One history file, from its first line to wherever it has been read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb", buffering=0)
        self.identity = identity(self._file.fileno())
        self._counters = Counters()
        # For each block of whole lines: its offset, its number of records, and of those the number of SAID.
        self._starts = array("Q")
        self._records = array("Q")
        self._said = array("Q")
        self._seen = 0  # counted up to here
        self._last = b""  # the bytes before it
        self._index: Index | None = None
        with contextlib.suppress(sqlite3.Error, OSError):  # without it a search reads the file
            self._index = Index(path.with_name(path.name + ".index"), path)

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._index:
            self._index.close()

    # ----- reading

    def step(self) -> bool:
        """Read a bit more, if there is much; whether there was. Raises Changed, OSError."""
        size = os.fstat(self._file.fileno()).st_size
        if size - self._seen >= FOLLOW_BYTES:
            return self._count()
        return (
            self._seen - (self._index.end if self._index else size) >= FOLLOW_BYTES and self._add_to_index()
        )

    def catch_up(self, end: int) -> bool:
        """Count everything up to `end`, for as long as the asker can wait; whether that was enough."""
        until = time.monotonic() + CATCH_UP_SECONDS
        while self._seen < end and time.monotonic() < until:
            if not self._count():
                break
        return self._seen >= end

    def _count(self) -> bool:
        self._check()
        lines = self._lines(self._seen, SLICE_BYTES)
        if not lines:
            return False
        self._counters.feed(lines, time.time())
        start = 0
        while start < len(lines):
            stop = lines.rfind(b"\n", start, start + BLOCK_BYTES) + 1 or lines.find(b"\n", start) + 1
            kinds = record.HISTORY_KINDS.findall(lines, start, stop)
            self._starts.append(self._seen + start)
            self._records.append(len(kinds))
            self._said.append(sum(map(kinds.count, SAID)))
            start = stop
        self._seen += len(lines)
        self._last = lines[-64:]
        return True

    def _check(self) -> None:
        """Raises Changed if what was read is no longer there."""
        if self._read(self._seen - len(self._last), len(self._last)) != self._last:
            raise Changed

    def _add_to_index(self) -> bool:
        if not self._index or self._index.end >= self._seen:
            return False
        lines = self._lines(self._index.end, min(SLICE_BYTES, self._seen - self._index.end))
        try:
            self._index.add(lines)
        except sqlite3.Error:  # the disk is full, for instance
            self._drop_index()
        return bool(lines)

    def _drop_index(self) -> None:
        index, self._index = self._index, None
        with contextlib.suppress(sqlite3.Error, OSError):
            assert index
            index.drop()

    def _lines(self, offset: int, size: int) -> bytes:
        """Whole lines from the offset on: about `size` bytes, or one line, however long."""
        lines = self._read(offset, size)
        whole = lines.rfind(b"\n") + 1
        if whole or len(lines) < size:
            return lines[:whole]
        return self._lines(offset, 2 * size)

    def _line(self, offset: int) -> bytes:
        """The record at the offset, up to the greatest length."""
        return self._read(offset, record.RECORD_BYTES).partition(b"\n")[0] + b"\n"

    def _read(self, offset: int, size: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(size) or b""

    # ----- answers

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """The answer to a question. Raises Changed, OSError."""
        self._check()
        end, ask = question["end"], question["ask"]
        up_to_date = ask == "search" or self.catch_up(end)
        if ask == "stats":
            if not up_to_date:
                return {"failed": f"{100 * self._seen // max(end, 1)} %"}
            return {"lines": self._counters.summary()}
        if ask == "search":
            return self._search(Search(question["words"]), question["most"], end)
        if not up_to_date:
            return {"failed": "behind"}
        if ask == "said":
            return {"offsets": self._last_said(question["most"], end)}
        return {"offset": self._last_records(question["count"], end)}

    def _search(self, search: Search, most: int, end: int) -> dict[str, Any]:
        """The newest records that match, as far as they can be found within the time."""
        until = time.monotonic() + (SEARCH_SECONDS if search.expression else BLIND_SECONDS)
        found: list[int] = []
        indexed = min(end, self._index.end if self._index and search.expression else 0)
        oldest = end  # everything from here on was searched
        for oldest, lines in self._lines_back(end, indexed):
            found += _matching(search, lines, oldest)
            if len(found) >= most or time.monotonic() > until - SEARCH_SECONDS / 2 * bool(indexed):
                break
        complete = oldest <= indexed
        if indexed and self._index and len(found) < most:
            with contextlib.suppress(sqlite3.Error):
                for offset in self._index.candidates(search):
                    if offset < min(oldest, indexed):
                        found += _matching(search, self._line(offset), offset)
                    if len(found) >= most:
                        break
                    if time.monotonic() > until:
                        complete = False
                        break
        return {"offsets": found[:most], "complete": complete or len(found) >= most}

    def _lines_back(self, end: int, start: int) -> Iterator[tuple[int, bytes]]:
        """Whole lines between two line starts, newest block first: (where the block begins, its lines)."""
        while end > start:
            size = BLOCK_BYTES
            first = max(start, end - size)
            lines = self._read(first, end - first)
            cut = lines.find(b"\n") + 1 if first > start else 0
            if cut == len(lines):  # one line, longer than any record
                cut = 0
            yield first + cut, lines[cut:]
            end = first + cut

    def _blocks_back(self, end: int) -> Iterator[tuple[int, bytes]]:
        """The counted blocks in which something was said, newest first."""
        for number in range(len(self._starts) - 1, -1, -1):
            start = self._starts[number]
            if start < end and self._said[number]:
                yield start, self._read(start, min(self._block_end(number), end) - start)

    def _block_end(self, number: int) -> int:
        return self._starts[number + 1] if number + 1 < len(self._starts) else self._seen

    def _last_said(self, most: int, end: int) -> list[int]:
        found: list[int] = []
        for offset, lines in self._blocks_back(end):
            here = [offset + match.start() for match in _said(lines)]
            found += reversed(here)
            if len(found) >= most:
                break
        return found[:most]

    def _last_records(self, count: int, end: int) -> int:
        for number in range(len(self._starts) - 1, -1, -1):
            start = self._starts[number]
            if start >= end:
                continue
            if self._records[number] >= count or self._block_end(number) > end:
                lines = self._read(start, min(self._block_end(number), end) - start)
                places = [match.start() for match in record.HISTORY_KINDS.finditer(lines)]
                if len(places) >= count:
                    return start + places[-count]
                count -= len(places)
            else:
                count -= self._records[number]
        return 0


def _said(lines: bytes) -> Iterator[re.Match[bytes]]:
    return (match for match in record.HISTORY_KINDS.finditer(lines) if match[1] in SAID)


def _matching(search: Search, lines: bytes, offset: int) -> list[int]:
    """The offsets of the matching records among the lines, newest first."""
    whole = lines.decode(errors="replace").casefold()
    if not all(word in whole for word in search.words):
        return []
    found = []
    for match in _said(lines):
        said = record.parse(match[0])
        if search.matches(said.name, said.text):
            found.append(offset + match.start())
    return found[::-1]


def identity(fd: int) -> list[int]:
    """How a question refers to the file open under this descriptor; see HistoryFile.identity."""
    status = os.fstat(fd)
    return [status.st_dev, status.st_ino]


def main(path: Path) -> None:
    """Answer the questions on standard input until it ends."""
    _be_modest()
    questions: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_take, args=(questions,), daemon=True).start()
    reader: Reader | None = None
    busy, ready = True, False
    while True:
        try:
            line = questions.get(block=not busy, timeout=FOLLOW_SECONDS)
        except queue.Empty:
            line = None
        if line == b"":
            return
        try:
            if reader is None:
                reader = Reader(path)
                if not ready:
                    _print({"ready": True})
                    ready = True
            if line is None:
                busy = reader.step()
            else:
                busy, reader = True, _answer(reader, line)
        except (OSError, Changed):
            if reader:
                reader.close()
            busy, reader = False, None
            if line is not None:
                _print({"failed": "the history has just been changed"})


def _answer(reader: Reader, line: bytes) -> Reader:
    """Answer a question. Returns the reader that did: a new one if the history has been replaced."""
    question = json.loads(line)
    began = time.process_time()
    try:
        if reader.identity != question["file"]:
            raise Changed
        answer = reader.answer(question)
    except Changed:
        reader.close()
        reader = Reader(reader.path)
        if reader.identity != question["file"]:
            raise
        answer = reader.answer(question)
    _print({**answer, "seconds": time.process_time() - began})
    return reader


def _print(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


def _take(questions: queue.Queue[bytes]) -> None:
    """The thread that receives questions; ends with standard input."""
    for line in sys.stdin.buffer:
        questions.put(line)
    questions.put(b"")


def _be_modest() -> None:
    """Yield to those who chat, and don't let a bug here take the server's memory."""
    if sys.platform == "win32":
        return
    import resource

    with contextlib.suppress(OSError):
        os.nice(NICE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
