"""The service: the room with the host's policy, bans and passwords."""

from __future__ import annotations

from dataclasses import dataclass, field

from chat import record
from chat.room.room import Room
from chat.service.accounts import Accounts
from chat.service.bans import Bans
from chat.service.budget import Budget
from chat.service.limits import HOUR, REGISTRATIONS, LoginThrottle, Tries
from chat.service.mailbox import Mailbox
from chat.service.policy import Caller, CommandError, HostCaller, Policy
from chat.service.queries import Queries
from chat.service.statistics import Statistics
from chat.service.tokens import Tokens

MUTED = "You are muted: nobody sees what you say. An admin can unmute you."


@dataclass
class Service:
    """The context in which requests are performed. Raises OSError, private.Exposed if its files can't be
    read.

    `muted` are keys of names (record.name_key), and sessions of presences.
    """

    room: Room
    policy: Policy
    bans: Bans
    budget: Budget = field(init=False)
    throttle: LoginThrottle = field(default_factory=LoginThrottle)
    registrations: Tries = field(default_factory=lambda: Tries(REGISTRATIONS, HOUR))
    queries: Queries = field(init=False)
    statistics: Statistics = field(init=False)
    accounts: Accounts = field(init=False)
    tokens: Tokens = field(init=False)
    mailbox: Mailbox = field(init=False)
    muted: set[str] = field(default_factory=set)
    host: HostCaller | None = None  # if there is a console

    def __post_init__(self) -> None:
        self.budget = Budget(self.policy.rate)
        path = self.room.history_path
        self.queries = Queries(path)
        self.statistics = Statistics(path)
        self.accounts = Accounts(path.with_name("names.txt"))
        self.tokens = Tokens(path.with_name("tokens.txt"))
        self.mailbox = Mailbox(path.with_name("kept-messages"))

    def close(self) -> None:
        """End the processes that work for it."""
        self.queries.close()
        self.statistics.close()

    def speak(self, caller: Caller, kind: str, lines: bytes) -> None:
        """Say these lines on behalf of the caller: clean texts, each ended by LF.

        Everything that members and the host say goes through here. Waits while too much is pending.
        Raises CommandError, Closed.
        """
        check_sizes(lines)
        self.room.say(caller.listener, record.draft_lines(caller.address, caller.name, kind, lines))

    def speak_for_bot(self, name: str, address: str, lines: bytes) -> str:
        """Say these lines, like `speak`, as a bot, which is nobody in the room.

        Returns once they are stored: their time. Raises CommandError, Refused, Closed.
        """
        check_sizes(lines)
        return self.room.say_and_wait(record.draft_lines(address, name, "message", lines))

    def notice(self, text: str) -> None:
        """Announce what the host or an admin did."""
        self.room.say(None, record.draft(record.NOBODY, "server", "notice", record.shorten(text)))


def require_unmuted(caller: Caller) -> None:
    """Raises CommandError if the caller is muted."""
    if caller.member and caller.member.muted:
        raise CommandError(MUTED)


def check_sizes(lines: bytes) -> None:
    """Raises CommandError if one of these lines is longer than a text can be."""
    if len(lines) > record.TEXT_BYTES:
        check_size(max(map(len, lines.split(b"\n"))))


def check_size(size: int) -> None:
    """Raises CommandError if a text has more bytes than a record can hold (R26)."""
    if size > record.TEXT_BYTES:
        raise CommandError(
            f"Not sent: a text can have at most {record.TEXT_BYTES} bytes, not {size}; send it in parts."
        )
