"""Commands for admins: kick, mute and ban. A notice records who did it (R29)."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from chat import record
from chat.log.entries import Presence
from chat.room.ending import BANNED, kicked
from chat.room.room import Member
from chat.service.bans import BadTarget, Ban, ban_of
from chat.service.policy import Caller, CommandError, answer
from chat.service.service import Service
from chat.service.shared import mark_muted, share_ban

WHY_BYTES = 1024  # of a reason, which shares a record with names

_DURATION = re.compile(r"(\d{1,6})([smhdw])")
_MISTYPED = re.compile(r"\d+[A-Za-z]{0,4}")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def kick(service: Service, caller: Caller, argument: str) -> None:
    """`kick NAME [WHY]`: disconnect a member. Raises CommandError."""
    name, _, why = argument.partition(" ")
    presence = _somebody_else(service, caller, name)
    service.notice(f"{caller.name} kicked {presence.name}{_because(why)}")
    ending = kicked(caller.name, _because(why))
    if member := service.room.find(presence.name):
        service.room.end(member, ending)
    else:
        service.room.expel(presence, ending)


def mute(service: Service, caller: Caller, argument: str) -> None:
    """`mute NAME`: stop a member from speaking, even if they come back under that name; or a bot."""
    bot = service.tokens.reserves(argument)
    if bot and service.room.log.roster.find(argument) is None:
        mark_muted(service, record.name_key(bot.name), muted=True)
        service.notice(f"{caller.name} muted {bot.name}")
        return
    presence = _somebody_else(service, caller, argument)
    for key in {record.name_key(presence.name), presence.session} - {""}:
        mark_muted(service, key, muted=True)
    if member := service.room.find(presence.name):
        member.muted = True
    service.notice(f"{caller.name} muted {presence.name}")


def unmute(service: Service, caller: Caller, argument: str) -> None:
    """`unmute NAME`: let a member speak again."""
    key = record.name_key(argument)
    presence, member = service.room.log.roster.find(argument), service.room.find(argument)
    session = presence.session if presence else ""
    if service.muted.isdisjoint((key, session)) and not (member and member.muted):
        raise CommandError(f"{argument} is not muted.")
    for muted in {key, session} & service.muted:
        mark_muted(service, muted, muted=False)
    if member:
        member.muted = False
    service.notice(f"{caller.name} unmuted {presence.name if presence else argument}")


def ban(service: Service, caller: Caller, argument: str) -> None:
    """`ban NAME-or-ADDRESS [TIME] [WHY]`: ban a name, an address or a network (R23)."""
    target, _, why = argument.partition(" ")
    until, why = _until(why.strip(" "))
    comment = f"{caller.name}, {service.room.now()}{_because(why)}"
    banned = _ban_of(target, until, comment)
    if banned.covers_name("host") or banned.covers_name("server"):
        raise CommandError("The host can't be banned.")
    if caller.member and _covers(banned, caller.member):
        raise CommandError("That would ban you as well; name somebody else.")
    try:
        service.bans.add(banned)
    except OSError as error:
        raise CommandError(
            f"The ban can't be written to {service.bans.path.name}: {error.strerror}."
        ) from None
    share_ban(service, banned)
    service.notice(f"{caller.name} banned {banned.target}{_ends(banned)}{_because(why)}")
    for member in service.room.members():
        if _covers(banned, member):
            service.room.end(member, BANNED)


def unban(service: Service, caller: Caller, argument: str) -> None:
    """`unban NAME-or-ADDRESS`: lift a ban."""
    lifted = _ban_of(argument)
    try:
        found = service.bans.remove(lifted)
    except OSError as error:
        raise CommandError(
            f"The ban can't be removed from {service.bans.path.name}: {error.strerror}."
        ) from None
    if not found:
        raise CommandError(f"{argument} is not banned; {caller.slash}bans lists who is.")
    share_ban(service, lifted, lifted=True)
    service.notice(f"{caller.name} unbanned {lifted.target}")


def bans(service: Service, caller: Caller, argument: str) -> Iterator[bytes]:
    """`bans`: list who is banned, until when, by whom and why."""
    active = service.bans.active()
    lines = [f"{each.target}{_ends(each)}{f' ({each.comment})' if each.comment else ''}" for each in active]
    for line in lines or ["Nobody is banned."]:
        yield answer("/bans", record.clean_text(line))


def refusal(ban: Ban) -> str:
    """The sentence for a banned client."""
    return f"You are banned from this chat{_ends(ban)}; ask the host if you think that is wrong."


# -------------------------------------------------------------------------------------------------- parts


def _somebody_else(service: Service, caller: Caller, name: str) -> Presence:
    presence = service.room.log.roster.find(name)
    if presence is None:
        raise CommandError(f"Nobody here is called {name}; {caller.slash}users lists who is here.")
    if caller.member and presence is caller.member.presence:
        raise CommandError("That is you; name somebody else.")
    return presence


def _until(text: str) -> tuple[str, str]:
    """Take a duration like 2h from the front: (the time at which it ends, the rest)."""
    first, _, rest = text.partition(" ")
    duration = _DURATION.fullmatch(first)
    if duration is None:
        if _MISTYPED.fullmatch(first):  # taken for a reason, it would be a ban without an end
            raise CommandError(f"{first} is no time; write it as 30m, 2h, 7d or 1w.")
        return "", text
    seconds = int(duration[1]) * _SECONDS[duration[2]]
    try:
        return record.format_time(time.time() + seconds), rest.strip(" ")
    except (ValueError, OverflowError):
        raise CommandError(f"{first} is too long; omit it for a permanent ban.") from None


def _ban_of(target: str, until: str = "", comment: str = "") -> Ban:
    try:
        return ban_of(target, until, comment)
    except BadTarget as bad:
        raise CommandError(str(bad)) from None


def _covers(ban: Ban, member: Member) -> bool:
    return ban.covers_name(member.name) or ban.covers_address(member.address)


def _because(why: str) -> str:
    why = record.shorten(why.strip(" "), WHY_BYTES)
    return f": {why}" if why else ""


def _ends(ban: Ban) -> str:
    return f" until {ban.until}" if ban.until else ""
