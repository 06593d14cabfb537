"""The counters of `/stats`, compared with analytics, which counts the same history in another way."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from chat import record
from chat.record import Record
from chat.service.counters import Counters, Period
from tests.harness import ROOT

NOW = 1795256142.0  # 2026-11-21T10:15:42Z
KINDS = ("message", "message", "message", "action", "notice", "join", "leave", "rename", "clear")


def history(seed: int, now: float, seconds: float) -> bytes:
    """People talk, in bursts; some lines are no records."""
    chance = random.Random(seed)
    times = sorted(now - chance.random() ** 3 * seconds for _ in range(2000))
    lines = []
    for moment in times:
        name = chance.choice(["alice", "bob", "Bob", "李雷", "007", "NA", "\u0430lice"])
        text = chance.choice(["hi", "", "a\x0bb", "é" * 2000, "\u2028", "\tmessage"])
        if chance.random() < 0.02:
            lines.append(chance.choice([b"\n", b"hello\n", b"a\tb\tc\tmessage\te\n", b"\xff\n"]))
        lines.append(
            Record(record.format_time(moment), "10.0.0.1", name, chance.choice(KINDS), text).encode()
        )
    return b"".join(lines)


def fed(lines: bytes, now: float) -> Counters:
    """Counted in pieces of any size."""
    counters = Counters()
    pieces = lines.splitlines(keepends=True)
    for start in range(0, len(pieces), 97):
        counters.feed(b"".join(pieces[start : start + 97]), now)
    return counters


def analytics(path: Path, *arguments: str) -> Period:
    """The same from `python3 -m analytics --json`."""
    command = [sys.executable, "-m", "analytics", str(path), "--json", *arguments]
    found: dict[str, Any] = json.loads(
        subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    )
    per_minute = found["messages_per_minute"]
    return Period(
        found["messages"],
        len(found["by_name"]),
        found["minutes"],
        per_minute["max"],
        (per_minute["busiest"] or "").removesuffix("Z"),
    )


def test_it_counts_as_analytics_does(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    path = tmp_path / "history.txt"
    now = time.time() // 60 * 60 + 30
    path.write_bytes(history(1, now, 5 * 86400))
    counters = fed(path.read_bytes(), now)
    assert counters.all() == analytics(path)
    for minutes in (60, 24 * 60):
        since = record.format_time(now - (minutes - 1) * 60)[:17] + "00.000+00:00"
        ours, theirs = counters.last(minutes, now), analytics(path, "--since", since)
        assert ours.messages > 10
        assert ours.minutes == minutes  # an hour has sixty, however many have messages
        assert (ours.messages, ours.names, ours.most, ours.busiest) == (
            *(theirs.messages, theirs.names, theirs.most, theirs.busiest),
        )


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (b"", "no messages"),
        (Record(record.format_time(NOW), "-", "server", "notice", "x").encode(), "no messages"),
        (Record(record.format_time(NOW), "-", "al", "message", "x").encode(), "1 message by 1 name, "),
        (Record(record.format_time(NOW), "-", "al", "action", "x").encode() * 3, "3 messages by 1 name, "),
    ],
)
def test_the_sentences_of_stats(lines: bytes, says: str) -> None:
    hour, day, everything = fed(lines, NOW).summary(NOW)
    assert hour.startswith(f"the last hour: {says}")
    assert day.startswith(f"the last day: {says}")
    assert everything.startswith(f"all of it: {says}")


def test_what_is_older_than_a_day_is_not_in_the_last_day() -> None:
    old = Record(record.format_time(NOW - 86400), "-", "al", "message", "x").encode()
    new = Record(record.format_time(NOW - 3600), "-", "bo", "message", "x").encode()
    counters = fed(old * 5 + new, NOW - 3600)
    assert counters.last(60, NOW).messages == 0
    assert counters.last(60, NOW - 60).messages == 1
    assert counters.last(24 * 60, NOW).messages == 1
    assert counters.all() == Period(6, 2, 1381, 5, record.format_time(NOW - 86400)[:16])


def test_years_beyond_the_calendar_do_no_harm() -> None:
    lines = b"".join(
        Record(f"{year}-01-01T00:00:00.000Z", "-", "al", "message", "x").encode() for year in ("0001", "9999")
    )
    assert "2 messages" in fed(lines, NOW).summary(NOW)[2]
