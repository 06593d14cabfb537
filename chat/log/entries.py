"""Entries: what is proposed to the log, as pure data. The log orders them and decides their fate."""

from __future__ import annotations

from dataclasses import dataclass

from chat import record


@dataclass(slots=True)
class Presence:
    """Somebody in the room, as the log knows them. `since` is the time of their join, "" before it.

    `session` is the name by which a TakeOver refers to them; "" if they can't be taken over. `away` is the
    text of somebody who is.
    """

    id: str
    name: str
    address: str
    since: str = ""
    session: str = ""
    away: str | None = None


@dataclass(slots=True, eq=False)
class Entry:
    """Drafts of records that are committed together."""

    drafts: bytes


@dataclass(slots=True, eq=False)
class Append(Entry):
    """What was said, by the presence with the id `author`; "" is the server.

    `retry`: nobody would repeat it, so if it fails it is written with the next append.
    """

    author: str = ""
    retry: bool = False


@dataclass(slots=True, eq=False)
class Stop(Append):
    """The server stops, and says so."""


@dataclass(slots=True, eq=False)
class Join(Entry):
    """Somebody joins. Refused if the name is taken."""

    presence: Presence


@dataclass(slots=True, eq=False)
class Rename(Entry):
    """Somebody takes another name. Refused if it is taken."""

    presence: Presence
    name: str


@dataclass(slots=True, eq=False)
class Leave(Entry):
    """Somebody leaves. Never refused: if it can't be written now, it is written with the next append."""

    presence: Presence
    reason: str


@dataclass(slots=True, eq=False)
class Clear(Entry):
    """A new history starts. The log writes the record itself, so there are no drafts."""

    address: str
    name: str


@dataclass(slots=True, eq=False)
class Direct(Entry):
    """Direct records for somebody at another server. Refused if they are not here."""

    recipient: str


@dataclass(slots=True, eq=False)
class Change(Entry):
    """A value of a table that all servers share, such as a ban; "" removes the key. It has no drafts."""

    table: str
    key: str
    value: str


@dataclass(slots=True, eq=False)
class TakeOver(Entry):
    """Whoever has this session leaves, at whichever server; the log writes the record itself."""

    session: str


def join(presence: Presence) -> Join:
    """The entry for somebody who joins."""
    return Join(record.draft(presence.address, presence.name, "join"), presence)


def rename(presence: Presence, name: str) -> Rename:
    """The entry for somebody who takes another name."""
    return Rename(record.draft(presence.address, presence.name, "rename", name), presence, name)


def leave(presence: Presence, why: str) -> Leave:
    """The entry for somebody who leaves."""
    return Leave(record.draft(presence.address, presence.name, "leave", why), presence, why)


def clear(address: str, name: str) -> Clear:
    """The entry that clears the history."""
    return Clear(b"", address, name)
