"""The house: the room together with what the host decides, its rules, bans and passwords; and who asks.

A command is done for a Speaker in a House. A speaker is a member of the room, or the host at the console.
"""

from __future__ import annotations

import collections
import hmac
import logging
import threading
import time
from dataclasses import dataclass, field
from typing import Protocol

from chat import record
from chat.bans import Bans
from chat.delivery import Listener
from chat.room import Member, Room
from chat.statistics import Statistics

WRONG_TRY_SECONDS = 1.0  # what a wrong password costs
WRONG_TRIES = 6  # in a minute, from one address: this one ends the connection
MINUTE = 60.0
TOO_MANY = "Too many wrong passwords came from your address; wait a minute and connect again."

log = logging.getLogger("chat.house")


class CommandError(Exception):
    """A command can't be done. The message is one sentence for the person: what is wrong and what to do."""


class Leave(Exception):
    """The speaker leaves."""


class Expelled(Exception):
    """The speaker has to leave. The message is one sentence for the person."""


class Speaker(Protocol):
    """Who gives a command."""

    @property
    def name(self) -> str:
        """As records have it."""

    @property
    def address(self) -> str:
        """As records have it."""

    @property
    def admin(self) -> bool:
        """Whether it may do what only admins may."""

    @property
    def member(self) -> Member | None:
        """The member that it is; None for the host."""

    @property
    def listener(self) -> Listener:
        """What hears for it: there it is told what can't be stored."""

    @property
    def slash(self) -> str:
        """What stands in front of its commands."""

    def answer(self, drafts: bytes) -> None:
        """Tell it something, and nobody else."""


@dataclass(frozen=True)
class Rules:
    """What the host asks of everybody."""

    rate: float = 10  # lines per second, 0 = any number
    password: str = ""
    admin_password: str = ""


@dataclass
class House:
    """A room with its rules. `muted` are keys of names (record.name_key), and tokens of sessions."""

    room: Room
    rules: Rules
    bans: Bans
    wrong_tries: WrongTries = field(default_factory=lambda: WrongTries())
    statistics: Statistics = field(init=False)
    muted: set[str] = field(default_factory=set)
    host: Speaker | None = None  # where there is a console

    def __post_init__(self) -> None:
        self.statistics = Statistics(self.room.history.path)

    def notice(self, text: str) -> None:
        """Put on record what the host or an admin did."""
        self.room.say(None, record.draft(record.NOBODY, "server", "notice", record.shorten(text)))


class WrongTries:
    """Counts wrong passwords by address, so that guessing is slow. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the times
        self._times: dict[str, collections.deque[float]] = {}

    def check(self, address: str, said: str, password: str, ending: threading.Event) -> None:
        """Return if what was said is the password.

        Raises CommandError after a second if not, Expelled where there were too many wrong tries in a minute.
        """
        if self._count(address) > WRONG_TRIES:
            raise Expelled(TOO_MANY)
        if hmac.compare_digest(said.encode(), password.encode()):
            self._take_back(address)
            return
        log.warning("%s sent a wrong password", address)
        ending.wait(WRONG_TRY_SECONDS)
        if self._recent(address) >= WRONG_TRIES:
            raise Expelled(TOO_MANY)
        raise CommandError("That is not the password; ask the host for it.")

    def _count(self, address: str) -> int:
        """Count a try as wrong before it is looked at, so that tries at the same time don't slip through."""
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
