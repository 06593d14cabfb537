"""Who is who: people, not names.

    records = as_people(records, people(records, read_aliases("aliases.txt")))

One person are names that differ in case only (as chat.record.name_key has it), names that an alias file
puts together, and the names before and after a `rename`; but no two names under which somebody was here at
the same time, unless the alias file says so: a `guest` who becomes bob and one who becomes carol are two. A
person is called as the alias file says, or by the name under which they said most, of several by the first
in the alphabet.
"""

from __future__ import annotations

import functools
import sys
from bisect import bisect_left, insort
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from analytics import tables
from analytics.online import NONE, Stay, stays, together
from chat import record

key_of = functools.cache(record.name_key)  # of the names in a history, which are asked for more than once
Aliases = Mapping[str, str]  # name_key of a name: how that person is called


class BadAliases(ValueError):
    """The alias file is not one; the message is a sentence."""


def read_aliases(path: str | Path) -> dict[str, str]:
    """Reads `alice = al, alice_phone`, a person a line; "#" begins a comment. Raises BadAliases, OSError."""
    found: dict[str, str] = {}
    try:
        lines = Path(path).read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise BadAliases(f"{path}: it is no text in UTF-8") from None
    for number, line in enumerate(lines, 1):
        entry = line.split("#")[0].strip()
        if not entry:
            continue
        name, equals, others = entry.partition("=")
        names = [name.strip(), *(other.strip() for other in others.split(","))]
        if not equals or not all(names) or any(" " in each for each in names):
            raise BadAliases(f"{path}:{number}: a line is NAME = NAME, NAME, and {entry!r} is not")
        for each in names:
            key = record.name_key(each)
            if found.setdefault(key, names[0]) != names[0]:
                raise BadAliases(f"{path}:{number}: {each} is {found[key]} already")
    return found


def people(records: pd.DataFrame, aliases: Aliases | None = None) -> dict[str, str]:
    """Each name in the records, also one only taken: how the person is called whose name it is.

    Needs all records.
    """
    spoken = tables.is_spoken(records)
    written = [str(name) for name in records["name"].cat.categories]
    renames = records[tables.rows_of_kinds(records, ("rename",))]
    changes = [(str(old), str(new)) for old, new in zip(renames["name"], renames["text"], strict=True)]
    names = list(dict.fromkeys([*written, *(new for _, new in changes)]))
    groups = _Groups(names, aliases or {})
    if changes:
        groups.present(stays(records))
        for old, new in changes:
            groups.renamed(old, new)
    said = np.bincount(records["name"].cat.codes.to_numpy()[spoken], minlength=len(names))
    return groups.called(names, said.tolist())


def as_people(records: pd.DataFrame, called: Mapping[str, str]) -> pd.DataFrame:
    """The records with people instead of names: every table of them is one of people then."""
    names = records["name"].cat
    codes, persons = pd.factorize(np.array([called[str(name)] for name in names.categories], object))
    dtype = pd.CategoricalDtype(pd.Index(persons, dtype="str"))
    changed = codes.astype(names.codes.dtype)[names.codes.to_numpy()] if len(codes) else names.codes
    return records.assign(name=pd.Categorical.from_codes(changed, dtype=dtype, validate=False))


class _Groups:
    """Names that belong together, in sets that are joined (union-find)."""

    def __init__(self, names: list[str], aliases: Aliases) -> None:
        self._key = {name: key_of(name) for name in names}
        self._parent: dict[str, str] = {}
        self._here: dict[str, list[tuple[int, int]]] = {}  # each group's rows from joining to leaving, apart
        first: dict[str, str] = {}
        for key in [*self._key.values(), *aliases]:
            self._parent.setdefault(key, key)
        for key, person in aliases.items():
            self._parent[self._root(key)] = self._root(first.setdefault(person, key))
        self._named = {self._root(key): person for key, person in aliases.items()}

    def _root(self, key: str) -> str:
        while self._parent[key] != key:
            self._parent[key] = self._parent[self._parent[key]]
            key = self._parent[key]
        return key

    def present(self, found: list[Stay]) -> None:
        """When somebody was here under the names."""
        for name, _, joined, left in found:
            root = self._root(self._key.get(name) or record.name_key(name))
            self._here.setdefault(root, []).append((joined, sys.maxsize if left == NONE else left))
        self._here = {root: together(intervals) for root, intervals in self._here.items()}

    def renamed(self, old: str, new: str) -> None:
        """Joins the groups of both names, unless both were here at the same time."""
        few, many = self._root(self._key[old]), self._root(self._key[new])
        if few == many or (few in self._named and many in self._named):
            return
        if len(self._here.get(few, ())) > len(self._here.get(many, ())):
            few, many = many, few
        others = self._here.setdefault(many, [])
        mine = self._here.get(few, [])
        if any(_meets(others, *interval) for interval in mine):
            return
        for interval in mine:
            insort(others, interval)
        self._parent[few] = many
        if few in self._named:
            self._named[many] = self._named[few]

    def called(self, names: list[str], said: list[int]) -> dict[str, str]:
        """Each of the names: how its group is called, where so much was said under each."""
        best: dict[str, tuple[int, str]] = {}
        for name, number in zip(names, said, strict=True):
            root = self._root(self._key[name])
            best[root] = min(best.get(root, (1, "")), (-number, name))
        best |= {root: (0, person) for root, person in self._named.items()}
        return {name: best[self._root(self._key[name])][1] for name in names}


def _meets(intervals: list[tuple[int, int]], start: int, end: int) -> bool:
    """Whether one of the intervals, which are in order and apart, shares some time with this one."""
    place = bisect_left(intervals, (end, -1))
    return place > 0 and intervals[place - 1][1] > start
