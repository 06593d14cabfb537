"""Who was connected, from the records of joining and leaving.

Most connections end with a `leave`. Where the server died without writing one, the next sign tells: a
`start` means that nobody was left when it died (the record before it), another `join` of the name that the
earlier connection is over. A cleared history begins with people who joined before it: whoever then speaks,
leaves or is renamed without having joined was there since the `clear`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from analytics.tables import most_first

CHANGES = ("join", "leave", "rename", "start", "stop", "clear")


def connections(records: pd.DataFrame) -> pd.DataFrame:
    """One row a connection under one name: name, address, joined, left (NaT: still there at the end).

    `joined_row` and `left_row` are the rows of the records that say so (-1: none does), which tell apart
    what happened within one millisecond. Needs all records: some of them alone tell another story.
    """
    stays = list(_stays(records))
    table = pd.DataFrame(stays, columns=list(_Stay._fields))
    times = records["time"].reset_index(drop=True)
    died = (records["kind"] == "start").to_numpy()
    last_sign = table["left_row"] - died[table["left_row"]] if len(table) else table["left_row"]
    table["joined"] = times.reindex(table["joined_row"]).array
    table["left"] = times.reindex(last_sign.where(table["left_row"] != _NONE, _NONE)).array
    return table.sort_values("joined_row", kind="stable", ignore_index=True)


def within(
    table: pd.DataFrame, since: pd.Timestamp | None = None, until: pd.Timestamp | None = None
) -> pd.DataFrame:
    """What of the connections lies between two times, cut to them."""
    if until is not None:
        table = table[table["joined"] < until]
        later = ~(table["left"] < until)
        table = table.assign(left=table["left"].mask(later), left_row=table["left_row"].mask(later, _NONE))
    if since is not None:
        table = table[~(table["left"] < since)]
        table = table.assign(joined=table["joined"].clip(lower=since))
    return table


def online(table: pd.DataFrame) -> pd.Series[int]:
    """How many were connected from each time on, as connections came and went. Indexed by the time, UTC.

    Two changes in one millisecond are two entries. The peak is its max(), and idxmax() when that was first.
    """
    gone = table[table["left_row"] != _NONE]
    changes = pd.DataFrame(
        {
            "row": np.concatenate([table["joined_row"], gone["left_row"]]),
            "time": pd.concat([table["joined"], gone["left"]]).array,
            "change": np.repeat([1, -1], [len(table), len(gone)]),
        }
    )
    steps = changes.groupby("row").agg(time=("time", "first"), change=("change", "sum"))
    curve = steps["change"].cumsum()
    return pd.Series(curve.to_numpy(), index=pd.DatetimeIndex(steps["time"]), name="online")


def time_connected(table: pd.DataFrame, end: pd.Timestamp) -> pd.Series[pd.Timedelta]:
    """How long each name was connected, longest first; those who are still there until `end`."""
    lasted = table["left"].fillna(end) - table["joined"]
    return most_first(lasted.groupby(table["name"]).sum()).rename("connected")


_NONE = -1


class _Stay(NamedTuple):
    name: str
    address: str
    joined_row: int
    left_row: int


def _stays(records: pd.DataFrame) -> Iterator[_Stay]:
    present: dict[str, tuple[str, int]] = {}  # name: address, row of joining
    first_signs, changes = _rows_of_interest(records)
    fields = (changes[field].tolist() for field in ("address", "name", "kind", "text"))
    cleared = 0
    for row, address, name, kind, text in zip(changes.index, *fields, strict=True):
        if row in first_signs and name not in present and kind != "join":
            present[name] = (address, cleared)
        if kind == "clear":
            cleared = row
        elif kind in ("start", "stop"):
            yield from (_Stay(each, *where, row) for each, where in present.items())
            present.clear()
        elif kind in ("join", "leave", "rename"):
            if name in present:
                yield _Stay(name, *present.pop(name), row)
            if kind != "leave":
                present[name if kind == "join" else text] = (address, row)
    yield from (_Stay(each, *where, _NONE) for each, where in present.items())


def _rows_of_interest(records: pd.DataFrame) -> tuple[set[int], pd.DataFrame]:
    """In which rows somebody is heard of for the first time since a `clear`; and these with all changes."""
    records = records.reset_index(drop=True)
    kinds = records["kind"].astype("str")
    ends = [*records.index[kinds.isin(["start", "clear"])], len(records)]
    people = records["address"] != "-"
    signs: set[int] = set()
    for start, stop in pairwise(ends):
        if kinds[start] == "clear":
            names = records["name"][start:stop][people[start:stop]]
            signs.update(names.index[~names.duplicated()])
    chosen = kinds.isin(CHANGES)
    chosen[list(signs)] = True
    return signs, records[chosen]
