"""The texts of many records as bytes, and what stands between their spaces, found in one pass.

A text has no LF in it, so with one behind each they lie side by side, a megabyte at a time, and numpy looks
at them without a string being made of each. What is short is a number (seven bytes and how many of them
count, in one word of the processor), what is longer two or four: so the same is found to be the same. Space
is what str.split takes for it.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

CHUNK = 1 << 14  # texts: some megabyte, which a processor's cache holds
THREADS = min(4, os.cpu_count() or 1)

Bytes = NDArray[np.uint8]
Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]
Words = NDArray[np.uint64]
Counted = tuple[Words, Integers]  # different tokens, a row each, and how often each was said

LF = 10
SIZES = (8, 16, 32)  # bytes: a token below one of them is so much of the processor's words, with its length
LONG = SIZES[-1]

_SPACE = np.zeros(256, bool)
_SPACE[[*range(9, 14), *range(28, 33)]] = True
_WIDE_SPACES = {  # by their first byte, which most texts don't have
    b"\xc2": re.compile(b"\xc2[\x85\xa0]"),
    b"\xe1": re.compile(b"\xe1\x9a\x80"),
    b"\xe2": re.compile(b"\xe2(?:\x80[\x80-\x8a\xa8\xa9\xaf]|\x81\x9f)"),
    b"\xe3": re.compile(b"\xe3\x80\x80"),
}
_MASKS = {size: np.tril(np.full((size, size), 255, np.uint8), -1).view("<u8") for size in SIZES}
_MULTIPLIERS = np.cumprod(np.full(LONG // 8, 0x9E3779B97F4A7C15, np.uint64))  # odd, without pattern
_LENGTH_SHIFT = np.uint64(56)  # the last byte of a token's words, which is never one of its own


class TakenApart(NamedTuple):
    """What was said, taken apart.

    tokens: how often each thing between spaces was said
    words, characters: how many, of each of the texts that were asked for
    addressed: the rows of those in which somebody may be mentioned
    """

    tokens: Counter[str]
    words: NDArray[np.int32]
    characters: NDArray[np.int32]
    addressed: Integers


class Texts:
    """Texts in chunks of UTF-8, each text with an LF behind it.

    `counts` says how many texts each chunk has, `order` which of them belongs to each row (None: in order).
    """

    def __init__(self, chunks: list[bytes], counts: Iterable[int], order: Integers | None = None) -> None:
        self._chunks = chunks
        self._bounds = np.cumsum([0, *counts])
        self.order = order

    @classmethod
    def of(cls, column: pd.Series[str]) -> Texts:
        """The texts of a column."""
        texts = column.to_numpy(object)
        chunks = [texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK)]
        return cls([_joined(chunk) for chunk in chunks], map(len, chunks))

    def __len__(self) -> int:
        return int(self._bounds[-1])

    def at(self, rows: Integers | Sequence[int]) -> list[str]:
        """The texts of some rows, in the order in which these are given."""
        wanted = np.asarray(rows, np.int64)
        places = wanted if self.order is None else self.order[wanted]
        found = np.empty(len(places), object)
        chunk = np.searchsorted(self._bounds, places, "right") - 1
        for number in np.unique(chunk).tolist():
            data = self._chunks[number]
            ends = np.flatnonzero(np.frombuffer(data, np.uint8) == LF)
            starts = np.append(0, ends[:-1] + 1)
            for where in np.flatnonzero(chunk == number).tolist():
                place = places[where] - self._bounds[number]
                found[where] = data[starts[place] : ends[place]].decode()
        return found.tolist()

    def strings(self) -> Iterator[list[str]]:
        """All texts in the chunks' order, a chunk at a time."""
        return (chunk.decode().split("\n")[:-1] for chunk in self._chunks)

    def take_apart(self, chosen: Flags) -> TakenApart:
        """The texts of the chosen rows in one pass."""
        if self.order is None:
            by_place = chosen
        else:
            by_place = np.empty(len(self), bool)
            by_place[self.order] = chosen
        slices = [by_place[start:end] for start, end in zip(self._bounds, self._bounds[1:], strict=False)]
        with ThreadPoolExecutor(THREADS) as pool:
            parts = _merged(pool.map(_part, self._chunks, slices))
        addressed = _put_together(
            [part.addressed + start for part, start in zip(parts, self._bounds, strict=False)]
        )
        words = _put_together([part.words for part in parts])
        characters = _put_together([part.characters for part in parts])
        if self.order is None:
            return TakenApart(_counted(parts), words[chosen], characters[chosen], addressed)
        row_of = np.empty(len(self), np.int64)
        row_of[self.order] = np.arange(len(self))
        order = self.order[chosen]
        return TakenApart(_counted(parts), words[order], characters[order], np.sort(row_of[addressed]))


def _joined(texts: NDArray[np.object_]) -> bytes:
    joined = "\n".join(texts)
    if joined.count("\n") >= len(texts):  # these are of no history: there no text has an LF
        joined = "\n".join([text.replace("\n", " ") for text in texts])
    return joined.encode(errors="replace") + b"\n"


def _put_together(parts: list[Any]) -> Any:
    return np.concatenate([np.empty(0, np.int32), *parts])


# ------------------------------------------------------------------------------------------------ one chunk


class _Part(NamedTuple):
    words: NDArray[np.int32]  # of each text
    characters: NDArray[np.int32]
    addressed: Integers
    short: list[Counted]  # the tokens of the chosen texts that are below each of SIZES
    long: Counter[bytes]  # the other ones


def _part(data: bytes, chosen: Flags) -> _Part:
    inside = np.frombuffer(data, np.uint8)
    feeds = np.flatnonzero(inside == LF)
    characters = _characters(inside, feeds)
    if found := [spaces for first, spaces in _WIDE_SPACES.items() if first in data]:
        for spaces in found:
            data = spaces.sub(b" ", data)
        feeds = np.flatnonzero(np.frombuffer(data, np.uint8) == LF)
    buffer = np.frombuffer(data + bytes(LONG), np.uint8)
    inside = buffer[: len(data)]
    edges = np.flatnonzero(np.diff(_is_space(inside), prepend=True))
    start, length = edges[0::2], edges[1::2] - edges[0::2]
    until = np.searchsorted(start, feeds)  # how many tokens there are up to the end of each text
    words = np.diff(until, prepend=0).astype(np.int32)
    addressed = _addressed(inside, feeds, words > 0, start, length, until - words)
    if not chosen.all():
        addressed = addressed[chosen[addressed]]
        kept = np.repeat(chosen, words)
        start, length = start[kept], length[kept]
    long = np.flatnonzero(length >= LONG)
    return _Part(
        words,
        characters,
        addressed,
        [_below(size, least, buffer, start, length) for size, least in zip(SIZES, (1, *SIZES), strict=False)],
        Counter(data[a : a + n] for a, n in zip(start[long].tolist(), length[long].tolist(), strict=True)),
    )


def _is_space(inside: Bytes) -> Flags:
    low = inside <= ord(" ")
    usual = np.count_nonzero(inside == ord(" ")) + np.count_nonzero(inside == LF)
    return low if np.count_nonzero(low) == usual else _SPACE[inside]


def _characters(inside: Bytes, feeds: Integers) -> NDArray[np.int32]:
    """Of each text: its bytes, less those that go on with a character."""
    later = np.flatnonzero(inside.view(np.int8) < -64)
    return np.diff(feeds - np.searchsorted(later, feeds), prepend=-1).astype(np.int32) - np.int32(1)


def _addressed(
    inside: Bytes, feeds: Integers, spoken: Flags, start: Integers, length: Integers, first: Integers
) -> Integers:
    """The texts with an "@", or whose first token (if there is one) ends in ":" or ","."""
    rows = np.flatnonzero(spoken)
    first = first[rows]
    last = inside[start[first] + length[first] - 1]
    front = rows[(last == ord(":")) | (last == ord(","))]
    return np.union1d(front, np.searchsorted(feeds, np.flatnonzero(inside == ord("@"))))


def _below(size: int, least: int, buffer: Bytes, start: Integers, length: Integers) -> Counted:
    """The tokens of at least so many bytes, but fewer than `size`."""
    chosen = np.flatnonzero((length >= least) & (length < size))
    length = length.take(chosen)  # of numpy's ways to choose rows, take is the quick one
    windows = np.ndarray((buffer.size - size + 1,), f"V{size}", buffer.data, strides=(1,))
    words: Words = windows[start.take(chosen)].view("<u8").reshape(-1, size // 8)
    words &= _MASKS[size].take(length, axis=0)
    words[:, -1] |= length.astype(np.uint64) << _LENGTH_SHIFT
    return _same(words)


def _same(words: Words, times: Integers | None = None) -> Counted:
    """Each different row, and how often."""
    single = words.shape[1] == 1
    which, hashes = pd.factorize(words[:, 0] if single else words @ _MULTIPLIERS[: words.shape[1]])
    sample = np.empty(len(hashes), np.int64)
    sample[which] = np.arange(len(which))
    distinct = words.take(sample, axis=0)
    if not single and not (words == distinct.take(which, axis=0)).all():  # two rows with one hash
        distinct, which = np.unique(words, axis=0, return_inverse=True)
    return distinct, _numbers(which.ravel(), times, len(distinct))


def _numbers(which: NDArray[np.intp], times: Integers | None, length: int) -> Integers:
    return np.bincount(which, times, length).astype(np.int64)


# ------------------------------------------------------------------------------------------------ all chunks


MERGED = 16  # chunks: what they have in common is kept once before the next ones come


def _merged(parts: Iterator[_Part]) -> list[_Part]:
    """The parts, with the tokens of all of them in the last one."""
    found: list[_Part] = []
    begin = 0  # from here on each part has its own tokens
    for part in parts:
        found.append(part)
        if len(found) - begin > MERGED:
            _merge(found, begin)
            begin = len(found) - 1
    if found:
        _merge(found, begin)
    return found


def _merge(parts: list[_Part], begin: int) -> None:
    own = parts[begin:]
    short = [
        _same(*(np.concatenate(both) for both in zip(*counted, strict=True)))
        for counted in zip(*(part.short for part in own), strict=True)
    ]
    long = sum((part.long for part in own), Counter[bytes]())
    nothing = [(words[:0], number[:0]) for words, number in short]
    for place in range(begin, len(parts)):
        parts[place] = parts[place]._replace(short=nothing, long=Counter())
    parts[-1] = parts[-1]._replace(short=short, long=long)


def _counted(parts: list[_Part]) -> Counter[str]:
    """The tokens of all parts; only here a string is made of each different one."""
    counter: Counter[str] = Counter()
    if not parts:
        return counter
    for words, number in parts[-1].short:
        counter.update(_strings(words, number))
    counter.update({token.decode(): times for token, times in parts[-1].long.items()})
    return counter


def _strings(words: Words, number: Integers) -> dict[str, int]:
    data = words.astype("<u8").tobytes()
    lengths = words[:, -1] >> _LENGTH_SHIFT
    places = range(0, len(data), words.shape[1] * 8)
    return {
        data[place : place + length].decode(): times
        for place, length, times in zip(places, lengths.tolist(), number.tolist(), strict=True)
    }
