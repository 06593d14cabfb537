"""The counters of `/stats`, fed with the lines of the history once.

    Counters.feed(lines of history.txt, in order)  ->  Counters.summary(now): a sentence for each period

It counts as analytics does: messages are the kinds message and action, lines that are not records are
ignored, minutes are in UTC. It stores a number for each minute with messages, and the names.
"""

from __future__ import annotations

import collections
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from chat import record

HOUR_MINUTES = 60
DAY_MINUTES = 24 * 60
_MINUTE_BYTES = len("2026-11-21T10:15")


@dataclass(frozen=True)
class Period:
    """The messages of some minutes. `busiest`: the first minute with the most, in UTC, or ""."""

    messages: int
    names: int
    minutes: int
    most: int
    busiest: str

    def sentence(self, one: str = "name", more: str = "names") -> str:
        """For a person, in the server's time zone; `one` and `more` are who was counted."""
        if not self.messages:
            return "no messages"
        mean = self.messages / self.minutes
        rate = f"{mean:.1f}" if mean >= 1 else f"{mean:.2g}"
        minutes = (
            "" if self.minutes in (HOUR_MINUTES, DAY_MINUTES) else f" over {_count(self.minutes, 'minute')}"
        )
        return (
            f"{_count(self.messages, 'message')} by {self.names} {one if self.names == 1 else more}, "
            f"{rate} a minute{minutes}, at most {self.most} ({_local(self.busiest)})"
        )


@dataclass
class Counters:
    """Everything counted so far. Not thread-safe."""

    _by_minute: dict[bytes, int] = field(default_factory=dict)
    _names: set[bytes] = field(default_factory=set)
    # Who spoke in which minute of the last day, and how often.
    _recent: dict[bytes, dict[bytes, int]] = field(default_factory=dict)

    def feed(self, lines: bytes, now: float) -> None:
        """Count whole lines, each ended by LF."""
        day = _minute(now - DAY_MINUTES * 60)
        for (minute, name), count in collections.Counter(record.SPOKEN.findall(lines)).items():
            self._by_minute[minute] = self._by_minute.get(minute, 0) + count
            self._names.add(name)
            if minute > day:
                by_name = self._recent.setdefault(minute, {})
                by_name[name] = by_name.get(name, 0) + count
        if len(self._recent) > 2 * DAY_MINUTES:
            self._recent = {minute: names for minute, names in self._recent.items() if minute > day}

    def last(self, minutes: int, now: float) -> Period:
        """The last `minutes` minutes, up to the one that contains `now`; at most a day."""
        first, end = first_minute(minutes, now).encode(), _minute(now)
        recent = {minute: names for minute, names in self._recent.items() if first <= minute <= end}
        counts = {minute: sum(names.values()) for minute, names in recent.items()}
        return _period(counts, len(set().union(*recent.values())), minutes)

    def all(self) -> Period:
        """From the first to the last minute with a message."""
        if not self._by_minute:
            return _period({}, 0, 0)
        first, last = (_moment(minute) for minute in (min(self._by_minute), max(self._by_minute)))
        minutes = int((last - first).total_seconds()) // 60 + 1
        return _period(self._by_minute, len(self._names), minutes)

    def summary(self, now: float | None = None) -> list[str]:
        """A sentence for the last hour, the last day, and all of it."""
        now = time.time() if now is None else now
        periods = (
            ("the last hour", self.last(HOUR_MINUTES, now)),
            ("the last day", self.last(DAY_MINUTES, now)),
            ("all of it", self.all()),
        )
        return [f"{name}: {period.sentence()}" for name, period in periods]


def first_minute(minutes: int, now: float) -> str:
    """The first of the last `minutes` minutes, of which the one that contains `now` is the last."""
    return _minute(now - (minutes - 1) * 60).decode()


def _period(counts: dict[bytes, int], names: int, minutes: int) -> Period:
    most = max(counts.values(), default=0)
    busiest = min((minute for minute, count in counts.items() if count == most), default=b"")
    return Period(sum(counts.values()), names, minutes, most, busiest.decode())


def _minute(seconds: float) -> bytes:
    return record.format_time(seconds)[:_MINUTE_BYTES].encode()


def _moment(minute: bytes) -> datetime:
    return datetime.fromisoformat(minute.decode()).replace(tzinfo=UTC)


def _local(minute: str) -> str:
    """In this computer's time zone; the years at both ends of the calendar have none."""
    try:
        return f"{_moment(minute.encode()).astimezone():%Y-%m-%d %H:%M}"
    except (OverflowError, ValueError, OSError):
        return f"{minute}Z"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
