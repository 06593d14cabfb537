"""history.txt becomes a DataFrame, held against the grammar of chat.record and quick at ten million records.

What is a record is decided by `chat.record.parse` and by nobody else. A line falls into three parts that
can be judged apart, and all but the third come again and again:

    2026-11-21T10:15:42.123Z TAB 192.168.1.7 TAB alice TAB message TAB hello LF
    `------- time ---------'     `----------- head --------------'     `text'

Each distinct day and each distinct head (who says what kind of thing from where) is shown to `parse` once.
What is left is done with numpy for a block of lines at a time: to find the separators, to add up the digits
of a time, and to see that a head is one that came before. Two blocks are read side by side, since numpy
lets other threads run meanwhile.

Records end at LF only, so a bare CR or U+2028 is text. A last line without LF is not there yet.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analytics import source
from analytics.texts import Texts
from analytics.times import TIME_BYTES, Integers, Words, times
from chat import record
from chat.record import NotARecord, Record

BLOCK_BYTES = 2 << 20  # big enough that numpy's own overhead vanishes, small enough for a processor's cache
HEAD_BYTES = 160  # the longest head the server writes has 150; a longer one is looked up the slow way
THREADS = min(4, os.cpu_count() or 1)  # beyond that, cutting the file into blocks is what takes the time

# The C library of Linux takes the biggest block freed so far as a sign of how much free memory to keep. With
# this one at the start it keeps what one block of lines used for the next, instead of asking the system anew.
KEPT_BYTES = 31 << 20

TAB, LF = 9, 10

Bytes = NDArray[np.uint8]

# One kind of text column whatever is installed: with pyarrow, pandas would copy all texts into another one.
TEXTS = pd.StringDtype("python", na_value=np.nan)


class History(NamedTuple):
    """What was read.

    records: time (UTC, milliseconds), address, name, kind (categories) and text, in the order of time
    skipped: file and line (counted from 1) of every line that is no record
    """

    records: pd.DataFrame
    skipped: pd.DataFrame


class Read(NamedTuple):
    """The same, with the texts aside: as bytes they take a third of the memory."""

    records: pd.DataFrame
    texts: Texts
    skipped: pd.DataFrame


def load_history(
    *paths: str | Path, texts: bool = True, progress: Callable[[int], None] | None = None
) -> History:
    """The records of history files, put together in the order of time.

    A path is a file, a pipe, or "-" for standard input, gzip and zstd among them; a file that is named twice
    counts once. texts=False leaves the column text out: to count needs none, and most of the memory goes into
    them. `progress` is told how many bytes were done since it was last told. What is appended meanwhile waits
    for the next time. Raises OSError for what can't be read.
    """
    read = read_history(*paths, texts=texts, progress=progress)
    if texts:
        read.records["text"] = _text_column(read.texts)
    return History(read.records, read.skipped)


def read_history(
    *paths: str | Path, texts: bool = True, progress: Callable[[int], None] | None = None
) -> Read:
    """The same as `load_history`, with the texts aside (texts=False: without them)."""
    blocks: list[_Block] = []
    heads = _Heads()
    skipped: list[pd.DataFrame] = []
    for path in source.distinct(paths):
        lines = 0
        numbers = [np.empty(0, np.int64)]
        for block in _read_blocks(path, heads, texts):
            numbers.append(block.skipped + lines + 1)
            lines += block.lines
            blocks.append(block)
            if progress:
                progress(block.size)
        skipped.append(pd.DataFrame({"file": str(path), "line": np.concatenate(numbers)}))
    _give_back_memory()
    records, order = _frame(blocks, heads.records)
    chunks = [block.texts for block in blocks if block.texts is not None]
    found = Texts(chunks, [len(block.time) for block in blocks] if texts else [], order)
    return Read(records, found, pd.concat(skipped, ignore_index=True))


def _give_back_memory() -> None:
    """What reading has needed goes back to the system, where the C library can do that."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _frame(blocks: list[_Block], heads: list[Record]) -> tuple[pd.DataFrame, Integers | None]:
    """The records in the order of time, and which of them comes where (None: in the order of the blocks)."""
    time = np.concatenate([np.empty(0, np.int64), *(block.time for block in blocks)])
    order = None
    if (time[1:] < time[:-1]).any():  # several files, or one that somebody edited
        order = np.argsort(time, kind="stable")
        time = time[order]
    columns: dict[str, Any] = {"time": pd.DatetimeIndex(time.view("M8[ms]"), tz="UTC", copy=False)}
    for field in ("address", "name", "kind"):
        columns[field] = _category([getattr(each, field) for each in heads], blocks, order)
    return pd.DataFrame(columns, copy=False), order


def _text_column(texts: Texts) -> pd.Series[str]:
    column = np.empty(len(texts), object)
    filled = 0
    for strings in texts.strings():
        column[filled : filled + len(strings)] = strings
        filled += len(strings)
    if texts.order is not None:
        column = column[texts.order]
    return pd.Series(pd.array(column, dtype=TEXTS, copy=False), copy=False)


def _category(values: list[str], blocks: list[_Block], order: Integers | None) -> pd.Categorical:
    """The column in which each head has this value."""
    distinct, categories = pd.factorize(np.array(values, object))
    narrow = distinct.astype(np.min_scalar_type(-max(len(categories), 1)))
    codes = np.concatenate([narrow[:0], *(narrow[block.head] for block in blocks)])
    if order is not None:
        codes = codes[order]
    dtype = pd.CategoricalDtype(pd.Index(categories, dtype="str"))
    return pd.Categorical.from_codes(codes, dtype=dtype, validate=False)


# -------------------------------------------------------------------------------------------------- blocks


class _Block(NamedTuple):
    """What some whole lines of a file say."""

    size: int  # bytes
    lines: int
    skipped: Integers  # which of the lines are no records, from 0
    time: Integers  # milliseconds since 1970, one a record
    head: NDArray[np.int32]  # which of the heads, one a record
    texts: bytes | None  # with an LF behind each; None where none are wanted


def _read_blocks(path: Path, heads: _Heads, texts: bool) -> Iterator[_Block]:
    """The blocks of a file in their order; the next ones are worked on while one is taken."""
    np.empty(KEPT_BYTES, np.uint8)
    with source.opened(path) as (file, size), ThreadPoolExecutor(THREADS) as pool:
        waiting: deque[Future[_Block]] = deque()
        for buffer, length in _cut(file, size):
            waiting.append(pool.submit(_parse, buffer, length, heads, texts))
            if len(waiting) > THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _cut(file: BinaryIO, size: int | None) -> Iterator[tuple[Bytes, int]]:
    """The file in buffers that begin with whole lines, and how many bytes these are.

    After them there are HEAD_BYTES more at least, so that looking ahead stays inside the buffer.
    """
    if size is not None:
        file.seek(0)
    left = sys.maxsize if size is None else size
    rest = np.empty(0, np.uint8)
    while left:
        wanted = min(left, max(BLOCK_BYTES, rest.size))  # doubled, a line of any length takes linear time
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


def _parse(buffer: Bytes, length: int, heads: _Heads, texts: bool) -> _Block:
    """The block that the first `length` bytes are."""
    lines, number, start, ends = _five_fields(buffer[:length])
    time, true = times(_gather(buffer, start, TIME_BYTES))
    which, distinct = _distinct(buffer, start + TIME_BYTES + 1, ends[:, 3])
    head = heads.places(distinct)[which]
    true &= head != NO_RECORD
    if not true.all():
        number, time, head, ends = number[true], time[true], head[true], ends[true]
    return _Block(
        size=length,
        lines=lines,
        skipped=_others(number, lines),
        time=time,
        head=head,
        texts=_texts(buffer, ends[:, 3] + 1, ends[:, 4]) if texts else None,
    )


def _others(number: Integers, lines: int) -> Integers:
    """Which of so many lines are not among these."""
    if len(number) == lines:
        return np.empty(0, np.int64)
    return np.delete(np.arange(lines), number)


_SEPARATORS = np.array([TAB, TAB, TAB, TAB, LF], np.uint8)


def _five_fields(lines: Bytes) -> tuple[int, Integers, Integers, Integers]:
    """How many lines there are; and of those with five fields, the first as long as a time, which lines they
    are, where they start, and where each of their fields ends (five columns).
    """
    marks = np.flatnonzero(lines <= LF)
    which = lines[marks]
    if marks.size % 5 == 0 and (which.reshape(-1, 5) == _SEPARATORS).all():  # as nearly everywhere
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


def _gather(buffer: Bytes, start: Integers, width: int) -> Words:
    """The `width` bytes (a multiple of 8) from each start, as one row of words each."""
    windows = np.ndarray((buffer.size - width + 1,), f"V{width}", buffer.data, strides=(1,))
    return windows[start].view("<u8").reshape(-1, width // 8)


# --------------------------------------------------------------------------------------------------- heads

# For each length, the words that leave only so many bytes of a row.
_MASKS = np.tril(np.full((HEAD_BYTES + 1, HEAD_BYTES), 255, np.uint8), -1).view("<u8")
_MULTIPLIERS = np.cumprod(np.full(HEAD_BYTES // 8, 0x9E3779B97F4A7C15, np.uint64))  # odd and without pattern


def _distinct(buffer: Bytes, start: Integers, end: Integers) -> tuple[Integers, list[bytes]]:
    """For each stretch of bytes which of the distinct ones it is, and these."""
    length = end - start
    width = -(-int(length.max(initial=1)) // 8) * 8
    if width > HEAD_BYTES:
        return _distinct_slowly(buffer, start, end)
    words = _gather(buffer, start, width)
    words &= _MASKS[:, : width // 8][length]
    which, hashes = pd.factorize(words @ _MULTIPLIERS[: width // 8])
    sample = np.empty(len(hashes), np.int64)
    sample[which] = np.arange(len(which))
    if not (words == words[sample][which]).all():  # two heads with one hash
        return _distinct_slowly(buffer, start, end)
    data = buffer.tobytes()
    return which, [data[a:b] for a, b in zip(start[sample].tolist(), end[sample].tolist(), strict=True)]


def _distinct_slowly(buffer: Bytes, start: Integers, end: Integers) -> tuple[Integers, list[bytes]]:
    places: dict[bytes, int] = {}
    data = buffer.data
    which = [
        places.setdefault(bytes(data[a:b]), len(places))
        for a, b in zip(start.tolist(), end.tolist(), strict=True)
    ]
    return np.array(which, np.int64), list(places)


NO_RECORD = -1


class _Heads:
    """The distinct heads of a history, each parsed once."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._places: dict[bytes, int] = {}
        self._growing = threading.Lock()  # guards both against a second thread that adds a head

    def places(self, heads: list[bytes]) -> NDArray[np.int32]:
        """The place in `records` of each head, NO_RECORD for what is none."""
        found = list(map(self._places.get, heads))
        if None in found:
            with self._growing:
                found = [
                    self._place(head) if place is None else place
                    for head, place in zip(heads, found, strict=True)
                ]
        return np.array(found, np.int32)

    def _place(self, head: bytes) -> int:
        """Requires holding _growing."""
        if head not in self._places:
            try:
                parsed = record.parse(b"1970-01-01T00:00:00.000Z\t" + head + b"\t")
            except NotARecord:
                parsed = None
            if parsed is None or parsed.direct:
                self._places[head] = NO_RECORD
            else:
                self.records.append(parsed)
                self._places[head] = len(self.records) - 1
        return self._places[head]


# --------------------------------------------------------------------------------------------------- texts


def _texts(buffer: Bytes, start: Integers, end: Integers) -> bytes:
    """The texts between these places with their LFs, in true UTF-8."""
    stretches = np.empty(2 * len(start), np.int64)  # what lies before a text, and the text, in turn
    stretches[1::2] = end + 1 - start
    stretches[0::2] = np.diff(start, prepend=0)
    stretches[2::2] -= stretches[1:-1:2]
    wanted = np.repeat(np.tile([False, True], len(start)), stretches)
    found = buffer[: wanted.size][wanted]
    data: bytes = found.tobytes()
    beyond_ascii = found > 127  # with the byte after each, the rest has no say in whether it is UTF-8
    beyond_ascii[1:] |= beyond_ascii[:-1].copy()
    try:
        found[beyond_ascii].tobytes().decode()
    except UnicodeDecodeError:
        return data.decode(errors="replace").encode()
    return data
