"""What only admins may do: kick, mute and ban. Who did it is on record, as a notice."""

from __future__ import annotations

import re
import time

from chat import record
from chat.bans import BadTarget, Ban, ban_of
from chat.house import CommandError, House, Speaker
from chat.room import Member

BANNED = "banned"  # why somebody left; the notice before it says by whom and why
WHY_BYTES = 1024  # of a reason: it stands in records beside names

_DURATION = re.compile(r"(\d{1,6})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def kick(house: House, speaker: Speaker, argument: str) -> None:
    """`kick NAME [WHY]`: end somebody's connection. Raises CommandError."""
    name, _, why = argument.partition(" ")
    member = _somebody_else(house, speaker, name)
    house.notice(f"{speaker.name} kicked {member.name}{_because(why)}")
    house.room.kick(member, f"kicked by {speaker.name}{_because(why)}")


def mute(house: House, speaker: Speaker, argument: str) -> None:
    """`mute NAME`: nobody hears what somebody says, also when they come back under that name."""
    member = _somebody_else(house, speaker, argument)
    member.muted = True
    house.muted |= {record.name_key(member.name), member.token} - {""}
    house.notice(f"{speaker.name} muted {member.name}")


def unmute(house: House, speaker: Speaker, argument: str) -> None:
    """`unmute NAME`: end that."""
    key = record.name_key(argument)
    member = house.room.find(argument)
    if key not in house.muted and not (member and member.muted):
        raise CommandError(f"{argument} is not muted.")
    house.muted.discard(key)
    if member:
        member.muted = False
        house.muted.discard(member.token)
    house.notice(f"{speaker.name} unmuted {member.name if member else argument}")


def ban(house: House, speaker: Speaker, argument: str) -> None:
    """`ban NAME-or-ADDRESS [TIME] [WHY]`: keep a name, an address or a network out."""
    target, _, why = argument.partition(" ")
    until, why = _until(why.strip(" "))
    comment = f"{speaker.name}, {house.room.history.now()}{_because(why)}"
    banned = _ban_of(target, until, comment)
    if banned.covers_name("host") or banned.covers_name("server"):
        raise CommandError("The host can't be banned.")
    if speaker.member and _covers(banned, speaker.member):
        raise CommandError("That would ban yourself; name somebody else.")
    try:
        house.bans.add(banned)
    except OSError as error:
        raise CommandError(f"The ban can't be written to {house.bans.path.name}: {error.strerror}.") from None
    house.notice(f"{speaker.name} banned {banned.target}{_ends(banned)}{_because(why)}")
    for member in house.room.members():
        if _covers(banned, member):
            house.room.kick(member, BANNED)


def unban(house: House, speaker: Speaker, argument: str) -> None:
    """`unban NAME-or-ADDRESS`: end a ban."""
    lifted = _ban_of(argument)
    try:
        found = house.bans.remove(lifted)
    except OSError as error:
        raise CommandError(
            f"The ban can't be taken out of {house.bans.path.name}: {error.strerror}."
        ) from None
    if not found:
        raise CommandError(f"{argument} is not banned; {speaker.slash}bans lists who is.")
    house.notice(f"{speaker.name} unbanned {lifted.target}")


def bans(house: House, speaker: Speaker, argument: str) -> None:
    """`bans`: who is banned, until when, by whom and why."""
    active = house.bans.active()
    lines = [f"{each.target}{_ends(each)}{f' ({each.comment})' if each.comment else ''}" for each in active]
    for line in lines or ["Nobody is banned."]:
        speaker.answer(
            record.draft(record.NOBODY, "server", "/bans", record.shorten(record.clean_text(line)))
        )


def refusal(ban: Ban) -> str:
    """What a banned client is told."""
    return f"You are banned from this chat{_ends(ban)}; ask the host if you think that is wrong."


# -------------------------------------------------------------------------------------------------- parts


def _somebody_else(house: House, speaker: Speaker, name: str) -> Member:
    member = house.room.find(name)
    if member is None:
        raise CommandError(f"Nobody here is called {name}; {speaker.slash}users lists who is here.")
    if member is speaker.member:
        raise CommandError("That is yourself; name somebody else.")
    return member


def _until(text: str) -> tuple[str, str]:
    """Take a time like 2h from the front: (until when it is from now, the rest)."""
    first, _, rest = text.partition(" ")
    duration = _DURATION.fullmatch(first)
    if duration is None:
        return "", text
    seconds = int(duration[1]) * _SECONDS[duration[2]]
    try:
        return record.format_time(time.time() + seconds), rest.strip(" ")
    except (ValueError, OverflowError):
        raise CommandError(f"{first} is too long for a time; leave it away to ban for good.") from None


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
