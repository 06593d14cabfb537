"""python3 -m analytics --follow: what is said now, as it is said.

It remembers how far it has read and reads only what is new. Of a big file the end comes first, so that the
last hour is there at once; the rest is read behind it, from the end to the beginning, between two looks at
what is new. A cleared file, and another one in its place, begin anew.
"""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from datetime import datetime, tzinfo
from pathlib import Path
from typing import BinaryIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from analytics.blocks import SPOKEN
from analytics.terminal import STEPS, printable
from chat import record
from chat.record import NotARecord

HOUR = 60  # minutes
STRETCH = 1 << 20  # bytes read at a time: some hundredth of a second's work
LOOKS = 0.5  # seconds between two looks at the file
SPEAKERS = 10
NAMES_SHOWN = 12  # of those who are online


class Followed:
    """What is known of a history that goes on: counters, and nothing of its texts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._begin()

    def _begin(self) -> None:
        self._file: tuple[int, int] | None = None  # which one it is: device and number
        self.begin = 0  # from here on all is counted
        self.end = 0  # up to here
        self.messages = 0
        self.by_name: Counter[str] = Counter()
        self.minutes: Counter[str] = Counter()  # of the last hour, as 2026-11-21T10:15
        self.in_hour: deque[tuple[str, str]] = deque()  # minute and name of its messages
        self.online: dict[str, None] = {}
        self._gone: set[str] = set()  # who is known not to be online, or to be, by a later record
        self._died = False  # whether a start was seen: who came before it is gone
        self._tail = b""

    @property
    def complete(self) -> bool:
        """Whether the file has been counted from its beginning."""
        return self.begin == 0

    def look(self) -> bool:
        """Counts what is new, or begins anew where the file is another one; whether anything changed."""
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                if self._file != (status.st_dev, status.st_ino) or self._was_replaced(file, status.st_size):
                    return self._anew(file, (status.st_dev, status.st_ino), status.st_size)
                return self._forward(file, status.st_size)
        except FileNotFoundError:
            changed = self._file is not None
            self._begin()
            return changed

    def _was_replaced(self, file: BinaryIO, size: int) -> bool:
        """Whether the file was cut, or written anew and has grown beyond what was read of the old one."""
        return size < self.end or _read(file, self.end - len(self._tail), len(self._tail)) != self._tail

    def _anew(self, file: BinaryIO, which: tuple[int, int], size: int) -> bool:
        here = self.online
        self._begin()
        self._file = which
        self.begin = self.end = _line_start(file, max(0, size - STRETCH))
        self._forward(file, size)
        first = _parsed(_read(file, 0, record.RECORD_BYTES).partition(b"\n")[0])
        if first and first.kind == "clear" and not self._died:  # they did not leave because of it
            self.online |= {name: None for name in here if name not in self._gone}
        return True

    def _forward(self, file: BinaryIO, size: int) -> bool:
        changed, reach = False, STRETCH
        while self.end < size:
            data = _read(file, self.end, min(reach, size - self.end))
            whole = data.rfind(b"\n") + 1
            if whole:
                for line in data[:whole].split(b"\n")[:-1]:
                    self._count(line)
                self.end += whole
                self._tail = data[max(0, whole - 64) : whole]
                changed, reach = True, STRETCH
            elif len(data) < min(reach, size - self.end) or self.end + len(data) >= size:
                break
            else:
                reach *= 2  # a line longer than that is no record, and has an end
        return changed

    def backward(self) -> bool:
        """Counts a stretch before what is counted; whether there was one."""
        if self.begin == 0:
            return False
        with self.path.open("rb") as file:
            reach = STRETCH
            while (start := _line_start(file, max(0, self.begin - reach))) >= self.begin:
                reach *= 2
            data = _read(file, start, self.begin - start)
        for line in reversed(data.split(b"\n")[:-1]):
            self._count_earlier(line)
        self.begin = start
        return True

    def _count(self, line: bytes) -> None:
        found = _parsed(line)
        if found is None:
            return
        name = found.name
        if found.kind in SPOKEN:
            self._said(found)
        if found.kind in ("start", "stop"):
            self.online.clear()
            self._died = True
        elif found.kind == "leave":
            self.online.pop(name, None)
            self._gone.add(name)
        elif found.kind == "rename":
            self.online.pop(name, None)
            self._gone.add(name)
            self.online[found.text] = None
            self._gone.discard(found.text)
        elif found.address != record.NOBODY:
            self.online[name] = None
            self._gone.discard(name)

    def _said(self, found: record.Record) -> None:
        self.messages += 1
        self.by_name[found.name] += 1
        minute = found.time[:16]
        self.minutes[minute] += 1
        self.in_hour.append((minute, found.name))

    def _count_earlier(self, line: bytes) -> None:
        """The same of a record before all that are counted: later ones know better who is online."""
        found = _parsed(line)
        if found is None:
            return
        if found.kind in SPOKEN:
            self.messages += 1
            self.by_name[found.name] += 1
            minute = found.time[:16]
            self.minutes[minute] += 1
            self.in_hour.appendleft((minute, found.name))
        if self._died:
            return
        if found.kind in ("start", "stop"):
            self._died = True
        elif found.kind in ("leave", "rename"):
            if found.kind == "rename" and found.text not in self._gone:
                self.online.setdefault(found.text, None)
            self._gone.add(found.name)
        elif found.address != record.NOBODY and found.name not in self._gone:
            self.online.setdefault(found.name, None)

    def forget(self, now: datetime) -> None:
        """Forgets what is older than an hour."""
        first = _minute(now.timestamp() - (HOUR - 1) * 60)
        while self.in_hour and self.in_hour[0][0] < first:
            self.in_hour.popleft()
        for minute in [minute for minute in self.minutes if minute < first]:
            del self.minutes[minute]

    def last_hour(self, now: datetime) -> list[int]:
        """Messages in each of the last sixty minutes, this one last."""
        return [self.minutes[_minute(now.timestamp() - back * 60)] for back in range(HOUR - 1, -1, -1)]


def _minute(seconds: float) -> str:
    return record.format_time(seconds)[:16]


def _parsed(line: bytes) -> record.Record | None:
    try:
        found = record.parse(line)
    except NotARecord:
        return None
    return None if found.direct else found


def _read(file: BinaryIO, place: int, size: int) -> bytes:
    file.seek(place)
    return file.read(size)


def _line_start(file: BinaryIO, place: int) -> int:
    """Where the first line begins at the place or after it; the end, where none does."""
    while place:
        data = _read(file, place - 1, record.RECORD_BYTES)
        found = data.find(b"\n")
        if found >= 0:
            return place + found
        if not data:
            return place - 1
        place += len(data)
    return 0


# -------------------------------------------------------------------------------------------- in the terminal


def shown(followed: Followed, now: datetime, zone: tzinfo, width: int) -> RenderableType:
    """What the terminal shows of it."""
    hour = followed.last_hour(now)
    most = max(hour)
    line = "".join(STEPS[-(-8 * many // max(most, 1))] for many in hour)[-max(width - 2, 10) :]
    numbers = Table.grid(padding=(0, 2))
    numbers.add_row("This minute", Text(f"{hour[-1]:,}", "bold"))
    numbers.add_row(
        "Last hour", Text(f"{sum(hour):,}", "bold"), Text(f"{sum(hour) / HOUR:.3g} a minute", "dim")
    )
    whole = "" if followed.complete else f"the first {followed.begin / 1e6:,.0f} MB are still being read"
    numbers.add_row("In all", Text(f"{followed.messages:,}", "bold"), Text(whole, "dim"))
    here = list(followed.online)
    names = ", ".join(printable(name) for name in here[:NAMES_SHOWN])
    more = f" and {len(here) - NAMES_SHOWN:,} more" if len(here) > NAMES_SHOWN else ""
    numbers.add_row("Online", Text(f"{len(here):,}", "bold"), Text(names + more, "dim"))
    speakers = Table.grid(padding=(0, 2))
    speakers.add_column()
    speakers.add_column(justify="right")
    for name, many in Counter(name for _, name in followed.in_hour).most_common(SPEAKERS):
        speakers.add_row(Text(printable(name)), f"{many:,}")
    head = f"{printable(str(followed.path))}, {now.astimezone(zone):%H:%M:%S}; Ctrl-C ends"
    who = "Who" if followed.in_hour else "Nobody"
    return Group(
        Text(head, "dim", overflow="ellipsis", no_wrap=True),
        Text(line, "blue", no_wrap=True),
        Text(f"messages per minute in the last hour, at most {most:,}", "dim"),
        numbers,
        Text(f"\n{who} spoke in the last hour", "dim"),
        speakers,
    )


def follow(path: Path, zone: tzinfo, console: Console, note: str = "") -> None:
    """Shows it until Ctrl-C, with a note above. Raises OSError for what can't be read."""
    followed = Followed(path)
    with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
        while True:
            followed.look()
            now = datetime.fromtimestamp(time.time(), zone)
            followed.forget(now)
            picture = shown(followed, now, zone, console.width)
            live.update(Group(Text(note), picture) if note else picture, refresh=True)
            until = time.monotonic() + LOOKS
            while time.monotonic() < until and followed.backward():
                followed.forget(now)
            time.sleep(max(0.0, until - time.monotonic()))
