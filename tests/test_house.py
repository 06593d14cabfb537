"""The house: how often a password may be guessed, and what it puts on record."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from chat import house, record
from chat.bans import Bans
from chat.house import WRONG_TRIES, CommandError, Expelled, House, Rules, WrongTries
from chat.room import Room
from tests.harness import DEADLINE
from tests.rooms import Ear

PASSWORD = "sésame"


@pytest.fixture
def ending() -> threading.Event:
    """Set, so that no wrong password takes its second."""
    ending = threading.Event()
    ending.set()
    return ending


def test_a_wrong_password_takes_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float | None] = []
    ending = threading.Event()
    monkeypatch.setattr(ending, "wait", waited.append)
    with pytest.raises(CommandError, match="not the password"):
        WrongTries().check("10.0.0.1", "sesame", PASSWORD, ending)
    assert waited == [house.WRONG_TRY_SECONDS]


def test_so_many_wrong_tries_in_a_minute_from_one_address(
    ending: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("chat.house.time.monotonic", lambda: now[0])
    tries = WrongTries()
    for _ in range(WRONG_TRIES - 1):
        with pytest.raises(CommandError):
            tries.check("10.0.0.1", "wrong", PASSWORD, ending)
    for guess in ("wrong", "wrong", PASSWORD):
        with pytest.raises(Expelled):
            tries.check("10.0.0.1", guess, PASSWORD, ending)
    tries.check("10.0.0.2", PASSWORD, PASSWORD, ending)
    now[0] += house.MINUTE + 1
    tries.check("10.0.0.1", PASSWORD, PASSWORD, ending)


def test_the_right_password_is_no_wrong_try(ending: threading.Event) -> None:
    tries = WrongTries()
    for _ in range(2 * WRONG_TRIES):
        tries.check("10.0.0.1", PASSWORD, PASSWORD, ending)
    with pytest.raises(CommandError):
        tries.check("10.0.0.1", "wrong", PASSWORD, ending)


def test_of_many_tries_at_the_same_time_only_so_many_are_looked_at() -> None:
    tries, told = WrongTries(), []
    all_looked_at = threading.Barrier(WRONG_TRIES)

    class Ending(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            all_looked_at.wait(DEADLINE)
            return True

    def guess() -> None:
        try:
            tries.check("10.0.0.1", "wrong", PASSWORD, Ending())
        except (CommandError, Expelled) as why:
            told.append(type(why))

    guessers = [threading.Thread(target=guess) for _ in range(5 * WRONG_TRIES)]
    for guesser in guessers:
        guesser.start()
    for guesser in guessers:
        guesser.join(DEADLINE)
    assert told == [Expelled] * len(guessers)


def test_a_notice_is_on_record_however_long_it_is(room: Room, tmp_path: Path) -> None:
    kept = House(room, Rules(), Bans(tmp_path / "bans.txt"))
    ear = Ear(room, "alice")
    kept.notice("alice muted bob")
    ear.until("alice muted bob")
    kept.notice("é" * record.TEXT_BYTES)
    said = ear.next()
    assert (said.kind, said.name, said.address) == ("notice", "server", record.NOBODY)
    assert said.text.endswith("é…")
    ear.close()
