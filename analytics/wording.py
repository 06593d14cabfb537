"""Numbers, times and spans as people read them."""

from __future__ import annotations

from datetime import tzinfo
from typing import NamedTuple

import pandas as pd

from analytics.summary import Summary

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Fact(NamedTuple):
    """One number of the summary: what it is, the number, and what to know about it."""

    label: str
    value: str
    note: str = ""


def facts(summary: Summary, zone: tzinfo) -> list[Fact]:
    """The summary in words, the most important first; only what there is."""
    rate = summary.rate
    found = [
        Fact("Messages", f"{summary.messages:,}", counted(summary.records, "record")),
        Fact(
            "People",
            f"{len(summary.by_person):,}",
            f"from {counted(len(summary.by_address), 'address', 'es')}",
        ),
    ]
    if rate.busiest:
        found += [
            Fact(
                "Messages per minute",
                f"{rate.mean:.3g}",
                f"mean of {counted(rate.minutes, 'minute')}; median {rate.median:g}",
            ),
            Fact("Busiest minute", f"{rate.max:,}", moment(rate.busiest, zone)),
        ]
    if summary.busiest_hour:
        found.append(
            Fact(
                "Busiest hour",
                f"{summary.busiest_hour[1]:,}",
                f"from {moment(summary.busiest_hour[0], zone)}",
            )
        )
    if summary.busiest_day:
        found.append(Fact("Busiest day", f"{summary.busiest_day[1]:,}", day(summary.busiest_day[0])))
    if summary.silence:
        start, end = summary.silence
        found.append(Fact("Longest silence", span(end - start), f"from {moment(start, zone)}"))
    if summary.most_online_at is not None:
        found.append(Fact("Most connected", f"{summary.most_online:,}", moment(summary.most_online_at, zone)))
    return found


def period(summary: Summary, zone: tzinfo) -> str:
    """From when to when, and in which zone times are shown."""
    if summary.first is None or summary.last is None:
        return f"no records; times in {zone}"
    return f"{moment(summary.first, zone)} to {moment(summary.last, zone)}, times in {zone}"


def skipped_lines(skipped: pd.DataFrame, most: int = 5) -> str:
    """Which lines were no records; "" if none."""
    if skipped.empty:
        return ""
    named = [f"{file}:{line}" for file, line in skipped.head(most).itertuples(index=False)]
    more = f" and {len(skipped) - most:,} more" if len(skipped) > most else ""
    return f"{counted(len(skipped), 'line')} skipped, being no record: {', '.join(named)}{more}"


def moment(time: pd.Timestamp, zone: tzinfo) -> str:
    """Day and minute in the zone."""
    shown = time.tz_convert(zone)
    return f"{day(shown)} {shown.hour:02}:{shown.minute:02}"


def day(time: pd.Timestamp) -> str:
    """The date with its weekday."""
    return f"{WEEKDAYS[time.day_of_week]} {time.day} {MONTHS[time.month - 1]} {time.year:04}"


def span(length: pd.Timedelta) -> str:
    """A length of time by its two biggest units."""
    rest = int(length.total_seconds())
    if rest < 1:
        return f"{length.total_seconds():.1f} s"
    parts: list[str] = []
    for unit, seconds in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        number, rest = divmod(rest, seconds)
        if number or parts:
            parts.append(f"{number} {unit}" if number else "")
    return " ".join(part for part in parts[:2] if part)


def counted(number: int, thing: str, plural: str = "s") -> str:
    """The number with what it counts, in the plural where that is due."""
    things = "people" if thing == "person" else f"{thing}{plural}"
    return f"{number:,} {thing if number == 1 else things}"
