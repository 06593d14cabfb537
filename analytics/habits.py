"""What people do day by day: who is active, whose word is the first, who never misses a day.

Days are those of a zone. Records in, a table out.
"""

from __future__ import annotations

from datetime import tzinfo
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analytics.tables import MILLISECONDS, is_spoken, local, most_first

DAY = MILLISECONDS["day"]
Span = Literal["day", "week", "month"]


def active_people(records: pd.DataFrame, span: Span = "day", zone: tzinfo | None = None) -> pd.Series[int]:
    """How many people said something on each day, in each week (from its Monday) or month, none too."""
    days, codes, names = _days(records, zone)
    pairs = pd.unique(days * max(len(names), 1) + codes)  # few, of many messages
    days, codes = np.divmod(pairs, max(len(names), 1))
    periods = pd.PeriodIndex(pd.DatetimeIndex((days * DAY).view("M8[ms]")), freq=_FREQUENCIES[span])
    active = pd.DataFrame({"at": periods, "who": codes}).drop_duplicates().groupby("at").size()
    if len(active):
        active = active.reindex(pd.period_range(active.index[0], active.index[-1]), fill_value=0)
    active.index = active.index.start_time.rename(span)
    return active.rename("people")


_FREQUENCIES: dict[Span, str] = {"day": "D", "week": "W-SUN", "month": "M"}


def first_and_last_words(records: pd.DataFrame, zone: tzinfo | None = None) -> pd.DataFrame:
    """For each name: on how many days theirs was the first word, and the last; most first."""
    days, codes, names = _days(records, zone)
    starts = np.flatnonzero(np.diff(days, prepend=days[:1] - 1))
    ends = np.append(starts[1:], len(days))[: len(starts)] - 1
    table = pd.DataFrame(
        {
            "first": np.bincount(codes[starts], minlength=len(names)),
            "last": np.bincount(codes[ends], minlength=len(names)),
        },
        index=names,
    )
    table = table[table.sum(axis=1) > 0]
    return table.loc[most_first(table["first"]).index]


def streaks(records: pd.DataFrame, zone: tzinfo | None = None) -> pd.DataFrame:
    """For each name: days on which they spoke, the longest run of them without a break, and its last day."""
    days, codes, names = _days(records, zone)
    pairs = np.sort(pd.unique(codes.astype(np.int64) << 32 | (days + (1 << 31))))  # by name, then by day
    who, day = pairs >> 32, (pairs & 0xFFFFFFFF) - (1 << 31)
    breaks = np.diff(pairs, prepend=-1) != 1
    starts = np.flatnonzero(breaks)
    lengths = np.diff(starts, append=len(pairs))
    runs = pd.DataFrame({"who": who[starts], "streak": lengths, "until": day[starts] + lengths - 1})
    best = runs.sort_values(["streak", "until"], ascending=False, kind="stable").drop_duplicates("who")
    table = pd.DataFrame(
        {
            "days": np.bincount(who, minlength=len(names))[best["who"]],
            "streak": best["streak"].to_numpy(),
            "until": pd.DatetimeIndex((best["until"].to_numpy() * DAY).view("M8[ms]")),
        },
        index=names[best["who"]],
    )
    return table.loc[most_first(table["streak"]).index]


def weeks(records: pd.DataFrame, end: pd.Timestamp, zone: tzinfo | None = None) -> pd.DataFrame:
    """The seven days up to the one of `end`, and the seven before: messages, people, days with messages."""
    days, codes, _ = _days(records, zone)
    today = int(local(pd.Series([end]), zone).to_numpy("M8[ms]").view(np.int64)[0] // DAY)
    rows = {}
    for name, last in (("this week", today), ("the week before", today - 7)):
        chosen = (days > last - 7) & (days <= last)
        rows[name] = {
            "messages": int(chosen.sum()),
            "people": len(np.unique(codes[chosen])),
            "days": len(np.unique(days[chosen])),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _days(
    records: pd.DataFrame, zone: tzinfo | None
) -> tuple[NDArray[np.int64], NDArray[np.integer], pd.Index[str]]:
    """Of each message the day, from 1970, and the code of its name; and the names."""
    spoken = is_spoken(records)
    moments: NDArray[np.datetime64] = local(records["time"][spoken], zone).to_numpy("M8[ms]")
    names = records["name"].cat
    return moments.view(np.int64) // DAY, names.codes.to_numpy()[spoken], names.categories.astype("str")
