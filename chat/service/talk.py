"""Commands for talking: messages, actions, private messages, names, being away."""

from __future__ import annotations

from collections.abc import Iterator

from chat import record
from chat.log.entries import Presence
from chat.room.broadcaster import Full, Refused
from chat.room.delivery import Listener
from chat.room.room import NameTaken
from chat.service import ownership
from chat.service.moderation import refusal
from chat.service.policy import Caller, CommandError, answer, member_of
from chat.service.service import Service, check_size
from chat.service.shared import AWAY, share

AWAY_BYTES = 256  # of a text that is shown in a list


def say(service: Service, caller: Caller, argument: str) -> None:
    """`say TEXT`: a message that looks like a command; a notice if the host says it."""
    service.speak(caller, "message" if caller.member else "notice", argument.encode() + b"\n")


def me(service: Service, caller: Caller, argument: str) -> None:
    """`me ACTION`."""
    service.speak(caller, "action", argument.encode() + b"\n")


def nick(service: Service, caller: Caller, argument: str) -> Iterator[bytes] | None:
    """`nick NAME`: take another name; its owner gets what was kept for them."""
    member = member_of(caller)
    try:
        name = record.clean_name(argument)
    except record.BadName as bad:
        raise CommandError(str(bad)) from None
    if name == member.name:
        raise CommandError(f"You are {name} already.")
    if ban := service.bans.of_name(name):
        raise CommandError(refusal(ban))
    account = ownership.prove(
        service, name, member.secret, member.address, member.ended, member.token, member.account
    )
    try:
        service.room.rename(member, name)
    except NameTaken:
        raise CommandError(f"The name {name} is taken; try another.") from None
    except Refused as refused:
        raise CommandError(str(refused)) from None
    member.account = account
    kept = ownership.kept_for(service, member)
    return iter([kept]) if kept else None


def msg(service: Service, caller: Caller, argument: str) -> Iterator[bytes]:
    """`msg NAME TEXT`: a private message."""
    name, _, text = argument.partition(" ")
    if not text.strip(" "):
        raise CommandError(f"The text is missing; type {caller.slash}msg NAME TEXT.")
    return iter([_send_private(service, caller, name, text.strip(" "))])


def reply(service: Service, caller: Caller, argument: str) -> Iterator[bytes]:
    """`reply TEXT`: answer the last private message."""
    name, correspondent, token = member_of(caller).correspondent
    if not name:
        raise CommandError("Nobody has sent you a private message yet; send one with /msg NAME TEXT.")
    if correspondent:
        name = correspondent.name  # it may have changed, and somebody else may have this one
        now = service.room.find(name)
        if not now or (now.presence is not correspondent and (not token or now.token != token)):
            raise CommandError(f"{name} has left; /msg {name} TEXT sends to whoever has the name now.")
    return iter([_send_private(service, caller, name, argument)])


def away(service: Service, caller: Caller, argument: str) -> Iterator[bytes]:
    """`away [TEXT]`: mark yourself as away."""
    presence = member_of(caller).presence
    presence.away = record.shorten(argument, AWAY_BYTES)
    share(service, AWAY, presence.id, f"+{presence.away}")
    return iter([answer("/away", "You are marked as away; /back ends that.")])


def back(service: Service, caller: Caller, argument: str) -> Iterator[bytes]:
    """`back`: no longer be away."""
    presence = member_of(caller).presence
    if presence.away is None:
        raise CommandError("You were not away.")
    presence.away = None
    share(service, AWAY, presence.id, "")
    return iter([answer("/back", "Welcome back.")])


def _send_private(service: Service, caller: Caller, name: str, text: str) -> bytes:
    """Send the text to whoever has this name; the author gets a copy as the acknowledgement (R30)."""
    other = service.room.find(name)
    listener: Listener | None = other
    if other:
        name = other.name
    elif service.host and record.name_key(name) == service.host.name:
        name, listener = service.host.name, service.host.listener
    elsewhere = None if listener else service.room.elsewhere(name)
    name = elsewhere.name if elsewhere else name
    copy = f"to {name}: {text}"
    check_size(len(copy.encode()))
    if elsewhere:
        try:
            service.room.send_elsewhere(elsewhere, record.draft(caller.address, caller.name, "/msg", text))
        except Refused as refused:
            raise CommandError(f"Not sent: {refused}") from None
        return record.draft(caller.address, caller.name, "/msg", copy) + _away_note(elsewhere)
    if listener is None and (account := ownership.keep(service, caller, name, text)):
        return record.draft(caller.address, caller.name, "/msg", f"kept for {account.name}: {text}")
    if listener is None:
        raise CommandError(f"Nobody here is called {name}; {caller.slash}users lists who is here.")
    try:
        service.room.send_direct(listener, record.draft(caller.address, caller.name, "/msg", text))
    except Full:
        raise CommandError(f"Not sent: {name} is not reading; try again later.") from None
    if other:
        member = caller.member
        presence, token = (member.presence, member.token) if member else (None, "")
        other.correspondent = (caller.name, presence, token)
    sent = record.draft(caller.address, caller.name, "/msg", copy)
    return sent + _away_note(other.presence) if other else sent


def _away_note(presence: Presence) -> bytes:
    """What the author of a private message should know: that it may take a while to be read (R30)."""
    if presence.away is None:
        return b""
    return answer("/note", f"{presence.name} is away: {presence.away}".removesuffix(": "))
