"""The numbers that come first, whoever shows them: the terminal, the page, or another program as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

import pandas as pd

from analytics import tables
from analytics.online import online
from analytics.tables import Rate


@dataclass(frozen=True)
class Summary:
    """Times are in UTC, save that `busiest_day` is a date in the zone. None where there was nothing."""

    records: int
    skipped: int
    first: pd.Timestamp | None
    last: pd.Timestamp | None
    messages: int
    rate: Rate
    busiest_hour: tuple[pd.Timestamp, int] | None
    busiest_day: tuple[pd.Timestamp, int] | None
    silence: tuple[pd.Timestamp, pd.Timestamp] | None
    by_name: pd.Series[int]
    by_address: pd.Series[int]
    most_online: int
    most_online_at: pd.Timestamp | None

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints, save for the languages, which take longer."""
        return {
            "records": self.records,
            "skipped": self.skipped,
            "first": _time(self.first),
            "last": _time(self.last),
            "messages": self.messages,
            "people": len(self.by_name),
            "minutes": self.rate.minutes,
            "messages_per_minute": {
                "mean": self.rate.mean,
                "median": self.rate.median,
                "max": self.rate.max,
                "busiest": _time(self.rate.busiest, "minutes"),
            },
            "by_name": self.by_name.to_dict(),
            "by_address": self.by_address.to_dict(),
            "online": {"max": self.most_online, "at": _time(self.most_online_at)},
        }


def summarize(records: pd.DataFrame, connected: pd.DataFrame, skipped: pd.DataFrame, zone: tzinfo) -> Summary:
    """The summary of records, of the connections among them, and of the lines that were skipped."""
    said = tables.spoken(records)
    times = records["time"]
    curve = online(connected)
    return Summary(
        records=len(records),
        skipped=len(skipped),
        first=None if times.empty else times.iloc[0],
        last=None if times.empty else times.iloc[-1],
        messages=len(said),
        rate=tables.rate(records),
        busiest_hour=tables.busiest(records, "hour"),
        busiest_day=tables.busiest(records, "day", zone),
        silence=tables.longest_silence(records),
        by_name=_counts(said["name"]),
        by_address=_counts(said["address"]),
        most_online=int(curve.max()) if len(curve) else 0,
        most_online_at=curve.idxmax() if len(curve) and curve.max() else None,
    )


def _counts(column: pd.Series[str]) -> pd.Series[int]:
    numbers = column.value_counts(sort=False)
    numbers.index = numbers.index.astype("str")
    return tables.most_first(numbers[numbers > 0])


def _time(time: pd.Timestamp | None, exact_to: str = "milliseconds") -> str | None:
    """As a record writes it."""
    return None if time is None else time.tz_localize(None).isoformat(timespec=exact_to) + "Z"
