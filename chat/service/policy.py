"""The host's policy, the callers of commands, and the two ways a request can fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from chat import record
from chat.room.delivery import Listener
from chat.room.ending import Ending
from chat.room.room import Member
from chat.service.budget import UNLIMITED, Account


class CommandError(Exception):
    """A request can't be performed. The message is a sentence for the person: what is wrong, what to do."""


class Disconnect(Exception):
    """The caller's connection ends with this ending; `sentence`, if any, is for the person."""

    def __init__(self, ending: Ending, sentence: str = "") -> None:
        super().__init__(sentence)
        self.ending = ending
        self.sentence = sentence


@dataclass(frozen=True)
class Policy:
    """The host's settings."""

    rate: float = 10  # lines per second, 0 = any number
    password: str = ""
    admin_password: str = ""


class Caller(Protocol):
    """Who makes a request."""

    @property
    def name(self) -> str:
        """As in records."""

    @property
    def address(self) -> str:
        """As in records."""

    @property
    def admin(self) -> bool:
        """Whether it may use the commands for admins."""

    @property
    def member(self) -> Member | None:
        """The member that it is; None for the host."""

    @property
    def listener(self) -> Listener:
        """Where it gets the errors for what could not be committed."""

    @property
    def account(self) -> Account:
        """The account that its requests are charged to."""

    @property
    def slash(self) -> str:
        """The prefix of its commands."""


@dataclass(frozen=True, slots=True)
class MemberCaller:
    """A member of the room."""

    member: Member
    account: Account = UNLIMITED

    @property
    def slash(self) -> str:
        return "/"

    @property
    def listener(self) -> Member:
        return self.member

    @property
    def name(self) -> str:
        return self.member.name

    @property
    def address(self) -> str:
        return self.member.address

    @property
    def admin(self) -> bool:
        return self.member.admin


@dataclass(frozen=True)
class HostCaller:
    """The host at the console."""

    listener: Listener
    name = "host"
    address = record.NOBODY
    admin = True
    member = None
    account = UNLIMITED
    slash = ""


def member_of(caller: Caller) -> Member:
    """The caller of a command that is for members."""
    assert caller.member
    return caller.member


def answer(kind: str, text: str) -> bytes:
    """The draft of a direct record from the server (R12)."""
    return record.draft(record.NOBODY, "server", kind, record.shorten(text))


def error(why: str) -> bytes:
    """The draft of a `/error`."""
    return answer("/error", why)
