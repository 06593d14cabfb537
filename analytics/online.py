"""Who was connected, from the records of joining and leaving.

Most connections end with a `leave`. Where the server died without writing one, the next sign tells: a
`start` means that nobody was left when it died (the record before it), another `join` of the name that the
earlier connection is over. A cleared history begins with people who joined before it: whoever then speaks,
leaves or is renamed without having joined was there since the `clear`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from analytics.tables import most_first, rows_of_kinds

CHANGES = ("join", "leave", "rename", "start", "stop", "clear")
NONE = -1


class Stay(NamedTuple):
    """From the row of joining to that of leaving (NONE: still there at the end)."""

    name: str
    address: str
    joined_row: int
    left_row: int


def connections(records: pd.DataFrame) -> pd.DataFrame:
    """One row a connection under one name: name, address, joined, left (NaT: still there at the end).

    `joined_row` and `left_row` are the rows of the records that say so (-1: none does), which tell apart
    what happened within one millisecond. Needs all records: some of them alone tell another story.
    """
    table = pd.DataFrame(stays(records), columns=list(Stay._fields))
    died = rows_of_kinds(records, ("start",))
    last_sign = table["left_row"] - died[table["left_row"]] if len(table) else table["left_row"]
    table["joined"] = _times(records, table["joined_row"])
    table["left"] = _times(records, last_sign.where(table["left_row"] != NONE, NONE))
    return table.sort_values("joined_row", kind="stable", ignore_index=True)


def _times(records: pd.DataFrame, rows: pd.Series[int]) -> pd.Series[pd.Timestamp]:
    """The times of the rows, NaT for NONE."""
    return pd.Series(records["time"].array.take(rows.to_numpy(np.intp), allow_fill=True))


def of_people(table: pd.DataFrame) -> pd.DataFrame:
    """The same with one row for all the time that a person was there without a break.

    Who is here twice, or changes their name, is here once.
    """
    if table.empty:
        return table
    order = table.sort_values(["name", "joined_row"], kind="stable", ignore_index=True)
    end = order["left_row"].where(order["left_row"] != NONE, np.iinfo(np.int64).max)
    until = end.groupby(order["name"]).cummax().groupby(order["name"]).shift(fill_value=NONE)
    begins = order["joined_row"] > until
    last = end.groupby(begins.cumsum()).idxmax().to_numpy()
    found = order[begins].assign(left=order["left"].array[last], left_row=order["left_row"].to_numpy()[last])
    return found.sort_values("joined_row", kind="stable", ignore_index=True)


def within(
    table: pd.DataFrame, since: pd.Timestamp | None = None, until: pd.Timestamp | None = None
) -> pd.DataFrame:
    """What of the connections lies between two times, cut to them."""
    if until is not None:
        table = table[table["joined"] < until]
        later = ~(table["left"] < until)
        table = table.assign(left=table["left"].mask(later), left_row=table["left_row"].mask(later, NONE))
    if since is not None:
        table = table[~(table["left"] < since)]
        table = table.assign(joined=table["joined"].clip(lower=since))
    return table


def online(table: pd.DataFrame) -> pd.Series[int]:
    """How many were connected from each time on, as connections came and went. Indexed by the time, UTC.

    Two changes in one millisecond are two entries. The peak is its max(), and idxmax() when that was first.
    """
    gone = table[table["left_row"] != NONE]
    rows = np.concatenate([table["joined_row"].to_numpy(np.int64), gone["left_row"].to_numpy(np.int64)])
    steps, first, which = np.unique(rows, return_index=True, return_inverse=True)
    change = np.bincount(which, np.repeat([1, -1], [len(table), len(gone)]), minlength=len(steps))
    times = pd.DatetimeIndex(pd.concat([table["joined"], gone["left"]]))[first]
    return pd.Series(change.astype(np.int64).cumsum(), index=times.rename("time"), name="online")


def time_connected(table: pd.DataFrame, end: pd.Timestamp) -> pd.Series[pd.Timedelta]:
    """How long each name was connected, longest first; those who are still there until `end`."""
    lasted = table["left"].fillna(end) - table["joined"]
    return most_first(lasted.groupby(table["name"]).sum()).rename("connected")


def together(intervals: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The intervals in order, those that meet as one."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(intervals):
        if found and start < found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def stays(records: pd.DataFrame) -> list[Stay]:
    """Who was here under which name, from which row to which."""
    return list(_stays(records))


def _stays(records: pd.DataFrame) -> Iterator[Stay]:
    present: dict[str, tuple[str, int]] = {}  # name: address, row of joining
    signs = _first_signs(records)
    chosen = rows_of_kinds(records, CHANGES)
    chosen[list(signs)] = True
    rows = np.flatnonzero(chosen)
    changes = records.iloc[rows]
    texts = changes["text"].tolist() if "text" in changes else [""] * len(rows)
    fields = (changes[field].tolist() for field in ("address", "name", "kind"))
    cleared = 0
    for row, address, name, kind, text in zip(rows.tolist(), *fields, texts, strict=True):
        if row in signs and name not in present and kind != "join":
            present[name] = (address, cleared)
        if kind == "clear":
            cleared = row
        elif kind in ("start", "stop"):
            yield from (Stay(each, *where, row) for each, where in present.items())
            present.clear()
        elif kind in ("join", "leave", "rename"):
            if name in present:
                yield Stay(name, *present.pop(name), row)
            if kind != "leave":
                present[name if kind == "join" else text] = (address, row)
    yield from (Stay(each, *where, NONE) for each, where in present.items())


def _first_signs(records: pd.DataFrame) -> set[int]:
    """In which rows somebody is heard of for the first time since a `clear`."""
    clears = np.flatnonzero(rows_of_kinds(records, ("clear",)))
    if not len(clears):
        return set()
    ends = np.append(np.flatnonzero(rows_of_kinds(records, ("start", "clear"))), len(records))
    names = records["name"].cat.codes.to_numpy()
    people = (records["address"] != "-").to_numpy()
    signs: set[int] = set()
    for start in clears.tolist():
        rows = np.flatnonzero(people[start : ends[np.searchsorted(ends, start, "right")]]) + start
        _, first = np.unique(names[rows], return_index=True)
        signs.update(rows[first].tolist())
    return signs
