"""Records in, a table out: one function a question about when, how much and by whom.

Records are what `load_history` gives, or some rows of it. "Said" means the kinds message and action. Bins of
minutes and hours lie in UTC, so that no change of the clocks makes one twice or leaves one out; days and
weekdays are those of a time zone.
"""

from __future__ import annotations

from datetime import tzinfo
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analytics.blocks import SPOKEN
from analytics.texts import Texts

Per = Literal["minute", "hour", "day"]
MILLISECONDS: dict[Per, int] = {"minute": 60_000, "hour": 3_600_000, "day": 86_400_000}
MOST_BINS = 60_000_000  # 114 years of minutes, 480 MB; only a mistyped year asks for more


def spoken(records: pd.DataFrame) -> pd.DataFrame:
    """What was said: the messages and actions."""
    return records[is_spoken(records)]


def is_spoken(records: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows are messages and actions."""
    return rows_of_kinds(records, SPOKEN)


def rows_of_kinds(records: pd.DataFrame, wanted: tuple[str, ...]) -> NDArray[np.bool_]:
    """Which rows have one of the kinds."""
    kinds = records["kind"].cat
    codes = kinds.codes.to_numpy()
    found = np.zeros(len(codes), bool)
    for code in np.flatnonzero(kinds.categories.isin(wanted)):
        found |= codes == code
    return found


def _bins_spoken(records: pd.DataFrame, per: Per, zone: tzinfo | None = None) -> NDArray[np.int64]:
    """The bin of each message, as a number that counts from 1970, in order."""
    times = records["time"] if per != "day" else local(records["time"], zone)
    moments: NDArray[np.datetime64] = times.to_numpy("M8[ms]")
    said = is_spoken(records)
    return moments.view(np.int64)[slice(None) if said.all() else said] // MILLISECONDS[per]


def _runs(bins: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The different ones of numbers that are in order, and how often each comes."""
    starts = np.flatnonzero(np.diff(bins, prepend=bins[:1] - 1))
    return bins[starts], np.diff(starts, append=len(bins))


# ------------------------------------------------------------------------------------------- how much, when


def messages_per_minute(records: pd.DataFrame) -> pd.Series[int]:
    """How much was said in each minute, from the first to the last in which something was.

    Minutes in which nothing was said are there, with 0. Indexed by the minute's beginning, in UTC.
    Raises ValueError for a span of more minutes than fit into memory.
    """
    return messages_per(records, "minute")


def messages_per(records: pd.DataFrame, per: Per, zone: tzinfo | None = None) -> pd.Series[int]:
    """The same per minute, hour or day. Hours and minutes are indexed in the zone (UTC without one), days
    by the zone's dates, without a zone of their own.
    """
    return of_bins(_bins_spoken(records, per, zone), per, zone=zone)


def of_bins(
    bins: NDArray[np.int64],
    per: Per,
    messages: NDArray[np.int64] | None = None,
    zone: tzinfo | None = None,
) -> pd.Series[int]:
    """The same from bins, each a number that counts from 1970, and the messages in each (one, if unsaid)."""
    first, last = (int(bins.min()), int(bins.max())) if len(bins) else (0, -1)
    if last - first >= MOST_BINS:
        raise ValueError(f"{last - first + 1:,} {per}s are too many to count one by one")
    counts = np.bincount(bins - first, messages).astype(np.int64, copy=False)
    return _counted(np.arange(first, last + 1), counts, per, zone)


def not_silent(records: pd.DataFrame, per: Per, zone: tzinfo | None = None) -> pd.Series[int]:
    """The same without those in which nothing was said, however long the span."""
    return _counted(*_runs(_bins_spoken(records, per, zone)), per, zone)


def _counted(
    bins: NDArray[np.int64], counts: NDArray[np.int64], per: Per, zone: tzinfo | None
) -> pd.Series[int]:
    index = pd.DatetimeIndex((bins * MILLISECONDS[per]).view("M8[ms]"), name=per, copy=False)
    if per != "day":
        index = index.tz_localize("UTC").tz_convert(zone or "UTC")
    return pd.Series(counts, index=index, name="messages")


def local(times: pd.Series[pd.Timestamp], zone: tzinfo | None) -> pd.Series[pd.Timestamp]:
    """The clock on the wall in the zone (UTC without one), as times without a zone."""
    return (times.dt.tz_convert(zone) if zone else times).dt.tz_localize(None)


class Rate(NamedTuple):
    """How fast people talk, over the minutes from the first to the last in which something was said."""

    minutes: int
    mean: float
    median: float
    max: int
    busiest: pd.Timestamp | None  # the first minute with so many messages, in UTC


def rate(records: pd.DataFrame) -> Rate:
    """Messages per minute in numbers. However long the span: quiet minutes are counted, not listed."""
    minutes, counts = _runs(_bins_spoken(records, "minute"))
    if not len(minutes):
        return Rate(0, 0.0, 0.0, 0, None)
    span = int(minutes[-1] - minutes[0]) + 1
    quiet = span - len(minutes)
    ordered = np.sort(counts)
    middle = [0 if place < quiet else int(ordered[place - quiet]) for place in ((span - 1) // 2, span // 2)]
    busiest = pd.Timestamp(int(minutes[counts.argmax()]) * 60, unit="s", tz="UTC")
    return Rate(span, int(counts.sum()) / span, sum(middle) / 2, int(counts.max()), busiest)


def busiest(records: pd.DataFrame, per: Per, zone: tzinfo | None = None) -> tuple[pd.Timestamp, int] | None:
    """The first minute, hour or day in which most was said, and how much; None if nothing was."""
    bins, counts = _runs(_bins_spoken(records, per, zone))
    if not len(bins):
        return None
    start = pd.Timestamp(int(bins[counts.argmax()]) * MILLISECONDS[per], unit="ms")
    if per != "day":
        start = start.tz_localize("UTC").tz_convert(zone or "UTC")
    return start, int(counts.max())


def longest_silence(records: pd.DataFrame) -> tuple[pd.Timestamp, pd.Timestamp] | None:
    """Between which two messages nothing was said for longest; None with fewer than two."""
    times = records["time"][is_spoken(records)]
    if len(times) < 2:
        return None
    after = int(times.diff().to_numpy()[1:].argmax())
    return times.iloc[after], times.iloc[after + 1]


def weekday_by_hour(
    records: pd.DataFrame, zone: tzinfo | None = None, days: tuple[pd.Timestamp, pd.Timestamp] | None = None
) -> pd.DataFrame:
    """How much was said on an average weekday (rows, Monday is 0) in each hour of the day (columns).

    The average is over the days with that weekday between two times (the first and the last record, if
    unsaid), silent ones too; NaN for a weekday that was not among them.
    """
    clock = local(records["time"][is_spoken(records)], zone).dt
    cells = clock.day_of_week.to_numpy() * 24 + clock.hour.to_numpy()
    counts = np.bincount(cells.astype(np.int64), minlength=7 * 24).reshape(7, 24)
    occurred = np.zeros(7)
    if len(records) or days:
        first, last = local(pd.Series(days or records["time"].iloc[[0, -1]].tolist()), zone).dt.normalize()
        whole, rest = divmod((last - first).days + 1, 7)
        occurred += whole
        occurred[(first.day_of_week + np.arange(rest)) % 7] += 1
    average = np.divide(counts, occurred[:, None], out=np.full((7, 24), np.nan), where=occurred[:, None] > 0)
    return pd.DataFrame(average, pd.RangeIndex(7, name="weekday"), pd.RangeIndex(24, name="hour"))


# ----------------------------------------------------------------------------------------------- who, where


def by_name(records: pd.DataFrame, sizes: pd.DataFrame | None = None) -> pd.DataFrame:
    """For each name that spoke: messages, words, characters, first, last (times) and share, most first.

    `sizes` are the words and characters of each message, where they are known already.
    """
    return _by("name", records, sizes)


def by_address(records: pd.DataFrame, sizes: pd.DataFrame | None = None) -> pd.DataFrame:
    """The same for each address from which somebody spoke."""
    return _by("address", records, sizes)


def _by(field: Literal["name", "address"], records: pd.DataFrame, sizes: pd.DataFrame | None) -> pd.DataFrame:
    said = spoken(records)
    if sizes is None:
        apart = Texts.of(said["text"]).take_apart(np.ones(len(said), bool))
        sizes = pd.DataFrame({"words": apart.words, "characters": apart.characters})
    codes, categories = said[field].cat.codes.to_numpy(), said[field].cat.categories
    messages = np.bincount(codes, minlength=len(categories))
    first, last = np.zeros(len(categories), np.int64), np.zeros(len(categories), np.int64)
    last[codes] = np.arange(len(codes))  # of several, the last one stays
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    times = said["time"].array
    table = (
        pd.DataFrame(
            {
                "messages": messages,
                "words": _sums(codes, sizes["words"], len(categories)),
                "characters": _sums(codes, sizes["characters"], len(categories)),
                "first": times[first] if len(times) else times,
                "last": times[last] if len(times) else times,
                "share": messages / max(len(said), 1),
            },
            index=pd.Index(categories.astype("str"), name=field),
        )
        if len(times)
        else _nothing(field, times)
    )
    table = table[table["messages"] > 0]
    return table.loc[most_first(table["messages"]).index]


def _sums(codes: NDArray[np.integer], numbers: pd.Series[int], length: int) -> NDArray[np.int64]:
    return np.bincount(codes, numbers.to_numpy(np.float64), minlength=length).astype(np.int64)


def _nothing(field: str, times: object) -> pd.DataFrame:
    whole = {name: np.empty(0, np.int64) for name in ("messages", "words", "characters")}
    columns = {**whole, "first": times, "last": times, "share": np.empty(0)}
    return pd.DataFrame(columns, index=pd.Index([], dtype="str", name=field))


def most_first(numbers: pd.Series[int]) -> pd.Series[int]:
    """The biggest numbers first; where they are equal, in the order of the index."""
    return numbers.sort_index().sort_values(ascending=False, kind="stable")
