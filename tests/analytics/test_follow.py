"""A history that goes on: only what is new is read, and nothing is missed or counted twice."""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from analytics import follow
from analytics.follow import Followed, shown
from tests.analytics.histories import line
from tests.terminal import Terminal

NOW = datetime(2026, 11, 21, 10, 59, 30, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "history.txt"
    path.write_bytes(
        line("09:00", "alice", "join")
        + line("09:01", "bob", "join")
        + line("09:59", "alice", text="too early")
        + line("10:00", "alice", text="in time")
        + line("10:59", "bob", text="now")
    )
    return path


def state(followed: Followed) -> tuple[int, dict[str, int], set[str], int]:
    followed.forget(NOW)
    return followed.messages, dict(followed.by_name), set(followed.online), sum(followed.last_hour(NOW))


def test_what_is_there_and_what_comes(path: Path) -> None:
    followed = Followed(path)
    assert followed.look()
    assert state(followed) == (3, {"alice": 2, "bob": 1}, {"alice", "bob"}, 2)
    assert not followed.look()
    with path.open("ab") as file:
        file.write(line("10:59:10", "bob", "rename", "rob") + line("10:59:11", "rob", "action", "x")[:-2])
    assert followed.look()
    assert state(followed)[0] == 3  # a line without its end is not there yet
    with path.open("ab") as file:
        file.write(b"x\n" + line("10:59:12", "alice", "leave"))
    followed.look()
    assert state(followed) == (4, {"alice": 2, "bob": 1, "rob": 1}, {"rob"}, 3)


@pytest.mark.parametrize("stretch", [1, 50, 70, 1000])
def test_the_end_first_and_the_rest_behind_it(
    path: Path, stretch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Followed(path)
    whole.look()
    monkeypatch.setattr(follow, "STRETCH", stretch)
    followed = Followed(path)
    followed.look()
    for _ in range(1000):
        if not followed.backward():
            break
    assert followed.complete
    assert state(followed) == state(whole)


def test_a_cleared_history_begins_anew_and_nobody_has_left(path: Path) -> None:
    followed = Followed(path)
    followed.look()
    path.rename(path.with_name("history.cleared.txt"))
    path.write_bytes(line("10:59:20", "bob", "clear") + line("10:59:21", "bob", text="clean"))
    assert followed.look()
    assert state(followed) == (1, {"bob": 1}, {"alice", "bob"}, 1)


def test_another_file_in_its_place(path: Path) -> None:
    followed = Followed(path)
    followed.look()
    other = line("10:30", "eve", "join") + line("10:31", "eve", text="x" * 400) * 3
    path.write_bytes(other)  # the same file, written anew, and longer
    assert followed.look()
    assert state(followed) == (3, {"eve": 3}, {"eve"}, 3)
    path.unlink()
    assert followed.look()
    assert state(followed) == (0, {}, set(), 0)


def test_nothing_steers_the_terminal(path: Path) -> None:
    path.write_bytes(line("10:59", "\x1b[31mred"))
    followed = Followed(path)
    followed.look()
    console = Console(width=60, record=True, file=io.StringIO())
    console.print(shown(followed, NOW, UTC, 60))
    text = console.export_text()
    assert "\x1b" not in text
    assert "\ufffd[31mred" in text


def test_in_a_terminal(path: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "analytics", str(path), "--follow"]
    with Terminal(tmp_path, command, columns=80, rows=24) as terminal:
        terminal.shows("In all")
        time = datetime.now(UTC).isoformat(timespec="milliseconds")[:23]
        with path.open("ab") as file:
            file.write(f"{time}Z\t10.0.0.9\tzoe\tmessage\thello\n".encode())
        terminal.shows("zoe")
        terminal.type("\x03")
        assert terminal.ends() == 130
