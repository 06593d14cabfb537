"""The times of many records at once, by their digits; `chat.record.parse` sees each day once."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from chat import record
from chat.record import NotARecord

TIME_BYTES = len("2026-11-21T10:15:42.123Z")
DATE_BYTES = len("2026-11-21")

Words = NDArray[np.uint64]  # eight bytes of text each, the first one lowest
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


def _word(text: bytes) -> np.uint64:
    return np.uint64(int.from_bytes(text, "little"))


_TENS = np.uint64(10)
_BYTE = np.uint64(8)
_HIGH_BITS = _word(b"\x80" * 8)
_DAY_OF_MONTH = _word(b"\xff\xff" + bytes(6))


def times(words: Words) -> tuple[Integers, Flags]:
    """Milliseconds since 1970 from times of 24 bytes, and which of them are true times."""
    minute, true = minutes(words)
    second, fits = _seconds(words[:, 2])
    true &= fits
    milliseconds = _byte(second, 1) * 1000 + _byte(second, 4) * 10 + _byte(second, 6) // 10
    return minute * 60_000 + milliseconds, true


def minutes(words: Words) -> tuple[Integers, Flags]:
    """Minutes since 1970 from the first 16 bytes of times, and which of them are true ones."""
    midnight, true = _midnights(words)
    clock, fits = _pairs(words[:, 1] & ~_DAY_OF_MONTH, b"\0\0T00:00", (0, 0, 0, 2, 9, 0, 5, 9))
    true &= fits
    hour = _byte(clock, 3)
    true &= hour < 24
    return midnight // 60_000 + hour * 60 + _byte(clock, 6), true


def are_seconds(words: Words) -> Flags:
    """Whether the last eight bytes of times, as :42.123Z, are what they may be."""
    return _seconds(words)[1]


def _seconds(words: Words) -> tuple[Words, Flags]:
    return _pairs(words, b":00.000Z", (0, 5, 9, 0, 9, 9, 9, 0))


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
