"""The command table. Dispatch, help and completion come from it; a command is a function and its line here.

A command that can't be done raises CommandError, which becomes a `/error` in one place, the session.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from chat import record
from chat.record import Record
from chat.room import Full, Member, NameTaken, NotStored, Room

BARE_WORDS = ("clear", "exit")  # commands without a slash: that is what the user asked for
HISTORY_RECORDS = 20  # what /history shows if no number is given, and a newcomer if none is asked for
HISTORY_MOST = 1000  # it is held while it is put in order; all of it comes with /replay all, on joining
SEARCH_RESULTS = 20  # the newest ones; whoever wants them all has grep
SEARCH_BYTES = 64 * 1024 * 1024  # how far back a search looks: about half a second of one processor
SAID = ("message", "action", "notice")  # the kinds that /history and /search show: what somebody said


class CommandError(Exception):
    """A command can't be done. The message is one sentence for the person: what is wrong and what to do."""


class Leave(Exception):
    """The member leaves."""


@dataclass(frozen=True)
class Command:
    """A line of the table. `run` gets the room, the member and what stands behind the command's name."""

    name: str
    arguments: str
    help: str
    run: Callable[[Room, Member, str], None]
    aliases: tuple[str, ...] = ()

    @property
    def usage(self) -> str:
        """How it is typed."""
        return f"/{self.name} {self.arguments}".rstrip()


def understand(text: str) -> tuple[str | None, str]:
    """What a line means: (the command's name, its argument), or (None, the message)."""
    if text.strip(" ") in BARE_WORDS:
        return text.strip(" "), ""
    if text.startswith("//"):
        return None, text[1:]
    if text.startswith("/"):
        name, _, argument = text[1:].partition(" ")
        return name.casefold(), argument.strip(" ")
    return None, text


def run(room: Room, member: Member, name: str, argument: str) -> None:
    """Do the command. Raises CommandError, Leave."""
    _find(name).run(room, member, argument)


def _find(name: str) -> Command:
    command = _BY_NAME.get(name)
    if command is None:
        nearest = difflib.get_close_matches(name, _BY_NAME, n=1, cutoff=0.5)
        guess = f"did you mean /{nearest[0]}? " if nearest else ""
        raise CommandError(
            f"There is no command /{name}; {guess}/help lists them, /say TEXT says what looks like one."
        )
    return command


def check_text(text: str) -> str:
    """The text, if it can be said. Raises CommandError."""
    size = len(text.encode())
    if size > record.TEXT_BYTES:
        raise CommandError(
            f"Not sent: a text has {record.TEXT_BYTES} bytes at the most, this has {size}; send it in parts."
        )
    return text


# -------------------------------------------------------------------------------------------- the commands


def _help(room: Room, member: Member, argument: str) -> None:
    commands = [_find(argument.removeprefix("/").casefold())] if argument else TABLE
    for command in commands:
        names = ", ".join([command.usage, *(f"/{alias}" for alias in command.aliases)])
        bare = f", {command.name}" if command.name in BARE_WORDS else ""
        _answer(room, member, "/help", f"{names}{bare} - {command.help}")


def _users(room: Room, member: Member, argument: str) -> None:
    del argument
    for other in room.members():
        away = "" if other.away is None else " away: " + other.away if other.away else " away"
        text = f"{other.name} {other.address} since {other.joined}{away}"
        _answer(room, member, "/users", record.shorten(text))


def _nick(room: Room, member: Member, argument: str) -> None:
    try:
        name = record.clean_name(argument)
    except record.BadName as bad:
        raise CommandError(str(bad)) from None
    if name == member.name:
        raise CommandError(f"You are {name} already.")
    try:
        room.rename(member, name)
    except NameTaken:
        raise CommandError(f"The name {name} is taken; try another.") from None
    except NotStored as failure:
        raise CommandError(str(failure)) from None


def _me(room: Room, member: Member, argument: str) -> None:
    text = check_text(_needed(argument, "/me"))
    room.say(member, record.draft(member.address, member.name, "action", text))


def _say(room: Room, member: Member, argument: str) -> None:
    text = check_text(_needed(argument, "/say"))
    room.say(member, record.draft(member.address, member.name, "message", text))


def _msg(room: Room, member: Member, argument: str) -> None:
    name, _, text = argument.partition(" ")
    _send_private(room, member, name, _needed(text.strip(" "), "/msg"))


def _reply(room: Room, member: Member, argument: str) -> None:
    if not member.correspondent:
        raise CommandError("Nobody has sent you a private message yet; write one with /msg NAME TEXT.")
    _send_private(room, member, member.correspondent, _needed(argument, "/reply"))


def _send_private(room: Room, member: Member, name: str, text: str) -> None:
    """Send the text to the one with that name only, and to its author as the acknowledgement."""
    other = room.find(name)
    if other is None:
        raise CommandError(f"Nobody here is called {name}; /users lists who is here.")
    acknowledgement = check_text(f"to {other.name}: {text}")
    try:
        room.tell(other, record.draft(member.address, member.name, "/msg", text))
    except Full:
        raise CommandError(f"Not sent: {other.name} is not reading; try again later.") from None
    other.correspondent = member.name
    room.answer(member, record.draft(member.address, member.name, "/msg", acknowledgement))


def _history(room: Room, member: Member, argument: str) -> None:
    argument = argument or str(HISTORY_RECORDS)
    wanted = int(argument) if argument.isascii() and argument.isdigit() else 0
    if not 1 <= wanted <= HISTORY_MOST:
        raise CommandError(f"/history takes a number from 1 to {HISTORY_MOST}.")
    found: list[Record] = []
    for said in _said_back(room):
        found.append(said)
        if len(found) == wanted:
            break
    _show(room, member, "/history", found, "Nothing has been said yet.")


def _search(room: Room, member: Member, argument: str) -> None:
    words = _needed(argument, "/search").casefold().split()
    found: list[Record] = []
    for said in _said_back(room, SEARCH_BYTES, words):
        text = f"{said.name} {said.text}".casefold()
        if all(word in text for word in words):
            found.append(said)
            if len(found) == SEARCH_RESULTS:
                break
    _show(room, member, "/search", found, f"Nothing found for {argument}.")


def _said_back(room: Room, limit: int | None = None, words: Sequence[str] = ()) -> Iterator[Record]:
    """What was said, newest first, as far back as `limit` bytes; with words, from blocks that have them."""
    room.settle()
    file = room.history.file
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


def _show(room: Room, member: Member, kind: str, newest_first: list[Record], nothing: str) -> None:
    for said in reversed(newest_first):
        _answer(room, member, kind, record.shorten(f"{said.time} {said.name}: {said.text}"))
    if not newest_first:
        _answer(room, member, kind, record.shorten(nothing))


def _stats(room: Room, member: Member, argument: str) -> None:
    raise CommandError("Statistics are not there yet: python3 -m analytics is to come.")


def _away(room: Room, member: Member, argument: str) -> None:
    member.away = record.shorten(argument, 256)
    _answer(room, member, "/away", "You are shown as away; /back ends it.")


def _back(room: Room, member: Member, argument: str) -> None:
    del argument
    if member.away is None:
        raise CommandError("You were not away.")
    member.away = None
    _answer(room, member, "/back", "Welcome back.")


def _clear(room: Room, member: Member, argument: str) -> None:
    del argument
    room.clear(member)


def _exit(room: Room, member: Member, argument: str) -> None:
    raise Leave


def _needed(argument: str, name: str) -> str:
    if not argument:
        raise CommandError(f"{_find(name[1:]).usage}: something is missing behind {name}.")
    return argument


def _answer(room: Room, member: Member, kind: str, text: str) -> None:
    room.answer(member, record.draft(record.NOBODY, "server", kind, text))


TABLE = (
    Command("help", "[COMMAND]", "what can be done here", _help),
    Command("users", "", "who is here, from where, since when, and who is away", _users, ("who", "names")),
    Command("nick", "NAME", "take another name", _nick),
    Command("me", "ACTION", "say what you do", _me),
    Command("msg", "NAME TEXT", "a private message; it is kept nowhere", _msg),
    Command("reply", "TEXT", "answer the last private message", _reply, ("r",)),
    Command("history", "[N]", "what was said last", _history),
    Command("search", "WORDS", "what was said with all these words in it", _search),
    Command("stats", "", "messages per minute and more", _stats),
    Command("away", "[TEXT]", "be shown as away", _away),
    Command("back", "", "be back", _back),
    Command("say", "TEXT", "say something that looks like a command", _say),
    Command("clear", "", "begin a new history; the old one is kept beside it", _clear),
    Command("exit", "", "leave", _exit, ("quit",)),
)

_BY_NAME = {name: command for command in TABLE for name in (command.name, *command.aliases)}
