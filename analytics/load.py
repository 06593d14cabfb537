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

import ipaddress
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chat import record
from chat.record import NotARecord, Record

try:
    import pyarrow as pa
except ImportError:  # texts then take more time and memory, and nothing else changes
    pa = None

BLOCK_BYTES = 2 << 20  # big enough that numpy's own overhead vanishes, small enough for a processor's cache
HEAD_BYTES = 160  # the longest head the server writes has 150; a longer one is looked up the slow way
THREADS = min(4, os.cpu_count() or 1)  # beyond that, cutting the file into blocks is what takes the time

# The C library of Linux takes the biggest block freed so far as a sign of how much free memory to keep. With
# this one at the start it keeps what one block of lines used for the next, instead of asking the system anew.
KEPT_BYTES = 31 << 20

TAB, LF = 9, 10
TIME_BYTES = len("2026-11-21T10:15:42.123Z")
DATE_BYTES = len("2026-11-21")

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]  # eight bytes of text each, the first one lowest
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class History(NamedTuple):
    """What was read.

    records: time (UTC, milliseconds), address, name, kind (categories) and text, in the order of time
    skipped: file and line (counted from 1) of every line that is no record
    """

    records: pd.DataFrame
    skipped: pd.DataFrame


def load_history(
    *paths: str | Path, texts: bool = True, progress: Callable[[int], None] | None = None
) -> History:
    """The records of history files, put together in the order of time.

    texts=False leaves the column text out: to count needs none, and most of the memory goes into them.
    `progress` is told how many bytes were done since it was last told. What is appended meanwhile waits
    for the next time. Raises OSError for a file that can't be read.
    """
    blocks: list[_Block] = []
    heads: dict[Record, int] = {}
    skipped: list[pd.DataFrame] = []
    for path in paths:
        lines = 0
        numbers = [np.empty(0, np.int64)]
        for block in _read_blocks(Path(path), texts):
            numbers.append(block.skipped + lines + 1)
            lines += block.lines
            known = np.array([heads.setdefault(head, len(heads)) for head in block.heads], np.int32)
            blocks.append(block._replace(head=known[block.head], heads=[]))
            if progress:
                progress(block.size)
        skipped.append(pd.DataFrame({"file": str(path), "line": np.concatenate(numbers)}))
    records = _frame(blocks, list(heads), texts)
    return History(records, pd.concat(skipped, ignore_index=True))


def select(
    records: pd.DataFrame,
    since: pd.Timestamp | None = None,
    until: pd.Timestamp | None = None,
    names: Sequence[str] = (),
    networks: Sequence[Network] = (),
) -> pd.DataFrame:
    """The records from `since` on and before `until`, by one of the names, from one of the networks.

    What is not given does not restrict. Names are compared as the chat does, whatever their case.
    """
    chosen = np.ones(len(records), bool)
    if since is not None:
        chosen &= (records["time"] >= since).to_numpy()
    if until is not None:
        chosen &= (records["time"] < until).to_numpy()
    return of(records[chosen], names, networks)


def of(table: pd.DataFrame, names: Sequence[str] = (), networks: Sequence[Network] = ()) -> pd.DataFrame:
    """The rows of any table with name and address that belong to one of the names and of the networks."""
    if names:
        keys = {record.name_key(name) for name in names}
        table = table[table["name"].map(lambda name: record.name_key(name) in keys).to_numpy(bool)]
    if networks:
        table = table[table["address"].map(lambda address: _is_in(address, networks)).to_numpy(bool)]
    return table


def _is_in(address: str, networks: Sequence[Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:  # the host's "-", and what looks like an address only
        return False
    return any(parsed in network for network in networks)


def _frame(blocks: list[_Block], heads: list[Record], texts: bool) -> pd.DataFrame:
    time = np.concatenate([np.empty(0, np.int64), *(block.time for block in blocks)])
    columns: dict[str, Any] = {"time": pd.DatetimeIndex(time.view("M8[ms]"), tz="UTC", copy=False)}
    for field in ("address", "name", "kind"):
        columns[field] = _category([getattr(each, field) for each in heads], blocks)
    if texts:
        columns["text"] = _text_column([block.texts for block in blocks])
    records = pd.DataFrame(columns, copy=False)
    if not records["time"].is_monotonic_increasing:  # several files, or one that somebody edited
        records = records.sort_values("time", kind="stable", ignore_index=True)
    return records


def _category(values: list[str], blocks: list[_Block]) -> pd.Categorical:
    """The column in which each head has this value."""
    distinct, categories = pd.factorize(np.array(values, object))
    narrow = distinct.astype(np.min_scalar_type(-max(len(categories), 1)))
    codes = np.concatenate([narrow[:0], *(narrow[block.head] for block in blocks)])
    dtype = pd.CategoricalDtype(pd.Index(categories, dtype="str"))
    return pd.Categorical.from_codes(codes, dtype=dtype, validate=False)


def _text_column(chunks: list[Any]) -> pd.Series[str]:
    if pa is None:
        return pd.Series(list(chain.from_iterable(chunks)), dtype="str")
    return pd.Series(pa.chunked_array(chunks, pa.large_string()).to_pandas(), dtype="str", copy=False)


# -------------------------------------------------------------------------------------------------- blocks


class _Block(NamedTuple):
    """What some whole lines of a file say."""

    size: int  # bytes
    lines: int
    skipped: Integers  # which of the lines are no records, from 0
    time: Integers  # milliseconds since 1970, one a record
    head: NDArray[np.integer[Any]]  # which of the heads, one a record
    heads: list[Record]
    texts: Any  # a pyarrow array or a list of strings; None where none are wanted


def _read_blocks(path: Path, texts: bool) -> Iterator[_Block]:
    """The blocks of a file in their order; the next ones are worked on while one is taken."""
    np.empty(KEPT_BYTES, np.uint8)
    with path.open("rb", buffering=0) as file, ThreadPoolExecutor(THREADS) as pool:
        waiting: deque[Future[_Block]] = deque()
        for buffer, length in _cut(file):
            waiting.append(pool.submit(_parse, buffer, length, texts))
            if len(waiting) > THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _cut(file: BinaryIO) -> Iterator[tuple[Bytes, int]]:
    """The file in buffers that begin with whole lines, and how many bytes these are.

    After them there are HEAD_BYTES more at least, so that looking ahead stays inside the buffer.
    """
    left = file.seek(0, os.SEEK_END)
    file.seek(0)
    rest = np.empty(0, np.uint8)
    while left:
        wanted = min(left, max(BLOCK_BYTES, rest.size))  # doubled, a line of any length takes linear time
        buffer = np.empty(rest.size + wanted + HEAD_BYTES, np.uint8)
        buffer[: rest.size] = rest
        got = file.readinto(buffer.data[rest.size : rest.size + wanted])  # type: ignore[attr-defined]
        if not got:  # the file was cut short meanwhile
            return
        left -= got
        filled = rest.size + got
        length = _after_last_lf(buffer, rest.size, filled)
        rest = buffer[length:filled]
        if length:
            yield buffer, length


def _after_last_lf(buffer: Bytes, start: int, stop: int) -> int:
    """Where the whole lines end, looking back from `stop`; 0 if no line ends after `start`."""
    while stop > start:
        begin = max(start, stop - record.RECORD_BYTES)
        found = buffer[begin:stop].tobytes().rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        stop = begin
    return 0


def _parse(buffer: Bytes, length: int, texts: bool) -> _Block:
    """The block that the first `length` bytes are."""
    lines, number, start, ends = _five_fields(buffer[:length])
    time, true = _times(_gather(buffer, start, TIME_BYTES))
    head, distinct = _distinct(buffer, start + TIME_BYTES + 1, ends[:, 3])
    heads = [_parse_head(each) for each in distinct]
    if None in heads:
        valid = np.array([each is not None for each in heads])
        true &= valid[head]
        head = (np.cumsum(valid) - 1)[head]  # its place among the valid ones
    if not true.all():
        number, time, head, ends = number[true], time[true], head[true], ends[true]
    return _Block(
        size=length,
        lines=lines,
        skipped=_others(number, lines),
        time=time,
        head=head,
        heads=[each for each in heads if each is not None],
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


# --------------------------------------------------------------------------------------------------- times


def _word(text: bytes) -> np.uint64:
    return np.uint64(int.from_bytes(text, "little"))


_TENS = np.uint64(10)
_BYTE = np.uint64(8)
_HIGH_BITS = _word(b"\x80" * 8)
_DAY_OF_MONTH = _word(b"\xff\xff" + bytes(6))


def _times(words: Words) -> tuple[Integers, Flags]:
    """Milliseconds since 1970 from times of 24 bytes, and which of them are true times."""
    midnight, true = _midnights(words)
    clock, fits = _pairs(words[:, 1] & ~_DAY_OF_MONTH, b"\0\0T00:00", (0, 0, 0, 2, 9, 0, 5, 9))
    true &= fits
    second, fits = _pairs(words[:, 2], b":00.000Z", (0, 5, 9, 0, 9, 9, 9, 0))
    true &= fits
    hour = _byte(clock, 3)
    true &= hour < 24
    minute = hour * 60 + _byte(clock, 6)
    milliseconds = _byte(second, 1) * 1000 + _byte(second, 4) * 10 + _byte(second, 6) // 10
    return midnight + minute * 60_000 + milliseconds, true


def _pairs(words: Words, form: bytes, most: tuple[int, ...]) -> tuple[Words, Flags]:
    """In each byte the number that its digit and the next one make; and which words have the form, with no
    digit above `most`.

    Eight digits are handled as one number: adding what is missing to 128 carries into a byte's high bit
    exactly where a digit is too big.
    """
    digits = words ^ _word(form)
    room = _word(bytes(127 - digit for digit in most))
    fits = ((digits + room) | digits) & _HIGH_BITS == 0
    return digits * _TENS + (digits >> _BYTE), fits


def _byte(words: Words, place: int) -> Integers:
    return words.view(np.uint8)[place::8].astype(np.int64)


def _midnights(words: Words) -> tuple[Integers, Flags]:
    """The midnight in which each day begins, and whether there is such a day. One look for each run of
    lines of the same day.
    """
    new = np.ones(len(words), bool)
    new[1:] = (words[1:, 0] != words[:-1, 0]) | ((words[1:, 1] ^ words[:-1, 1]) & _DAY_OF_MONTH != 0)
    first = np.flatnonzero(new)
    days = [_midnight(words[row].tobytes()[:DATE_BYTES]) for row in first]
    length = np.diff(first, append=len(words))
    midnight = np.repeat(np.array([day or 0 for day in days], np.int64), length)
    return midnight, np.repeat(np.array([day is not None for day in days], bool), length)


@lru_cache(1024)
def _midnight(date: bytes) -> int | None:
    try:
        time = record.parse(date + b"T00:00:00.000Z\t-\t-\tmessage\t").time
    except NotARecord:
        return None
    return int(np.datetime64(time.removesuffix("Z"), "ms").astype(np.int64))


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
    return which, [buffer[start[row] : end[row]].tobytes() for row in sample]


def _distinct_slowly(buffer: Bytes, start: Integers, end: Integers) -> tuple[Integers, list[bytes]]:
    places: dict[bytes, int] = {}
    data = buffer.data
    which = [
        places.setdefault(bytes(data[a:b]), len(places))
        for a, b in zip(start.tolist(), end.tolist(), strict=True)
    ]
    return np.array(which, np.int64), list(places)


@lru_cache(1 << 16)
def _parse_head(head: bytes) -> Record | None:
    try:
        parsed = record.parse(b"1970-01-01T00:00:00.000Z\t" + head + b"\t")
    except NotARecord:
        return None
    return None if parsed.direct else parsed


# --------------------------------------------------------------------------------------------------- texts


def _texts(buffer: Bytes, start: Integers, end: Integers) -> Any:
    if pa is None:
        return _decode(buffer.tobytes(), start, end)
    bounds = np.column_stack((start, end)).ravel()  # every second stretch between them is a text
    stretches = pa.Array.from_buffers(
        pa.large_binary(), max(bounds.size - 1, 0), [None, pa.py_buffer(bounds), pa.py_buffer(buffer)]
    )
    try:
        return stretches.take(pa.array(np.arange(0, bounds.size, 2))).cast(pa.large_string())
    except pa.ArrowInvalid:  # a text that is no UTF-8
        return pa.array(_decode(buffer.tobytes(), start, end), pa.large_string())


def _decode(data: bytes, start: Integers, end: Integers) -> list[str]:
    spans = zip(start.tolist(), end.tolist(), strict=True)
    return [data[a:b].decode(errors="replace") for a, b in spans]
