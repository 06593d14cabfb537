"""Admission: the one way into the room."""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
from collections.abc import Callable

from chat import record
from chat.log.entries import Presence
from chat.room.broadcaster import Refused
from chat.room.ending import BANNED
from chat.room.room import Member, NameTaken
from chat.service import lookup, ownership
from chat.service.bans import Ban
from chat.service.budget import Account
from chat.service.limits import PASSWORD
from chat.service.moderation import refusal
from chat.service.policy import CommandError, error
from chat.service.requests import Join
from chat.service.service import Service
from chat.service.shared import is_muted

log = logging.getLogger("chat.service.admission")


def check_password(service: Service, address: str, secret: str, ended: threading.Event) -> None:
    """Return if this is the room's password, or it has none. Raises CommandError, Disconnect."""
    if service.policy.password:
        service.throttle.check(PASSWORD, address, secret, service.policy.password, ended)


def admit(
    service: Service,
    request: Join,
    address: str,
    charged: Account,
    make_member: Callable[[Presence, str], Member],
    waits: Callable[[], None] | None = None,
) -> Member:
    """Let somebody into the room. `make_member` makes a member from a presence and a session's token.

    The work of finding the start of the replay is charged to `charged`. `waits` is called, in another thread,
    if the servers let nobody in for a while; it must not block or raise.

    Raises CommandError, Closed.
    """
    if ban := _ban(service, address, request.name):
        raise CommandError(refusal(ban))
    try:
        with service.room.claimed(request.resume.token) if request.resume else contextlib.nullcontext():
            return _join(service, request, address, charged, make_member, waits)
    except TimeoutError:
        raise CommandError("Your earlier connection has not ended yet; send your name again.") from None


def _join(
    service: Service,
    request: Join,
    address: str,
    charged: Account,
    make_member: Callable[[Presence, str], Member],
    waits: Callable[[], None] | None,
) -> Member:
    """`admit`, after the check for bans. Also raises TimeoutError."""
    room = service.room
    token = _token(service, request, waits)
    if room.log.roster.find(
        request.name
    ):  # the log decides on names, but a name that is taken can be refused now
        raise CommandError(_taken(request.name))
    account = ownership.prove(service, request.name, request.secret, address, threading.Event(), token)
    member = make_member(room.presence(request.name, address, token), token)
    member.account = account
    member.muted = is_muted(service, request.name, member.presence.session)
    start = room.start(
        request.resume, lambda file: lookup.start_of_last(service, charged, file, request.replay)
    )
    first = b"" if start.exact else record.stamp(room.now(), error(NOT_THERE))
    if room.log.roster.find(request.name) is None:  # else there is no coming in
        first += ownership.kept_for(service, member)
    try:
        room.join(member, start, first, waits)
    except NameTaken:
        raise CommandError(_taken(request.name)) from None
    except Refused as refused:
        raise CommandError(str(refused)) from None
    if _ban(service, address, request.name):  # banned during the login
        room.end(member, BANNED)
    log.info("%s (%s) joined", request.name, address)
    return member


NOT_THERE = "Where you left off is no longer in the history (it was cleared or changed); here is its end."


def _taken(name: str) -> str:
    return f"The name {name} is taken; send another."


def _ban(service: Service, address: str, name: str) -> Ban | None:
    """The ban that keeps this client out, if there is one (R23)."""
    return service.bans.of_address(address) or service.bans.of_name(name)


def _token(service: Service, request: Join, waits: Callable[[], None] | None) -> str:
    """The session's token, if one was asked for. Its earlier connection has ended by then (R40)."""
    if request.resume and service.room.take_over(request.resume.token, waits):
        return request.resume.token
    return secrets.token_urlsafe(16) if request.wants_session else ""
