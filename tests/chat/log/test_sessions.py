"""The sessions that were here when the server last stopped: what the file says, and what it is worth."""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chat.log.entries import Presence, join, leave, rename
from chat.log.sessions import HELD_SECONDS, RETRY_SECONDS, SPARE_LINES, SessionFile

ALICE, BOB = "a" * 32, "b" * 32

Start = Callable[[], SessionFile]


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.txt.sessions"


@pytest.fixture
def start(path: Path, clock: Clock) -> Iterator[Start]:
    """Opens the file, like a server that starts; the one before it has crashed."""
    started: list[SessionFile] = []

    def start_() -> SessionFile:
        if started:
            started[-1].close()  # as the system does at a crash
        started.append(SessionFile(path, clock))
        return started[-1]

    yield start_
    for sessions in started:
        sessions.close()


def presence(name: str, session: str) -> Presence:
    return Presence(name, name, "10.0.0.1", session=session)


def test_a_name_is_held_for_its_session(start: Start, clock: Clock) -> None:  # R16
    start().note([join(presence("Alice", ALICE))])
    sessions = start()
    assert sessions.held("ＡLICE", BOB) == HELD_SECONDS
    assert sessions.held("alice", "") == HELD_SECONDS
    assert sessions.held("alice", ALICE) == 0
    assert sessions.held("bob", BOB) == 0
    assert sessions.remembers(ALICE)
    assert not sessions.remembers(BOB)
    clock.now += HELD_SECONDS - 10
    assert sessions.held("alice", "") == 10
    clock.now += 10
    assert sessions.held("alice", "") == 0
    assert not sessions.remembers(ALICE)


def test_nobody_is_held_who_had_left_or_taken_another_name(start: Start) -> None:
    first, second, alice = start(), presence("bob", BOB), presence("alice", ALICE)
    first.note([join(second), leave(second, "exit"), join(alice), rename(alice, "alicia")])
    sessions = start()
    assert [name for name in ("bob", "alice", "alicia") if sessions.held(name, "")] == ["alicia"]


def test_a_name_is_held_for_the_last_of_several_who_had_it(start: Start) -> None:
    alice, bob = presence("alice", ALICE), presence("alice", BOB)
    start().note([join(alice), leave(alice, "exit"), join(bob)])
    sessions = start()
    assert sessions.held("alice", ALICE)
    assert not sessions.held("alice", BOB)


def test_who_has_no_session_is_not_noted(path: Path, start: Start) -> None:
    start().note([join(presence("alice", ""))])
    assert not path.exists()


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_a_session_that_comes_back_holds_no_other_name(name: str, start: Start) -> None:
    start().note([join(presence("alice", ALICE))])
    sessions = start()
    again = presence(name, ALICE)
    sessions.note([join(again)])
    assert not sessions.held("alice", "")
    sessions.note([leave(again, "exit")])
    assert not start().held(name, "")


def test_who_has_not_come_back_yet_is_held_after_another_restart(start: Start) -> None:
    start().note([join(presence("alice", ALICE))])
    start().note([join(presence("bob", BOB))])
    sessions = start()
    assert sessions.held("alice", "")
    assert sessions.held("bob", "")


def test_who_never_came_back_is_forgotten(start: Start, clock: Clock) -> None:
    start().note([join(presence("alice", ALICE))])
    sessions = start()
    clock.now += HELD_SECONDS
    sessions.note([])
    assert not start().held("alice", "")


def test_the_file_does_not_grow_with_those_who_come_and_go(path: Path, start: Start) -> None:
    sessions, alice, bob = start(), presence("alice", ALICE), presence("bob", BOB)
    sessions.note([join(alice)])
    for _ in range(SPARE_LINES * 2):
        sessions.note([join(bob), leave(bob, "exit")])
    assert path.read_bytes().count(b"\n") <= SPARE_LINES + 10
    sessions = start()
    assert sessions.held("alice", "")
    assert not sessions.held("bob", "")


@pytest.mark.skipif(sys.platform == "win32", reason="no file modes")
def test_it_is_for_the_host_alone_whatever_was_there(path: Path, start: Start, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    path.symlink_to(victim)
    path.with_name(path.name + ".new").symlink_to(victim)
    start().note([join(presence("alice", ALICE))])
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600
    assert victim.read_text() == "untouched"


@pytest.mark.parametrize(
    "damage", [b"\xff\x00\n", b"no session\n", b"c" * 32 + b"\tcar", b"x" * 10_000, b"\n\n", b"\tname\n"]
)
def test_a_damaged_file_costs_only_what_is_damaged(
    damage: bytes, path: Path, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    start().note([join(presence("alice", ALICE))])
    with path.open("ab") as file:
        file.write(damage)
    sessions = start()
    assert sessions.held("alice", "")
    assert not sessions.held("car", "")
    assert f"{path.name} is damaged" in caplog.text
    caplog.clear()
    sessions.note([join(presence("bob", BOB))])
    sessions = start()
    assert sessions.held("alice", "")
    assert sessions.held("bob", "")
    assert not caplog.text


def test_a_huge_file_is_not_read(path: Path, start: Start, caplog: pytest.LogCaptureFixture) -> None:
    with path.open("wb") as file:
        file.truncate(10**12)
    assert not start().held("alice", "")
    assert "is damaged" in caplog.text


def test_what_can_not_be_written_is_told_once_and_tried_again(
    path: Path, start: Start, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    sessions, in_the_way = start(), path.with_name(path.name + ".new")
    in_the_way.mkdir()
    sessions.note([join(presence("alice", ALICE))])
    sessions.note([join(presence("bob", BOB))])
    assert len(caplog.records) == 1
    in_the_way.rmdir()
    clock.now += RETRY_SECONDS
    sessions.note([join(presence("carol", "c" * 32))])
    sessions = start()
    assert all(sessions.held(name, "") for name in ("alice", "bob", "carol"))
