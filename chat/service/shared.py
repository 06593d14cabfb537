"""State shared by the servers of a cluster, in tables of their log: bans, mutes, names, who is away.

The server where something is decided applies it before sharing it; the others apply it when it reaches them
in the log. A server that was away, or is new, gets all of it when it starts.
"""

from __future__ import annotations

import logging
import threading

from chat import private, record
from chat.log.entries import Change, Direct, Entry, Join, Presence, Rename
from chat.room.broadcaster import Closed, Refused
from chat.room.ending import BANNED
from chat.service.accounts import Account
from chat.service.bans import BadTarget, Ban, ban_of_line
from chat.service.policy import answer
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
            case Join(_, who):
                _look_for_kept(service, who, who.name)
            case Rename(_, who, name):
                _look_for_kept(service, who, name)
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


def _look_for_kept(service: Service, who: Presence, name: str) -> None:
    """Somebody has a name at another server, to whom messages may belong that are kept here."""
    account = service.accounts.owner(name)
    if account and record.name_key(account.name) == record.name_key(name):
        threading.Thread(target=_send_kept, args=(service, account, who), name="kept", daemon=True).start()


def _send_kept(service: Service, account: Account, owner: Presence) -> None:
    """Send the owner what is kept here. The thread ends when the log has it, or won't take it."""
    try:
        kept = service.mailbox.hand_over(account)
        messages = [*kept.again, *kept.new]
        if messages:
            introduction = answer(
                "/kept", f"Sent to you while you were out, at another server: {len(messages)}."
            )
            drafts = [
                record.draft(sent.address, sent.name, sent.kind, record.shorten(f"{sent.time} {sent.text}"))
                for sent in messages
            ]
            service.room.send_elsewhere(owner, introduction + b"".join(drafts))
            service.mailbox.received(account)
    except (Refused, Closed):
        pass  # it stays, for the next time
    except (OSError, private.Exposed) as error:
        log.error("what is kept for %s can't be handed over: %s", account.name, error)


def _note_correspondent(service: Service, drafts: bytes, recipient: str) -> None:
    """/reply answers by name, since the sender is at another server."""
    *_, (_, _, name, _, _) = [line.split("\t") for line in drafts.decode().split("\n")[:-1]]
    for member in service.room.members():
        if member.presence.id == recipient:
            member.correspondent = (name, None, "")
