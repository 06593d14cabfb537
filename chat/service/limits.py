"""How often somebody may try a password."""

from __future__ import annotations

import collections
import hmac
import logging
import threading
import time

from chat.room.ending import EXPELLED
from chat.service.policy import CommandError, Disconnect

WRONG_TRY_SECONDS = 1.0  # R20: what a wrong password costs
WRONG_TRIES = 6  # R20: in a minute, from one address: this one ends the connection
MINUTE = 60.0
TOO_MANY = "Too many wrong passwords came from your address; wait a minute and connect again."

log = logging.getLogger("chat.service.limits")


class LoginThrottle:
    """Slows down the guessing of passwords: counts wrong tries by address. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the times
        self._times: dict[str, collections.deque[float]] = {}

    def check(self, address: str, said: str, password: str, ended: threading.Event) -> None:
        """Return if what was said is the password.

        If not, raises CommandError after a second, or Disconnect after too many wrong tries in a minute.
        """
        if self._count(address) > WRONG_TRIES:
            raise Disconnect(EXPELLED, TOO_MANY)
        if hmac.compare_digest(said.encode(), password.encode()):
            self._take_back(address)
            return
        log.warning("%s sent a wrong password", address)
        ended.wait(WRONG_TRY_SECONDS)
        if self._recent(address) >= WRONG_TRIES:
            raise Disconnect(EXPELLED, TOO_MANY)
        raise CommandError("That is not the password; ask the host for it.")

    def _count(self, address: str) -> int:
        """Count a try as wrong before it is checked, so that simultaneous tries don't slip through."""
        now = time.monotonic()
        with self._lock:
            self._forget(now - MINUTE)
            times = self._times.setdefault(address, collections.deque())
            if len(times) == WRONG_TRIES:
                return WRONG_TRIES + 1
            times.append(now)
            return len(times)

    def _take_back(self, address: str) -> None:
        with self._lock:
            if times := self._times.get(address):
                times.pop()

    def _recent(self, address: str) -> int:
        with self._lock:
            return len(self._times.get(address, ()))

    def _forget(self, before: float) -> None:
        """Requires holding the lock."""
        for address, times in list(self._times.items()):
            while times and times[0] < before:
                times.popleft()
            if not times:
                del self._times[address]
