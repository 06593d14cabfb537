"""Limits on guessing passwords."""

from __future__ import annotations

import threading

import pytest

from chat.service import limits
from chat.service.limits import WRONG_TRIES, LoginThrottle
from chat.service.policy import CommandError, Disconnect
from tests.harness import DEADLINE

PASSWORD = "sésame"


@pytest.fixture
def ended() -> threading.Event:
    """Set, so that a wrong password doesn't take a second."""
    ended = threading.Event()
    ended.set()
    return ended


def test_a_wrong_password_takes_a_second(monkeypatch: pytest.MonkeyPatch) -> None:  # R20
    waited: list[float | None] = []
    ended = threading.Event()
    monkeypatch.setattr(ended, "wait", waited.append)
    with pytest.raises(CommandError, match="not the password"):
        LoginThrottle().check("10.0.0.1", "sesame", PASSWORD, ended)
    assert waited == [limits.WRONG_TRY_SECONDS]


def test_too_many_wrong_tries_from_one_address_disconnect(
    ended: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:  # R20
    now = [1000.0]
    monkeypatch.setattr("chat.service.limits.time.monotonic", lambda: now[0])
    throttle = LoginThrottle()
    for _ in range(WRONG_TRIES - 1):
        with pytest.raises(CommandError):
            throttle.check("10.0.0.1", "wrong", PASSWORD, ended)
    for guess in ("wrong", "wrong", PASSWORD):
        with pytest.raises(Disconnect):
            throttle.check("10.0.0.1", guess, PASSWORD, ended)
    throttle.check("10.0.0.2", PASSWORD, PASSWORD, ended)
    now[0] += limits.MINUTE + 1
    throttle.check("10.0.0.1", PASSWORD, PASSWORD, ended)


def test_the_right_password_is_not_counted(ended: threading.Event) -> None:
    throttle = LoginThrottle()
    for _ in range(2 * WRONG_TRIES):
        throttle.check("10.0.0.1", PASSWORD, PASSWORD, ended)
    with pytest.raises(CommandError):
        throttle.check("10.0.0.1", "wrong", PASSWORD, ended)


def test_simultaneous_tries_are_limited_as_well() -> None:
    throttle, told = LoginThrottle(), []
    all_looked_at = threading.Barrier(WRONG_TRIES)

    class Ended(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            all_looked_at.wait(DEADLINE)
            return True

    def guess() -> None:
        try:
            throttle.check("10.0.0.1", "wrong", PASSWORD, Ended())
        except (CommandError, Disconnect) as why:
            told.append(type(why))

    guessers = [threading.Thread(target=guess) for _ in range(5 * WRONG_TRIES)]
    for guesser in guessers:
        guesser.start()
    for guesser in guessers:
        guesser.join(DEADLINE)
    assert told == [Disconnect] * len(guessers)


def test_guesses_from_many_addresses_are_limited_and_hinder_nobody_who_knows_the_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, ended = [1000.0], threading.Event()
    ended.set()
    monkeypatch.setattr("chat.service.limits.time.monotonic", lambda: now[0])
    throttle = LoginThrottle()
    throttle.check("10.9.9.9", "secret", "secret", ended)

    def guesses(networks: int) -> int:
        tried = 0
        for number in range(networks * 10):
            try:
                throttle.check(f"2001:db8:0:{number % networks:x}::{number:x}", "guess", "secret", ended)
            except CommandError:
                tried += 1
            except Disconnect as disconnect:
                tried += disconnect.sentence != limits.TOO_MANY
        return tried

    assert guesses(400) <= 400 + limits.ALL_TRIES
    throttle.check("10.0.0.1", "secret", "secret", ended)  # those who know it need one try
    for _ in range(limits.WRONG_TRIES - 1):  # and those who have known it may mistype it
        with pytest.raises(CommandError):
            throttle.check("10.9.9.9", "secert", "secret", ended)
    throttle.check("10.9.9.9", "secret", "secret", ended)
    now[0] += limits.MINUTE + 1
    for _ in range(limits.WRONG_TRIES - 1):
        with pytest.raises(CommandError):
            throttle.check("10.0.0.2", "guess", "secret", ended)
