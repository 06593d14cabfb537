"""history.txt becomes a DataFrame, held against the grammar of chat.record and quick at ten million records.

The fields of the lines come from `blocks`, some lines at a time; here they become columns.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analytics import source
from analytics.blocks import NO_RECORD, Bytes, Heads, each_block, five_fields, gather
from analytics.texts import Texts
from analytics.times import TIME_BYTES, Integers, times
from chat.record import Record

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
    heads: list[Record] = []

    def number(record: Record) -> int:
        heads.append(record)
        return len(heads) - 1

    read = partial(_parse, heads=Heads(number), texts=texts)
    skipped: list[pd.DataFrame] = []
    for path in source.distinct(paths):
        lines = 0
        numbers = [np.empty(0, np.int64)]
        for block in each_block(path, read):
            numbers.append(block.skipped + lines + 1)
            lines += block.lines
            blocks.append(block)
            if progress:
                progress(block.size)
        skipped.append(pd.DataFrame({"file": str(path), "line": np.concatenate(numbers)}))
    _give_back_memory()
    records, order = _frame(blocks, heads)
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


def _parse(buffer: Bytes, length: int, heads: Heads, texts: bool) -> _Block:
    """The block that the first `length` bytes are."""
    lines, number, start, ends = five_fields(buffer[:length])
    time, true = times(gather(buffer, start, TIME_BYTES))
    head = heads.numbers(buffer, start + TIME_BYTES + 1, ends[:, 3] + 1)
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
