"""What a caller may ask for. The front makes requests of what comes in; `commands.perform` performs them."""

from __future__ import annotations

from dataclasses import dataclass

from chat.room.room import Resume


@dataclass(frozen=True, slots=True)
class Speak:
    """Say these lines: clean texts, each ended by LF."""

    lines: bytes


@dataclass(frozen=True, slots=True)
class Command:
    """Do this: a command's name as it was typed, and what stands after it."""

    name: str
    argument: str


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line was too long to be held; it was skipped."""


Request = Speak | Command | TooLong


# ----- before the caller is in the room


@dataclass(frozen=True, slots=True)
class Password:
    """The password of the room, as somebody sent it."""

    secret: str


@dataclass(frozen=True, slots=True)
class Join:
    """Come in under this name, which is well-formed.

    `replay`: how many records to see, None = all. `wants_session`: to be able to resume. `resume`: where an
    earlier connection of the session was cut off.
    """

    name: str
    replay: int | None
    wants_session: bool
    resume: Resume | None
    secret: str = ""  # that proves that the name is theirs, where it is registered


@dataclass(frozen=True, slots=True)
class Noted:
    """An option for the join; there is nothing to do yet."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """The line can't be understood; the sentence says what to send."""

    sentence: str


@dataclass(frozen=True, slots=True)
class Quit:
    """The client gives up before it is in."""


LoginRequest = Password | Join | Noted | Refuse | Quit
