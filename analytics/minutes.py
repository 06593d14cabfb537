"""Messages per minute from a file, without a table of its records: the quickest of all questions.

Of a record only its minute counts, and whether something was said. The minute is the first 16 bytes of a
line, which are those of the line before nearly always: its digits are read once for each run of lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analytics import source
from analytics.blocks import SPOKEN, Bytes, Heads, each_block, five_fields, gather
from analytics.times import TIME_BYTES, are_seconds, minutes
from chat.record import Record

if TYPE_CHECKING:
    import pandas as pd

BLOCKS = 4  # read as one: what is left to do is so little that threads would wait for each other instead


def messages_per_minute(*paths: str | Path) -> pd.Series[int]:
    """The same as `tables.messages_per_minute` of the records of these files, as `load_history` takes them.

    Raises OSError for what can't be read, and ValueError for a span of more minutes than fit into memory.
    """
    found = [np.empty((2, 0), np.int64), *_counted(paths)]
    from analytics import tables  # only now: pandas takes as long as a million records

    minute, messages = np.concatenate(found, axis=1)
    return tables.of_bins(minute, "minute", messages)


def _counted(paths: tuple[str | Path, ...]) -> Iterator[NDArray[np.int64]]:
    """For each block its minutes, counted from 1970, and the messages in them."""
    heads = Heads(_is_spoken)
    for path in source.distinct(paths):
        yield from each_block(path, partial(_count, heads=heads), BLOCKS)


def _is_spoken(record: Record) -> int:
    return record.kind in SPOKEN


def _count(buffer: Bytes, length: int, heads: Heads) -> NDArray[np.int64]:
    _, _, start, ends = five_fields(buffer[:length])
    words = gather(buffer, start, TIME_BYTES)
    said = heads.numbers(buffer, start + TIME_BYTES + 1, ends[:, 3] + 1) == 1
    said &= are_seconds(words[:, 2])
    new = np.ones(len(words), bool)
    new[1:] = (words[1:, 0] != words[:-1, 0]) | (words[1:, 1] != words[:-1, 1])
    first = np.flatnonzero(new)
    minute, true = minutes(words[first])
    messages = np.add.reduceat(said, first, dtype=np.int64) if len(first) else np.empty(0, np.int64)
    wanted = true & (messages > 0)
    return np.stack([minute[wanted], messages[wanted]])
