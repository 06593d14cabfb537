"""Limits on guessing passwords."""

from __future__ import annotations

import collections
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
ALL_TRIES = 60  # within a minute, from all addresses; beyond it each has one try, not WRONG_TRIES
NAME_TRIES = 60  # of secrets for one name, within a minute, from all addresses
OWNERS = 10_000  # that are remembered, with their addresses
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
    """Slows down guessing passwords and the secrets of names. Thread-safe."""

    def __init__(self) -> None:
        self._by_address = Tries(WRONG_TRIES, MINUTE)
        self._by_name = Tries(NAME_TRIES, MINUTE)
        self._by_all = Tries(ALL_TRIES, MINUTE)
        # Those who succeeded before: (name, network), oldest first; the name is "" for the password.
        self._owners: dict[tuple[str, str], None] = {}

    def check(self, address: str, said: str, password: str, ended: threading.Event) -> None:
        """Return if `said` is the password.

        If not, raises CommandError after a second, or Disconnect after too many wrong tries within a minute.
        """
        wrong = "That is not the password; ask the host for it."
        self.attempt(address, lambda: hmac.compare_digest(said.encode(), password.encode()), ended, wrong)

    def attempt(
        self, address: str, is_right: Callable[[], bool], ended: threading.Event, wrong: str, name: str = ""
    ) -> None:
        """Return if `is_right()`; if not, like `check`, with the sentence `wrong`.

        With a name, tries from all addresses together count as well, except those that its owner comes from,
        so that nobody can lock the owner out by guessing. Without one, many wrong tries from all addresses
        leave each with a single try a minute: enough for whoever knows the password.
        """
        source = network_of(address)
        # A try counts as wrong before it is checked, so that simultaneous ones can't slip through.
        known = (name, source) in self._owners
        hurried = not (name or known or self._by_all.left(""))
        if not self._by_address.take(source, 1 if hurried else None):
            raise Disconnect(EXPELLED, TOO_MANY)
        counts_by_name = bool(name) and not known
        if counts_by_name and not self._by_name.take(name):
            self._by_address.give_back(source)
            raise CommandError(f"Too many wrong secrets for {name}; try again in a minute.")
        right = None
        try:
            right = is_right()
        finally:
            if right is not False:  # it is right, or could not be checked
                self._by_address.give_back(source)
                if counts_by_name:
                    self._by_name.give_back(name)
        if right:
            self._remember_owner(name, source)
            return
        self._by_all.take("")
        log.warning("%s sent a wrong password", address)
        ended.wait(WRONG_TRY_SECONDS)
        if not self._by_address.left(source):
            raise Disconnect(EXPELLED, TOO_MANY)
        raise CommandError(wrong)

    def _remember_owner(self, name: str, source: str) -> None:
        self._owners[name, source] = None
        while len(self._owners) > OWNERS:
            self._owners.pop(next(iter(self._owners)), None)
