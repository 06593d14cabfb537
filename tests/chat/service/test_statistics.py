"""`/stats full`: numbers of the real analytics, while the chat goes on."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chat import record
from chat.record import Record
from chat.service.statistics import NoStatistics, Statistics
from tests.harness import DEADLINE, Client, Server, texts

pytest.importorskip("pandas")

Join = Callable[..., Client]


def test_full_statistics_in_the_chat(join: Join) -> None:
    alice = join("alice")
    alice.send("one", "two", "three", "/stats full", "end")
    alice.until("message", "end")
    while len(lines := texts(alice.records, "/stats")) < 4:
        alice.next()
    assert "the answer will follow" in lines[0]
    assert [line.partition(":")[0] for line in lines[1:]] == ["the last hour", "the last day", "all of it"]
    assert all(" messages by 1 person, " in line for line in lines[1:])
    assert "moment" in alice.ask("/stats full", "/error").text


@pytest.mark.parametrize(
    ("command", "who", "lines"), [("/stats", "2 names", 3), ("/stats full", "2 people", 4)]
)
def test_after_a_silent_hour(history_path: Path, command: str, who: str, lines: int) -> None:
    """At once from the counters, and by analytics: the same, but for who is counted."""
    now = time.time()
    said = [("alice", 3 * 3600), ("bob", 3 * 3600 - 60), ("bob", 3 * 3600 - 60)]
    history_path.write_bytes(
        b"".join(
            Record(record.format_time(now - ago), "10.0.0.1", name, "message", "hi").encode()
            for name, ago in said
        )
    )
    server = Server(history_path)
    carol = Client(server.port, "carol", "/replay 0")
    try:
        carol.send(command)
        while len(answers := texts(carol.records, "/stats")) < lines:
            carol.next()
    finally:
        carol.close()
        server.close()
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(now - 3 * 3600 + 60))
    assert answers[-3:] == [
        "the last hour: no messages",
        f"the last day: 3 messages by {who}, 0.0021 a minute, at most 2 ({when})",
        f"all of it: 3 messages by {who}, 1.5 a minute over 2 minutes, at most 2 ({when})",
    ]


def test_an_empty_history(history_path: Path) -> None:
    history_path.touch()
    assert next(Statistics(history_path).summary()) == "the last hour: no messages"


@pytest.fixture
def use_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has the server take another Python: what this line of a shell starts."""

    def use(line: str) -> None:
        python = tmp_path / "python"
        python.write_text(f"#!/bin/sh\n{line}\n")
        python.chmod(0o700)
        monkeypatch.setattr(sys, "executable", str(python))

    return use


def test_one_run_of_analytics_serves(
    history_path: Path, tmp_path: Path, use_python: Callable[[str], None]
) -> None:
    use_python(f'echo run >> "{tmp_path}/runs"\nexec "{sys.executable}" "$@"')
    history_path.touch()
    assert len(list(Statistics(history_path).summary())) == 3
    assert (tmp_path / "runs").read_text().count("run") == 1


def test_the_plot(history_path: Path) -> None:
    times = (f"2026-11-21T10:{minute:02}:00.000Z" for minute in range(30))
    history_path.write_bytes(
        b"".join(Record(time, "10.0.0.1", "alice", "message", "hi").encode() for time in times)
    )
    picture = Statistics(history_path).plot()
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.with_name("index.html").exists()


def test_one_request_at_a_time(history_path: Path) -> None:
    history_path.touch()
    statistics = Statistics(history_path)

    def ask(_: int) -> str:
        try:
            return next(statistics.summary())
        except NoStatistics as why:
            return str(why)

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(ask, range(2)))
    assert sorted("already" in answer for answer in answers) == [False, True]


def test_analytics_finds_what_it_needs_whatever_python_runs_the_server(
    history_path: Path, use_python: Callable[[str], None]
) -> None:
    use_python(f'exec "{sys.executable}" -S "$@"')
    history_path.touch()
    assert next(Statistics(history_path).summary()) == "the last hour: no messages"


@pytest.fixture
def endless(use_python: Callable[[str], None]) -> None:
    """A Python that never ends."""
    use_python("exec sleep 1000")


@pytest.mark.usefixtures("endless")
def test_analytics_is_killed_when_it_takes_too_long(
    history_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All lines of the answer."""
    monkeypatch.setattr("chat.service.statistics.SECONDS", 0.2)
    with pytest.raises(NoStatistics, match="more than 0"):
        list(Statistics(history_path).summary())


@pytest.mark.usefixtures("endless")
def test_the_process_ends_with_the_server(history_path: Path) -> None:
    statistics, ended = Statistics(history_path), threading.Event()

    def work() -> None:
        with pytest.raises(NoStatistics):
            list(statistics.summary())
        ended.set()

    statistics.start(work)
    statistics.close()
    assert ended.wait(DEADLINE)
