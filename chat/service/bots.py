"""Bots: programs that speak over HTTP with a token from the host, without being in the room."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from chat import record
from chat.lookalike import look_alike
from chat.service.moderation import refusal
from chat.service.policy import Caller, CommandError, answer
from chat.service.service import MUTED, Service
from chat.service.shared import is_muted
from chat.service.tokens import TOKENS

log = logging.getLogger("chat.service.bots")


def check_may_speak(service: Service, name: str, address: str) -> None:
    """R67: raises CommandError if the bot or its address is banned, or its name is muted."""
    if ban := service.bans.of_address(address) or service.bans.of_name(name):
        raise CommandError(refusal(ban))
    if is_muted(service, name, ""):
        raise CommandError(MUTED)


def token(service: Service, caller: Caller, argument: str) -> Iterator[bytes]:
    """`token NAME`: make a token for a bot; repeated, it replaces the earlier one (R65)."""
    try:
        name = record.clean_name(argument)
    except record.BadName as bad:
        raise CommandError(str(bad)) from None
    if any(look_alike(name, reserved) for reserved in record.RESERVED_NAMES):
        raise CommandError(f"{name} looks like one of the server's own names; take another.")
    other = service.tokens.reserves(name)
    if other and record.name_key(other.name) != record.name_key(name):
        raise CommandError(f"{name} looks like {other.name}, which is a bot already; take another name.")
    if any(look_alike(name, here.name) for here in service.room.log.roster.all()):
        raise CommandError(f"Somebody here is called {name}; make the token when they have left.")
    if other is None and service.tokens.full():
        raise CommandError(f"There are {TOKENS} bots already; untoken NAME removes one.")
    try:
        secret = service.tokens.make(name, service.room.now())
    except OSError as error:
        raise CommandError(f"The token can't be stored: {error.strerror}.") from None
    log.info("a token was made for %s", name)
    sentence = f"The token of {name}, shown only now: {secret}"
    how = f"POST /say/{name} with the header Authorization: Bearer TOKEN; the README shows how."
    return iter([answer("/token", sentence) + answer("/token", how)])


def tokens(service: Service, caller: Caller, argument: str) -> Iterator[bytes]:
    """`tokens`: list the bots."""
    lines = [f"{each.name}, since {each.since}" for each in service.tokens.all()]
    for line in lines or ["There are no bots; token NAME makes one."]:
        yield answer("/tokens", line)


def untoken(service: Service, caller: Caller, argument: str) -> Iterator[bytes]:
    """`untoken NAME`: take the token back, and free the name."""
    try:
        found = service.tokens.remove(argument)
    except OSError as error:
        raise CommandError(f"That can't be stored: {error.strerror}.") from None
    if not found:
        raise CommandError(f"{argument} is not a bot; tokens lists them.")
    log.info("the token of %s was taken back", argument)
    return iter([answer("/untoken", f"{argument} is no longer a bot.")])
