"""The process that answers questions about a long history: it keeps up, can die, and ends."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chat.record import Record
from chat.service import queries as module
from chat.service.queries import Queries, Unavailable
from tests.chat.service.test_reader import question, write
from tests.harness import DEADLINE


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.txt"


@pytest.fixture
def queries(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queries]:
    monkeypatch.setattr(module, "READY_SECONDS", DEADLINE)
    path.touch()
    made = Queries(path)
    yield made
    made.close()


def test_the_process_answers_and_keeps_up(path: Path, queries: Queries) -> None:
    write(path, 100)
    assert "all of it" in queries.ask(question(path, ask="stats"))["lines"][2]
    with path.open("ab") as file:
        file.write(Record("2026-11-21T10:15:42.123Z", "-", "eve", "message", "unheard-of").encode())
    assert len(queries.ask(question(path, ask="search", words="unheard", most=20))["offsets"]) == 1


def test_a_replaced_history_is_read(path: Path, queries: Queries) -> None:
    write(path, 100)
    queries.ask(question(path, ask="stats"))
    path.rename(path.with_name("history.cleared.txt"))
    path.write_bytes(Record("2026-11-21T10:15:42.123Z", "-", "eve", "message", "anew").encode())
    assert queries.ask(question(path, ask="said", most=20))["offsets"] == [0]


def test_an_index_deleted_by_a_clear_does_no_harm(path: Path, queries: Queries) -> None:
    write(path, 20_000)
    found = queries.ask(question(path, ask="search", words="lunch", most=20))["offsets"]
    assert len(found) == 20
    for file in path.parent.glob("history.txt.index*"):
        file.unlink()
    assert queries.ask(question(path, ask="search", words="lunch", most=20))["offsets"] == found
    path.rename(path.with_name("history.cleared.txt"))
    write(path, 20_000, seed=2)
    assert len(queries.ask(question(path, ask="search", words="lunch", most=20))["offsets"]) == 20


def record_processes(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that are started from now on."""
    started: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def popen(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(start(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", popen)
    return started


def test_a_history_cut_short_is_read_again(path: Path, queries: Queries) -> None:
    write(path, 100)
    queries.ask(question(path, ask="stats"))
    path.write_bytes(Record("2026-11-21T10:15:42.123Z", "-", "eve", "message", "anew").encode())
    assert queries.ask(question(path, ask="said", most=20))["offsets"] == [0]


def test_a_process_that_dies_is_restarted(
    path: Path, queries: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0)
    started = record_processes(monkeypatch)
    write(path, 100)
    queries.ask(question(path, ask="stats"))
    started[0].kill()
    started[0].wait()
    assert queries.ask(question(path, ask="stats"))["lines"]


def test_a_process_that_does_not_answer_is_killed(
    path: Path, queries: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.05)
    write(path, 100)
    with pytest.raises(Unavailable):
        queries.ask({"ask": "nothing that it knows", "file": [0, 0], "end": 0})
    with pytest.raises(Unavailable):  # not again at once: it may be the history that it dies of
        queries.ask(question(path, ask="stats"))


def test_the_process_ends_with_the_server(
    path: Path, queries: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = record_processes(monkeypatch)
    write(path, 10)
    queries.ask(question(path, ask="stats"))
    queries.close()
    assert started[0].poll() is not None
    with pytest.raises(Unavailable):
        queries.ask(question(path, ask="stats"))


def test_starting_blocks_nobody(path: Path, queries: Queries, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READY_SECONDS", 0)
    write(path, 10)
    with pytest.raises(Unavailable):
        queries.ask(question(path, ask="stats"))
    monkeypatch.setattr(module, "READY_SECONDS", DEADLINE)
    assert queries.ask(question(path, ask="stats"))["lines"]
