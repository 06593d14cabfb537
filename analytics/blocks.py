"""A history in blocks of whole lines: where their fields are, and what their heads say. numpy alone.

What is a record is decided by `chat.record.parse` and by nobody else. A line falls into three parts that
can be judged apart, and all but the third come again and again:

    2026-11-21T10:15:42.123Z TAB 192.168.1.7 TAB alice TAB message TAB hello LF
    `------- time ---------'     `----------- head ----------------'   `text'

Each distinct head (who says what kind of thing from where) is shown to `parse` once. What is left is done
for a block of lines at a time: to find the separators, and to see that a head is one that came before. Two
blocks are read side by side, since numpy lets other threads run meanwhile.

Records end at LF only, so a bare CR or U+2028 is text. A last line without LF is not there yet.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from analytics import source
from analytics.times import TIME_BYTES, Integers, Words
from chat import record
from chat.record import NotARecord, Record

BLOCK_BYTES = 2 << 20  # big enough that numpy's own overhead vanishes, small enough for a processor's cache
HEAD_BYTES = 160  # the longest head the server writes has 151; a longer one is looked up the slow way
THREADS = min(4, os.cpu_count() or 1)  # beyond that, cutting the file into blocks is what takes the time

# The C library of Linux takes the biggest block freed so far as a sign of how much free memory to keep. With
# this one at the start it keeps what one block of lines used for the next, instead of asking the system anew.
KEPT_BYTES = 31 << 20

TAB, LF = 9, 10
SPOKEN = ("message", "action")  # the kinds of what somebody said

Bytes = NDArray[np.uint8]
Result = TypeVar("Result")


def each_block(path: Path, read: Callable[[Bytes, int], Result], times: int = 1) -> Iterator[Result]:
    """What `read` makes of each block of a file, in their order; it is called in several threads at once,
    with a buffer and how many bytes of it are the block. Blocks have so many times BLOCK_BYTES. Raises
    OSError for what can't be read.
    """
    np.empty(KEPT_BYTES, np.uint8)
    with source.opened(path) as (file, size), ThreadPoolExecutor(THREADS) as pool:
        waiting: deque[Future[Result]] = deque()
        for buffer, length in _cut(file, size, times * BLOCK_BYTES):
            waiting.append(pool.submit(read, buffer, length))
            if len(waiting) > THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _cut(file: BinaryIO, size: int | None, block: int) -> Iterator[tuple[Bytes, int]]:
    """The file in buffers that begin with whole lines, and how many bytes these are.

    After them there are HEAD_BYTES more at least, so that looking ahead stays inside the buffer.
    """
    if size is not None:
        file.seek(0)
    left = sys.maxsize if size is None else size
    rest = np.empty(0, np.uint8)
    while left:
        wanted = min(left, max(block, rest.size))  # doubled, a line of any length takes linear time
        buffer = np.empty(rest.size + wanted + HEAD_BYTES, np.uint8)
        buffer[: rest.size] = rest
        got = _fill(file, buffer.data[rest.size : rest.size + wanted])
        if not got:  # the end, or the file was cut short meanwhile
            return
        left -= got
        filled = rest.size + got
        length = _after_last_lf(buffer, rest.size, filled)
        rest = buffer[length:filled]
        if length:
            yield buffer, length


def _fill(file: BinaryIO, view: memoryview) -> int:
    """Reads until the view is full or the file is at its end: a pipe gives little at a time."""
    filled = 0
    while filled < len(view):
        got = file.readinto(view[filled:])  # type: ignore[attr-defined]
        if not got:
            break
        filled += got
    return filled


def _after_last_lf(buffer: Bytes, start: int, stop: int) -> int:
    """Where the whole lines end, looking back from `stop`; 0 if no line ends after `start`."""
    while stop > start:
        begin = max(start, stop - record.RECORD_BYTES)
        found = buffer[begin:stop].tobytes().rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        stop = begin
    return 0


SEPARATORS = b"\t\t\t\t\n"


def five_fields(lines: Bytes) -> tuple[int, Integers, Integers, Integers]:
    """How many lines there are; and of those with five fields, the first as long as a time, which lines they
    are, where they start, and where each of their fields ends (five columns).
    """
    marks = np.flatnonzero(lines <= LF)
    which = lines[marks]
    if marks.size % 5 == 0 and which.tobytes() == SEPARATORS * (marks.size // 5):  # as nearly everywhere
        count = marks.size // 5
        number, ends = np.arange(count), marks.reshape(-1, 5)
        start = np.append(0, ends[:-1, 4] + 1)[:count]
    else:
        count, number, start, ends = _five_fields_of_any(marks[which >= TAB], which[which >= TAB])
    timed = ends[:, 0] - start == TIME_BYTES
    if not timed.all():
        number, start, ends = number[timed], start[timed], ends[timed]
    return count, number, start, ends


def _five_fields_of_any(marks: Integers, which: Bytes) -> tuple[int, Integers, Integers, Integers]:
    """The same from the places of TABs and LFs, and which of the two each is, whatever the first field is."""
    feeds = np.flatnonzero(which == LF)
    number = np.flatnonzero(np.diff(feeds, prepend=-1) == 5)
    last = feeds[number]
    start = np.where(last >= 5, marks[last - 5] + 1, 0)
    return len(feeds), number, start, marks[last[:, None] + np.arange(-4, 1)]


def gather(buffer: Bytes, start: Integers, width: int) -> Words:
    """The `width` bytes (a multiple of 8) from each start, as one row of words each."""
    windows = np.ndarray((buffer.size - width + 1,), f"V{width}", buffer.data, strides=(1,))
    return windows[start].view("<u8").reshape(-1, width // 8)


# --------------------------------------------------------------------------------------------------- heads

# For each length, the words that leave only so many bytes of a row.
_MASKS = np.tril(np.full((HEAD_BYTES + 1, HEAD_BYTES), 255, np.uint8), -1)
_MULTIPLIERS = np.cumprod(np.full(HEAD_BYTES // 8, 0x9E3779B97F4A7C15, np.uint64))  # odd and without pattern
_SLOT_BITS = 12
_SHIFT = np.uint64(64 - _SLOT_BITS)

NO_RECORD = -1
_EMPTY = -2


class _Slots(NamedTuple):
    """Heads by the first bits of their hash, one in each slot: most are found here, thousands at once."""

    heads: Bytes  # rows of HEAD_BYTES, padded with 0
    numbers: NDArray[np.int32]


class Heads:
    """The distinct heads of a history, each parsed once.

    `number` gives the number that stands for a record with such a head, 0 or more.
    """

    def __init__(self, number: Callable[[Record], int]) -> None:
        self._number = number
        self._numbers: dict[bytes, int] = {}
        self._growing = threading.Lock()  # guards _numbers and _slots against a second thread that adds
        # Replaced and never changed, so that a thread can read while another one adds.
        self._slots = _Slots(
            np.zeros((1 << _SLOT_BITS, HEAD_BYTES), np.uint8),
            np.full(1 << _SLOT_BITS, _EMPTY, np.int32),
        )

    def numbers(self, buffer: Bytes, start: Integers, end: Integers) -> NDArray[np.int32]:
        """The number of each head, NO_RECORD for what is none. A head lies between these places in the
        buffer, and its last byte is the TAB behind its kind.
        """
        length = end - start
        width = -(-int(length.max(initial=1)) // 8) * 8
        if width > HEAD_BYTES:
            return self._numbers_slowly(buffer, start, end)
        words = gather(buffer, start, width)
        words &= _rows(_MASKS, length, width)
        hashes = words @ _MULTIPLIERS[: width // 8]
        slot = (hashes >> _SHIFT).astype(np.int64)
        slots = self._slots
        same = words == _rows(slots.heads, slot, width)
        numbers = slots.numbers[slot]
        if not same.all():
            new = np.flatnonzero(~same.all(axis=1))
            first, which = _distinct(hashes[new], words[new])
            first = new[first]
            numbers_of_first = self._numbers_slowly(buffer, start[first], end[first])
            numbers[new] = numbers_of_first[which]
            self._remember(slot[first], words[first], numbers_of_first)
        return numbers

    def _remember(self, slot: Integers, words: Words, numbers: NDArray[np.int32]) -> None:
        """Puts heads into their slots, where these are empty."""
        empty = np.flatnonzero(self._slots.numbers[slot] == _EMPTY)
        if not len(empty):
            return
        with self._growing:
            heads, known = self._slots.heads.copy(), self._slots.numbers.copy()
            slot, place = np.unique(slot[empty], return_index=True)
            heads[slot] = 0
            heads[slot, : words.shape[1] * 8] = words[empty[place]].view(np.uint8)
            known[slot] = numbers[empty[place]]
            self._slots = _Slots(heads, known)

    def _numbers_slowly(self, buffer: Bytes, start: Integers, end: Integers) -> NDArray[np.int32]:
        """The same without slots, for heads of any length."""
        data = buffer.data
        heads = [bytes(data[a:b]) for a, b in zip(start.tolist(), end.tolist(), strict=True)]
        found = list(map(self._numbers.get, heads))
        if None in found:
            with self._growing:
                found = [
                    self._number_of(head) if number is None else number
                    for head, number in zip(heads, found, strict=True)
                ]
        return np.array(found, np.int32)

    def _number_of(self, head: bytes) -> int:
        """Requires holding _growing."""
        if head not in self._numbers:
            try:
                parsed = record.parse(b"1970-01-01T00:00:00.000Z\t" + head)
            except NotARecord:
                parsed = None
            self._numbers[head] = NO_RECORD if parsed is None or parsed.direct else self._number(parsed)
        return self._numbers[head]


def _rows(table: Bytes, which: Integers, width: int) -> Words:
    """The first `width` bytes (a multiple of 8) of some rows of a table, as words."""
    begins = np.ndarray((len(table),), f"V{width}", table.data, strides=(table.strides[0],))
    return begins[which].view("<u8").reshape(-1, width // 8)


def _distinct(hashes: NDArray[Any], words: Words) -> tuple[Integers, Integers]:
    """The first row of each kind, in their order, and for each row which of these it is like."""
    _, first, which = np.unique(hashes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    first, which = first[order], place[which]
    if (words == words.take(first[which], axis=0)).all():
        return first, which
    every = np.arange(len(words))  # two heads with one hash
    return every, every
