"""The same numbers as analytics has, reckoned slowly and plainly from the lines of a file.

Written from docs/protocol.md and from what docs/analytics.md says of each number, and from nothing else of
analytics: one record after the other, no table, no trick.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import NamedTuple
from zoneinfo import ZoneInfo

from chat.record import Record, name_key, parse

HALF_AN_HOUR = timedelta(minutes=30)
FOREVER = 10**9


class Said(NamedTuple):
    time: datetime
    person: str
    record: Record


class Presence(NamedTuple):
    name: str
    start: int  # rows
    end: int
    left: datetime | None


def moment(record: Record) -> datetime:
    return datetime.fromisoformat(record.time)


class Reckoning:
    """What is in the lines, all of it."""

    def __init__(self, lines: list[bytes]) -> None:
        self.records = [parse(line) for line in lines]
        self.presences = list(self._presences())
        self.person = self._persons()
        self.said = [
            Said(moment(record), self.person[record.name], record)
            for record in self.records
            if record.kind in ("message", "action")
        ]

    # --------------------------------------------------------------------------------------- who was there

    def _presences(self) -> list[Presence]:
        here: dict[str, int] = {}
        found = []
        since_clear: set[str] | None = None  # who was heard of since the clear; None: nothing was cleared
        cleared = 0

        def ends(name: str, row: int, left: datetime) -> None:
            found.append(Presence(name, here.pop(name), row, left))

        for row, record in enumerate(self.records):
            time, name = moment(record), record.name
            if record.kind == "clear":
                since_clear, cleared = set(), row
            elif record.kind == "start":
                since_clear = None
            if since_clear is not None and record.address != "-" and name not in since_clear:
                since_clear.add(name)
                if name not in here and record.kind != "join":
                    here[name] = cleared
            if record.kind in ("start", "stop"):
                last = moment(self.records[row - 1]) if record.kind == "start" and row else time
                for each in list(here):
                    ends(each, row, last)
            elif record.kind == "join":
                if name in here:
                    ends(name, row, time)
                here[name] = row
            elif record.kind == "leave" and name in here:
                ends(name, row, time)
            elif record.kind == "rename":
                if name in here:
                    ends(name, row, time)
                here[record.text] = row
        found += [Presence(name, row, FOREVER, None) for name, row in here.items()]
        return found

    def _persons(self) -> dict[str, str]:
        names = {record.name for record in self.records}
        names |= {record.text for record in self.records if record.kind == "rename"}
        group = {name: {other for other in names if name_key(other) == name_key(name)} for name in names}
        for record in self.records:
            if record.kind == "rename":
                mine, theirs = group[record.name], group[record.text]
                if mine is not theirs and not self._met(mine, theirs):
                    together = mine | theirs
                    for name in together:
                        group[name] = together
        times = Counter(record.name for record in self.records if record.kind in ("message", "action"))
        return {name: min(group[name], key=lambda each: (-times[each], each)) for name in names}

    def _met(self, mine: set[str], theirs: set[str]) -> bool:
        return any(
            one.start < other.end and other.start < one.end
            for one in self.presences
            if one.name in mine
            for other in self.presences
            if other.name in theirs
        )

    def stays(self) -> dict[str, list[tuple[int, int, datetime | None]]]:
        """Each person: from which row to which, until when (None: still there), what meets put together."""
        found: dict[str, list[tuple[int, int, datetime | None]]] = defaultdict(list)
        for one in sorted(self.presences, key=lambda each: (each.start, each.end)):
            own = found[self.person[one.name]]
            if own and one.start <= own[-1][1]:
                if one.end > own[-1][1]:
                    own[-1] = (own[-1][0], one.end, one.left)
            else:
                own.append((one.start, one.end, one.left))
        return found

    def time_connected(self) -> dict[str, timedelta]:
        end = moment(self.records[-1])
        return {
            person: sum(((left or end) - moment(self.records[start]) for start, _, left in own), timedelta())
            for person, own in self.stays().items()
        }

    def most_online(self) -> int:
        stays = [stay for own in self.stays().values() for stay in own]
        return max(
            (sum(start <= row < end for start, end, _ in stays) for row in range(len(self.records))),
            default=0,
        )

    # --------------------------------------------------------------------------------------- what was said

    def per_minute(self) -> dict[str, int]:
        return Counter(f"{each.record.time[:16]}Z" for each in self.said)

    def by_person(self) -> dict[str, tuple[int, int, int, str, str]]:
        found = {}
        for person in {each.person for each in self.said}:
            own = [each.record for each in self.said if each.person == person]
            words = sum(len(record.text.split()) for record in own)
            letters = sum(len(record.text) for record in own)
            found[person] = (len(own), words, letters, own[0].time, own[-1].time)
        return found

    def tokens(self) -> Counter[str]:
        return Counter(word for each in self.said for word in each.record.text.split())

    def conversations(self) -> list[tuple[str, str, int, int, str]]:
        groups: list[list[Said]] = []
        for each in self.said:
            if not groups or each.time - groups[-1][-1].time >= HALF_AN_HOUR:
                groups.append([])
            groups[-1].append(each)
        return [
            (
                own[0].record.time,
                own[-1].record.time,
                len(own),
                len({one.person for one in own}),
                own[0].person,
            )
            for own in groups
        ]

    def answers(self) -> dict[tuple[str, str], tuple[int, float]]:
        delays = defaultdict(list)
        for before, each in pairwise(self.said):
            if each.person != before.person and each.time - before.time < HALF_AN_HOUR:
                delays[each.person, before.person].append(
                    (each.time - before.time) // timedelta(milliseconds=1)
                )
        return {
            pair: (len(own), int(median(own)) / 1000) for pair, own in delays.items()
        }  # to the millisecond

    def mentions(self) -> dict[tuple[str, str], int]:
        found: Counter[tuple[str, str]] = Counter()
        known = {name_key(name): person for name, person in self.person.items()}
        for each in self.said:
            words = re.split(r"\s", each.record.text)
            for place, word in enumerate(words):
                if word.startswith("@") and len(word) > 1:
                    name = word[1:]
                    person = known.get(name_key(name)) or known.get(name_key(name.rstrip(".,:;!?)'\"’")))
                elif place == 0 and len(words) > 1 and word[-1:] in (":", ",") and word[:-1]:
                    person = None if set(word[:-1]) & set(":,") else known.get(name_key(word[:-1]))
                else:
                    person = None
                if person:
                    found[each.person, person] += 1
        return found

    def weekday_by_hour(self, zone: ZoneInfo) -> dict[tuple[int, int], float]:
        first, last = (moment(self.records[place]).astimezone(zone).date() for place in (0, -1))
        days = Counter((first + timedelta(days=day)).weekday() for day in range((last - first).days + 1))
        local = (each.time.astimezone(zone) for each in self.said)
        cells = Counter((time.weekday(), time.hour) for time in local)
        return {
            (weekday, hour): cells[weekday, hour] / days[weekday] for weekday in days for hour in range(24)
        }
