"""Limits on guessing passwords."""

from __future__ import annotations

import contextlib
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
        LoginThrottle().check(limits.PASSWORD, "10.0.0.1", "sesame", PASSWORD, ended)
    assert waited == [limits.WRONG_TRY_SECONDS]


def test_too_many_wrong_tries_from_one_address_disconnect(
    ended: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:  # R20
    now = [1000.0]
    monkeypatch.setattr("chat.service.limits.time.monotonic", lambda: now[0])
    throttle = LoginThrottle()
    for _ in range(WRONG_TRIES - 1):
        with pytest.raises(CommandError):
            throttle.check(limits.PASSWORD, "10.0.0.1", "wrong", PASSWORD, ended)
    for guess in ("wrong", "wrong", PASSWORD):
        with pytest.raises(Disconnect):
            throttle.check(limits.PASSWORD, "10.0.0.1", guess, PASSWORD, ended)
    throttle.check(limits.PASSWORD, "10.0.0.2", PASSWORD, PASSWORD, ended)
    now[0] += limits.MINUTE + 1
    throttle.check(limits.PASSWORD, "10.0.0.1", PASSWORD, PASSWORD, ended)


def test_the_right_password_is_not_counted(ended: threading.Event) -> None:
    throttle = LoginThrottle()
    for _ in range(2 * WRONG_TRIES):
        throttle.check(limits.PASSWORD, "10.0.0.1", PASSWORD, PASSWORD, ended)
    with pytest.raises(CommandError):
        throttle.check(limits.PASSWORD, "10.0.0.1", "wrong", PASSWORD, ended)


def test_simultaneous_tries_are_limited_as_well() -> None:
    throttle, told = LoginThrottle(), []
    all_looked_at = threading.Barrier(WRONG_TRIES)

    class Ended(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            all_looked_at.wait(DEADLINE)
            return True

    def guess() -> None:
        try:
            throttle.check(limits.PASSWORD, "10.0.0.1", "wrong", PASSWORD, Ended())
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
    throttle.check(limits.PASSWORD, "10.9.9.9", "secret", "secret", ended)

    def guesses(networks: int) -> int:
        tried = 0
        for number in range(networks * 10):
            address = f"2001:db8:0:{number % networks:x}::{number:x}"
            try:
                throttle.check(limits.PASSWORD, address, "guess", "secret", ended)
            except CommandError:
                tried += 1
            except Disconnect as disconnect:
                tried += disconnect.sentence != limits.TOO_MANY
        return tried

    assert guesses(400) <= 400 + limits.ALL_TRIES
    throttle.check(limits.PASSWORD, "10.0.0.1", "secret", "secret", ended)  # those who know it need one try
    for _ in range(limits.WRONG_TRIES - 1):  # and those who have known it may mistype it
        with pytest.raises(CommandError):
            throttle.check(limits.PASSWORD, "10.9.9.9", "secert", "secret", ended)
    throttle.check(limits.PASSWORD, "10.9.9.9", "secret", "secret", ended)
    now[0] += limits.MINUTE + 1
    for _ in range(limits.WRONG_TRIES - 1):
        with pytest.raises(CommandError):
            throttle.check(limits.PASSWORD, "10.0.0.2", "guess", "secret", ended)


def lock_out(throttle: LoginThrottle, what: str, addresses: list[str], ended: threading.Event) -> None:
    """Guess from these addresses for as long as it goes."""
    for address in addresses:
        with contextlib.suppress(Disconnect):
            while True:
                with contextlib.suppress(CommandError):
                    throttle.check(what, address, "guess", "secret", ended)


def test_nobody_is_locked_out_of_a_name_by_the_guesses_of_others(ended: threading.Event) -> None:  # R77
    """From strange addresses the owner has one try; from where she has been, as many as ever."""
    throttle = LoginThrottle()
    throttle.check("alice", "10.9.9.9", "secret", "secret", ended)
    lock_out(throttle, "alice", [f"10.0.0.{number}" for number in range(30)], ended)
    throttle.check("alice", "10.8.8.8", "secret", "secret", ended)
    with pytest.raises(CommandError):
        throttle.check("alice", "10.9.9.9", "mistyped", "secret", ended)
    throttle.check("alice", "10.9.9.9", "secret", "secret", ended)


def test_a_neighbour_in_the_same_network_locks_nobody_out(ended: threading.Event) -> None:
    """On a LAN all IPv6 addresses may be of one /64."""
    throttle = LoginThrottle()
    throttle.check("alice", "2001:db8::a", "secret", "secret", ended)
    throttle.check(limits.PASSWORD, "2001:db8::a", "secret", "secret", ended)
    lock_out(throttle, "alice", ["2001:db8::bad"], ended)
    throttle.check("alice", "2001:db8::a", "secret", "secret", ended)
    throttle.check(limits.PASSWORD, "2001:db8::a", "secret", "secret", ended)


def test_who_knows_one_secret_has_no_more_tries_at_another(ended: threading.Event) -> None:
    """An IPv6 network has any number of addresses to know the room's password from."""
    throttle, tried = LoginThrottle(), 0
    addresses = [f"2001:db8::{number:x}" for number in range(50)]
    for address in addresses:
        throttle.check(limits.PASSWORD, address, "secret", "secret", ended)
        throttle.check("mallory", address, "secret", "secret", ended)
    for address in addresses:
        for what in (limits.ADMIN, "alice"):
            try:
                throttle.check(what, address, "guess", "secret", ended)
            except CommandError:
                tried += 1
            except Disconnect:
                pass
    assert tried < WRONG_TRIES
