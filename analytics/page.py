"""What the page's script knows: numbers by stretches of time, so that a choice of some days changes them all.

The script draws from these numbers and nothing else. They are plain lists: a stretch of time is a step, what
somebody did in some of them is a list of pairs (step, number), one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analytics import tables
from analytics.conversations import pairs
from analytics.findings import Findings
from analytics.tables import MILLISECONDS

STEPS = 366  # days of a year; of a longer time, steps are weeks or more
BINS = 20_000  # of the main picture: two weeks of minutes, two years of hours
PEOPLE = 300  # who say most have pages of their own
PAIRS = 80_000  # numbers of people by steps; where there are more, fewer people follow the choice
LONGEST = 50  # who were connected longest, whether or not they say anything
POINTS = 2_000  # of the curve of who was connected
MATRIX = 12  # people in who answers whom
CONVERSATIONS = 1_000  # the longest ones
NEIGHBOURS = 5  # with whom somebody talks most, on their page

Integers = NDArray[np.int64]


class _Steps(NamedTuple):
    """When each step begins, and at last when the last one ends: UTC in milliseconds, and as local times."""

    bounds: Integers
    local: pd.DatetimeIndex

    def of(self, times: pd.Series[pd.Timestamp]) -> Integers:
        """Which step each of the times belongs to."""
        moments: NDArray[np.datetime64] = times.to_numpy("M8[ms]")
        found = np.searchsorted(self.bounds, moments.view(np.int64), "right") - 1
        return np.clip(found, 0, len(self.bounds) - 2)


def page_data(findings: Findings) -> dict[str, Any]:
    """The object that stands in the page as JSON."""
    steps = _steps(findings)
    names = [str(name) for name in findings.people.index[:PEOPLE]]
    return {
        "zone": str(findings.zone),
        "steps": steps.bounds.tolist(),
        "bins": _bins(findings),
        "total": _numbers(np.bincount(steps.of(findings.said["time"]), minlength=len(steps.bounds) - 1)),
        "people": _people(findings, steps, names),
        "connected": _connected(findings, steps, names),
        "online": _online(findings),
        "rhythm": _rhythm(findings, steps),
        "answers": _matrix(findings, steps),
        "conversations": _conversations(findings),
    }


def _steps(findings: Findings) -> _Steps:
    """Hours, days, weeks or more, as few as the page can follow."""
    ends = pd.Series([findings.said["time"].iloc[0], findings.said["time"].iloc[-1]])
    first, last = tables.local(ends, findings.zone)
    hours = (last - first) / pd.Timedelta(hours=1)
    days = max(1, -(-int(hours / 24 + 2) // STEPS))
    unit = "h" if hours < 48 else "D"
    length = pd.Timedelta(hours=1) if unit == "h" else pd.Timedelta(days=days)
    local = pd.date_range(first.floor(unit), last.floor(unit) + length, freq=length)
    if local[-1] <= last:
        local = local.append(pd.DatetimeIndex([local[-1] + length]))
    zoned = local.tz_localize(findings.zone, ambiguous=True, nonexistent="shift_forward")
    return _Steps(zoned.tz_convert(None).to_numpy("M8[ms]").view(np.int64), local)


def _bins(findings: Findings) -> dict[str, Any]:
    """Messages in the smallest bins that are not too many."""
    for per in ("minute", "hour", "day"):
        try:
            counts = findings.per(per)
        except ValueError:
            continue
        if len(counts) <= BINS or per == "day":
            break
    counts = counts.iloc[-BINS:]
    index = pd.DatetimeIndex(counts.index)
    first = index[:1] if index.tz else index[:1].tz_localize(findings.zone, nonexistent="shift_forward")
    return {
        "per": per,
        "start": _milliseconds(first[0]),
        "width": MILLISECONDS[per],
        "counts": counts.tolist(),
    }


def _people(findings: Findings, steps: _Steps, names: list[str]) -> list[dict[str, Any]]:
    said = findings.said
    place = np.full(len(said["name"].cat.categories) + 1, -1)
    where = {str(name): number for number, name in enumerate(said["name"].cat.categories)}
    for number, name in enumerate(names):
        place[where[name]] = number
    who, step = place[said["name"].cat.codes.to_numpy()], steps.of(said["time"])
    chosen = who >= 0
    messages = _by_step(who[chosen], step[chosen], np.ones(int(chosen.sum())), len(names), len(steps.bounds))
    words = _by_step(
        who[chosen], step[chosen], findings.sizes["words"].to_numpy()[chosen], len(names), len(steps.bounds)
    )
    hours = np.zeros((len(names), 24), np.int64)
    clock = tables.local(said["time"], findings.zone).dt.hour.to_numpy()
    np.add.at(hours, (who[chosen], clock[chosen]), 1)
    runs, edges = findings.streaks, findings.first_and_last_words
    found = []
    for number, (name, row) in enumerate(zip(names, findings.people.itertuples(), strict=False)):
        found.append(
            {
                "name": name,
                "names": [each for each in findings.names.get(name, []) if each != name],
                "messages": messages[number],
                "words": words[number],
                "letters": int(row.characters),
                "hours": hours[number].tolist(),
                "first": _milliseconds(row.first),
                "last": _milliseconds(row.last),
                "days": int(runs.loc[name, "days"]),
                "streak": int(runs.loc[name, "streak"]),
                "opened": int(edges.loc[name, "first"]) if name in edges.index else 0,
                "closed": int(edges.loc[name, "last"]) if name in edges.index else 0,
            }
        )
    _add_neighbours(findings, found)
    return found


def _by_step(who: Integers, step: Integers, weights: Any, people: int, steps: int) -> list[list[int]]:
    """For each of the people, pairs of step and number; of all steps together where these are too many."""
    keys, numbers = _sums(who * steps + step, weights)
    if len(keys) > PAIRS:
        keys, numbers = _sums(who * steps, weights)
    found: list[list[int]] = [[] for _ in range(people)]
    for key, number in zip(keys.tolist(), numbers.tolist(), strict=True):
        found[key // steps] += [key % steps, number]
    return found


def _sums(keys: Integers, weights: Any) -> tuple[Integers, Integers]:
    which, distinct = pd.factorize(keys, sort=True)
    return distinct, np.rint(np.bincount(which, weights, len(distinct))).astype(np.int64)


def _add_neighbours(findings: Findings, found: list[dict[str, Any]]) -> None:
    by_name: dict[str, dict[str, Any]] = {person["name"]: person for person in found}
    for person in found:
        person["answers"], person["answered"] = [], []
    answered = findings.answers
    known = answered["name"].isin(by_name) | answered["to"].isin(by_name)
    for row in pairs(answered[known] if len(findings.people) > PEOPLE else answered).itertuples():
        for mine, other, member in ((row.name, row.to, "answers"), (row.to, row.name, "answered")):
            if mine in by_name and len(by_name[mine][member]) < NEIGHBOURS:
                by_name[mine][member].append([other, row.answers])


def _connected(findings: Findings, steps: _Steps, names: list[str]) -> list[tuple[str, list[int]]]:
    """For those who were there longest and those who say most: pairs of step and seconds."""
    longest = findings.time_connected.index[:LONGEST].astype(str)
    shown = pd.Index([*longest, *names]).unique()[: PAIRS // len(steps.bounds)]
    table = findings.connected
    who = shown.get_indexer(table["name"].astype(str))
    known = who >= 0
    joined, left = (
        times.to_numpy("M8[ms]").view(np.int64)[known]
        for times in (table["joined"], table["left"].fillna(findings.end))
    )
    begins, ends = steps.bounds[:-1].copy(), steps.bounds[1:].copy()
    begins[0], ends[-1] = min(begins[0], joined.min(initial=0)), max(ends[-1], left.max(initial=0))
    first, last = (np.searchsorted(begins, times, "right") - 1 for times in (joined, left))
    many = last - first + 1
    row = np.repeat(np.arange(len(many)), many)
    step = np.arange(len(row)) - np.repeat(np.cumsum(many) - many, many) + first[row]
    seconds = (np.minimum(left[row], ends[step]) - np.maximum(joined[row], begins[step])) / 1000
    return list(zip(shown, _by_step(who[known][row], step, seconds, len(shown), len(begins)), strict=True))


def _online(findings: Findings) -> list[list[int]]:
    """The curve as times and numbers: with more than POINTS, the most of each stretch."""
    curve = findings.online
    if len(curve) > POINTS:
        stretch = np.floor(np.linspace(0, POINTS, len(curve), endpoint=False))
        keep = curve.reset_index(drop=True).groupby(stretch).idxmax()
        curve = curve.iloc[np.union1d(keep, [len(curve) - 1])]
    times = pd.DatetimeIndex(curve.index).tz_convert(None).to_numpy("M8[ms]")
    return [times.view(np.int64).tolist(), curve.tolist()]


def _rhythm(findings: Findings, steps: _Steps) -> list[int]:
    """Pairs of step * 168 + weekday * 24 + hour, and messages."""
    clock = tables.local(findings.said["time"], findings.zone).dt
    cell = clock.day_of_week.to_numpy(np.int64) * 24 + clock.hour.to_numpy()
    keys, numbers = _sums(steps.of(findings.said["time"]) * 168 + cell, None)
    return _interleaved(keys, numbers)


def _matrix(findings: Findings, steps: _Steps) -> dict[str, Any]:
    answered = findings.answers
    part = pd.concat([answered["name"], answered["to"]]).value_counts(sort=False)
    names = tables.most_first(part[part > 0]).index[:MATRIX].tolist()
    own = answered[answered["name"].isin(names) & answered["to"].isin(names)]
    place = {name: number for number, name in enumerate(names)}
    rows, columns = (own[field].astype("str").map(place).to_numpy(np.int64) for field in ("name", "to"))
    cells = steps.of(own["time"]) * MATRIX**2 + rows * MATRIX + columns
    keys, numbers = _sums(cells, None)
    return {"names": [str(name) for name in names], "size": MATRIX, "cells": _interleaved(keys, numbers)}


def _conversations(findings: Findings) -> list[list[Any]]:
    longest = findings.conversations.nlargest(CONVERSATIONS, "messages").sort_values("start")
    return [
        [
            _milliseconds(row.start),
            _milliseconds(row.end),
            int(row.messages),
            int(row.people),
            str(row.starter),
        ]
        for row in longest.itertuples()
    ]


def _interleaved(keys: Integers, numbers: Integers) -> list[int]:
    return np.column_stack((keys, numbers)).ravel().tolist()


def _numbers(values: Iterable[Any]) -> list[int]:
    return [int(value) for value in values]


def _milliseconds(time: pd.Timestamp) -> int:
    return int(time.as_unit("ms").asm8.astype(np.int64))
