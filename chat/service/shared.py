"""State shared by the servers of a cluster, in tables of their log: bans, mutes, names, who is away.

The server where something is decided applies it before sharing it; the others apply it when it reaches them
in the log. A server that was away, or is new, gets all of it when it starts.
"""

from __future__ import annotations

import logging

from chat import record
from chat.log.entries import Change, Direct, Entry
from chat.room.ending import BANNED
from chat.service.bans import BadTarget, Ban, ban_of_line
from chat.service.service import Service

AWAY = "away"  # key: the id of a presence; value: "+" and the text
MUTED = "muted"  # key: as in Service.muted
BANS = "bans"  # key: the ban's key; value: its line in bans.txt
NAMES = "names"  # key: the name; value: its line in names.txt

log = logging.getLogger("chat.service.shared")


def share(service: Service, table: str, key: str, value: str) -> None:
    """Tell the other servers, if there are any. Raises Closed."""
    if service.room.log.servers:
        service.room.change(table, key, value)


def mark_muted(service: Service, key: str, *, muted: bool) -> None:
    """Mute or unmute whoever has this name's key or this session, here and at the other servers."""
    _mute(service, key, muted=muted)
    share(service, MUTED, key, "1" if muted else "")


def share_ban(service: Service, ban: Ban, *, lifted: bool = False) -> None:
    """Share a ban, or that it was lifted."""
    share(service, BANS, str(ban.key), "" if lifted else ban.line)


def take(service: Service, entry: Entry) -> None:
    """Apply what another server has shared, or sent to somebody here. In the broadcaster's thread."""
    try:
        match entry:
            case Change(_, "away", key, value):
                if who := service.room.log.roster.get(key):
                    who.away = value[1:] if value else None
            case Change(_, "muted", key, value):
                _mute(service, key, muted=bool(value))
            case Change(_, "bans", key, value):
                _ban(service, key, value)
            case Change(_, "names", key, value):
                _own(service, key, value)
            case Direct(drafts, recipient):
                _note_correspondent(service, drafts, recipient)
    except OSError as error:
        log.error("a decision of another server can't be written here: %s", error.strerror)


def is_muted(service: Service, name: str, session: str) -> bool:
    """Whether somebody with this name or this session is muted."""
    return not service.muted.isdisjoint((record.name_key(name), session))


def _mute(service: Service, key: str, *, muted: bool) -> None:
    (service.muted.add if muted else service.muted.discard)(key)
    for member in service.room.members():
        if key in (record.name_key(member.name), member.presence.session):
            member.muted = muted


def _ban(service: Service, key: str, line: str) -> None:
    if not line:
        for ban in service.bans.active():
            if str(ban.key) == key:
                service.bans.remove(ban)
        return
    try:
        ban = ban_of_line(line)
    except BadTarget:
        return
    if ban not in service.bans.active():
        service.bans.add(ban)
    for member in service.room.members():
        if ban.covers_name(member.name) or ban.covers_address(member.address):
            service.room.end(member, BANNED)


def _own(service: Service, name: str, line: str) -> None:
    account = service.accounts.owner(name)
    service.accounts.replace(name, line)
    if account and account.name == name and not line:
        service.mailbox.discard(account)


def _note_correspondent(service: Service, drafts: bytes, recipient: str) -> None:
    """/reply answers by name, since the sender is at another server."""
    name = drafts.split(b"\t")[2].decode()
    for member in service.room.members():
        if member.presence.id == recipient:
            member.correspondent = (name, None, "")
