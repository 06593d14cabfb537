"""The command table. Dispatch, help and permissions come from it; a command is a function and its line here.

A command that can't be done raises CommandError, which the session makes a `/error`, or the host's console.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from chat import moderation, record
from chat.broadcaster import Full, NotStored
from chat.delivery import Listener
from chat.house import CommandError, House, Leave, Speaker
from chat.record import Record
from chat.room import Member, NameTaken
from chat.statistics import NoStatistics

BARE_WORDS = ("clear", "exit")  # commands without a slash: that is what the user asked for
HISTORY_RECORDS = 20  # what /history shows if no number is given, and a newcomer if none is asked for
HISTORY_MOST = 1000  # it is held while it is put in order; all of it comes with /replay all, on joining
SEARCH_RESULTS = 20  # the newest ones; whoever wants them all has grep
SEARCH_BYTES = 64 * 1024 * 1024  # how far back a search looks: about half a second of one processor
AWAY_BYTES = 256  # of a text that stands in a list
SAID = ("message", "action", "notice")  # the kinds that /history and /search show: what somebody said


@dataclass(frozen=True)
class Command:
    """A line of the table. `run` gets the house, who asks, and what stands behind the command's name."""

    name: str
    arguments: str
    help: str
    run: Callable[[House, Speaker, str], None]
    aliases: tuple[str, ...] = ()
    who: Literal["all", "members", "admins", "host"] = "all"
    says: bool = False  # others see what is said with it: not for the muted

    def permitted(self, house: House, speaker: Speaker) -> bool:
        """Whether the speaker may use it. Where there are no admins everyone may clear, as the user asked."""
        if self.who in ("host", "members"):
            return (speaker.member is None) == (self.who == "host")
        if self.run is _clear and not house.rules.admin_password:
            return True
        return speaker.admin or self.who == "all"

    def usage(self, speaker: Speaker) -> str:
        """How the speaker types it."""
        return f"{speaker.slash}{self.name} {self.arguments}".rstrip()


def understand(text: str) -> tuple[str, str]:
    """What a line means: (the command's name, its argument). A message is what one says."""
    if text.strip(" ") in BARE_WORDS:
        return text.strip(" "), ""
    if text.startswith("//"):
        return "say", text[1:]
    if text.startswith("/"):
        name, _, argument = text[1:].partition(" ")
        return name.casefold(), argument.strip(" ")
    return "say", text


def run(house: House, speaker: Speaker, name: str, argument: str) -> None:
    """Do the command. Raises CommandError, Leave, Expelled."""
    command = _permitted(house, speaker, name)
    if command.says and speaker.member and speaker.member.muted:
        raise CommandError("You are muted: nobody hears what you say; an admin can end that.")
    if not argument and command.arguments and not command.arguments.startswith("["):
        raise _mistyped(speaker, name)
    command.run(house, speaker, argument)


def _permitted(house: House, speaker: Speaker, name: str) -> Command:
    """The command, if there is one and the speaker may use it. Raises CommandError."""
    command = _BY_NAME.get(name)
    if command is None:
        raise _unknown(house, speaker, name)
    if command.permitted(house, speaker):
        return command
    if command.who == "host":
        raise CommandError(f"{speaker.slash}{command.name} is for the host, who types it at the server.")
    if command.who == "members":
        raise CommandError(f"{command.name} is for the members of the room; you are the host.")
    raise CommandError(f"/{command.name} is for admins; /admin PASSWORD makes you one.")


def _unknown(house: House, speaker: Speaker, name: str) -> CommandError:
    """Names the nearest command among those that the speaker may use."""
    usable = [usable for usable, command in _BY_NAME.items() if command.permitted(house, speaker)]
    nearest = difflib.get_close_matches(name, usable, n=1, cutoff=0.5)
    slash = speaker.slash
    guess = f"did you mean {slash}{nearest[0]}? " if nearest else ""
    return CommandError(
        f"There is no command {slash}{name}; {guess}"
        f"{slash}help lists them, {slash}say TEXT says what looks like one."
    )


def check_text(text: str) -> str:
    """The text, if it can be said. Raises CommandError."""
    size = len(text.encode())
    if size > record.TEXT_BYTES:
        raise CommandError(
            f"Not sent: a text has {record.TEXT_BYTES} bytes at the most, this has {size}; send it in parts."
        )
    return text


def _mistyped(speaker: Speaker, name: str) -> CommandError:
    return CommandError(f"Something is missing; it is typed {_BY_NAME[name].usage(speaker)}.")


# -------------------------------------------------------------------------------------------- the commands


def _help(house: House, speaker: Speaker, argument: str) -> None:
    if argument:
        shown = [_permitted(house, speaker, argument.removeprefix("/").casefold())]
    else:
        shown = [command for command in TABLE if command.permitted(house, speaker)]
    for command in shown:
        names = ", ".join([command.usage(speaker), *(speaker.slash + alias for alias in command.aliases)])
        bare = f", {command.name}" if speaker.slash and command.name in BARE_WORDS else ""
        _answer(speaker, "/help", f"{names}{bare} - {command.help}")


def _users(house: House, speaker: Speaker, argument: str) -> None:
    here = house.room.members()
    for other in here:
        away = "" if other.away is None else f" away: {other.away}".removesuffix(": ")
        muted = " muted" if other.muted and speaker.admin else ""
        text = f"{other.name} {other.address} since {other.joined}{muted}{away}"
        _answer(speaker, "/users", record.shorten(text))
    if not here:
        _answer(speaker, "/users", "Nobody is here.")


def _nick(house: House, speaker: Speaker, argument: str) -> None:
    member = _member(speaker)
    try:
        name = record.clean_name(argument)
    except record.BadName as bad:
        raise CommandError(str(bad)) from None
    if name == member.name:
        raise CommandError(f"You are {name} already.")
    if ban := house.bans.of_name(name):
        raise CommandError(moderation.refusal(ban))
    try:
        house.room.rename(member, name)
    except NameTaken:
        raise CommandError(f"The name {name} is taken; try another.") from None
    except NotStored as failure:
        raise CommandError(str(failure)) from None


def _me(house: House, speaker: Speaker, argument: str) -> None:
    _speak(house, speaker, "action", argument)


def _say(house: House, speaker: Speaker, argument: str) -> None:
    _speak(house, speaker, "message" if speaker.member else "notice", argument)


def _speak(house: House, speaker: Speaker, kind: str, text: str) -> None:
    house.room.say(speaker.listener, record.draft(speaker.address, speaker.name, kind, check_text(text)))


def _msg(house: House, speaker: Speaker, argument: str) -> None:
    name, _, text = argument.partition(" ")
    if not text.strip(" "):
        raise _mistyped(speaker, "msg")
    _send_private(house, speaker, name, text.strip(" "))


def _reply(house: House, speaker: Speaker, argument: str) -> None:
    name, correspondent = _member(speaker).correspondent
    if not name:
        raise CommandError("Nobody has sent you a private message yet; write one with /msg NAME TEXT.")
    if correspondent:
        name = correspondent.name  # it may have another one by now, and somebody else this one
        now = house.room.find(name)
        if now is not correspondent and not (now and now.token and now.token == correspondent.token):
            raise CommandError(f"{name} has left; /msg {name} TEXT writes to whoever has the name now.")
    _send_private(house, speaker, name, argument)


def _send_private(house: House, speaker: Speaker, name: str, text: str) -> None:
    """Send the text to the one with that name only, and to its author as the acknowledgement."""
    other = house.room.find(name)
    listener: Listener | None = other
    if other:
        name = other.name
    elif house.host and record.name_key(name) == house.host.name:
        name, listener = house.host.name, house.host.listener
    if listener is None:
        raise CommandError(f"Nobody here is called {name}; {speaker.slash}users lists who is here.")
    acknowledgement = check_text(f"to {name}: {text}")
    try:
        house.room.tell(listener, record.draft(speaker.address, speaker.name, "/msg", text))
    except Full:
        raise CommandError(f"Not sent: {name} is not reading; try again later.") from None
    if other:
        other.correspondent = (speaker.name, speaker.member)
    speaker.answer(record.draft(speaker.address, speaker.name, "/msg", acknowledgement))


def _history(house: House, speaker: Speaker, argument: str) -> None:
    argument = argument or str(HISTORY_RECORDS)
    wanted = int(argument) if argument.isascii() and argument.isdigit() else 0
    if not 1 <= wanted <= HISTORY_MOST:
        raise CommandError(f"{speaker.slash}history takes a number from 1 to {HISTORY_MOST}.")
    found = list(itertools.islice(_said_back(house), wanted))
    _show(speaker, "/history", found, "Nothing has been said yet.")


def _search(house: House, speaker: Speaker, argument: str) -> None:
    words = argument.casefold().split()
    found = (
        said
        for said in _said_back(house, SEARCH_BYTES, words)
        if all(word in f"{said.name} {said.text}".casefold() for word in words)
    )
    _show(speaker, "/search", list(itertools.islice(found, SEARCH_RESULTS)), f"Nothing found for {argument}.")


def _said_back(house: House, limit: int | None = None, words: Sequence[str] = ()) -> Iterator[Record]:
    """What was said, newest first, as far back as `limit` bytes; with words, from blocks that have them."""
    house.room.settle()
    file = house.room.history.file
    end = file.end
    for offset, lines in file.blocks_back(end):
        if limit is not None and offset < end - limit:
            return
        block = lines.decode(errors="replace").casefold() if words else ""
        if not all(word in block for word in words):
            continue
        for line in reversed(record.HISTORY_RECORD.findall(lines)):
            said = record.parse(line)
            if said.kind in SAID:
                yield said


def _show(speaker: Speaker, kind: str, newest_first: list[Record], nothing: str) -> None:
    for said in reversed(newest_first):
        _answer(speaker, kind, record.shorten(f"{said.time} {said.name}: {said.text}"))
    if not newest_first:
        _answer(speaker, kind, record.shorten(nothing))


def _stats(house: House, speaker: Speaker, argument: str) -> None:
    house.room.settle()
    try:
        lines = house.statistics.summary()
    except NoStatistics as why:
        raise CommandError(str(why)) from None
    for line in lines:
        _answer(speaker, "/stats", line)


def _plot(house: House, speaker: Speaker, argument: str) -> None:
    house.room.settle()
    try:
        _answer(speaker, "/plot", f"It is in {house.statistics.plot()}")
    except NoStatistics as why:
        raise CommandError(str(why)) from None


def _away(house: House, speaker: Speaker, argument: str) -> None:
    _member(speaker).away = record.shorten(argument, AWAY_BYTES)
    _answer(speaker, "/away", "You are shown as away; /back ends it.")


def _back(house: House, speaker: Speaker, argument: str) -> None:
    member = _member(speaker)
    if member.away is None:
        raise CommandError("You were not away.")
    member.away = None
    _answer(speaker, "/back", "Welcome back.")


def _clear(house: House, speaker: Speaker, argument: str) -> None:
    house.room.clear(speaker.address, speaker.name, speaker.listener)


def _admin(house: House, speaker: Speaker, argument: str) -> None:
    member = _member(speaker)
    if not house.rules.admin_password:
        raise CommandError(
            "There are no admins here: the host has set no password for them (--admin-password-file)."
        )
    if member.admin:
        raise CommandError("You are an admin already.")
    house.wrong_tries.check(member.address, argument, house.rules.admin_password, member.ending)
    member.admin = True
    _answer(speaker, "/admin", "You are an admin now; /help lists what you may do.")
    house.notice(f"{member.name} is an admin now")


def _exit(house: House, speaker: Speaker, argument: str) -> None:
    raise Leave


def _member(speaker: Speaker) -> Member:
    """The speaker of a command that is for members."""
    assert speaker.member
    return speaker.member


def _answer(speaker: Speaker, kind: str, text: str) -> None:
    speaker.answer(record.draft(record.NOBODY, "server", kind, text))


TABLE = (
    Command("help", "[COMMAND]", "what can be done here", _help),
    Command("users", "", "who is here, from where, since when, and who is away", _users, ("who", "names")),
    Command("nick", "NAME", "take another name", _nick, says=True, who="members"),
    Command("me", "ACTION", "say what you do", _me, says=True),
    Command("msg", "NAME TEXT", "a private message; it is kept nowhere", _msg, says=True),
    Command("reply", "TEXT", "answer the last private message", _reply, ("r",), says=True, who="members"),
    Command("history", "[N]", "what was said last", _history),
    Command("search", "WORDS", "what was said with all these words in it", _search),
    Command("stats", "", "messages per minute and more", _stats),
    Command("away", "[TEXT]", "be shown as away", _away, says=True, who="members"),
    Command("back", "", "be back", _back, who="members"),
    Command("say", "TEXT", "say something that looks like a command", _say, says=True),
    Command("clear", "", "begin a new history", _clear, who="admins"),
    Command("exit", "", "leave; at the server's terminal it stops the server", _exit, ("quit",)),
    Command("admin", "PASSWORD", "become an admin", _admin, who="members"),
    Command("kick", "NAME [WHY]", "end somebody's connection", moderation.kick, who="admins"),
    Command("mute", "NAME", "let nobody hear somebody", moderation.mute, who="admins"),
    Command("unmute", "NAME", "let everybody hear them again", moderation.unmute, who="admins"),
    Command(
        "ban",
        "NAME-or-ADDRESS [TIME] [WHY]",
        "keep out a name, an address or a network",
        moderation.ban,
        who="admins",
    ),
    Command("unban", "NAME-or-ADDRESS", "let them in again", moderation.unban, who="admins"),
    Command("bans", "", "who is kept out", moderation.bans, who="admins"),
    Command("plot", "", "messages per minute as a picture, and the whole report", _plot, who="host"),
    Command("stop", "", "stop the server", _exit, who="host"),
)

_BY_NAME = {name: command for command in TABLE for name in (command.name, *command.aliases)}
