"""The local log: proposals are committed in order or rejected; what is settled is in the file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat import record
from chat.log.entries import Append, Presence, clear, join, leave, rename
from chat.log.history import History
from chat.log.log import NAME_TAKEN, LocalLog


@pytest.fixture
def log(history_path: Path) -> Iterator[LocalLog]:
    log = LocalLog(History(history_path))
    yield log
    log.close()


def said(text: str) -> Append:
    return Append(record.draft("10.0.0.1", "alice", "message", text))


def kinds(path: Path) -> list[tuple[str, str]]:
    """(kind, text) of each record in the file."""
    return [(found.kind, found.text) for found in map(record.parse, path.read_bytes().splitlines())]


def test_entries_are_committed_in_order_and_end_where_the_file_says(
    log: LocalLog, history_path: Path
) -> None:
    alice = Presence("1", "alice", "10.0.0.1")
    entries = [join(alice), said("one"), rename(alice, "alicia"), said("two"), leave(alice, "exit")]
    log.propose(entries)
    results = log.settled()
    assert [result.entry for result in results] == entries
    content = history_path.read_bytes()
    lines = content.splitlines(keepends=True)
    assert [result.end for result in results] == [
        (0, sum(map(len, lines[: number + 1]))) for number in range(len(lines))
    ]
    assert {result.time for result in results} == {record.parse(line).time for line in lines}
    assert log.settled() == []


def test_the_second_to_want_a_name_is_refused_and_not_written(log: LocalLog, history_path: Path) -> None:
    first, second = (join(Presence(id_, "bob", "10.0.0.1")) for id_ in "12")
    log.propose([first, second, said("x")])
    assert [result.why_not for result in log.settled()] == ["", NAME_TAKEN, ""]
    assert kinds(history_path) == [("join", ""), ("message", "x")]


def test_a_clear_keeps_its_place_in_the_order(log: LocalLog, history_path: Path) -> None:
    log.propose([said("old"), clear("10.0.0.1", "alice"), said("new")])
    assert [result.end[0] for result in log.settled()] == [0, 1, 1]
    assert [kind for kind, _ in kinds(history_path)] == ["clear", "message"]


def test_failed_writes_are_rejected_but_leaves_take_effect(
    log: LocalLog, history_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = Presence("1", "alice", "10.0.0.1"), Presence("2", "bob", "10.0.0.2")
    log.propose([join(alice)])
    log.settled()
    announced = Append(record.draft("-", "host", "notice", "hello"), retry=True)

    def no_space(fd: int, data: bytes) -> int:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as broken:
        broken.setattr(os, "write", no_space)
        log.propose([said("lost"), join(bob), leave(alice, "exit"), announced])
        results = log.settled()
    assert ["No space" in result.why_not for result in results] == [True, True, False, False]
    assert log.roster.all() == []
    log.propose([said("stored")])
    assert kinds(history_path) == [
        ("join", ""),
        ("leave", "exit"),
        ("notice", "hello"),
        ("message", "stored"),
    ]
