"""The command table, and the one place where requests are performed.

Dispatch, help, permissions and suggestions derive from the table.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from chat import record
from chat.room.ending import EXIT
from chat.service import bots, lookup, moderation, ownership, talk
from chat.service.budget import JOIN_WORK
from chat.service.limits import ADMIN
from chat.service.policy import Caller, CommandError, Disconnect, answer, error, member_of
from chat.service.requests import Command as CommandRequest
from chat.service.requests import Request, Speak
from chat.service.service import Service, require_unmuted

BARE_WORDS = ("clear", "exit")  # R24: commands that need no slash


@dataclass(frozen=True)
class Command:
    """A row of the table. `run` is called with the service, the caller and the argument text.

    It returns drafts of direct records, or None if a history record is the answer. It does all its waiting
    before it returns: making the answers is work, which one thread does at a time.
    """

    name: str
    arguments: str
    help: str
    run: Callable[[Service, Caller, str], Iterator[bytes] | None]
    aliases: tuple[str, ...] = ()
    who: Literal["all", "members", "admins", "host"] = "all"
    speaks: bool = False  # others see its text: not for the muted
    work: float = 0.0  # seconds of the server that it costs others, besides what the answer takes

    def permitted(self, service: Service, caller: Caller) -> bool:
        """Whether the caller may use it. Where there are no admins, everyone may clear."""
        if self.who in ("host", "members"):
            return (caller.member is None) == (self.who == "host")
        if self.run is _clear and not service.policy.admin_password:
            return True
        return caller.admin or self.who == "all"

    def usage(self, caller: Caller) -> str:
        """How the caller types it."""
        return f"{caller.slash}{self.name} {self.arguments}".rstrip()


def perform(service: Service, caller: Caller, request: Request) -> Iterator[bytes]:
    """Perform a request. Yields its answers, produced as they are taken: drafts of direct records.

    Each line is answered (R27): by its own record, by records of the command's kind, or by a `/error`.
    Raises Disconnect, Closed.
    """
    try:
        if isinstance(request, Speak):
            require_unmuted(caller)
            service.speak(caller, "message", request.lines)
        elif isinstance(request, CommandRequest):
            yield from _charged(caller, _run(service, caller, request))
        else:
            yield error(f"Not sent: a text can have at most {record.TEXT_BYTES} bytes; send it in parts.")
    except CommandError as failure:
        lines = request.lines.count(b"\n") if isinstance(request, Speak) else 1
        yield error(str(failure)) * lines


def work_of(request: Request) -> float:
    """Seconds of the server that the request costs others, charged before it is performed."""
    command = _BY_NAME.get(request.name.casefold()) if isinstance(request, CommandRequest) else None
    return command.work if command else 0.0


def _charged(caller: Caller, answers: Iterator[bytes] | None) -> Iterator[bytes]:
    """The answers, each made in a slice of work that is charged to the caller."""
    while answers:
        with caller.account.working():
            drafts = next(answers, b"")
        if not drafts:
            return
        yield drafts


def _run(service: Service, caller: Caller, request: CommandRequest) -> Iterator[bytes] | None:
    command = _permitted(service, caller, request.name.casefold())
    if command.speaks:
        require_unmuted(caller)
    if not request.argument and command.arguments and not command.arguments.startswith("["):
        raise CommandError(f"An argument is missing; type {command.usage(caller)}.")
    if request.argument and not command.arguments:  # at the console, "stop it, bob" is no command
        raise CommandError(
            f"{command.usage(caller)} takes no argument; "
            f"{caller.slash}say TEXT sends text that looks like a command."
        )
    return command.run(service, caller, request.argument)


def _permitted(service: Service, caller: Caller, name: str) -> Command:
    """The command, if there is one and the caller may use it. Raises CommandError."""
    command = _BY_NAME.get(name)
    if command is None:
        raise _unknown(service, caller, name)
    if command.permitted(service, caller):
        return command
    if command.who == "host":
        raise CommandError(f"{caller.slash}{command.name} is only for the host, at the server's console.")
    if command.who == "members":
        raise CommandError(f"{command.name} is only for members of the room; you are the host.")
    raise CommandError(f"/{command.name} is only for admins; /admin PASSWORD makes you one.")


def _unknown(service: Service, caller: Caller, name: str) -> CommandError:
    """The error, which suggests the nearest command that the caller may use."""
    usable = [usable for usable, command in _BY_NAME.items() if command.permitted(service, caller)]
    nearest = difflib.get_close_matches(name, usable, n=1, cutoff=0.5)
    slash = caller.slash
    guess = f"did you mean {slash}{nearest[0]}? " if nearest else ""
    return CommandError(
        f"There is no command {slash}{name}; {guess}"
        f"{slash}help lists them, {slash}say TEXT sends text that looks like one."
    )


# --------------------------------------------------------------------- commands about the chat as a whole


def _help(service: Service, caller: Caller, argument: str) -> Iterator[bytes]:
    if argument:
        shown = [_permitted(service, caller, argument.removeprefix("/").casefold())]
    else:
        shown = [command for command in TABLE if command.permitted(service, caller)]
    for command in shown:
        names = ", ".join([command.usage(caller), *(caller.slash + alias for alias in command.aliases)])
        bare = f", {command.name}" if caller.slash and command.name in BARE_WORDS else ""
        yield answer("/help", f"{names}{bare} - {command.help}")


def _clear(service: Service, caller: Caller, argument: str) -> None:
    service.room.clear(caller.address, caller.name, caller.listener)


def _admin(service: Service, caller: Caller, argument: str) -> Iterator[bytes]:
    member = member_of(caller)
    if not service.policy.admin_password:
        raise CommandError(
            "There are no admins here: the host has not set a password for them (--admin-password-file)."
        )
    if member.admin:
        raise CommandError("You are already an admin.")
    service.throttle.check(ADMIN, member.address, argument, service.policy.admin_password, member.ended)
    member.admin = True
    return _welcome_admin(service, member.name)


def _welcome_admin(service: Service, name: str) -> Iterator[bytes]:
    yield answer("/admin", "You are an admin now; /help lists what you can do.")
    service.notice(f"{name} is an admin now")


def _exit(service: Service, caller: Caller, argument: str) -> None:
    raise Disconnect(EXIT)


TABLE = (
    Command("help", "[COMMAND]", "list the commands", _help),
    Command("users", "", "list who is here", lookup.users, ("who", "names")),
    Command("nick", "NAME", "take another name", talk.nick, who="members", speaks=True, work=JOIN_WORK),
    Command("me", "ACTION", "describe what you are doing", talk.me, speaks=True),
    Command(
        "msg",
        "NAME TEXT",
        "send a private message; it is stored only while the owner of the name is away",
        talk.msg,
        speaks=True,
    ),
    Command(
        "reply", "TEXT", "answer the last private message", talk.reply, ("r",), who="members", speaks=True
    ),
    Command("history", "[N]", "show the last messages", lookup.history),
    Command("search", "WORDS", "find messages with all these words", lookup.search),
    Command("stats", "[full]", "show messages per minute and more", lookup.stats),
    Command("away", "[TEXT]", "mark yourself as away", talk.away, who="members", speaks=True),
    Command("back", "", "mark yourself as back", talk.back, who="members"),
    Command("say", "TEXT", "send text that looks like a command", talk.say, speaks=True),
    Command("clear", "", "start a new history", _clear, who="admins", work=0.05),
    Command(
        "register", "SECRET", "make your name yours, or change its secret", ownership.register, who="members"
    ),
    Command(
        "identify", "SECRET", "prove that the name you take next is yours", ownership.identify, who="members"
    ),
    Command("unregister", "[NAME]", "give your name back; any name as an admin", ownership.unregister),
    Command("exit", "", "leave; at the console, stop the server", _exit, ("quit",)),
    Command("admin", "PASSWORD", "become an admin", _admin, who="members"),
    Command("kick", "NAME [WHY]", "disconnect a member", moderation.kick, who="admins"),
    Command("mute", "NAME", "stop a member from speaking", moderation.mute, who="admins"),
    Command("unmute", "NAME", "let a member speak again", moderation.unmute, who="admins"),
    Command(
        "ban",
        "NAME-or-ADDRESS [TIME] [WHY]",
        "ban a name, an address or a network",
        moderation.ban,
        who="admins",
    ),
    Command("unban", "NAME-or-ADDRESS", "lift a ban", moderation.unban, who="admins"),
    Command("bans", "", "list the bans", moderation.bans, who="admins"),
    Command("servers", "", "show the servers of this chat, and their engine", lookup.servers, who="admins"),
    Command("token", "NAME", "let a bot of this name speak over HTTP", bots.token, who="host"),
    Command("tokens", "", "list the bots", bots.tokens, who="host"),
    Command("untoken", "NAME", "take a bot's token back", bots.untoken, who="host"),
    Command("plot", "", "plot messages per minute, and write the report", lookup.plot, who="host"),
    Command("stop", "", "stop the server", _exit, who="host"),
)

_BY_NAME = {name: command for command in TABLE for name in (command.name, *command.aliases)}
