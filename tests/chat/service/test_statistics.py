"""`/stats`: numbers of the real analytics, while the chat goes on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chat.record import Record
from chat.service.statistics import NoStatistics, Statistics
from tests.harness import Client, texts

pytest.importorskip("pandas")

Join = Callable[..., Client]


def test_numbers_in_the_chat(join: Join) -> None:
    alice = join("alice")
    alice.send("one", "two", "three", "/stats", "end")
    alice.until("message", "end")
    lines = texts(alice.records, "/stats")
    assert [line.partition(":")[0] for line in lines] == ["the last hour", "the last day", "all of it"]
    assert all("3 messages by 1 people" in line for line in lines)


def test_an_empty_history(history_path: Path) -> None:
    history_path.touch()
    assert Statistics(history_path).summary()[0] == "the last hour: no messages"


def test_the_plot(history_path: Path) -> None:
    times = (f"2026-11-21T10:{minute:02}:00.000Z" for minute in range(30))
    history_path.write_bytes(
        b"".join(Record(time, "10.0.0.1", "alice", "message", "hi").encode() for time in times)
    )
    picture = Statistics(history_path).plot()
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.with_name("index.html").exists()


def test_one_at_a_time(history_path: Path) -> None:
    statistics = Statistics(history_path)
    with statistics._alone(), pytest.raises(NoStatistics, match="already"):
        statistics.summary()


def test_analytics_finds_what_it_needs_whatever_python_runs_the_server(
    history_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    bare.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(bare))
    history_path.touch()
    assert Statistics(history_path).summary()[0] == "the last hour: no messages"


def test_it_is_ended_when_it_takes_too_long(history_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All its lines together: after 75 s the client that asked takes the connection for lost."""
    now, given = 1000.0, list[float]()

    def slow(*arguments: object, timeout: float, **options: object) -> subprocess.CompletedProcess[str]:
        nonlocal now
        given.append(timeout)
        now += min(timeout, 25)
        if timeout < 25:
            raise subprocess.TimeoutExpired("analytics", timeout)
        return subprocess.CompletedProcess([], 0, '{"messages": 0, "messages_per_minute": {}}')

    monkeypatch.setattr("chat.service.statistics.time.monotonic", lambda: now)
    monkeypatch.setattr(subprocess, "run", slow)
    with pytest.raises(NoStatistics, match="60 seconds"):
        Statistics(history_path).summary()
    assert given == [60, 35, 10]
