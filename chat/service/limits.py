"""Limits on guessing passwords."""

from __future__ import annotations

import collections
import functools
import hmac
import logging
import threading
import time
from collections.abc import Callable

from chat.room.ending import EXPELLED
from chat.service.budget import network_of
from chat.service.policy import CommandError, Disconnect

WRONG_TRY_SECONDS = 1.0  # R20: the cost of a wrong password
WRONG_TRIES = 6  # R20: within a minute, from one address; this one ends the connection
ALL_TRIES = 60  # of one secret, within a minute, from all addresses; beyond it each has one, not WRONG_TRIES
# The secrets that are not of a name.
PASSWORD, ADMIN, TOKEN = "/password", "/admin", "/token"
# The addresses that are remembered for having known a secret: of everybody in a room, of the owner of a name.
PASSWORD_ADDRESSES, NAME_ADDRESSES = 10_000, 10
REGISTRATIONS = 10  # of names, within an hour, from one address
MINUTE, HOUR = 60.0, 3600.0
TOO_MANY = "Too many wrong passwords from your address; wait a minute and connect again."

log = logging.getLogger("chat.service.limits")


class Tries:
    """Counts tries by key: at most `most` within `seconds`. Thread-safe."""

    def __init__(self, most: int, seconds: float) -> None:
        self.most = most
        self._seconds = seconds
        self._lock = threading.Lock()  # guards the times
        self._times: dict[str, collections.deque[float]] = {}
        self._forget_at = 0.0

    def take(self, key: str, most: int | None = None) -> bool:
        """Count one more. False, without counting it, if there were `most` already."""
        now = time.monotonic()
        with self._lock:
            self._forget(now)
            times = self._times.setdefault(key, collections.deque())
            self._expire(times, now)
            if len(times) >= (self.most if most is None else most):
                return False
            times.append(now)
            return True

    def give_back(self, key: str) -> None:
        """Take the last one back."""
        with self._lock:
            if times := self._times.get(key):
                times.pop()

    def left(self, key: str) -> bool:
        """Whether one more would be counted."""
        with self._lock:
            times = self._times.get(key, collections.deque())
            self._expire(times, time.monotonic())
            return len(times) < self.most

    # ----- requires holding the lock

    def _forget(self, now: float) -> None:
        """Forget keys that are as good as new, now and then: there may be many."""
        if now >= self._forget_at:
            self._forget_at = now + self._seconds / 10
            for times in self._times.values():
                self._expire(times, now)
            self._times = {key: times for key, times in self._times.items() if times}

    def _expire(self, times: collections.deque[float], now: float) -> None:
        while times and times[0] < now - self._seconds:
            times.popleft()


class LoginThrottle:
    """Slows down guessing passwords, tokens, and the secrets of names. Thread-safe."""

    def __init__(self) -> None:
        self._by_source = Tries(WRONG_TRIES, MINUTE)
        self._by_secret = Tries(ALL_TRIES, MINUTE)
        self._lock = threading.Lock()  # guards changes of the next one
        # Where each secret was known before: addresses, oldest first.
        self._knowing: dict[str, dict[str, None]] = {}

    def check(self, what: str, address: str, said: str, password: str, ended: threading.Event) -> None:
        """Return if `said` is the password `what`: PASSWORD or ADMIN.

        If not, raises CommandError after a second, or Disconnect after too many wrong tries within a minute.
        """
        is_right = functools.partial(hmac.compare_digest, said.encode(), password.encode())
        self.attempt(what, address, is_right, ended, "That is not the password; ask the host for it.")

    def attempt(
        self, what: str, address: str, is_right: Callable[[], bool], ended: threading.Event, wrong: str
    ) -> None:
        """Return if `is_right()`; if not, like `check`, with the sentence `wrong`.

        `what` is the secret that is tried: one of the constants, or the name of its owner.

        Many wrong tries from all addresses leave each with a single try a minute: enough for whoever knows
        the secret. Where it was known before, that does not apply, nor do the tries of neighbours count: so
        nobody can lock others out by guessing.
        """
        known = address in self._knowing.get(what, ())
        source = f"{address} {what}" if known else network_of(address)
        hurried = not known and not self._by_secret.left(what)
        # A try counts as wrong before it is checked, so that simultaneous ones can't slip through.
        if not self._by_source.take(source, 1 if hurried else None):
            raise Disconnect(EXPELLED, TOO_MANY)
        right = None
        try:
            right = is_right()
        finally:
            if right is not False:  # it is right, or could not be checked
                self._by_source.give_back(source)
        if right:
            self._remember(what, address)
            return
        self._by_secret.take(what)
        log.warning("%s sent a wrong password", address)
        ended.wait(WRONG_TRY_SECONDS)
        if not self._by_source.left(source):
            raise Disconnect(EXPELLED, TOO_MANY)
        raise CommandError(wrong)

    def _remember(self, what: str, address: str) -> None:
        with self._lock:
            addresses = self._knowing.setdefault(what, {})
            addresses[address] = None
            if len(addresses) > (PASSWORD_ADDRESSES if what in (PASSWORD, ADMIN, TOKEN) else NAME_ADDRESSES):
                del addresses[next(iter(addresses))]
