"""What a caller can ask for. The front turns input into requests; `commands.perform` performs them."""

from __future__ import annotations

from dataclasses import dataclass

from chat.room.room import Resume


@dataclass(frozen=True, slots=True)
class Speak:
    """Say these lines: clean texts, each ended by LF."""

    lines: bytes


@dataclass(frozen=True, slots=True)
class Command:
    """Run a command: its name as typed, and its argument."""

    name: str
    argument: str


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line was too long to be held, and was skipped."""


Request = Speak | Command | TooLong


# ----- before the caller is in the room


@dataclass(frozen=True, slots=True)
class Password:
    """A password for the room, as sent."""

    secret: str


@dataclass(frozen=True, slots=True)
class Join:
    """Join under this name, which is well-formed.

    `replay`: how many records to send, None = all. `wants_session`: a session that can be resumed.
    `resume`: where an earlier connection of the session was cut off.
    """

    name: str
    replay: int | None
    wants_session: bool
    resume: Resume | None
    secret: str = ""  # proves ownership of the name, if it is registered


@dataclass(frozen=True, slots=True)
class Noted:
    """An option for the join, which needs no action yet."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """The line is not valid; the sentence says what to send instead."""

    sentence: str


@dataclass(frozen=True, slots=True)
class TurnAway:
    """Whoever sent this speaks no protocol of lines; the sentence is the last thing to be sent."""

    sentence: str


@dataclass(frozen=True, slots=True)
class Quit:
    """The client leaves before it has joined."""


LoginRequest = Password | Join | Noted | Refuse | TurnAway | Quit
