"""The numbers that come first, whoever shows them: the terminal, the page, or another program as JSON."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analytics import tables
from analytics.findings import Findings
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
    by_person: pd.Series[int]
    by_name: pd.Series[int]  # as it stands in the history
    by_address: pd.Series[int]
    most_online: int
    most_online_at: pd.Timestamp | None


def summarize(findings: Findings) -> Summary:
    """The summary of what was found."""
    said, curve = findings.said, findings.online
    times = findings.records["time"]
    return Summary(
        records=len(times),
        skipped=len(findings.skipped),
        first=None if times.empty else times.iloc[0],
        last=None if times.empty else times.iloc[-1],
        messages=len(said),
        rate=tables.rate(said),
        busiest_hour=tables.busiest(said, "hour"),
        busiest_day=tables.busiest(said, "day", findings.zone),
        silence=tables.longest_silence(said),
        by_person=_counts(said["name"]),
        by_name=_counts(findings.names_said),
        by_address=_counts(said["address"]),
        most_online=int(curve.max()) if len(curve) else 0,
        most_online_at=curve.idxmax() if len(curve) and curve.max() else None,
    )


def _counts(column: pd.Series[str]) -> pd.Series[int]:
    categories = column.cat.categories
    counts = np.bincount(column.cat.codes.to_numpy(), minlength=len(categories))
    numbers = pd.Series(counts, index=categories.astype("str"))
    return tables.most_first(numbers[numbers > 0])
