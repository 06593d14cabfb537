#!/usr/bin/env python3
"""A terminal client for the chat. This one file is all of it: Python 3.9 or newer runs it, on any system.

    python3 TCP_client.py                      looks for a server and asks for what it needs to know
    python3 TCP_client.py HOST --name alice    joins
    echo hi | python3 TCP_client.py HOST       says one thing, and ends once that is in the history

The parts, from the bottom up; each one uses only those above it:

    the grammar        Record, parse, clean, Lines    what a line from the server means; nothing in it is
                                                      trusted before it is cleaned
    the commands       COMMANDS, expected_answer      one table: what can be typed, who does it, and the kind
                                                      of record with which the server answers
    the conversation   Position                       where we are in the history
                       Outbox                         what is not acknowledged yet
                       State, Conversation            the protocol without sockets, terminals or clocks:
                                                      bytes in, events and bytes out
    the settings       Settings                       what is remembered from one run to the next
    the view           View, People                   records as lines for people; who is here
    the network        Connection, connect            the socket
                       KnownServers, Trust            TLS, and whether a server is still the same one
                       Outcome, judge                 how a connection ended, and what follows from it
                       Route                          the servers of one chat, and which comes next
                       Link                           a thread that carries a conversation over as many
                                                      connections as it takes
    finding            find_servers, examine          discovery, and --doctor
    programs           PlainScreen                    a pipe, --plain
    typing             Keys, Editor                   keys in, lines out: the line being typed
    screens            TerminalScreen, BareScreen     where a person types and reads
    people             Chat                           between a link and a screen: what to show, what is meant
    the start          main                           arguments and questions

It needs no packages. colorama, if installed, brings colours to Windows consoles that are too old for them.
"""

from __future__ import annotations

import sys

# An older Python shows this line with its comment as a syntax error, or runs it and says the same.
if (needed := (3, 9)) > sys.version_info:  # TCP_client.py needs Python 3.9 or newer; python.org has it
    sys.exit(
        "TCP_client.py needs Python {}.{} or newer, and this is {}.{}: try python3.11 or python3.13, or get "
        "one from python.org.".format(*needed, *sys.version_info[:2])
    )

import argparse
import codecs
import contextlib
import difflib
import enum
import errno
import getpass
import hashlib
import json
import os
import queue
import random
import re
import secrets
import select
import signal
import socket
import ssl
import struct
import threading
import time
import unicodedata
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from datetime import date, datetime
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, NoReturn, TextIO, TypeVar, Union

PORT = 9999
LINE_BYTES = 16 * 1024  # more than three times the longest record; a longer line is skipped, and never held
BACKLOG = 1000  # lines from a pipe that may be unanswered; beyond it no more are read
SEND_BYTES = 64 * 1024  # taken from the outbox at once; the rest waits for its turn
CONNECT_SECONDS = 10
# For a server that knows no TLS to greet us: it would take a handshake for a name.
GREETING_SECONDS = 0.05
FIRST_BYTE_SECONDS = 0.1  # R70: for how long a server waits for ours
CONNECT_TRIES = 3  # to be that quick; more would not help where the network is slow
# For --doctor to be greeted. Then it speaks first: where a browser is, a server waits for a request (R50).
SILENCE_SECONDS = 1
PIN_DIGITS = 32  # of a certificate's SHA-256, at least: nobody can make another one that begins like it
SILENCE_SECONDS = 20  # without a word while an answer is due: the connection counts as lost
COMMAND_SECONDS = 75  # the same if the answer to a command is due: the server takes at most 60 for statistics
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds between attempts to connect, doubling
NOT_STORED = 3  # exit code: something that was sent is not known to be stored
LEAVE_SECONDS = 5  # for the server to hang up after our /exit
MOST_SERVERS = 16  # of one chat, that are remembered
TURNED_AWAY_TRIES = 5  # when reconnecting: our own old connection may still hold the name
DISCOVERY_SECONDS = 1.2  # on one network an answer takes milliseconds; Wi-Fi that sleeps takes a second


# ---------------------------------------------------------------------------------------------- the grammar


class Record(NamedTuple):
    """One thing that happened, as on the wire. `time` is UTC in ISO 8601 with milliseconds."""

    time: str
    address: str
    name: str
    kind: str
    text: str

    @property
    def direct(self) -> bool:
        """Whether it is for us alone, and not in history."""
        return self.kind.startswith("/")


# R2, R3
_RECORD = re.compile(
    rb"(\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z)\t"
    rb"([0-9A-Fa-f.:]+|-)\t"
    rb"([^\t\n\v\f\r /][^\t\n\v\f\r ]*)\t"
    rb"(/?[a-z]+)\t"
    rb"([^\t\n]*)"
)
_UNWANTED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def parse(line: bytes) -> Record | None:
    """The record in a line, with or without its LF; None if the line is not a record (R4)."""
    match = _RECORD.fullmatch(line[:-1] if line.endswith(b"\n") else line)
    if match is None:
        return None
    record = Record(*(part.decode(errors="replace") for part in match.groups()))
    try:
        datetime.fromisoformat(record.time[:10])
    except ValueError:
        return None
    return record


def clean(text: str) -> str:
    """The text without what could control a terminal or forge a line; a TAB becomes a space."""
    return _UNWANTED.sub("", text.replace("\t", " "))


def clean_bytes(line: bytes) -> str:
    """The same for bytes; invalid UTF-8 becomes U+FFFD."""
    return clean(line.decode(errors="replace"))


def written_name(text: str) -> str:
    """A name as the server writes it, if it accepts it."""
    return unicodedata.normalize("NFC", clean(text).strip())


def checked_name(text: str) -> str:
    """A name that the server may accept. Raises ValueError with a sentence."""
    name = written_name(text)
    if not 1 <= len(name) <= 24 or name.startswith("/") or re.search(r"\s", name):
        raise ValueError("A name has 1 to 24 characters, no space, and no slash at the start.")
    return name


def is_name(text: str) -> bool:
    """Whether the server may accept this name."""
    try:
        return checked_name(text) == text
    except ValueError:
        return False


def name_key(name: str) -> str:
    """What names that differ only in case or form have in common."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


class Lines:
    """Received bytes as whole lines (R1). Of an endless line, at most LINE_BYTES are held."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False  # the rest of a line that is too long

    def feed(self, received: bytes) -> Iterator[bytes]:
        """The lines that are complete now, each with its LF."""
        *complete, rest = (self._rest + received).split(b"\n")
        self._rest = b""
        for line in complete:
            if not self._skipping and len(line) <= LINE_BYTES:
                yield line + b"\n"
            self._skipping = False
        if len(rest) > LINE_BYTES:
            self._skipping = True
        if not self._skipping:
            self._rest = rest


# --------------------------------------------------------------------------------------------- the commands


class Command(NamedTuple):
    """What can be typed after a slash. /help, completion, expected answers and near misses come from it.

    `answer` is the kind of record with which the server answers. `run` is for what the client does itself: it
    takes what follows the command's name, and returns a sentence for the person.
    """

    topic: str
    name: str
    arguments: str
    help: str
    answer: str = ""
    aliases: tuple[str, ...] = ()
    run: Callable[[Chat, str], str] | None = None
    secret: bool = False  # its argument is kept nowhere and shown nowhere
    harms: bool = False  # never suggested to somebody who mistyped

    @property
    def usage(self) -> str:
        """How it is typed."""
        return f"/{self.name} {self.arguments}".rstrip()


TALK, LOOK, ROOM, OWN, ADMINS = "Talk", "Look around", "The room", "Your screen", "For admins"
TOPICS = (TALK, LOOK, ROOM, OWN, ADMINS)
COMMANDS = (
    Command(LOOK, "help", "[COMMAND]", "list commands and keys", "/help"),
    Command(LOOK, "users", "", "list who is here", "/users", ("who", "names")),
    Command(TALK, "nick", "NAME", "take another name", "rename"),
    Command(TALK, "me", "ACTION", "describe what you are doing", "action"),
    Command(TALK, "msg", "NAME TEXT", "send a private message", "/msg"),
    Command(TALK, "reply", "TEXT", "answer the last private message", "/msg", ("r",)),
    Command(LOOK, "history", "[N]", "show the last messages", "/history"),
    Command(LOOK, "search", "WORDS", "find messages with all these words", "/search"),
    Command(LOOK, "stats", "[full]", "show messages per minute and more", "/stats"),
    Command(TALK, "away", "[TEXT]", "mark yourself as away", "/away"),
    Command(TALK, "back", "", "mark yourself as back", "/back"),
    Command(TALK, "say", "TEXT", "send text that looks like a command", "message"),
    Command(ROOM, "clear", "", "begin a new history, also: clear", "clear", harms=True),
    Command(
        ROOM,
        "register",
        "[SECRET]",
        "make your name yours; a secret is made and remembered",
        "/register",
        run=lambda chat, text: chat.register(text),
        secret=True,
    ),
    Command(
        ROOM,
        "identify",
        "SECRET",
        "prove that the name you want is yours; it is asked for",
        "/identify",
        run=lambda chat, text: chat.identify(text),
        secret=True,
    ),
    Command(
        ROOM,
        "secret",
        "",
        "show the secret of your name, for another device",
        run=lambda chat, _: chat.secret(),
    ),
    Command(ROOM, "unregister", "[NAME]", "give up your name", "/unregister", harms=True),
    Command(ROOM, "exit", "", "leave, also: exit", "leave", ("quit",), harms=True),
    Command(ROOM, "admin", "PASSWORD", "become an admin; it is asked for", "/admin", secret=True),
    Command(ADMINS, "kick", "NAME [WHY]", "disconnect somebody", "notice", harms=True),
    Command(ADMINS, "mute", "NAME", "stop somebody from speaking", "notice", harms=True),
    Command(ADMINS, "unmute", "NAME", "let them speak again", "notice", harms=True),
    Command(
        ADMINS,
        "ban",
        "NAME-or-ADDRESS [TIME] [WHY]",
        "ban a name, an address or a network",
        "notice",
        harms=True,
    ),
    Command(ADMINS, "unban", "NAME-or-ADDRESS", "lift a ban", "notice", harms=True),
    Command(ADMINS, "bans", "", "list the bans", "/bans"),
    Command(ADMINS, "servers", "", "show the servers of this chat", "/cluster"),
    Command(
        ROOM,
        "password",
        "PASSWORD",
        "join a room that has a password; it is asked for",
        run=lambda chat, text: chat.give_password(text),
        secret=True,
    ),
    Command(
        ROOM,
        "connect",
        "HOST[:PORT] [NAME]",
        "go to another server",
        run=lambda chat, text: chat.connect_to(text),
    ),
    Command(
        OWN,
        "highlight",
        "[WORD]",
        "highlight a word, or stop highlighting it",
        run=lambda chat, text: chat.highlight(text),
    ),
    Command(
        OWN, "bell", "off|mention|all", "choose when to ring", run=lambda chat, text: chat.set_bell(text)
    ),
    Command(
        OWN,
        "notify",
        "off|mention|all",
        "choose what notifies you while you are looking elsewhere",
        run=lambda chat, text: chat.set_notify(text),
    ),
    Command(OWN, "ignore", "[NAME]", "hide what somebody says", run=lambda chat, text: chat.ignore(text)),
    Command(OWN, "unignore", "NAME", "show it again", run=lambda chat, text: chat.unignore(text)),
    Command(
        OWN,
        "color",
        "NAME COLOUR",
        "choose the colour of a name",
        aliases=("colour",),
        run=lambda chat, text: chat.set_color(text),
    ),
)
_BY_NAME = {name: command for command in COMMANDS for name in (command.name, *command.aliases)}
BARE_WORDS = ("clear", "exit")  # commands without a slash too: that is what the user asked for


def command_in(line: str) -> tuple[str, str] | None:
    """A command's name, in lower case, and its argument; None if the line is a message."""
    if line.strip(" ") in BARE_WORDS:
        return line.strip(" "), ""
    if line.startswith("/") and not line.startswith("//"):
        word, _, argument = line[1:].partition(" ")
        return word.casefold(), argument.strip(" ")
    return None


def literal_line(text: str) -> str:
    """The line that says this text, whatever it looks like."""
    if text.startswith("/"):
        return "/" + text
    return "/say " + text if command_in(text) else text


def known_command(line: str) -> Command | None:
    """The command in the line, if it is in the table."""
    found = command_in(line)
    return _BY_NAME.get(found[0]) if found else None


def is_secret(line: str) -> bool:
    """Whether the line contains something that must not be shown or kept."""
    command = known_command(line.strip())
    return command is not None and command.secret


def is_private(line: str) -> bool:
    """Whether the line is for one person only."""
    command = known_command(line)
    return command is not None and command.answer == "/msg"


class Answer(NamedTuple):
    """R27: how the server answers a line: a record of this kind and, if that is known, with this text.

    The kind is "" if we don't know the command: any kind may answer it.
    """

    kind: str
    text: str | None = None

    @property
    def direct(self) -> bool:
        """Whether it may consist of direct records, of which nobody knows how many will come."""
        return self.kind.startswith("/") or not self.kind


def expected_answer(line: str) -> Answer:
    """The answer that a line gets unless it fails."""
    found = command_in(line)
    if found is None:
        return Answer("message", line[1:] if line.startswith("//") else line)
    word, argument = found
    command = _BY_NAME.get(word)
    if command is None or not command.answer:
        return Answer("")
    texts = {"say": argument, "me": argument, "msg": argument.partition(" ")[2].strip(" "), "reply": argument}
    return Answer(command.answer, texts.get(command.name))


# ----------------------------------------------------------------------------------------- the conversation


class Position:
    """Where we are in the history, so that the next connection can continue exactly there.

    The offset is the byte after the last history record that came: the server's START, plus what has come
    since (R38).
    """

    def __init__(self) -> None:
        self.exact = True  # the replay on this connection begins exactly where the last one broke
        self._token = ""
        self._offset = 0
        self._end = 0  # our own join is not before it
        self._time = ""  # of the last history record
        self._break_time = ""  # the same, when the connection broke

    def login_options(self, replay: str) -> list[str]:
        """The login lines that ask to continue here; `replay` is how much to see the first time, if given."""
        if self._token and self._time:
            return [f"/session {self._token} {self._offset} {self._time}"]
        return [*([f"/replay {replay}"] if replay else []), "/session"]

    def reconnect(self) -> None:
        """A new connection begins."""
        self._break_time = self._time
        self.exact = not self._time

    def begin(self, session: str, *, joining: bool) -> bool:
        """Take the text of a /session record; False if it is malformed.

        One that comes during the replay only corrects the offset: something in the file was not a record.
        """
        match = re.fullmatch(r"(\S{1,200}) (\d{1,18}) (\d{1,18})", session, re.ASCII)
        if match is None:
            return False
        start = int(match.group(2))
        if joining:
            self.exact = self.exact or start == self._offset  # R41
            self._end = int(match.group(3))
        self._token, self._offset = match.group(1), start
        return True

    def advance(self, record: Record, size: int) -> bool:
        """Move past a history record of this size in bytes. Returns whether it may be our own join."""
        if record.kind == "clear" and self._offset:  # R38; at 0 it is merely the first record of the file
            self._offset = self._end = 0
        new = self._offset >= self._end
        self._offset += size
        self._time = record.time
        return new

    def came_before(self, record: Record) -> bool:
        """Whether a replayed record has come on an earlier connection, judging by its time."""
        return not self.exact and record.time <= self._break_time


@dataclass
class Line:
    """A line to be sent. A `quiet` one was sent by the client itself, so its answer is not shown.

    A `literal` one says its text, whatever that looks like. `wire` is the line as it is sent.
    """

    text: str
    quiet: bool = False
    literal: bool = False

    def __post_init__(self) -> None:
        self.wire = literal_line(self.text) if self.literal else self.text
        self.answer = expected_answer(self.wire)


class Acknowledged(NamedTuple):
    """What a record of ours means for the lines in flight.

    `line` is the line that it answers; None if it answers none, or continues an answer. `skipped` were
    handled before that line, and their answers never came. `quiet`: it answers what nobody typed.
    """

    line: Line | None
    skipped: list[Line]
    quiet: bool = False


class Outbox:
    """What is not acknowledged yet: each line moves from right to left.

        answered | in flight | unsent       when a connection breaks, those in flight that the replay does
                    ^ oldest                not show move back to the right

    Lines are answered in order (R27, R39). Some commands are answered by several direct records, and nothing
    marks the last one: if the next answer could be taken for more of them, _SEPARATOR is sent in between.
    """

    def __init__(self) -> None:
        self._in_flight: deque[Line] = deque()
        self._unsent: deque[Line] = deque()
        self._sent_last = Answer("message")  # the answer that the last line will get
        self._open: tuple[str, bool] | None = (
            None  # kind of an answer that may go on, and whether it is quiet
        )

    def __len__(self) -> int:
        return len(self._in_flight) + len(self._unsent)

    @property
    def waiting(self) -> list[str]:
        """What somebody typed that is not yet known to be handled, oldest first."""
        return [line.text for line in (*self._in_flight, *self._unsent) if not line.quiet]

    @property
    def answer_due(self) -> bool:
        """Whether there is a line that the server has not answered."""
        return bool(self._in_flight)

    @property
    def command_due(self) -> bool:
        """Whether one of these is a command, which may take a while."""
        return any(line.answer.direct for line in self._in_flight)

    @property
    def all_sent(self) -> bool:
        """Whether nothing is to be sent."""
        return not self._unsent

    def add(self, line: Line) -> None:
        """Take a line to be sent."""
        self._unsent.append(line)

    def take(self) -> list[Line]:
        """The next lines to send, about SEND_BYTES of them; they are in flight from now on."""
        taken: list[Line] = []
        size = 0
        while self._unsent and size < SEND_BYTES:
            line = self._unsent.popleft()
            if _could_be_one(self._sent_last, line.answer):
                taken.append(Line(_SEPARATOR, quiet=True))
            taken.append(line)
            self._sent_last = line.answer
            size += len(line.wire) + 1
        self._in_flight += taken
        return taken

    def acknowledge(self, record: Record) -> Acknowledged:
        """Our own history record: it answers the line with the same text, or else the oldest of its kind."""
        kind, text = record.kind, record.text
        same = (line.answer.kind == kind and line.answer.text in (None, text) for line in self._in_flight)
        alike = (line.answer.kind in (kind, "") for line in self._in_flight)
        for answered in (same, alike):
            for index, found in enumerate(answered):
                if found:
                    return self._answered(index)
        return Acknowledged(None, [])

    def acknowledge_direct(self, record: Record) -> Acknowledged:
        """A direct record for us. An /error answers the oldest line, another kind a command."""
        kind = record.kind
        if kind == "/msg":
            private = [i for i, line in enumerate(self._in_flight) if line.answer.kind == kind][:1]
            answered = private and _is_private_answer(self._in_flight[private[0]], record)
            return self._answered(private[0]) if answered else Acknowledged(None, [])
        if kind == "/error":
            return self._answered(0) if self._in_flight else Acknowledged(None, [])
        if self._open and self._open[0] == kind:
            return Acknowledged(None, [], self._open[1])
        found = [i for i, line in enumerate(self._in_flight) if line.answer.kind in (kind, "")]
        if not found and self._in_flight and self._in_flight[0].answer.direct:
            found = [0]  # not the kind that we expected
        if not found:
            return Acknowledged(None, [])
        acknowledged = self._answered(found[0])
        self._open = (kind, acknowledged.quiet)
        return acknowledged

    def acknowledge_all(self) -> None:
        """The server has handled everything that was sent."""
        self._in_flight.clear()

    def send_again(self, *, exact: bool, first: Iterable[Line] = ()) -> list[Line]:
        """R42: after a break, send again what is in flight, after `first`.

        Returns the lines that are dropped instead, because they could be done twice: commands, and all of
        them if the replay did not begin where we were.
        """
        again: list[Line] = list(first)
        dropped: list[Line] = []
        for line in self._in_flight:
            (again if exact and line.answer.kind in _SENT_AGAIN else dropped).append(line)
        self._in_flight.clear()
        self._unsent.extendleft(reversed(again))
        self._sent_last, self._open = Answer("message"), None
        return dropped

    def _answered(self, index: int) -> Acknowledged:
        skipped = [self._in_flight.popleft() for _ in range(index)]
        line = self._in_flight.popleft()
        self._open = None
        return Acknowledged(line, skipped, line.quiet)


_SEPARATOR = "/"  # names no command, so its answer is one /error


def _could_be_one(answer: Answer, following: Answer) -> bool:
    """Whether the records of two answers could be taken for those of one."""
    if not (answer.direct and following.direct) or answer.kind == following.kind == "/msg":
        return False
    return answer.kind == following.kind or "" in (answer.kind, following.kind)


def _is_private_answer(line: Line, record: Record) -> bool:
    """Whether our /msg record answers the line; what we send to ourselves comes in addition to its answer."""
    command, _, argument = line.text.partition(" ")
    to = argument.strip(" ").partition(" ")[0] if command.casefold() == "/msg" else record.name
    strictly = name_key(to) == name_key(record.name)
    text = re.escape(line.answer.text or "") if strictly else ".*"
    return re.fullmatch(rf"(?:to|kept for) \S+: {text}", record.text) is not None


_SENT_AGAIN = ("message", "action", "rename")  # R43: the replay shows these if they were done


@dataclass(frozen=True)
class Received:
    """A record that came. `mine`: we are its author. `quiet`: it answers a line that nobody typed.

    `answers` is the line that it answers, "" if it answers none.
    """

    record: Record
    mine: bool
    replayed: bool = False
    quiet: bool = False
    answers: str = ""


@dataclass(frozen=True)
class Joined:
    """We are in the room, and may speak."""


@dataclass(frozen=True)
class Refused:
    """We were refused; the server waits for another name, or hangs up."""

    record: Record


@dataclass(frozen=True)
class Unconfirmed:
    """A line was in flight when the connection broke, and there is no telling what became of it."""

    line: str


@dataclass(frozen=True)
class Left:
    """Our own leave is in the history."""

    why: str


Event = Union[Received, Joined, Refused, Unconfirmed, Left]


def asks_for_password(refusal: Record) -> bool:
    """Whether we were refused because the password is missing or wrong."""
    return re.search(r"(/| the )password\b", refusal.text) is not None


class NotAChat(Exception):
    """What answers is not a chat server; the argument is what it said."""


class State(enum.Enum):
    """How far a connection has come."""

    LOGIN = "login"  # our name is sent, or will be with the next bytes
    REFUSED = "refused"  # the server waits for another name
    REPLAY = "replay"  # our name is taken; what we missed comes, and then our own join
    JOINED = "joined"


class Conversation:
    """One person's side of the protocol, over as many connections as it takes.

    `connected` begins each connection; then bytes go in through `receive` and come out of `data_to_send`.
    Every line that `say` takes ends up in the history exactly once, or an event says that this is not known.
    """

    def __init__(self, name: str, password: str = "", replay: str = "", proofs: Iterable[str] = ()) -> None:
        self.name = name
        self.password = password
        self._proofs = deque(proofs)  # that the name is ours, in the order in which they are tried
        self.state = State.LOGIN
        self.leaving = False  # /exit follows the lines that wait, and no more are taken
        self.exit_sent = False
        self._replay = replay
        self._position = Position()
        self._outbox = Outbox()
        self._lines = Lines()
        self._login = b""  # lines that have to be sent before we are in
        self._greeted = False  # by a record, on this connection: it is a chat
        # Who we are in the records. After our old connection's leave, a namesake is somebody else.
        self._own_name = ""
        self._own_address = ""
        self._still_there = False
        self._renamed = ""  # a name that we took just before the break, and have to take again

    @property
    def joined(self) -> bool:
        """Whether we are in the room, on this connection."""
        return self.state is State.JOINED

    @property
    def refused(self) -> bool:
        """Whether the server waits for another name."""
        return self.state is State.REFUSED

    @property
    def been_in(self) -> bool:
        """Whether we have been in this room, so that our name was accepted once."""
        return bool(self._own_name)

    @property
    def sends_secret(self) -> bool:
        """Whether the login contains a secret."""
        return bool(self.password or self._proofs)

    @property
    def waiting(self) -> list[str]:
        """The typed lines that are not yet known to be handled, oldest first."""
        return self._outbox.waiting

    @property
    def backlog(self) -> int:
        """How many lines wait."""
        return len(self._outbox)

    @property
    def answer_due(self) -> bool:
        """Whether the server owes us an answer."""
        return self._outbox.answer_due or self.state in (State.LOGIN, State.REPLAY)

    @property
    def command_due(self) -> bool:
        """Whether it owes us the answer to a command, which may take a while."""
        return self._outbox.command_due

    # ----- out

    def connected(self) -> None:
        """There is a new connection: log in on it."""
        self.state = State.LOGIN
        self.exit_sent = self._greeted = False
        self._lines = Lines()
        self._still_there = self.been_in
        self._position.reconnect()
        options = ["/password " + self.password] if self.password else []
        options += ["/identify " + proof for proof in list(self._proofs)[:1]]
        self._login = _encoded(*options, *self._position.login_options(self._replay), self.name)

    def say(self, text: str, *, quiet: bool = False, literal: bool = False) -> None:
        """Take a message or a command; a `literal` one is said verbatim. Control characters are removed.

        If the server has refused our first name, it is another name. `/nick` without a connection takes the
        name for the next one.
        """
        text = clean(text)
        if self.leaving or not text:
            return
        line = Line(text, quiet, literal)
        if self.refused and not self.been_in and not literal:
            self._try_again(text)
        elif line.answer.kind == "leave":
            self.leave()
        elif line.answer.kind == "rename" and not self.joined:
            self.name = written_name(text.partition(" ")[2])
        else:
            self._outbox.add(line)

    def leave(self) -> None:
        """Leave in order, after all the lines that wait."""
        self.leaving = True

    def data_to_send(self) -> bytes:
        """What is to be sent now; the lines in it are in flight from now on."""
        out, self._login = self._login, b""
        if self.joined:
            out += _encoded(*(line.wire for line in self._outbox.take()))
            if self.leaving and self._outbox.all_sent and not self.exit_sent:
                self.exit_sent = True
                out += b"/exit\n"
        return out

    def use_password(self, password: str) -> None:
        """Log in with it from now on, and at once if the server waits for it."""
        self.password = password
        if self.refused:
            self.state = State.LOGIN
            self._login += _encoded("/password " + clean(password), self.name)

    def _try_again(self, text: str) -> None:
        self.state = State.LOGIN
        self.name = written_name(text[len("/nick ") :] if text.startswith("/nick ") else text)
        self._login += _encoded(self.name)

    def prove(self, proof: str) -> None:
        """Prove with it from now on that the name is ours, and at once if the server waits for a name."""
        self._proofs = deque([proof])
        if self.refused:
            self.state = State.LOGIN
            self._login += _encoded("/identify " + clean(proof), self.name)

    # ----- in

    def receive(self, data: bytes) -> list[Event]:
        """The events in the data. Raises NotAChat."""
        events: list[Event] = []
        for line in self._lines.feed(data):
            record = parse(line)
            if record:
                self._greeted = True
                events += self._direct(record) if record.direct else self._history(record, len(line))
            elif not self._greeted:
                raise NotAChat(clean_bytes(line[:60]))
        return events

    def _direct(self, record: Record) -> list[Event]:
        logging_in = self.state in (State.LOGIN, State.REFUSED)
        if record.kind == "/session":
            if self._position.begin(record.text, joining=logging_in) and logging_in:
                self.state = State.REPLAY
            return []
        if record.kind == "/error" and logging_in:  # R21
            if len(self._proofs) > 1:  # an earlier run ended while it was changing the secret: try the other
                self._proofs.popleft()
                self._login += _encoded("/identify " + self._proofs[0], self.name)
                return []
            self.state = State.REFUSED
            if asks_for_password(record):
                self.password = ""  # there was none, or it is wrong
            return [Refused(record)]
        mine = record.kind == "/msg" and record.name == self._own_name
        if not self.joined or record.kind in _NEVER_ANSWERS or (record.kind == "/msg" and not mine):
            return [Received(record, mine)]
        return self._acknowledged(record, mine, self._outbox.acknowledge_direct(record))

    def _history(self, record: Record, size: int) -> list[Event]:
        new = self._position.advance(record, size)
        if self.joined:
            return self._live(record)
        if new and record.kind == "join" and record.name == self.name:
            return self._own_join(record)
        return self._replayed(record)

    def _live(self, record: Record) -> list[Event]:
        mine = self._is_mine(record)
        if mine and record.kind == "leave":
            if record.text == "exit":  # ours, and it came after all the lines; a kick may come in between
                self._outbox.acknowledge_all()
            return [Received(record, mine), Left(record.text)]
        if not mine:
            return [Received(record, mine)]
        events = self._acknowledged(record, mine, self._outbox.acknowledge(record))
        if record.kind == "rename":
            self._own_name, self.name = record.text, clean(record.text)
        return events

    def _replayed(self, record: Record) -> list[Event]:
        if self._position.came_before(record):
            return []  # it must not answer another line than it did then
        mine = self._is_mine(record)
        if record.kind == "start" or (mine and record.kind == "leave"):
            self._still_there = False
        if not (mine and self._still_there and self._position.exact):
            return [Received(record, mine, replayed=True)]
        events = self._acknowledged(record, mine, self._outbox.acknowledge(record), replayed=True)
        if record.kind == "rename":
            self._own_name, self._renamed = record.text, clean(record.text)
        return events

    def _acknowledged(
        self, record: Record, mine: bool, acknowledged: Acknowledged, *, replayed: bool = False
    ) -> list[Event]:
        line, skipped, quiet = acknowledged
        answers = line.text if line and not line.quiet else ""
        return [Received(record, mine, replayed, quiet, answers), *_unconfirmed(skipped)]

    def _is_mine(self, record: Record) -> bool:
        """Whether we are the author; of a notice: whether it says what we did as an admin."""
        if record.kind == "notice":
            name, _, did = record.text.partition(" ")
            return record.address == "-" and name == self._own_name and not did.startswith("is ")
        return (record.name, record.address) == (self._own_name, self._own_address)

    def _own_join(self, record: Record) -> list[Event]:
        """We are in: what was not in the replay is sent again, or reported if that could do it twice."""
        first = [Line("/nick " + self._renamed)] if self._renamed else []
        self._renamed = ""
        dropped = self._outbox.send_again(exact=self._position.exact, first=first)
        self._own_name, self._own_address = record.name, record.address
        self.state = State.JOINED
        return [Received(record, mine=True), Joined(), *_unconfirmed(dropped)]


# R12: they come when the server has something to say
_NEVER_ANSWERS = ("/hello", "/note", "/session", "/servers", "/waiting")


def _encoded(*lines: str) -> bytes:
    return "".join(line + "\n" for line in lines).encode(errors="replace")


def _unconfirmed(lines: Iterable[Line]) -> list[Event]:
    return [Unconfirmed(line.text) for line in lines if not line.quiet]


# ------------------------------------------------------------------------------------------------- settings

# Of the 256 colours, some that can be read on black and on white alike (contrast above 3.6 with both).
COLOURS = {
    "red": 160,
    "orange": 166,
    "brown": 94,
    "olive": 100,
    "green": 28,
    "teal": 30,
    "blue": 32,
    "indigo": 63,
    "violet": 134,
    "magenta": 164,
    "pink": 198,
    "rose": 131,
}
BELLS = ("off", "mention", "all")


@dataclass
class Settings:
    """What is remembered from one run to the next. Names are kept as typed and compared by name_key."""

    name: str = ""
    server: str = ""
    bell: str = "mention"
    notify: str = "off"
    highlight: list[str] = field(default_factory=list)
    ignore: list[str] = field(default_factory=list)
    color: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls) -> Settings:
        """Read the file; what is missing or wrong in it has its default. Raises OSError, ValueError."""
        settings = cls()
        if not settings_path().exists():
            return settings
        stored = json.loads(settings_path().read_text("utf-8"))
        if not isinstance(stored, dict):
            raise ValueError("there are no settings in it")
        for known in fields(cls):
            value = stored.get(known.name)
            if isinstance(value, type(getattr(settings, known.name))):
                setattr(settings, known.name, value)
        settings.name = settings.name if is_name(settings.name) else ""
        try:
            settings.server = settings.server and str(parse_address(settings.server))
        except ValueError:
            settings.server = ""
        settings.bell = settings.bell if settings.bell in BELLS else "mention"
        settings.notify = settings.notify if settings.notify in BELLS else "off"
        settings.highlight = [word for word in settings.highlight if isinstance(word, str) and word]
        settings.ignore = [name for name in settings.ignore if isinstance(name, str)]
        settings.color = {name: colour for name, colour in settings.color.items() if colour in COLOURS}
        return settings

    def save(self) -> None:
        """Write the file. Raises OSError."""
        _write(settings_path(), json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n")


class Secrets:
    """What proves that names are ours: by server and name, the newest last, in a file that only we can read.

    There are two while a secret is being changed: the server knows which of them counts.
    """

    def __init__(self) -> None:
        self.path = settings_folder() / "secrets.json"

    def of(self, address: Address, name: str) -> list[str]:
        """What proves the name at this server. Raises OSError, ValueError."""
        found = self._load().get(endpoint(address), {}).get(name_key(name), [])
        return [proof for proof in found if isinstance(proof, str)]

    def store(self, address: Address, name: str, proofs: list[str]) -> None:
        """Remember what proves the name. Raises OSError, ValueError."""
        stored = self._load()
        stored.setdefault(endpoint(address), {})[name_key(name)] = proofs
        _write(self.path, json.dumps(stored, indent=2, ensure_ascii=False) + "\n")

    def _load(self) -> dict[str, dict[str, list[str]]]:
        _check_private(self.path)
        stored = _load_json(self.path)
        if not all(isinstance(names, dict) for names in stored.values()):
            raise ValueError(f"{self.path} is damaged; correct or delete it")
        return stored


def _load_json(path: Path) -> dict[str, Any]:
    """The object in a file; empty if there is no file. Raises OSError, ValueError with a sentence."""
    if not path.exists():
        return {}
    try:
        stored = json.loads(path.read_text("utf-8"))
    except ValueError:
        stored = None
    if not isinstance(stored, dict):
        raise ValueError(f"{path} is damaged; correct or delete it")
    return stored


def _check_private(path: Path) -> None:
    """Raises ValueError, with a sentence, if others on this computer can read the file."""
    if os.name != "nt" and path.exists() and path.stat().st_mode & 0o077:
        raise ValueError(f"{path} can be read by others on this computer: chmod 600 {path}")


def settings_folder() -> Path:
    """Where programs keep their settings on this system."""
    if os.name == "nt":
        return Path(os.environ.get("APPDATA") or Path.home()) / "tcp-chat"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "tcp-chat"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "tcp-chat"


def settings_path() -> Path:
    """The file of the settings."""
    return settings_folder() / "settings.json"


def input_history_path() -> Path:
    """The file of the lines that were typed."""
    return settings_folder() / "input-history.txt"


def _write(path: Path, text: str) -> None:
    """Write a file, whole or not at all, that only we can read. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.touch(0o600)
    new.write_text(text, "utf-8")
    new.replace(path)


# ----------------------------------------------------------------------------------------------------- view


DIM, BOLD, BOLD_REVERSE, REVERSE = "2", "1", "1;7", "7"
HEAD_CELLS = 12  # of the column in which names end, where the screen is wide enough for one
CLOCK_CELLS = 6  # "10:15 "
WIDE, NARROW = 60, 30  # columns: there is that column from WIDE on, and hardly an indent below NARROW

# How each kind is shown: in the column of names, and after it. No name contains a space, so whoever is called
# "->" still can't forge a join.
_SHAPES = {
    "message": ("{name}:", "{text}"),
    "action": ("*", "{name} {text}"),
    "join": ("->", "{name} joined"),
    "leave": ("<-", "{name} left: {text}"),
    "rename": ("--", "{name} is now {text}"),
    "notice": ("!!", "{name}: {text}"),
    "clear": ("--", "{name} cleared the history: {text}"),
    "start": ("--", "the server started: {text}"),
    "stop": ("--", "the server stopped: {text}"),
    "/msg": ("[private] {name}:", "{text}"),
    "/error": ("!!", "{text}"),
}
_QUIET_KINDS = ("join", "leave", "rename", "clear", "start", "stop")
_SAID = ("message", "action", "/msg")
_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_QUOTED = re.compile(
    rf"({_ISO_TIME.pattern}) (?:(\* )(\S+) (.*)|(\S+): (.*))"
)  # an answer of /history, /search

Pieces = list[
    tuple[str, str]
]  # (style, text): the style is the parameters of a terminal's SGR sequence, or ""


class Shown(NamedTuple):
    """A line for people, before it is known how wide the screen is: the time, the column of names, the rest.

    With an `indent`, the head is a column of its own instead, of this many cells.
    """

    time: str
    head: Pieces
    body: Pieces
    indent: int = 0

    @property
    def pieces(self) -> Pieces:
        """All of it, for a single row of any length."""
        return self._in_one_row(self._pad(self.indent))

    def _in_one_row(self, pad: Pieces) -> Pieces:
        time_ = [(DIM, self.time + " ")] if self.time else []
        return [*time_, *self.head, *pad, *([("", " ")] if self.head else []), *self.body]

    def _pad(self, indent: int) -> Pieces:
        """What fills the head up to a column of its own."""
        width = cells("".join(text for _, text in self.head))
        return [("", " " * (indent - 1 - width))]

    def rows(self, columns: int) -> list[Pieces]:
        """The line as rows of the screen: words wrap, and later rows are indented."""
        if not self.head or columns < WIDE:
            indent = 0 if not self.head else CLOCK_CELLS if columns >= NARROW else 1
            return wrap(self._in_one_row([]), columns, indent)
        if self.indent:
            return wrap(self.pieces, columns, self.indent)
        time_ = self.time + " " if self.time else " " * CLOCK_CELLS
        pad = self._pad(HEAD_CELLS + 1)
        indent = CLOCK_CELLS + HEAD_CELLS + 1
        return wrap([(DIM, time_), *pad, *self.head, ("", " "), *self.body], columns, indent)


class View:
    """Records as lines for people. It knows the settings, and the day of the last line."""

    def __init__(self, settings: Settings, *, colours: bool, iso_times: bool = False) -> None:
        self._settings = settings
        self._colours = colours
        self._time = iso_time if iso_times else clock
        self._day = date.today()

    def day_line(self, record: Record) -> str:
        """What is to be shown before the record: its day, if it is not that of the last one; else ""."""
        day = local_time(record.time).date()
        if day == self._day:
            return ""
        self._day = day
        return f"--- {day.strftime('%A')}, {day.day} {day.strftime('%B')} {day.year:04} ---"

    def line(self, record: Record, own_name: str = "") -> str:
        """The record as one line, without escapes or line ends, whatever the server put into it.

        With our name given, what mentions us is marked.
        """
        return self.painted(self.shown(record, own_name).pieces)

    def lines(self, record: Record, own_name: str = "") -> list[Shown]:
        """The record for a screen, after its day if that is another one."""
        record = quoted(record) or record
        day = self.day_line(record)
        return [*([Shown("", [], [(DIM, day)])] if day else []), self.shown(record, own_name)]

    def shown(self, record: Record, own_name: str = "") -> Shown:
        """The record as a line for a screen."""
        name, text = clean(record.name), clean(record.text)
        kind = record.kind  # R5: one that is not known is shown as it stands
        head, body = _SHAPES.get(kind, ("--", "{text}" if record.direct else "{name} did {kind}: {text}"))
        if not text:
            body = body.replace(": {text}", "")
        if (record.direct and kind != "/msg") or (kind == "notice" and record.address == "-"):
            text = _ISO_TIME.sub(lambda found: _short(found.group()), text)
        style = self._style(record)
        pieces: dict[str, Pieces] = {
            "{name}": [(self._colour(name), name)],
            "{kind}": [(style, kind)],
            "{text}": self._marked(text, style, own_name) if own_name else [(style, text)],
        }

        def filled(shape: str) -> Pieces:
            parts = re.split(r"(\{\w+\})", shape)
            return [piece for part in parts for piece in pieces.get(part, [(style, part)])]

        mark = [(BOLD, "> ")] if own_name and self.mentions(record, own_name) else []
        return Shown(self._time(record.time), [*mark, *filled(head)], filled(body))

    def painted(self, pieces: Pieces) -> str:
        """The pieces as text, with their styles if there are to be colours."""
        if not self._colours:
            return "".join(text for _, text in pieces)
        return "".join(f"\x1b[{style}m{text}\x1b[0m" if style and text else text for style, text in pieces)

    def mentions(self, record: Record, own_name: str) -> bool:
        """Whether our name or a word of /highlight is in what somebody else said."""
        return (
            record.kind in ("message", "action", "notice")
            and name_key(record.name) != name_key(own_name)
            and self._words(own_name).search(record.text) is not None
        )

    def _marked(self, text: str, style: str, own_name: str) -> Pieces:
        parts = self._words(own_name).split(text)
        return [(BOLD_REVERSE if odd % 2 else style, part) for odd, part in enumerate(parts)]

    def _words(self, own_name: str) -> re.Pattern[str]:
        words = "|".join(re.escape(word) for word in (own_name, *self._settings.highlight))
        return re.compile(rf"(?<!\w)({words})(?!\w)", re.IGNORECASE)

    def _style(self, record: Record) -> str:
        if record.kind in _QUIET_KINDS or record.kind == "/hello":
            return DIM
        return BOLD if record.kind in ("notice", "/error", "/msg") else ""

    def _colour(self, name: str) -> str:
        key = name_key(name)
        chosen = {name_key(other): colour for other, colour in self._settings.color.items()}.get(key)
        colours = list(COLOURS.values())
        number = (
            COLOURS[chosen] if chosen else colours[zlib.crc32(key.encode(errors="replace")) % len(colours)]
        )
        return f"38;5;{number}"


def quoted(record: Record) -> Record | None:
    """The record that an answer to /history or /search quotes; None if it quotes none."""
    match = _QUOTED.fullmatch(record.text) if record.kind in ("/history", "/search") else None
    if match is None:
        return None
    time_, star, actor, action, speaker, said = match.groups()
    try:
        datetime.fromisoformat(time_[:10])
    except ValueError:
        return None
    if star:
        return Record(time_, record.address, actor, "action", action)
    return Record(time_, record.address, speaker, "message", said)


def cells(text: str) -> int:
    """How many columns of a terminal the text takes."""
    return len(text) if text.isascii() else sum(map(_cells_of, text))


def _cells_of(character: str) -> int:
    if character < "\u0300":
        return 1
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def wrap(pieces: Pieces, columns: int, indent: int) -> list[Pieces]:
    """The pieces in rows of this many columns, broken between words.

    A word that is longer than a row, such as a URL, is not broken: the terminal wraps it, and knows that it
    is one word.
    """
    if sum(cells(text) for _, text in pieces) <= columns:
        return [pieces]
    indent = min(indent, columns // 2)
    rows: list[Pieces] = [[]]
    used = 0  # columns of the last row
    gap: Pieces = []
    for word in _words_of(pieces):
        width = sum(_cells_of(character) for _, character in word)
        if word[0][1] == " ":
            gap = word
            continue
        if used + len(gap) + width > columns and used:
            fits = width <= columns - indent
            rows.append([("", " ")] * indent if fits else [])
            gap, used = [], indent if fits else 0
        rows[-1] += gap + word
        used += len(gap) + width
        used -= (used - 1) // columns * columns  # of a word that the terminal wraps
        gap = []
    return [_joined(row) for row in rows]


def _words_of(pieces: Pieces) -> Iterator[Pieces]:
    """The pieces by words and by the spaces between them; a wide character is a word by itself."""
    word: Pieces = []
    for style, text in pieces:
        for character in text:
            wide = _cells_of(character) == 2
            if word and (wide or (character == " ") != (word[-1][1] == " ")):
                yield word
                word = []
            word.append((style, character))
            if wide:
                yield word
                word = []
    if word:
        yield word


def _joined(row: Pieces) -> Pieces:
    """Neighbours of one style as one piece."""
    joined: Pieces = []
    for style, text in row:
        if joined and joined[-1][0] == style:
            joined[-1] = (style, joined[-1][1] + text)
        else:
            joined.append((style, text))
    return joined


def local_time(time_: str) -> datetime:
    """A record's time in the local time zone. What can't be shown in it stays UTC."""
    utc = datetime.fromisoformat(time_[:-1] + "+00:00")
    try:
        return utc.astimezone()
    except (OverflowError, OSError, ValueError):
        return utc


def clock(time_: str) -> str:
    """A record's time as 10:15, local."""
    return local_time(time_).strftime("%H:%M")


def iso_time(time_: str) -> str:
    """A record's time with date and zone, local."""
    return local_time(time_).isoformat(timespec="milliseconds")


def _short(time_: str) -> str:
    """A time inside a text: 10:15, with its date if that isn't today."""
    try:
        moment = local_time(time_)
    except ValueError:  # it only looks like one: a name can
        return time_
    day = "" if moment.date() == date.today() else f"{moment.date()} "
    return day + moment.strftime("%H:%M")


PEOPLE = 10_000  # who is here, at most: as many as a server lets in; beyond that, names are not kept


class People:
    """Who is here, as far as we know, and who spoke last."""

    def __init__(self) -> None:
        self._here: dict[str, str] = {}  # name_key: name
        self._spoke: dict[str, int] = {}  # name_key: its place in the order of speaking
        self._spoken = 0
        self.counted = False  # whether the server has told us all of them

    def __len__(self) -> int:
        return len(self._here)

    def learn(self, record: Record) -> None:
        """Learn from a record. Names are cleaned: they may be completed on the typed line."""
        name, text = clean(record.name), clean(record.text)
        key = name_key(name)
        if record.kind == "start":
            self.forget()
        elif record.kind == "/users":
            self._add(text.partition(" ")[0])
            self.counted = True
        elif record.kind == "leave":
            self._here.pop(key, None)
        elif record.kind == "rename":
            self._here.pop(key, None)
            self._add(text)
            if key in self._spoke:
                self._spoke[name_key(text)] = self._spoke.pop(key)
        elif record.kind == "join":
            self._add(name)
        elif record.kind in _SAID and (key in self._spoke or len(self._spoke) < PEOPLE):
            self._spoken += 1
            self._spoke[key] = self._spoken

    def _add(self, name: str) -> None:
        if len(self._here) < PEOPLE and is_name(name):
            self._here[name_key(name)] = name

    def forget(self) -> None:
        """Start again: the server will tell who is here."""
        self._here.clear()
        self.counted = False

    def latest_first(self) -> list[str]:
        """The names of those who are here; whoever spoke last comes first."""
        here = list(self._here.values())  # a copy: the link's thread goes on changing it
        return sorted(here, key=lambda name: -self._spoke.get(name_key(name), -1))


# ------------------------------------------------------------------------------------------------- network


class Address(NamedTuple):
    """Where a server is, and where the other servers of the same chat are."""

    host: str
    port: int
    others: tuple[Address, ...] = ()

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        one = host if self.port == PORT else f"{host}:{self.port}"
        return ",".join([one, *map(str, self.others)])


def parse_address(text: str, port: int = PORT) -> Address:
    """HOST, HOST:PORT, [IPv6]:PORT, a bare IPv6 address, or several with commas between them.

    Raises ValueError with a sentence.
    """
    first, *others = (_parse_one(each, port) for each in text.split(","))
    return first._replace(others=tuple(others))


def _parse_one(text: str, port: int) -> Address:
    match = re.fullmatch(
        r"\[([^\[\]\s]+)\](?::(\d+))?|([^:\[\]\s]+)(?::(\d+))?|([0-9A-Fa-f:.]+(?:%\w+)?)", text.strip()
    )
    if not match:
        raise ValueError(f"{clean(text)!r} is not an address; write HOST or HOST:PORT.")
    host = match.group(1) or match.group(3) or match.group(5)
    return Address(host, parse_port(match.group(2) or match.group(4) or str(port)))


class Route:
    """The servers of one chat: the one that we use or try, and those to turn to if it is gone."""

    def __init__(self, address: Address) -> None:
        self.here = address._replace(others=())
        self._others = list(address.others)
        self._failed: set[Address] = set()

    def __str__(self) -> str:
        return str(self.here._replace(others=tuple(self._others)))

    def learn(self, text: str) -> None:
        """Learn from a /servers record: the server itself comes first, then the others."""
        others = []
        for each in text.split(" ")[1:MOST_SERVERS]:
            with contextlib.suppress(ValueError):
                others.append(_parse_one(each, PORT))
        self._others = [each for each in dict.fromkeys(others) if each != self.here]

    def arrived(self) -> None:
        """We are in."""
        self._failed.clear()

    def turn_to_another(self) -> bool:
        """Turn to another server (R46) if there is one. Returns whether it is one that hasn't failed yet.

        It is chosen at random, so that the people of a lost server spread over the others.
        """
        self._failed.add(self.here)
        fresh = [each for each in self._others if each not in self._failed]
        if not fresh:
            self._failed.clear()
        if self._others:
            following = random.choice(fresh or self._others)
            self._others.remove(following)
            self._others.append(self.here)
            self.here = following
        return bool(fresh)


def parse_port(text: str) -> int:
    """A TCP port. Raises ValueError with a sentence."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise ValueError(f"{clean(text)!r} is not a port; a port is a number from 1 to 65535.")
    return int(text)


class Connection:
    """An open socket that never waits."""

    def __init__(self, socket_: socket.socket) -> None:
        self._socket = socket_
        socket_.setblocking(False)

    def fileno(self) -> int:
        """For select."""
        return self._socket.fileno()

    def receive(self) -> bytes | None:
        """What has come: b"" at the end of the stream, None if nothing has. Raises OSError."""
        try:
            return self._socket.recv(256 * 1024)
        except BlockingIOError:
            return None

    def send(self, data: bytes) -> int:
        """Send as much as possible without waiting; the number of bytes. Raises OSError."""
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


class SecureConnection(Connection):
    """The same with TLS."""

    def receive(self) -> bytes | None:
        pieces: list[bytes] = []
        while len(pieces) < 16:  # of 16 KiB each, which is all that TLS decrypts at once
            try:
                piece = self._socket.recv(16 * 1024)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return b"".join(pieces) or None
            except OSError:
                if pieces:
                    break
                raise
            if not piece:
                break
            pieces.append(piece)
        return b"".join(pieces)

    def send(self, data: bytes) -> int:
        try:
            return self._socket.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0

    def close(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # it doesn't wait for the other end to do the same
            self._socket.unwrap()  # type: ignore[attr-defined]
        super().close()


class Distrusted(Exception):
    """The server may not be the one that it should be. The argument is a sentence that says what to do."""


class Interrupted(Exception):
    """We are to leave before the handshake is complete."""


def _never() -> bool:
    return False


class KnownServers:
    """Which servers had TLS, and with which certificate, as in ssh's known_hosts. Raises ValueError, OSError.

    A damaged file is not treated as empty: a server that has changed would be taken for a new one.
    """

    def __init__(self) -> None:
        self.path = settings_folder() / "known-servers.json"

    def fingerprint(self, address: Address) -> str:
        """The SHA-256 of the certificate that the server had; "" if it is not known to have had one."""
        return str(self._load().get(endpoint(address), {}).get("fingerprint", ""))

    def since(self, address: Address) -> str:
        """The day on which it was first seen."""
        return str(self._load().get(endpoint(address), {}).get("since", ""))

    def remember(self, address: Address, fingerprint: str) -> None:
        """The server has this certificate."""
        known = self._load()
        known[endpoint(address)] = {"fingerprint": fingerprint, "since": date.today().isoformat()}
        _write(self.path, json.dumps(known, indent=2) + "\n")

    def forget(self, address: Address) -> bool:
        """Treat the server as new from now on. Returns whether it was known."""
        known = self._load()
        found = known.pop(endpoint(address), None) is not None
        if found:
            _write(self.path, json.dumps(known, indent=2) + "\n")
        return found

    def _load(self) -> dict[str, dict[str, str]]:
        known = _load_json(self.path)
        if not all(isinstance(server, dict) for server in known.values()):
            raise ValueError(f"{self.path} is damaged; correct it, or delete it: then every server is new")
        return known


class Trust:
    """Decides whether a server is the one that it should be. `pins` apply to the servers that were typed."""

    def __init__(self, pins: Iterable[str] = (), typed: Address | None = None) -> None:
        self._pins = tuple(pins)
        self._pinned = {typed._replace(others=()), *typed.others} if typed else set()
        self.known = KnownServers()

    def open(self, address: Address, leaving: Callable[[], bool] = _never) -> tuple[Connection, str]:
        """A connection, with TLS if the server has it, and a sentence or "". `leaving`: whether to give up.

        Raises Distrusted, OSError, Interrupted.
        """
        try:
            expected = self.known.fingerprint(address)
        except (ValueError, OSError) as error:
            raise Distrusted(f"Not connected: {_sentence(error)}.") from None
        pins = self._pins if address in self._pinned else ()
        connection, spoke = _connect_in_time(address, GREETING_SECONDS if not (expected or pins) else 0)
        if spoke and not (expected or pins):
            return Connection(connection), ""  # it speaks first: whatever it is, it has no TLS
        try:
            secured = secure(connection, address.host, leaving=leaving)
        except NoTls as refusal:
            return self._without_tls(address, refusal, bool(expected), bool(pins))
        fingerprint = fingerprint_of(secured)
        if pins and not any(fingerprint.startswith(pin) for pin in pins):
            secured.close()
            raise Distrusted(_WRONG_PIN.format(address=address, pin=fingerprint[:PIN_DIGITS]))
        if expected and not pins and fingerprint != expected and not _vouched_for(address, fingerprint):
            secured.close()
            raise Distrusted(_CHANGED.format(address=address, pin=fingerprint[:PIN_DIGITS]))
        return SecureConnection(secured), self._remember(address, fingerprint, expected)

    def _remember(self, address: Address, fingerprint: str, expected: str) -> str:
        if fingerprint == expected:
            return ""
        try:
            self.known.remember(address, fingerprint)
        except (OSError, ValueError) as error:
            return f"The certificate of {address} can't be remembered: {_sentence(error)}."
        return ""

    def _without_tls(
        self, address: Address, refusal: NoTls, known: bool, pinned: bool
    ) -> tuple[Connection, str]:
        if (known or pinned) and not refusal.said:  # it may be stopping, or full
            raise ConnectionResetError("it closed the connection in the middle of the handshake")
        if known or pinned:
            record = parse(refusal.said.partition(b"\n")[0])
            said = clean(record.text) if record else clean_bytes(refusal.said[:60])
            raise Distrusted((_NO_TLS_NOW if known else _NO_TLS_FOR_PIN).format(address=address, said=said))
        return Connection(connect(address)), ""


def _connect_in_time(address: Address, seconds: float) -> tuple[socket.socket, bool]:
    """A connection, and whether the server speaks within so many seconds, before we do. Raises OSError.

    R70: a server with TLS greets whoever has said nothing for 100 ms. Where this computer was too busy to
    be sooner, another connection is tried: else the conversation would not be encrypted.
    """
    tries = CONNECT_TRIES
    while True:
        started = time.monotonic()
        connection = connect(address)
        spoke = bool(select.select([connection], [], [], seconds)[0])
        tries -= 1
        if not tries or time.monotonic() - started < FIRST_BYTE_SECONDS:
            return connection, spoke
        connection.close()


_CHANGED = (
    "{address} has a different certificate than before. Either the host has made a new one, or somebody is "
    "between you and the server, reading along. Nothing was sent. Ask the host, in some other way than this "
    "chat, for the fingerprint. If it is {pin}, connect with --pin {pin}"
)
_WRONG_PIN = (
    "The fingerprint of {address} is {pin}, not the one that you gave. Either that was misread, or the host "
    "has made a new certificate, or somebody is between you and the server. Nothing was sent. Ask the host "
    "again."
)
_NO_TLS_NOW = (
    "{address} had TLS before, and now answers without it ({said!r}). Either it is full, or the host has "
    "turned TLS off, or somebody is between you and the server, trying to read along. Nothing was sent. Ask "
    "the host; if TLS was turned off: --forget-server {address}"
)
_NO_TLS_FOR_PIN = (
    "{address} answers without TLS ({said!r}), so nothing shows that it is the right server. Nothing was "
    "sent. Ask the host, or connect without --pin."
)


class NoTls(Exception):
    """The other end did not continue the handshake. `said`: what it answered in plain text, or b""."""

    def __init__(self, said: bytes) -> None:
        super().__init__(said)
        self.said = said


def endpoint(address: Address) -> str:
    """How files refer to a server."""
    return f"{address.host.lower()}:{address.port}"


def _sentence(error: Exception) -> str:
    return f"{error.filename}: {reason(error)}" if isinstance(error, OSError) else str(error)


def fingerprint_of(connection: ssl.SSLSocket) -> str:
    """The SHA-256 of its certificate, in hexadecimal digits."""
    return hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest()


def parse_pin(text: str) -> str:
    """A fingerprint, however it was written. Raises ValueError with a sentence."""
    digits = re.sub(r"^sha256:|[:\s]", "", text.strip().lower())
    if not re.fullmatch(rf"[0-9a-f]{{{PIN_DIGITS},64}}", digits):
        raise ValueError(
            f"{clean(text)!r} is not a fingerprint; it has {PIN_DIGITS} digits and letters from a to f. The "
            "server prints it when it starts."
        )
    return digits


def secure(
    connection: socket.socket,
    host: str,
    context: ssl.SSLContext | None = None,
    leaving: Callable[[], bool] = _never,
) -> ssl.SSLSocket:
    """Shake hands; without a context, any certificate will do. Raises NoTls, OSError, Interrupted."""
    if context is None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    secured = context.wrap_socket(connection, server_hostname=host, do_handshake_on_connect=False)
    try:
        _shake_hands(secured, leaving)
    except BaseException:
        secured.close()
        raise
    return secured


def _shake_hands(secured: ssl.SSLSocket, leaving: Callable[[], bool]) -> None:
    secured.setblocking(False)
    until = time.monotonic() + CONNECT_SECONDS
    answered = False
    while True:
        if not answered and select.select([secured], [], [], 0)[0]:
            answered = True
            said = _peek(secured)  # the first byte says what it is
            if said[:1] not in (b"\x16", b"\x15"):  # neither a handshake nor an alert
                raise NoTls(said)
        try:
            secured.do_handshake()
            return
        except ssl.SSLWantReadError:
            while not select.select([secured], [], [], 0.1)[0]:
                if leaving():
                    raise Interrupted from None
                if time.monotonic() > until:
                    raise socket.timeout from None
        except ssl.SSLCertVerificationError:
            raise
        except ConnectionError as error:
            raise NoTls(b"") from error
        except ssl.SSLError as error:
            raise NoTls(_peek(secured)) from error  # the rest of what OpenSSL did not understand


def _peek(connection: ssl.SSLSocket) -> bytes:
    """What has come, undecrypted; it remains to be read."""
    try:
        return socket.socket.recv(connection, LINE_BYTES, socket.MSG_PEEK)
    except ConnectionError:
        return b""


def _vouched_for(address: Address, fingerprint: str) -> bool:
    """Whether a certificate authority that this system trusts has issued this certificate to this host."""
    try:
        with secure(connect(address), address.host, ssl.create_default_context()) as secured:
            return fingerprint_of(secured) == fingerprint
    except (OSError, NoTls):
        return False


def connect(address: Address) -> socket.socket:
    """A connected socket that notices when the other end is gone. Raises OSError."""
    connection = socket.create_connection(address[:2], CONNECT_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # Systems differ in which of these they have; without them, breaks are noticed later.
    for option, value in (
        ("TCP_KEEPIDLE", 30),
        ("TCP_KEEPALIVE", 30),
        ("TCP_KEEPINTVL", 10),
        ("TCP_KEEPCNT", 3),
    ):
        if hasattr(socket, option):
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return connection


def reason(error: OSError) -> str:
    """Why a connection failed, in words."""
    if isinstance(error, socket.gaierror):
        return "there is no host with that name"
    if isinstance(error, (socket.timeout, TimeoutError)):
        return "it does not answer"
    if isinstance(error, ConnectionRefusedError):
        return "the host is there, but nothing listens on that port"
    return (error.strerror or str(error) or type(error).__name__).lower()


class Waker:
    """Wakes a thread that waits in select, from any other thread; a socket, as Windows selects only those."""

    def __init__(self) -> None:
        self.reader, self._writer = socket.socketpair()
        self.reader.setblocking(False)
        self._writer.setblocking(False)

    def wake(self) -> None:
        """Wake it now, or as soon as it waits."""
        with contextlib.suppress(OSError):  # it is full, which wakes as well; or closed
            self._writer.send(b".")

    def drain(self) -> None:
        """It was woken."""
        with contextlib.suppress(BlockingIOError):
            while self.reader.recv(4096):
                pass

    def close(self) -> None:
        """Nobody waits for it any more."""
        self.reader.close()
        self._writer.close()


class How(enum.Enum):
    """How a connection ended, or why there was none."""

    UNREACHABLE = enum.auto()
    NOT_A_CHAT = enum.auto()
    DISTRUSTED = enum.auto()
    TURNED_AWAY = enum.auto()
    SILENT = enum.auto()
    BROKEN = enum.auto()
    HUNG_UP = enum.auto()
    LEFT = enum.auto()  # our leave is in the history
    GIVEN_UP = enum.auto()  # we leave, and are not in


_SENTENCES = {
    How.UNREACHABLE: "Can't connect to {address}: {why}.",
    How.NOT_A_CHAT: "{address} is not a chat server; it said {why!r}.",
    How.DISTRUSTED: "{why}",
    How.TURNED_AWAY: "{address} refused you: {why}",
    How.SILENT: "{address} does not answer.",
    How.BROKEN: "The connection to {address} broke: {why}.",
    How.HUNG_UP: "{address} closed the connection.",
}


class Outcome(NamedTuple):
    """How a connection ended, and why, as the other end or the system says."""

    how: How
    why: str = ""


class Standing(NamedTuple):
    """What else matters when a connection has ended.

    `patient`: what was said before leaving must be stored, however long that takes. Otherwise, leaving while
    the connection is broken gives it up.
    """

    been_in: bool  # this server has let us in
    waiting: bool  # something that was said is not known to be stored yet
    leaving: bool
    patient: bool
    refusals: int = 0  # in a row
    refused: bool = False  # the server's last word was that we have to take another name


class Verdict(NamedTuple):
    """What follows: an exit code, or None to connect again; and a sentence for the person, or ""."""

    code: int | None
    sentence: str


def judge(outcome: Outcome, standing: Standing, address: Address) -> Verdict:
    """What follows from the end of a connection."""
    how, why = outcome
    stopped = Verdict(NOT_STORED if standing.waiting else 0, "")
    if how is How.LEFT:
        return stopped if why == "exit" or standing.waiting else Verdict(1, "")
    if how is How.GIVEN_UP or (how is How.HUNG_UP and standing.leaving and not standing.waiting):
        return stopped
    sentence = _SENTENCES[how].format(address=address, why=why)
    if how is How.DISTRUSTED:
        return Verdict(NOT_STORED if standing.been_in and standing.waiting else 1, sentence)
    if how is How.TURNED_AWAY and standing.patient:  # a program can't try another name
        if standing.refusals > (TURNED_AWAY_TRIES if standing.been_in else 0):
            code = NOT_STORED if standing.been_in and standing.waiting else 1
            return Verdict(code, f"Turned away: {why}")
    elif standing.refused and not standing.been_in and not standing.leaving:
        return Verdict(None, "")  # choosing another name may take longer than the server waits
    elif not standing.been_in:
        return Verdict(1, sentence)
    if standing.leaving and not (standing.patient and standing.waiting):
        return stopped
    return Verdict(None, sentence)


class LinkObserver:
    """Whom a link tells. All of it is called in the link's thread."""

    def on_events(self, link: Link, events: list[Event]) -> None:
        """Something came."""

    def on_note(self, link: Link, sentence: str) -> None:
        """Something about the connection that a person should know."""

    def on_change(self, link: Link) -> None:
        """The state has changed, or what waits."""

    def on_end(self, link: Link, code: int) -> None:
        """The link is closed for good; `code` is the program's exit code."""


class Link:
    """Carries a conversation over as many connections as it takes, in a thread of its own.

    That thread alone touches the socket and the conversation; it ends when `judge` says so. The other methods
    are for any thread: they put a call into the inbox and wake it. `patient` is explained at Standing.
    """

    def __init__(
        self,
        address: Address,
        conversation: Conversation,
        observer: LinkObserver,
        *,
        patient: bool,
        trust: Trust | None = None,
    ) -> None:
        self.route = Route(address)
        self.encrypted = False
        self._trust = trust or Trust()
        self._warned = False  # that a secret is sent in plain text
        self.name = conversation.name
        self.state = "connecting"
        self.next_try = 0.0  # time.monotonic() of it, while the state is "waiting"
        self.waiting: list[str] = []
        self._conversation = conversation
        self._observer = observer
        self._patient = patient
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._waker = Waker()
        self._been_in = False
        self._heard_at = 0.0  # time.monotonic() when something came last, or since when an answer is due
        self._told_to_wait = False  # by the server, like everybody
        self._try_now = False
        self._pause = FIRST_PAUSE
        self._refusals = 0
        self._last_sentence = ""
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)

    # ----- for any thread

    @property
    def address(self) -> Address:
        """Of the server that we use or try."""
        return self.route.here

    def start(self) -> None:
        """Connect, and stay connected until `leave`, or until we are turned away."""
        self._thread.start()

    def say(self, text: str, *, quiet: bool = False, literal: bool = False) -> None:
        """Say a line; it is sent once the server can take it."""
        self._call(lambda: self._say(text, quiet=quiet, literal=literal))

    def prove(self, proof: str) -> None:
        """Prove with it from now on that the name is ours."""
        self._call(lambda: self._conversation.prove(proof))

    def use_password(self, password: str) -> None:
        """Log in with this password, now."""
        self._call(lambda: self._conversation.use_password(password))
        self.retry_now()

    def leave(self) -> None:
        """Leave in order, after everything that was said."""
        self._call(self._conversation.leave)

    def retry_now(self) -> None:
        """Try to connect now."""
        self._call(self._retry_now)

    def wait_for_room(self) -> None:
        """Return once few lines wait: who has many is slowed down to the pace of the server."""
        while self._inbox.qsize() + len(self.waiting) > BACKLOG and self._thread.is_alive():
            time.sleep(0.02)

    def wait_until_ended(self, seconds: float = float("inf")) -> None:
        """Wait for the end of the link, at most this long."""
        until = time.monotonic() + seconds
        while self._thread.is_alive() and time.monotonic() < until:
            self._thread.join(0.2)  # without a timeout Windows would not let Ctrl-C through

    def _call(self, call: Callable[[], None]) -> None:
        self._inbox.put(call)
        self._waker.wake()

    # ----- the thread

    def _run(self) -> None:
        code: int | None = None
        try:
            while code is None:
                outcome, here = self._connect_and_talk(), self.address
                elsewhere = outcome.how in _ELSEWHERE and self.route.turn_to_another()
                if elsewhere and not self._been_in:
                    continue
                code = self._follow(outcome, here)
                if code is None and not self._pause_before_retry(at_once=elsewhere):
                    code = self._follow(Outcome(How.GIVEN_UP), here)
        except Exception as unexpected:  # a bug; nobody should be left with a dead screen
            code = 1
            self._observer.on_note(self, f"The client failed: {unexpected!r}.")
        self._waker.close()
        self._observer.on_end(self, code or 0)

    def _follow(self, outcome: Outcome, here: Address) -> int | None:
        """Act on the end of a connection. Returns the exit code, or None to connect again."""
        standing = Standing(
            been_in=self._been_in,
            waiting=bool(self._conversation.waiting),
            leaving=self._conversation.leaving,
            patient=self._patient,
            refusals=self._refusals,
            refused=self._conversation.refused,
        )
        code, sentence = judge(outcome, standing, here)
        if code is not None:
            self._set_state("closed")
        if sentence and (code is not None or sentence != self._last_sentence):  # once, not each time
            self._observer.on_note(self, sentence)
        self._last_sentence = sentence
        if code:
            self._handle_calls()
            for line in self._conversation.waiting:
                self._observer.on_note(self, f"Not known to be stored: {shown_line(line)}")
        return code

    def _connect_and_talk(self) -> Outcome:
        """One connection, from connecting to its end."""
        self._set_state("connecting")
        try:
            connection, told = self._trust.open(self.address, self._gives_up)
        except Interrupted:
            return Outcome(How.GIVEN_UP)
        except Distrusted as why:
            return Outcome(How.DISTRUSTED, str(why))
        except OSError as error:
            return Outcome(How.UNREACHABLE, reason(error))
        except UnicodeError:  # a host name that no DNS could carry
            return Outcome(How.UNREACHABLE, "that is not a host name")
        with contextlib.closing(connection):
            self.encrypted = isinstance(connection, SecureConnection)
            if told:
                self._observer.on_note(self, told)
            if self._conversation.sends_secret:
                self._warn()
            try:
                return self._talk(connection)
            except NotAChat as said:
                return Outcome(How.NOT_A_CHAT, str(said))
            except OSError as error:
                return Outcome(How.BROKEN, reason(error))

    def _talk(self, connection: Connection) -> Outcome:
        """Talk until the connection ends, or should be ended. Raises NotAChat, OSError."""
        conversation = self._conversation
        conversation.connected()
        out = b""
        self._heard_at = time.monotonic()
        while True:
            was_due = conversation.answer_due
            if self._gives_up():
                return Outcome(How.GIVEN_UP)
            out = out or conversation.data_to_send()
            if conversation.answer_due and not was_due:
                self._heard_at = time.monotonic()
            self._publish()
            open_, woken = connection.fileno(), self._waker.reader.fileno()
            readable, writable, _ = select.select([open_, woken], [open_] if out else [], [], 1)
            self._waker.drain()
            if writable:
                out = out[connection.send(out) :]
            received = connection.receive() if open_ in readable else None
            if received is not None:
                outcome = self._take(conversation.receive(received)) if received else Outcome(How.HUNG_UP)
                if outcome:
                    return outcome
            if outcome := self._silence():
                return outcome

    def _take(self, events: list[Event]) -> Outcome | None:
        """Pass on what came. Returns the outcome if it ends the connection."""
        self._heard_at = time.monotonic()
        if any(isinstance(event, Joined) for event in events):
            self._been_in, self._pause, self._refusals, self._last_sentence = True, FIRST_PAUSE, 0, ""
            self.route.arrived()
            self._set_state("connected")
        self._publish()
        self._observer.on_events(self, self._learn(events))
        for event in events:
            if isinstance(event, Left) and event.why not in _COMES_BACK:
                return Outcome(How.LEFT, event.why)
            if isinstance(event, Refused):
                self._refusals += 1
                if self._patient or self._conversation.been_in:
                    return Outcome(How.TURNED_AWAY, clean(event.record.text))
                self._set_state("refused")  # a person may try another name, on this connection
        return None

    def _learn(self, events: list[Event]) -> list[Event]:
        """Learn where the servers are (R45), and that we have to wait (R47). Returns the rest."""
        kinds = [event.record.kind for event in events if isinstance(event, Received)]
        self._told_to_wait = kinds[-1:] == ["/waiting"]
        told = [each for each in events if isinstance(each, Received) and each.record.kind == "/servers"]
        for event in told:
            self.route.learn(event.record.text)
        return [event for event in events if event not in told] if told else events

    def _silence(self) -> Outcome | None:
        """The outcome, if nothing has come for too long."""
        conversation = self._conversation
        silence = time.monotonic() - self._heard_at
        if (
            conversation.answer_due
            and not self._told_to_wait
            and silence > (COMMAND_SECONDS if conversation.command_due else SILENCE_SECONDS)
        ):
            return Outcome(How.SILENT)
        if conversation.exit_sent and not conversation.waiting and silence > LEAVE_SECONDS:
            return Outcome(How.HUNG_UP)
        return None

    def _pause_before_retry(self, *, at_once: bool) -> bool:
        """Wait before connecting again, or until there is another name. Returns False if we leave instead.

        `at_once`: hardly wait.
        """
        pause = self._pause * random.uniform(0.8, 1.2)  # so that not everybody comes back at the same moment
        if at_once:
            pause = random.uniform(0, FIRST_PAUSE / 4)
        else:
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
        self.next_try = time.monotonic() + pause
        self._try_now = False
        for_name = self._conversation.refused and not self._been_in
        if not for_name:
            self._set_state("waiting")
        while not self._try_now:
            remaining = self.next_try - time.monotonic()
            if not self._conversation.refused if for_name else remaining <= 0:
                return True
            if self._conversation.leaving and not self._patient:
                return False
            select.select([self._waker.reader], [], [], 1 if for_name else remaining)
            self._waker.drain()
            self._handle_calls()
            self._publish()
        return True

    def _say(self, text: str, *, quiet: bool, literal: bool) -> None:
        if is_secret(text) and not literal:
            self._warn()
        self._conversation.say(text, quiet=quiet, literal=literal)

    def _warn(self) -> None:
        """Say once, beforehand, that a secret is about to be sent in plain text."""
        if not (self.encrypted or self._warned):
            self._warned = True
            self._observer.on_note(
                self,
                f"{self.address} has no TLS: secrets are sent in plain text, and others on the network can "
                "read them. The host can start the server with --tls.",
            )

    def _gives_up(self) -> bool:
        """Whether we are to leave and have nothing to wait for."""
        conversation = self._conversation
        self._handle_calls()
        return conversation.leaving and not (conversation.joined or conversation.waiting or self._patient)

    def _handle_calls(self) -> None:
        while self._conversation.backlog < BACKLOG:
            try:
                self._inbox.get_nowait()()
            except queue.Empty:
                return

    def _retry_now(self) -> None:
        self._try_now = True
        self._pause = FIRST_PAUSE

    def _set_state(self, state: str) -> None:
        self.state = state
        self._observer.on_change(self)

    def _publish(self) -> None:
        """Let other threads see what waits, and our name."""
        waiting = self._conversation.waiting
        if (waiting, self._conversation.name) != (self.waiting, self.name):
            self.waiting, self.name = waiting, self._conversation.name
            self._observer.on_change(self)


# After these, another server may do better.
_ELSEWHERE = (How.UNREACHABLE, How.NOT_A_CHAT, How.SILENT, How.BROKEN, How.HUNG_UP)

# R36: reasons to leave that nobody decided on: whoever left for one of them reconnects.
_COMES_BACK = ("connection lost", "connection closed", "reconnecting", "the server stopped")


# --------------------------------------------------------------------------------- finding a server, --doctor


class Found(NamedTuple):
    """A server that answered, with its own title."""

    address: Address
    title: str


def find_servers(port: int = PORT) -> list[Found]:
    """Ask on every network of this computer, and the computer itself, for DISCOVERY_SECONDS (R44)."""
    found: dict[Address, str] = {}
    with contextlib.ExitStack() as closing:
        askers = []
        for source, broadcast in _networks():
            asker = closing.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            with contextlib.suppress(OSError):  # a network that is down
                asker.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                asker.bind((source, 0))
                asker.sendto(b"chat?", (broadcast, port))
                askers.append(asker)
        until = time.monotonic() + DISCOVERY_SECONDS
        while askers and (remaining := until - time.monotonic()) > 0 and len(found) < 50:
            for asker in select.select(askers, [], [], remaining)[0]:
                with contextlib.suppress(OSError, ValueError):  # ValueError: it is not an answer
                    answer, (host, _) = asker.recvfrom(1024)
                    server = _understand_answer(answer, host)
                    found[server.address] = server.title
    return _each_once([Found(address, title) for address, title in found.items()])


def _each_once(found: list[Found]) -> list[Found]:
    """A server on this computer answers at each of its addresses; it is listed once, at loopback."""
    once: list[Found] = []
    ports = set()
    for server in sorted(found, key=lambda each: not each.address.host.startswith("127.")):
        if _is_here(server.address.host):
            if server.address.port in ports:
                continue
            ports.add(server.address.port)
        once.append(server)
    return once


def _is_here(host: str) -> bool:
    """Whether this computer has the address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True


def _understand_answer(answer: bytes, host: str) -> Found:
    """Raises ValueError."""
    word, port, title = (clean_bytes(answer) + "  ").split(" ", 2)
    if word != "chat!":
        raise ValueError(word)
    return Found(Address(host, parse_port(port)), title.strip()[:60])


def _networks() -> list[tuple[str, str]]:
    """(source address, broadcast address) for each IPv4 network, and for this computer itself.

    A datagram to 255.255.255.255 leaves by one network card only, so each network has its own address.
    """
    networks = [("", "127.0.0.1")]
    if sys.platform == "win32":  # there the source chooses the card
        own = socket.gethostbyname_ex(socket.gethostname())[2]
        return networks + [(address, "255.255.255.255") for address in own]
    import fcntl

    broadcast_of = 0x8919 if sys.platform == "linux" else 0xC0206923  # SIOCGIFBRDADDR
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, card in socket.if_nameindex():
            with contextlib.suppress(OSError):  # it has no IPv4 address, or no broadcast
                answer = fcntl.ioctl(asking.fileno(), broadcast_of, struct.pack("256s", card.encode()[:15]))
                networks.append(("", socket.inet_ntoa(answer[20:24])))
    return [network for network in dict.fromkeys(networks) if network[1] != "0.0.0.0"]


NOTHING_FOUND = """No server answered. Check, in this order:
  1. Is the server running? On its computer: python3 TCP_server.py
  2. Are both computers in the same network, and not in a guest Wi-Fi that keeps its devices apart?
  3. Does the firewall of the server's computer let TCP and UDP port 9999 in?
  4. Type the address that the server printed when it started; with --doctor it says what is wrong."""


def examine(address: Address, trust: Trust) -> bool:
    """Print step by step what works on the way to a server, and what doesn't. Returns whether all does."""

    def passed(what: str, why_not: str = "") -> bool:
        print(f"  {'FAILED' if why_not else 'ok':7}{what}{': ' + why_not if why_not else ''}")
        return not why_not

    print(f"Checking the way to {address}:")
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return passed("the name resolves", f"{error}. Is it spelled correctly? Try the IP address.")
    passed(f"the name resolves: {', '.join(dict.fromkeys(str(entry[4][0]) for entry in found))}")
    try:
        connect(address).close()
    except ConnectionRefusedError:
        passed("the host answers")
        return passed(
            f"port {address.port} is open", "nothing listens there. Is the server running, on this port?"
        )
    except OSError as error:
        return passed(
            "the host answers", f"{reason(error)}. Is it in the same network? Does a firewall block the port?"
        )
    passed("the host answers")
    passed(f"port {address.port} is open")
    since = ""
    with contextlib.suppress(OSError, ValueError):
        since = trust.known.since(address)
    known = f", known since {since}" if since else ", seen for the first time"
    try:
        opened, _ = trust.open(address)
    except Distrusted as why:
        return passed("it is the same server as before", str(why))
    except OSError as error:
        return passed("the TLS handshake succeeds", f"{reason(error)}.")
    secured = isinstance(opened, SecureConnection)
    if secured:
        passed(f"it has TLS, fingerprint {trust.known.fingerprint(address)[:PIN_DIGITS]}{known}")
    else:
        passed("it has no TLS: others on the network can read what is said")
    with contextlib.closing(opened):
        if not select.select([opened], [], [], SILENCE_SECONDS)[0]:
            with contextlib.suppress(OSError):
                opened.send(b"exit\n")
        greeting = b""
        until = time.monotonic() + CONNECT_SECONDS
        while not greeting.endswith(b"\n") and (remaining := until - time.monotonic()) > 0:
            select.select([opened], [], [], remaining)
            try:
                received = opened.receive()
            except OSError:
                break
            if received == b"":
                break
            greeting += received or b""
    record = parse(greeting.partition(b"\n")[0])
    if record is None:
        said = f"it says {clean_bytes(greeting[:40])!r}" if greeting else "it says nothing"
        return passed("it is a chat server", f"{said}. Another program has this port.")
    if record.kind == "/error":
        return passed("it lets you in", clean(record.text))
    passed("it is a chat server")
    apart = time.time() - local_time(record.time).timestamp()
    if abs(apart) > 60:
        return passed("the clocks agree", f"they differ by {abs(apart):.0f} s, so times will look wrong.")
    return passed(f"the clocks agree ({apart:+.1f} s)")


# ------------------------------------------------------------------------------------- a pipe, and --plain


class PlainScreen(LinkObserver):
    """The contract for programs and screen readers: one record a line on standard output, nothing else.

    What is to be said comes from standard input; at its end, and at Ctrl-C, we leave in order. What the
    client itself has to say goes to standard error. `show` makes a line of a record. With `commands` an input
    line can be a command; otherwise each is said verbatim.
    """

    def __init__(
        self,
        address: Address,
        conversation: Conversation,
        input_lines: Iterable[bytes],
        show: Callable[[Record], str],
        *,
        commands: bool,
        trust: Trust | None = None,
    ) -> None:
        self._input = input_lines
        self._show = show
        self._commands = commands
        self._not_stored = False
        self._link = Link(address, conversation, self, patient=True, trust=trust)

    def run(self) -> NoReturn:
        """Say what comes in until the input ends, then end the program."""
        leave_on_signal(self._link.leave)
        self._link.start()
        try:
            for line in self._input:
                self._link.wait_for_room()
                self._link.say(clean_bytes(line.rstrip(b"\r\n")), literal=not self._commands)
        except KeyboardInterrupt:
            pass
        self._link.leave()
        self._link.wait_until_ended()
        quit_now(1)  # not reached: `on_end` quits first

    def on_events(self, link: Link, events: list[Event]) -> None:
        lines = []
        for event in events:
            if isinstance(event, Refused) or (isinstance(event, Received) and not event.quiet):
                lines.append(self._show(event.record) + "\n")
            if isinstance(event, Unconfirmed):
                self._not_stored = True
                self.on_note(link, unconfirmed_sentence(event))
            elif isinstance(event, Received) and event.answers and event.record.kind == "/error":
                self._not_stored = True
                self.on_note(link, f"Refused: {shown_line(event.answers)} ({event.record.text})")
        try:
            sys.stdout.write("".join(lines))
            sys.stdout.flush()
        except OSError as error:
            if error.errno != (errno.EINVAL if os.name == "nt" else errno.EPIPE):
                self.on_note(link, f"can't write to standard output: {reason(error)}.")
                os._exit(1)
            # the reader is gone, as in `| head`
            sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for good
            link.leave()

    def on_note(self, link: Link, sentence: str) -> None:
        with contextlib.suppress(OSError):  # nobody reads it any more
            _complain(sentence)

    def on_end(self, link: Link, code: int) -> None:
        quit_now(NOT_STORED if self._not_stored else code)


def as_json(record: Record) -> str:
    """The record as a JSON object."""
    return json.dumps({name: clean(value) for name, value in record._asdict().items()}, ensure_ascii=False)


def shown_line(line: str) -> str:
    """A typed line as it may be shown: without its secret."""
    return line.strip().partition(" ")[0] + " ..." if is_secret(line) else line


def unconfirmed_sentence(event: Unconfirmed) -> str:
    """What to say about a line that may or may not have been handled."""
    line = shown_line(event.line)
    return f"The connection broke before this was answered; do it again if it matters: {line}"


def leave_on_signal(leave_link: Callable[[], None]) -> None:
    """Leave in order when the program or its terminal is ended; at the second signal, or too late, end."""

    def leave(*_: object) -> None:
        signal.signal(signal.SIGTERM, lambda *_: quit_now(1))
        leave_link()
        late = threading.Timer(LEAVE_SECONDS, quit_now, (1,))
        late.daemon = True
        late.start()

    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):  # Windows has only one of them
            signal.signal(getattr(signal, name), leave)


def quit_now(code: int) -> NoReturn:
    """End the program from any thread. The main one may be in a read that nothing can interrupt."""
    for restore in tuple(_BEFORE_QUITTING):  # a copy: each removes itself
        restore()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


# -------------------------------------------------------------------------------------------------- typing


def is_terminal(stream: TextIO) -> bool:
    """Whether a person is at the other end. Windows says so even of NUL."""
    if not stream.isatty() or sys.platform != "win32":
        return stream.isatty()
    import ctypes
    import msvcrt

    handle = ctypes.c_void_p(msvcrt.get_osfhandle(stream.fileno()))
    return bool(ctypes.windll.kernel32.GetConsoleMode(handle, ctypes.byref(ctypes.c_ulong())))


class Key(NamedTuple):
    """A key that was pressed, or a `text` of printable characters, or a `paste`."""

    name: str
    text: str = ""


_CONTROLS = {
    "\r": "enter",
    "\n": "enter",
    "\t": "tab",
    "\x01": "home",
    "\x02": "left",
    "\x03": "interrupt",
    "\x04": "end of input",
    "\x05": "end",
    "\x06": "right",
    "\x08": "backspace",
    "\x0b": "cut to end",
    "\x0c": "redraw",
    "\x0e": "down",
    "\x10": "up",
    "\x12": "search",
    "\x15": "cut to start",
    "\x17": "cut word",
    "\x19": "put back",
    "\x1a": "suspend",
    "\x7f": "backspace",
}
_SEQUENCES = {
    **dict.fromkeys(("[A", "OA"), "up"),
    **dict.fromkeys(("[B", "OB"), "down"),
    **dict.fromkeys(("[C", "OC"), "right"),
    **dict.fromkeys(("[D", "OD"), "left"),
    **dict.fromkeys(("[H", "OH", "[1~", "[7~"), "home"),
    **dict.fromkeys(("[F", "OF", "[4~", "[8~"), "end"),
    **dict.fromkeys(("[1;5D", "[1;3D", "b"), "word left"),
    **dict.fromkeys(("[1;5C", "[1;3C", "f"), "word right"),
    **dict.fromkeys(("\x7f", "\x08"), "cut word"),
    **dict.fromkeys(("[5~", "[6~"), "page"),
    "[3~": "delete",
    "[Z": "back tab",
    "[I": "focus",
    "[O": "blur",
}
_SEQUENCE = re.compile(r"\x1b(\[(?!\[)[0-?]*[ -/]*[@-~]|\[\[[A-E]|O[ -~]|[^\[O\x1b])", re.DOTALL)
_PASTE_BEGINS, _PASTE_ENDS = "\x1b[200~", "\x1b[201~"
PASTE_CHARACTERS = 1_000_000  # nobody means to say more; the rest of a paste is dropped


class Keys:
    """What a terminal sends, as keys. A sequence that is not bound here is dropped, whole."""

    def __init__(self) -> None:
        self._rest = ""
        self._pasted: list[str] | None = None

    @property
    def unfinished(self) -> bool:
        """Whether the input ends with the Escape key or the beginning of a sequence: time will tell."""
        return bool(self._rest) and self._pasted is None

    def feed(self, received: str) -> list[Key]:
        """The keys that are complete now."""
        self._rest += received
        keys: list[Key] = []
        while self._rest:
            size = len(self._rest)
            key = self._paste() if self._pasted is not None else self._next()
            if key:
                keys.append(key)
            elif size == len(self._rest):
                break
        return keys

    def flush(self) -> list[Key]:
        """Nothing more came: it was the Escape key."""
        keys = [Key("escape")] if self._rest.startswith("\x1b") else []
        self._rest = ""
        return keys

    def _next(self) -> Key | None:
        """The next key; None if it is incomplete, or was dropped."""
        rest = self._rest
        if rest.startswith(_PASTE_BEGINS):
            self._rest, self._pasted = rest[len(_PASTE_BEGINS) :], []
            return None
        if rest[0] == "\x1b":
            match = _SEQUENCE.match(rest)
            if match is None:
                if rest.startswith("\x1b\x1b"):  # Escape, and something else
                    self._rest = rest[1:]
                    return Key("escape")
                if len(rest) > 64:  # no sequence is that long
                    self._rest = ""
                return None
            self._rest = rest[match.end() :]
            name = _SEQUENCES.get(match.group(1))
            return Key(name) if name else None
        if rest[0] < " " or rest[0] == "\x7f":
            self._rest = rest[1:]
            return Key(_CONTROLS[rest[0]]) if rest[0] in _CONTROLS else None
        text = re.match(r"[^\x00-\x1f\x7f]+", rest)
        assert text
        self._rest = rest[text.end() :]
        return Key("text", clean(text.group()))

    def _paste(self) -> Key | None:
        assert self._pasted is not None
        text, end, rest = self._rest.partition(_PASTE_ENDS)
        if not end:  # the end marker may have come in part
            text, rest = text[: -len(_PASTE_ENDS)], text[-len(_PASTE_ENDS) :]
        self._pasted.append(text[: PASTE_CHARACTERS - sum(map(len, self._pasted))])
        self._rest = rest
        if not end:
            return None
        whole, self._pasted = "".join(self._pasted), None
        return Key("paste", whole.replace("\r\n", "\n").replace("\r", "\n"))


class Secret(NamedTuple):
    """A question whose answer is typed unseen, and kept nowhere."""

    question: str
    answer: Callable[[str], None]


INPUT_LINES = 500  # that the arrow keys can find; few enough to rewrite them all each time


class InputHistory:
    """The lines that were typed, oldest first; also in a file, if there is one and it can be written."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self.lines: list[str] = []
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if path:
                self.lines = path.read_text("utf-8").split("\n")[-INPUT_LINES - 1 : -1]
        self._kept = list(self.lines)

    def add(self, line: str) -> None:
        """Keep a line, unless it contains a secret; private messages are not kept in the file."""
        if not line.strip() or is_secret(line):
            return
        self.lines = [*self.lines[1 - INPUT_LINES :], line]
        if self._path and not is_private(line):
            self._kept = [*self._kept[1 - INPUT_LINES :], line]
            with contextlib.suppress(OSError):
                _write(self._path, "".join(kept + "\n" for kept in self._kept))


_FOR_THE_SCREEN = ("focus", "blur", "suspend", "redraw", "page")
_NOT_FOR_SECRETS = ("tab", "back tab", "up", "down", "search")


class Editor:
    """The line being typed: keys in, actions out. It knows no terminal.

    A line that begins with pasted text is `literal`: it is said verbatim. Pasted lines wait for a yes.
    """

    def __init__(self, complete: Callable[[str], list[str]], history: InputHistory) -> None:
        self.text = ""
        self.cursor = 0
        self.literal = False
        self.pasted: list[str] = []  # lines that wait for a yes
        self.secret: Secret | None = None
        self._complete = complete
        self._history = history
        self._cut = ""  # what "put back" inserts
        self._at: int | None = None  # where in the history the line comes from
        self._typed = ""  # what was typed before that
        self._choices: list[str] = []  # what Tab can make of the text before the cursor; first, that itself
        self._choice = 0  # the one that is shown
        self._moves: dict[str, Callable[[], None]] = {
            "left": lambda: self._go(self._left(self.cursor)),
            "right": lambda: self._go(self._right(self.cursor)),
            "home": lambda: self._go(0),
            "end": lambda: self._go(len(self.text)),
            "word left": lambda: self._go(self._word_left()),
            "word right": lambda: self._go(self._word_right()),
            "backspace": lambda: self._remove(self._left(self.cursor), self.cursor),
            "delete": lambda: self._remove(self.cursor, self._right(self.cursor)),
            "cut to end": lambda: self._cut_out(self.cursor, len(self.text)),
            "cut to start": lambda: self._cut_out(0, self.cursor),
            "cut word": lambda: self._cut_out(self._word_left(), self.cursor),
            "put back": lambda: self.insert(self._cut),
            "up": lambda: self._step(-1),
            "down": lambda: self._step(1),
            "search": self._search,
            "tab": lambda: self._tab(1),
            "back tab": lambda: self._tab(-1),
        }

    def press(self, key: Key) -> Key | None:
        """Take a key. Returns what the screen has to do; None if it only concerns the line.

        That is: `enter` a line, `say` lines verbatim, `leave`, or what is in _FOR_THE_SCREEN.
        """
        if key.name in _FOR_THE_SCREEN:
            return key
        if self.pasted:
            return self._answer_paste(key)
        if key.name not in ("tab", "back tab"):
            self._choices = []
        if key.name == "text":
            self.insert(key.text)
        elif key.name == "paste":
            self._paste(key.text)
        elif key.name == "enter":
            return self._enter()
        elif key.name == "interrupt" or (key.name == "escape" and self.secret):
            return self._interrupt()
        elif key.name == "end of input":
            if not self.text:
                return Key("leave")
            self._moves["delete"]()
        elif key.name in self._moves and not (self.secret and key.name in _NOT_FOR_SECRETS):
            self._moves[key.name]()
        return None

    def ask(self, secret: Secret) -> None:
        """Ask for something that is typed unseen."""
        self.secret = secret
        self._set("")

    def insert(self, text: str) -> None:
        """Insert text at the cursor."""
        if self.cursor == 0:
            self.literal = False
        self._set(self.text[: self.cursor] + text + self.text[self.cursor :], self.cursor + len(text))

    # ----- what ends a line

    def _enter(self) -> Key | None:
        text, literal = self.text, self.literal
        secret, self.secret = self.secret, None
        self._set("")
        if secret:
            secret.answer(text.strip())
            return None
        self._history.add(text)
        return Key("say" if literal else "enter", text)

    def _interrupt(self) -> Key | None:
        if self.secret or self.text:
            self.secret = None
            self._set("")
            return None
        return Key("leave")

    def _answer_paste(self, key: Key) -> Key | None:
        if key.name == "enter":
            lines, self.pasted = self.pasted, []
            return Key("say", "\n".join(lines))
        if key.name in ("escape", "interrupt"):
            self.pasted = []
        return None

    def _paste(self, text: str) -> None:
        lines = [clean(line) for line in text.split("\n")]
        while lines and not lines[-1].strip():
            lines.pop()
        if len(lines) < 2 or self.secret:
            begins = not self.text
            self.insert("".join(lines[:1]))
            self.literal = (begins and bool(self.text)) or self.literal
        elif command_in(self.text) and not self.literal:  # a command, /msg maybe, is one line
            self.insert(" ".join(lines))
        else:
            lines[0] = self.text[: self.cursor] + lines[0]
            lines[-1] += self.text[self.cursor :]
            self.pasted = [line for line in lines if line.strip()]
            self._set("")

    # ----- moving and changing

    def _set(self, text: str, cursor: int | None = None) -> None:
        self.text = text
        self.cursor = len(text) if cursor is None else cursor
        self.literal = self.literal and bool(text)
        self._at = None

    def _go(self, to: int) -> None:
        self.cursor = to

    def _remove(self, start: int, end: int) -> None:
        if start == 0 and end > 0:
            self.literal = False
        self._set(self.text[:start] + self.text[end:], start)

    def _cut_out(self, start: int, end: int) -> None:
        if end > start:
            self._cut = "" if self.secret else self.text[start:end]
            self._remove(start, end)

    def _left(self, at: int) -> int:
        """One character to the left, with the marks that belong to it."""
        at = max(0, at - 1)
        while at > 0 and _cells_of(self.text[at]) == 0:
            at -= 1
        return at

    def _right(self, at: int) -> int:
        at = min(len(self.text), at + 1)
        while at < len(self.text) and _cells_of(self.text[at]) == 0:
            at += 1
        return at

    def _word_left(self) -> int:
        match = re.search(r"\S+\s*\Z", self.text[: self.cursor])
        return match.start() if match else 0

    def _word_right(self) -> int:
        match = re.compile(r"\s*\S+").match(self.text, self.cursor)
        return match.end() if match else len(self.text)

    # ----- the input history, and Tab

    def _step(self, step: int) -> None:
        """Go to the previous or next line in the history that begins with what was typed."""
        lines = self._history.lines
        at, typed = (len(lines), self.text) if self._at is None else (self._at, self._typed)
        while 0 <= (at := at + step) < len(lines):
            if lines[at].startswith(typed) and lines[at] != self.text:
                break
        if 0 <= at < len(lines):
            self._recall(at, typed)
        elif step > 0 and self._at is not None:
            self._set(typed)

    def _search(self) -> None:
        """Go to the newest line in the history that contains what was typed; again: to the one before."""
        lines = self._history.lines
        at, typed = (len(lines), self.text) if self._at is None else (self._at, self._typed)
        found = [i for i in range(at) if typed.casefold() in lines[i].casefold() and lines[i] != self.text]
        if found:
            self._recall(found[-1], typed)

    def _recall(self, at: int, typed: str) -> None:
        self._set(self._history.lines[at])
        self.literal = False
        self._at, self._typed = at, typed

    def _tab(self, step: int) -> None:
        """Complete the last word before the cursor; again: take the next choice."""
        before = self.text[: self.cursor]
        if not self._choices:
            start = before.rfind(" ") + 1
            self._choices = [before, *(before[:start] + choice for choice in self._complete(before))]
            self._choice = 0
            if len(self._choices) == 1:
                self._choices = []
                return
        several = len(self._choices) - 1
        self._choice = (
            (self._choice + step - 1) % several + 1 if self._choice else (1 if step > 0 else several)
        )
        result = self._choices[self._choice]
        self._at = None
        self.text, self.cursor = result + self.text[self.cursor :], len(result)


# ------------------------------------------------------------------------------------------------- screens


class LineOwner:
    """Who the typed lines are for: the chat, or the host's console. All is called in the screen's thread."""

    suspends = True  # Ctrl-Z may stop the program

    def begin(self) -> None:
        """The screen is ready."""

    def enter(self, text: str, *, literal: bool = False) -> None:
        """A line was typed. A `literal` one was pasted, and is text whatever it looks like."""

    def completions(self, before: str) -> list[str]:
        """What the last word of `before` can become, best first, with what follows it."""
        return []

    def waiting(self) -> list[str]:
        """The lines that are not stored yet."""
        return []

    def status(self) -> str:
        """One line about the state of things; on a narrow screen its end is cut off."""
        return ""

    def title(self) -> str:
        """The same for the window, in a few words."""
        return ""

    def look(self, here: bool) -> None:
        """Somebody has begun to look at the window (`here`), or stopped."""

    def leave(self) -> None:
        """Somebody wants to leave. The screen stays until it is closed."""

    def closed(self, code: int) -> None:
        """The screen was closed, but its thread is in a read that nothing can interrupt."""


class Screen:
    """Where a person types and reads. All but `run` can be called from any thread."""

    def run(self) -> None:
        """Serve the person until the end."""

    def show(self, shown: Shown, signal: str = "") -> None:
        """A finished line, above the one that is being typed; `signal` is what rings or notifies."""

    def ask(self, secret: Secret) -> None:
        """Ask for something that is typed unseen."""

    def refresh(self) -> None:
        """The status has changed."""

    def close(self, code: int) -> None:
        """End, with this exit code."""


class BareScreen(Screen):
    """A terminal that can't move its cursor: what arrives appears in the middle of what is typed."""

    _PROMPT = "> "

    def __init__(self, owner: LineOwner, view: View) -> None:
        self._owner = owner
        self._view = view
        self._secret: Secret | None = None
        self._closed = threading.Event()

    def run(self) -> None:
        self._owner.begin()
        with contextlib.suppress(EOFError, KeyboardInterrupt, OSError):
            while True:
                text = input(self._PROMPT)
                secret, self._secret = self._secret, None
                if secret and command_in(text) is None:  # else they changed their mind
                    secret.answer(text.strip() or getpass.getpass(f"{secret.question}: ").strip())
                else:
                    self._owner.enter(clean(text))
        self._owner.leave()
        self._closed.wait(LEAVE_SECONDS)

    def show(self, shown: Shown, signal: str = "") -> None:
        with contextlib.suppress(OSError):  # the terminal is gone
            sys.stdout.write(f"\r{self._view.painted(shown.pieces)}{signal}\n{self._PROMPT}")
            sys.stdout.flush()

    def ask(self, secret: Secret) -> None:
        self._secret = secret
        self.show(Shown("", [], [(DIM, f"-- {secret.question}: press Enter, then type it unseen.")]))

    def close(self, code: int) -> None:
        self._closed.set()
        self._owner.closed(code)


class Terminal:
    """The terminal itself, with keys coming one by one. Raises OSError if it can't do that."""

    def __init__(self) -> None:
        self.waker = Waker()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._input = sys.stdin.fileno()
        self._modes = self._saved_modes()

    def _saved_modes(self) -> Any:
        if sys.platform == "win32":
            raise NotImplementedError
        import termios

        try:
            return termios.tcgetattr(self._input)
        except termios.error as error:
            raise OSError(*error.args) from None

    def begin(self) -> None:
        """From now on each key comes as it is pressed, and the terminal shows none by itself."""
        self._take_modes()
        if self.end not in _BEFORE_QUITTING:
            _BEFORE_QUITTING.append(self.end)
            self.write(_KEEP_TITLE)
        self.write(_TELL_MORE)

    def _take_modes(self) -> None:
        if sys.platform == "win32":
            raise NotImplementedError
        import termios

        modes = termios.tcgetattr(self._input)
        modes[0] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR | termios.IXON | termios.ISTRIP)
        modes[3] &= ~(termios.ECHO | termios.ICANON | termios.ISIG | termios.IEXTEN)
        modes[6][termios.VMIN], modes[6][termios.VTIME] = 1, 0
        with contextlib.suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(self._input, termios.TCSADRAIN, modes)

    def end(self) -> None:
        """Leave the terminal as it was."""
        if self.end in _BEFORE_QUITTING:
            _BEFORE_QUITTING.remove(self.end)
            self.write(_TELL_LESS + _PUT_BACK_TITLE)
            self._restore()

    def _restore(self) -> None:
        if sys.platform == "win32":
            raise NotImplementedError
        import termios

        with contextlib.suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(self._input, termios.TCSADRAIN, self._modes)

    def read(self, seconds: float) -> str | None:
        """What was typed; "" if nothing was in this time, or the waker woke; None at the end."""
        readable = select.select([self._input, self.waker.reader], [], [], seconds)[0]
        self.waker.drain()
        if self._input not in readable:
            return ""
        try:
            received = os.read(self._input, 65536)
        except OSError:
            received = b""
        return self._decoder.decode(received) if received else None

    def write(self, text: str) -> None:
        """Write, as it is."""
        with contextlib.suppress(OSError):  # the terminal is gone
            sys.stdout.write(text)
            sys.stdout.flush()

    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        try:
            columns, rows = os.get_terminal_size(sys.stdout.fileno())
        except OSError:
            columns = rows = 0
        return columns or 80, rows or 24

    def suspend(self) -> None:
        """Give the terminal back to the shell until the program is continued."""
        if sys.platform == "win32":
            raise NotImplementedError
        self.end()
        os.kill(os.getpid(), signal.SIGTSTP)
        self.begin()


# The terminal puts pasted text in brackets, and says when its window gains or loses the focus.
_TELL_MORE, _TELL_LESS = "\x1b[?2004h\x1b[?1004h", "\x1b[?2004l\x1b[?1004l"
_KEEP_TITLE, _PUT_BACK_TITLE = "\x1b[22;2t", "\x1b[23;2t"
_BEFORE_QUITTING: list[Callable[[], None]] = []


class WindowsConsole(Terminal):
    """The same on Windows, with keys and modes of its own."""

    _KEYS: ClassVar = {
        "H": "[A",
        "P": "[B",
        "K": "[D",
        "M": "[C",
        "G": "[H",
        "O": "[F",
        "S": "[3~",
        "I": "[5~",
    }

    def _saved_modes(self) -> Any:
        if sys.platform != "win32":
            raise NotImplementedError
        import ctypes

        self._kernel: Any = ctypes.windll.kernel32
        self._interrupts: deque[str] = deque()
        # Windows calls it in a thread of its own; False leaves an event to Python.
        event_handler = ctypes.WINFUNCTYPE(ctypes.c_int, ctypes.c_uint32)
        self._handler: Any = event_handler(lambda event: event == 0 and self._interrupted())
        modes = []
        for number in (-10, -11):  # standard input, standard output
            handle, mode = self._kernel.GetStdHandle(number), ctypes.c_uint32()
            if not self._kernel.GetConsoleMode(handle, ctypes.byref(mode)):
                raise OSError("this is no console")
            modes.append((handle, mode.value))
        return modes

    def _take_modes(self) -> None:
        (keyboard, _), (display, mode) = self._modes
        # No lines, no echo; keys come as sequences, but Ctrl-C as an event, which Wine needs.
        self._kernel.SetConsoleMode(keyboard, 0x201)
        self._kernel.SetConsoleMode(display, mode | 0x4)  # and sequences are understood
        self._kernel.SetConsoleCtrlHandler(self._handler, True)

    def _interrupted(self) -> bool:
        self._interrupts.append("\x03")
        self.waker.wake()
        return True

    def _restore(self) -> None:
        self._kernel.SetConsoleCtrlHandler(self._handler, False)
        for handle, mode in self._modes:
            self._kernel.SetConsoleMode(handle, mode)

    def suspend(self) -> None:
        """There is no shell to go back to."""

    def read(self, seconds: float) -> str | None:
        if sys.platform != "win32":
            raise NotImplementedError
        import msvcrt

        until = time.monotonic() + seconds
        while not msvcrt.kbhit():
            if select.select([self.waker.reader], [], [], 0.02)[0] or time.monotonic() > until:
                self.waker.drain()
                break
        typed = ""
        while msvcrt.kbhit():
            character = msvcrt.getwch()
            if character in "\0\xe0":  # an older console: a key without a sequence of its own
                character = "\x1b" + self._KEYS.get(msvcrt.getwch(), "[0~")
            typed += character
        while self._interrupts:  # after what was typed before, or they would leave
            typed += self._interrupts.popleft()
        return typed.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class TerminalScreen(Screen):
    """The line being typed at the bottom, with the status below it; what arrives goes above.

    One thread, the one in `run`, reads keys and draws. The others leave lines in `_arrived` and wake it; they
    wait if the terminal is slower than what comes.

        finished lines          the terminal's own past: not touched again, unless the window changes size
        … lines not stored yet  \
        > the line being typed   the live area, drawn anew at each change
        the status              /
    """

    _MOST_ARRIVED = 1000
    _KEPT = 300  # finished lines, to draw them again when the window changes size

    def __init__(self, owner: LineOwner, view: View, terminal: Terminal, history: InputHistory) -> None:
        self._owner = owner
        self._view = view
        self._terminal = terminal
        self._editor = Editor(owner.completions, history)
        self._keys = Keys()
        self._lock = threading.Condition()  # guards the next three
        self._arrived: deque[tuple[Shown, str]] = deque()
        self._secrets: deque[Secret] = deque()
        self._closed = False
        self._thread = 0
        self._finished: deque[Shown] = deque(maxlen=self._KEPT)
        self._drawn: tuple[list[str], int, int] | None = None  # the live area: rows, and where the cursor is
        self._size = terminal.size()
        self._title = ""
        self._leaving = False
        self._stopped = False  # the program was suspended, and continued

    # ----- for any thread

    def show(self, shown: Shown, signal: str = "") -> None:
        with self._lock:
            if threading.get_ident() != self._thread:
                self._lock.wait_for(lambda: len(self._arrived) < self._MOST_ARRIVED or self._closed)
            self._arrived.append((shown, signal))
        self._terminal.waker.wake()

    def ask(self, secret: Secret) -> None:
        with self._lock:
            self._secrets.append(secret)
        self._terminal.waker.wake()

    def refresh(self) -> None:
        self._terminal.waker.wake()

    def close(self, code: int) -> None:
        with self._lock:
            self._closed = True
            self._lock.notify_all()
        self._terminal.waker.wake()

    # ----- the thread

    def run(self) -> None:
        self._thread = threading.get_ident()
        self._terminal.begin()
        if sys.platform != "win32" and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGWINCH, lambda *_: self._terminal.waker.wake())
            signal.signal(signal.SIGCONT, lambda *_: self._continued())
        try:
            self._owner.begin()
            while not self._closed:
                if self._stopped:  # the shell may have changed the terminal's modes
                    self._stopped, self._drawn = False, None
                    self._terminal.begin()
                self._draw()
                self._read()
        finally:
            self._erase_and_write(self._take_arrived())
            self._terminal.end()
            self._terminal.waker.close()

    def _read(self) -> None:
        typed = self._terminal.read(0.05 if self._keys.unfinished else 1)
        if typed is None:
            self._hung_up()
            return
        for key in self._keys.feed(typed) if typed else self._keys.flush() if self._keys.unfinished else []:
            action = self._editor.press(key)
            if action:
                self._do(action)

    def _do(self, action: Key) -> None:
        if action.name == "enter":
            self._owner.enter(action.text)
        elif action.name == "say":
            for line in action.text.split("\n"):
                self._owner.enter(line, literal=True)
        elif action.name == "leave":
            if self._leaving:
                self.close(0)  # the second time: at once
            self._leaving = True
            self._owner.leave()
        elif action.name == "suspend" and not self._owner.suspends:
            pass
        elif action.name == "suspend":
            self._erase_and_write("")
            self._terminal.suspend()
        elif action.name == "redraw":
            self._size = (0, 0)
        elif action.name == "page":
            self.show(Shown("", [(DIM, "--")], [(DIM, how_to_scroll())]))
        else:
            self._owner.look(action.name == "focus")

    def _hung_up(self) -> None:
        """The terminal is gone: leave in order, if that is quick."""
        self._owner.leave()
        with self._lock:
            self._lock.wait_for(lambda: self._closed, LEAVE_SECONDS)
        self.close(0)

    def _continued(self) -> None:
        """The program was suspended, and goes on."""
        self._stopped = True
        self._terminal.waker.wake()

    # ----- drawing

    def _draw(self) -> None:
        title = self._owner.title()
        if title != self._title and os.environ.get("TERM") != "linux":
            self._terminal.write(f"\x1b]2;{title}\x1b\\")
            self._title = title
        with self._lock:
            if self._secrets and not self._editor.secret:
                self._editor.ask(self._secrets.popleft())
        size = self._terminal.size()
        if size != self._size:
            self._draw_all(size)
            return
        arrived = self._take_arrived()
        live = self._live_area()
        if arrived or live != self._drawn:
            self._erase_and_write(arrived + self._drawn_live(live))
            self._drawn = live

    def _draw_all(self, size: tuple[int, int]) -> None:
        """The window has another size: there is no telling where its rows are now, so all are drawn again."""
        self._size = size
        self._take_arrived()
        live = self._live_area()
        room = max(0, size[1] - len(live[0]))
        rows: deque[str] = deque(maxlen=room)
        for shown in self._finished:
            rows.extend(self._painted(shown))  # one that the terminal wraps counts once: a few are lost
        text = "".join(row + "\x1b[K\r\n" for row in rows)
        self._terminal.write("\x1b[H" + text + "\x1b[J" * bool(rows) + self._drawn_live(live))
        self._drawn = live

    def _erase_and_write(self, text: str) -> None:
        """Write over the live area, which is gone then."""
        erase = ""
        if self._drawn:  # row by row: some terminals keep a copy of what is cleared all at once in their past
            rows, row, _ = self._drawn
            erase = "\r" + _moved(row, "A") + "\x1b[K\x1b[B" * (len(rows) - 1) + "\x1b[K"
            erase += _moved(len(rows) - 1, "A")
        self._terminal.write(erase + text)
        self._drawn = None

    def _take_arrived(self) -> str:
        with self._lock:
            arrived = list(self._arrived)
            self._arrived.clear()
            self._lock.notify_all()
        self._finished.extend(shown for shown, _ in arrived)
        return "".join(
            signal + "".join(row + "\r\n" for row in self._painted(shown)) for shown, signal in arrived
        )

    def _painted(self, shown: Shown) -> list[str]:
        return [self._view.painted(row) for row in shown.rows(self._size[0])]

    def _live_area(self) -> tuple[list[str], int, int]:
        """Its rows, and the row and the column of the cursor in it."""
        columns, rows = self._size
        width = max(1, columns - 1)  # a cursor after the last column would be nowhere
        typed, row, column = self._typed_rows(width)
        room = max(1, rows - 1)
        if len(typed) > room:  # show what is around the cursor
            first = min(max(0, row - room // 2), len(typed) - room)
            typed, row = typed[first : first + room], row - first
        above = [f"… {shown_line(line)}" for line in self._owner.waiting()[-3:]]
        pasted = self._editor.pasted
        if pasted:
            above += [f"| {line}" for line in pasted[:10]]
            above += [f"| ... and {len(pasted) - 10} more"] if len(pasted) > 10 else []
        above = above[-max(0, room - len(typed)) :] if room > len(typed) else []
        painted = [self._view.painted([(DIM, cut_to(line, width))]) for line in above]
        status = [self._view.painted([(REVERSE, cut_to(self._status(), width))])] if rows > 1 else []
        return [*painted, *typed, *status], len(above) + row, column

    def _status(self) -> str:
        if self._editor.pasted:
            return f"Enter sends {len(self._editor.pasted)} pasted lines, Escape does not."
        if self._editor.secret:
            return "What you type is not shown. Enter sends it, Escape cancels."
        if self._editor.literal and command_in(self._editor.text):
            return "Pasted text is said, never run as a command. To run it, type it."
        return self._owner.status()

    def _typed_rows(self, width: int) -> tuple[list[str], int, int]:
        """The line being typed in rows of this width, and the cursor's row and column in them."""
        editor = self._editor
        prompt = f"{editor.secret.question}: " if editor.secret else "> "
        if cells(prompt) >= width:
            prompt = prompt.partition(" ")[0].rstrip(":") + ": " if editor.secret and width > 12 else ""
        text = "" if editor.secret else masked(editor.text)
        cursor = len(prompt) + (0 if editor.secret else editor.cursor)
        rows, used, place = [""], 0, (0, 0)
        for at, character in enumerate(prompt + text + " "):
            size = _cells_of(character)
            if used + size > width:
                rows.append("")
                used = 0
            if at == cursor:
                place = len(rows) - 1, used
            rows[-1] += character
            used += size
        rows[-1] = rows[-1][:-1]  # the space for the cursor after the end
        return rows, place[0], place[1]

    def _drawn_live(self, live: tuple[list[str], int, int]) -> str:
        rows, row, column = live
        return "\r\n".join(rows) + _moved(len(rows) - 1 - row, "A") + "\r" + _moved(column, "C")


def _moved(by: int, direction: str) -> str:
    """The sequence that moves the cursor."""
    return f"\x1b[{by}{direction}" if by else ""


def how_to_scroll() -> str:
    """How to see what has left the screen: the terminal has it, and so the terminal's own keys scroll."""
    keys = "Shift-PageUp or the mouse wheel scrolls"
    if "TMUX" in os.environ:
        keys = "Ctrl-B and then PageUp scrolls"
    elif "STY" in os.environ:  # GNU screen
        keys = "Ctrl-A, Escape, and then PageUp scroll"
    elif "WT_SESSION" in os.environ:  # Windows Terminal
        keys = "Ctrl-Shift-PageUp or the mouse wheel scrolls"
    return f"{keys} back; /history shows what was said before."


def cut_to(text: str, width: int) -> str:
    """The beginning of the text that fits."""
    while cells(text) > width:
        text = text[: min(len(text) - 1, width)]
    return text


def masked(line: str) -> str:
    """A line being typed, with stars for what is secret in it."""
    if not is_secret(line):
        return line
    size = len(line) - len(line.lstrip().partition(" ")[2])
    return line[:size] + "*" * (len(line) - size)


# ----------------------------------------------------------------------------------------- a person's chat


class CommandError(Exception):
    """A command of the client's own failed; the message is one sentence."""


AWAY_LINE = "--- new since you were away ---"


class Chat(LinkObserver, LineOwner):
    """Between a link and a person's screen: what to show, what to ring for, what a typed line means.

    On the way to another server there are two links; the new one is shown once it has let us in.
    """

    def __init__(
        self,
        address: Address,
        conversation: Conversation,
        settings: Settings,
        view: View,
        trust: Trust | None = None,
    ) -> None:
        self.link = Link(address, conversation, self, patient=False, trust=trust)
        self._secrets = Secrets()
        self._proof = ""  # that was typed, and may turn out to be right
        self._code = 1
        self._settings = settings
        self._view = view
        self._people = People()
        self._screen = Screen()
        self._joined_before = False
        self._asked = False  # for the password, since the server last let us in
        self._looking = True  # somebody sees the window, as far as the terminal says
        self._focus_is_reported = False  # the terminal does say
        self._unread = 0
        self._marked = False  # AWAY_LINE is above what is new already
        self._next_link: Link | None = None
        self._next_events: deque[Event] = deque(maxlen=BACKLOG)  # that came before it let us in
        self._links = threading.Lock()  # guards which link is shown; only that one shows anything

    def run_on(self, screen: Screen) -> int:
        """Talk on this screen until the person leaves. Returns the exit code."""
        self._screen = screen
        leave_on_signal(self.leave)
        screen.run()
        return self._code

    # ----- from the links

    def on_events(self, link: Link, events: list[Event]) -> None:
        with self._links:
            if link is self._next_link:
                self._next_events += events
                if not any(isinstance(event, Joined) for event in events):
                    self._stay_if_refused(link, events)
                    return
                events = self._switch_to(link)
            if link is self.link:
                for event in events:
                    self._take(event)

    def _switch_to(self, link: Link) -> list[Event]:
        """Show the new link from now on, and leave the old one. Returns what has come from the new one."""
        self.link.leave()
        self.link, self._next_link = link, None
        self._joined_before = self._asked = False
        events = list(self._next_events)
        self._next_events.clear()
        return events

    def _stay_if_refused(self, link: Link, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Refused) and asks_for_password(event.record):
                self._ask_password(link)
            elif isinstance(event, Refused):
                self._next_link = None
                link.leave()
                self.note(
                    f"{link.address} refused you: {event.record.text} You are still here. /connect "
                    f"{link.address} NAME tries another name."
                )

    def _take(self, event: Event) -> None:
        if isinstance(event, Received):
            self._receive(event)
        elif isinstance(event, Refused):
            self._refused(event.record)
        elif isinstance(event, Unconfirmed):
            self.note(unconfirmed_sentence(event))
        elif isinstance(event, Joined):
            self._people.forget()
            self.link.say("/users", quiet=True)
            if is_name(self.link.name):  # the server may have changed it
                self._settings.name = self.link.name
            self._settings.server = str(self.link.route)
            self._save()
            self._keep_proof()
            if self._joined_before:
                self.note("Connected again.")
            self._joined_before, self._asked = True, False

    def _refused(self, record: Record) -> None:
        if not self._joined_before:  # else the link tells it
            self._screen.show(self._view.shown(record))
        if asks_for_password(record):
            self._ask_password(self.link)
        elif not self._joined_before:
            owned = "/identify" in record.text
            self.note(f"Type another name{', or /identify if this one is yours' if owned else ''}.")

    def _ask_password(self, link: Link) -> None:
        if not self._asked:
            self._asked = True
            self._screen.ask(Secret(f"Password for {link.address}", self._password_for(link)))

    def _password_for(self, link: Link) -> Callable[[str], None]:
        def give(secret: str) -> None:
            self._asked = False
            if secret:  # some people type what the server's sentence says
                link.use_password(re.sub("^/password +", "", secret))

        return give

    def _receive(self, received: Received) -> None:
        record = received.record
        self._people.learn(record)
        if record.kind == "/register" or (received.mine and record.kind == "rename"):
            self._keep_proof(record.text if record.kind == "rename" else "")
        ignored = record.kind in _SAID and name_key(record.name) in map(name_key, self._settings.ignore)
        if ignored or (record.kind == "/hello" and self._joined_before):
            return
        if received.quiet:
            self._learn_commands(record)
            return
        if _is_unknown(record, received.answers):  # the server can't know what the client does itself
            record = record._replace(text=unknown_command(received.answers))
        self._mark_what_is_new(received)
        said = record.kind in _SAID and not received.mine and not received.replayed
        self._show_record(record, signal=self._signal(record) if said else "")

    def _mark_what_is_new(self, received: Received) -> None:
        """Draw a line above what came while nobody looked, or while the connection was lost."""
        said = received.record.kind in _SAID and not received.mine
        missed = received.replayed and self._joined_before
        if said and (missed or not self._looking):
            if not self._marked:
                self._marked = True
                self._screen.show(Shown("", [], [(DIM, AWAY_LINE)]))
            self._unread += not self._looking
        elif received.mine and not received.replayed:
            self._marked = False

    def _signal(self, record: Record) -> str:
        """What rings for this record, and what shows a notification."""
        wanted = record.kind == "/msg" or self._view.mentions(record, self.link.name)
        which = ("all", "mention") if wanted else ("all",)
        bell = "\a" if self._settings.bell in which else ""
        if self._settings.notify in which and not (self._looking and self._focus_is_reported):
            bell += notification(f"chat: {clean(record.name)}: {clean(record.text)}".replace(";", ","))
        return bell

    def _show_record(self, record: Record, *, signal: str = "") -> None:
        *before, shown = self._view.lines(record, self.link.name)
        for line in before:
            self._screen.show(line)
        self._screen.show(shown, signal)

    def note(self, sentence: str) -> None:
        """Show something that the client itself has to say."""
        self._screen.show(Shown("", [(DIM, "--")], [(DIM, clean(sentence))]))

    def on_note(self, link: Link, sentence: str) -> None:
        self.note(sentence)
        if link is self.link:
            self._marked = False

    def on_change(self, link: Link) -> None:
        self._screen.refresh()

    def on_end(self, link: Link, code: int) -> None:
        if link is self.link:
            self._code = code
            self._screen.close(code)
        elif link is self._next_link:
            self._next_link = None
            self.note("You are still here.")

    # ----- from the screen

    def begin(self) -> None:
        self.link.start()

    def closed(self, code: int) -> None:
        quit_now(code)

    def leave(self) -> None:
        self.link.leave()

    def waiting(self) -> list[str]:
        return self.link.waiting

    def look(self, here: bool) -> None:
        self._focus_is_reported = True
        self._looking = here
        self._unread = 0
        self._marked = self._marked and here

    def enter(self, text: str, *, literal: bool = False) -> None:
        """A line was typed. An empty one means: connect now."""
        if not text.strip():
            self.link.retry_now()
            return
        if self.link.state == "waiting" or (self.link.state == "connecting" and self._joined_before):
            self.note(f"Waits for the connection: {shown_line(text)}")
        command = None if literal else known_command(text.strip() if is_secret(text) else text)
        argument = text.strip().partition(" ")[2].strip()
        if command and command.secret and not (argument or command.arguments.startswith("[")):
            self._screen.ask(Secret(command.arguments.capitalize(), self._secret_for(command)))
        elif command and command.run:
            try:
                self.note(command.run(self, argument))
            except CommandError as failure:
                self.note(str(failure))
        elif command and command.name == "help":
            self._help(argument)
        else:
            self.link.say(text.strip() if command and command.secret else text, literal=literal)

    def _secret_for(self, command: Command) -> Callable[[str], None]:
        """What to do with the secret once it is typed."""
        return lambda secret: self.enter(f"/{command.name} {secret}") if secret else None

    def completions(self, before: str) -> list[str]:
        """What the last word of `before` can become, best first, with what follows it."""
        word = before.rpartition(" ")[2]
        if word == before and word.startswith("/"):
            names = [f"/{command.name}" for command in COMMANDS]
            return [name + " " for name in names if name.startswith(word.casefold())]
        at = "@" if word.startswith("@") else ""
        choices = self._arguments(before) if before.startswith("/") else None
        if choices is None:
            choices = [name for name in self._people.latest_first() if name != self.link.name]
        after = ": " if word == before and not at else " "
        key = name_key(word[len(at) :])
        return [at + choice + after for choice in choices if name_key(choice).startswith(key)]

    def _arguments(self, before: str) -> list[str] | None:
        """The arguments that a command can have at this place; None if it takes a name or text there."""
        command = known_command(before)
        place = len(before.split(" ")) - 1  # 1 is the first argument
        if command is None:
            return None
        if command.name in ("bell", "notify"):
            return list(BELLS)
        if command.name == "color" and place == 2:
            return list(COLOURS)
        if command.name == "unignore":
            return self._settings.ignore
        if command.name == "help":
            return [command.name for command in COMMANDS]
        return None

    def status(self) -> str:
        """Who we are, the state of the connection, how many are here, and where."""
        link = self.link
        state = "another name?" if link.state == "refused" else link.state
        if link.state == "waiting":
            seconds = max(0, round(link.next_try - time.monotonic()))
            state = f"reconnecting in {seconds} s, Enter: now"
        parts = [link.name, state]
        if link.waiting:
            parts.append(f"{len(link.waiting)} not stored yet")
        if self._people.counted and link.state == "connected":
            parts.append(f"{len(self._people)} here")
        return clean(" · ".join([*parts, str(link.address)]))

    def title(self) -> str:
        unread = f"({self._unread}) " if self._unread else ""
        return clean(f"{unread}{self.link.name} · {self.link.address}")

    # ----- the client's own commands

    def _help(self, about: str) -> None:
        """Show the table by topic, and what else the server has; about one command, a line."""
        command = known_command(about if about.startswith("/") else f"/{about}") if about else None
        if about and command is None:
            self.link.say(f"/help {about}")
            return
        for topic in [] if command else TOPICS:
            self._screen.show(Shown("", [], [(BOLD, topic)]))
            for each in COMMANDS:
                if each.topic == topic:
                    self._help_line(each.usage, each.help)
        if command:
            self._help_line(command.usage, command.help)
            return
        self._screen.show(Shown("", [], [(BOLD, "Keys")]))
        for keys, help_ in KEYS_HELP:
            self._help_line(keys, help_)
        self.link.say("/help", quiet=True)

    def _help_line(self, usage: str, help_: str) -> None:
        self._screen.show(Shown("", [("", f"  {usage}")], [(DIM, help_)], indent=30))

    def _learn_commands(self, record: Record) -> None:
        """Show the commands in the server's /help that we don't know."""
        usage, _, help_ = clean(record.text).partition(" - ")
        if record.kind == "/help" and help_ and not known_command(usage.partition(",")[0]):
            self._help_line(usage, help_)

    def connect_to(self, argument: str) -> str:
        """`/connect HOST[:PORT] [NAME]`."""
        where, _, name = argument.partition(" ")
        if not where:
            raise CommandError("Type /connect HOST, /connect HOST:PORT or /connect HOST NAME.")
        try:
            address = parse_address(where)
            name = checked_name(name) if name.strip() else self.link.name
        except ValueError as wrong:
            raise CommandError(str(wrong)) from None
        if self._next_link:
            self._next_link.leave()
        self._next_events.clear()
        # The other server must not see the password of this one.
        conversation = Conversation(name, proofs=stored_proofs(address, name))
        self._next_link = Link(address, conversation, self, patient=False)
        self._next_link.start()
        return f"Connecting to {address}; you stay here until it lets you in."

    def give_password(self, secret: str) -> str:
        """`/password`: try to join with it, now."""
        (self._next_link or self.link).use_password(secret)
        return "Trying this password."

    def register(self, proof: str) -> str:
        """`/register`: the secret is stored before it is sent, so it can't be lost."""
        address, name = self.link.address, self.link.name
        proof = proof or secrets.token_urlsafe(16)
        try:
            self._secrets.store(address, name, [*self._secrets.of(address, name)[-1:], proof])
        except (OSError, ValueError) as error:
            raise CommandError(f"The secret can't be stored; nothing was sent: {_sentence(error)}.") from None
        self._proof = proof
        self.link.say(f"/register {proof}")
        return f"Registering {name} ..."

    def identify(self, proof: str) -> str:
        """`/identify`: before we are in, for the name that was refused; in the room, for the next /nick."""
        self._proof = proof
        if self.link.state != "connected":
            self.link.prove(proof)
            return "Trying this secret."
        self.link.say(f"/identify {proof}")
        return "Sent."

    def secret(self) -> str:
        """`/secret`: show it, for another device."""
        address, name = self.link.address, self.link.name
        try:
            proofs = self._secrets.of(address, name)
        except (OSError, ValueError) as error:
            raise CommandError(f"{_sentence(error)}.") from None
        if not proofs:
            raise CommandError(f"This client has no secret for {name}; /register makes the name yours.")
        return f"On another device, when the name {name} is refused: /identify {proofs[-1]}"

    def _keep_proof(self, name: str = "") -> None:
        """What was typed to prove that the name is ours was accepted: remember it for this name."""
        if self._proof:
            proof, self._proof = self._proof, ""
            self.link.prove(proof)
            try:
                self._secrets.store(self.link.address, name or self.link.name, [proof])
            except (OSError, ValueError) as error:
                self.note(f"The secret can't be remembered: {_sentence(error)}.")

    def highlight(self, word: str) -> str:
        words = self._settings.highlight
        if word:
            self._settings.highlight = [other for other in words if other != word] + [word] * (
                word not in words
            )
        return self._saved(f"Highlighted besides your name: {_listed(self._settings.highlight)}.")

    def set_bell(self, when: str) -> str:
        if when.casefold() not in BELLS:
            raise CommandError("Type /bell off, /bell mention or /bell all.")
        self._settings.bell = when.casefold()
        return self._saved(f"The bell is set to {when.casefold()}.")

    def set_notify(self, when: str) -> str:
        if when.casefold() not in BELLS:
            raise CommandError("Type /notify off, /notify mention or /notify all.")
        self._settings.notify = when.casefold()
        return self._saved(f"Notifications are set to {when.casefold()}.")

    def ignore(self, name: str) -> str:
        self._settings.ignore = [*self._others(name), name] if name else self._settings.ignore
        return self._saved(f"Ignored: {_listed(self._settings.ignore)}.")

    def unignore(self, name: str) -> str:
        if self._others(name) == self._settings.ignore:
            raise CommandError(f"{name or 'Nobody'} is not ignored.")
        self._settings.ignore = self._others(name)
        return self._saved(f"{name} is no longer ignored.")

    def _others(self, name: str) -> list[str]:
        return [other for other in self._settings.ignore if name_key(other) != name_key(name)]

    def set_color(self, argument: str) -> str:
        name, _, colour = argument.partition(" ")
        colour = colour.strip().casefold()
        if colour not in COLOURS:
            raise CommandError(f"Type /color NAME COLOUR; the colours are {_listed(COLOURS)}.")
        self._settings.color = {**self._settings.color, name_key(name): colour}
        return self._saved(f"{name} is {colour} from now on.")

    def _saved(self, sentence: str) -> str:
        why_not = self._save()
        return (
            f"{sentence} Only until you leave, since it can't be stored: {why_not}." if why_not else sentence
        )

    def _save(self) -> str:
        """Store the settings. Returns why that failed, or ""."""
        try:
            self._settings.save()
        except OSError as error:
            return f"{settings_folder()}: {reason(error)}"
        return ""


KEYS_HELP = (
    ("Tab, Shift-Tab", "complete a name or a command"),
    ("Up, Down", "find earlier lines that begin with what you have typed"),
    ("Ctrl-R", "find earlier lines that contain what you type"),
    ("Ctrl-A, Ctrl-E, Alt-B, Alt-F", "go to the start, the end, a word back, a word forward"),
    ("Ctrl-W, Ctrl-U, Ctrl-K", "cut a word, to the start, to the end; Ctrl-Y puts it back"),
    ("Ctrl-L", "redraw the screen"),
    ("Ctrl-C", "empty the line; leave, if it is empty"),
    ("Ctrl-Z", "suspend; fg brings it back"),
)


def stored_proofs(address: Address, name: str) -> list[str]:
    """What proves that the name is ours at this server; if it can't be read, say so."""
    try:
        return Secrets().of(address, name)
    except (OSError, ValueError) as error:
        _complain(f"the secrets of your names can't be read: {_sentence(error)}.")
        return []


def _is_unknown(record: Record, line: str) -> bool:
    """Whether the record says that there is no such command as in the line."""
    says_so = record.kind == "/error" and record.text.startswith("There is no command")
    return says_so and command_in(line) is not None and known_command(line) is None


def unknown_command(line: str) -> str:
    """A sentence about a command that doesn't exist; what harms is never suggested."""
    word = (command_in(line) or ("", ""))[0]
    safe = [name for name, command in _BY_NAME.items() if not command.harms]
    near = difflib.get_close_matches(word, safe, n=1, cutoff=0.6)
    guess = f"did you mean /{near[0]}? " if near else ""
    return f"There is no command /{word}; {guess}/help lists them, //{word} says it."


def notification(text: str) -> str:
    """The sequence that has the terminal show a notification on the desktop."""
    if "VTE_VERSION" in os.environ or os.environ.get("TERM", "").startswith("rxvt"):
        return f"\x1b]777;notify;chat;{text}\x1b\\"
    return f"\x1b]9;{text}\x1b\\"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words) or "none"


# ---------------------------------------------------------------------------------------------- the start


def main(arguments: list[str] | None = None) -> int:
    """Run the client. Returns the exit code: 0 left in order, 1 could not connect or was turned away."""
    options = _parser().parse_args(arguments)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # it was closed before the start
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - for good
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # a test's stream may have none
        if reconfigure:
            reconfigure(errors="replace", **({} if stream.isatty() else {"encoding": "utf-8"}))
    settings = _load_settings()
    trust = Trust(options.pin, options.server)
    try:
        if options.forget_server:
            return _forget(options.forget_server, trust.known)
        if options.doctor:
            return 0 if examine(options.server or parse_address(settings.server or "127.0.0.1"), trust) else 1
        password = _password(options.password_file)
        address, name = _who_and_where(options, settings)
    except (KeyboardInterrupt, EOFError):
        print("\nLeft before joining.", file=sys.stderr)
        return 1 if options.doctor else 0
    except _CannotStart as why:
        _complain(str(why))
        return 2
    conversation = Conversation(name, password, options.replay or "", stored_proofs(address, name))
    if options.pin and not options.server:
        trust = Trust(options.pin, address)
    try:
        if options.plain or options.json or not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
            view = View(Settings(), colours=False, iso_times=options.time == "iso")
            show = as_json if options.json else view.line
            commands = options.commands or is_terminal(sys.stdin)  # as wherever a person types
            screen = PlainScreen(
                address, conversation, sys.stdin.buffer, show, commands=commands, trust=trust
            )
            return screen.run()
        view = View(settings, colours=_colours(options.no_color))
        chat = Chat(address, conversation, settings, view, trust)
        return chat.run_on(best_screen(chat, view, InputHistory(input_history_path())))
    except KeyboardInterrupt:  # the second one: the first leaves in order
        print("Stopped before the server had answered everything.", file=sys.stderr)
        quit_now(1)


def best_screen(owner: LineOwner, view: View, history: InputHistory) -> Screen:
    """The best screen that this terminal can have: on a TerminalScreen the typed line stays whole."""
    try:
        if os.environ.get("TERM") == "dumb" or not is_terminal(sys.stdout):
            return BareScreen(owner, view)
        terminal = WindowsConsole() if os.name == "nt" else Terminal()
        return TerminalScreen(owner, view, terminal, history)
    except (OSError, ImportError):
        return BareScreen(owner, view)


def _forget(address: Address, known: KnownServers) -> int:
    """Treat a server as new. Returns the exit code."""
    try:
        found = known.forget(address)
    except (OSError, ValueError) as error:
        _complain(f"{_sentence(error)}.")
        return 1
    print(f"{address} is {'forgotten; its next certificate is accepted' if found else 'not known'}.")
    return 0


def _colours(unwanted: bool) -> bool:
    """Whether to use colours; makes Windows' console understand them if possible."""
    if unwanted or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    if os.name != "nt":
        return True
    try:
        import colorama
    except ImportError:
        return "WT_SESSION" in os.environ  # Windows Terminal understands them by itself
    colorama.just_fix_windows_console()
    return True


_Answer = TypeVar("_Answer")


class _CannotStart(Exception):
    """Something is wrong with the arguments; the message says what."""


def _load_settings() -> Settings:
    try:
        return Settings.load()
    except (OSError, ValueError) as error:
        _complain(f"the settings in {settings_path()} can't be read ({error}); the defaults are used.")
        return Settings()


def _complain(sentence: str) -> None:
    program = Path(sys.argv[0]).name  # TCP_client.py, or tcp-chat
    print(f"{program}: {clean(sentence)}", file=sys.stderr, flush=True)


def _who_and_where(options: argparse.Namespace, settings: Settings) -> tuple[Address, str]:
    """The server and the name; those that are not given are asked for. Raises EOFError, KeyboardInterrupt.

    Without a terminal the input is what is to be said, so with a HOST nothing is asked for.
    """
    address = options.server or _ask_address(settings)
    if options.name:
        return address, options.name
    default = settings.name or _login_name()
    if options.server and not is_terminal(sys.stdin):
        return address, default
    return address, _ask("Name", default, checked_name)


def _ask_address(settings: Settings) -> Address:
    """Look for servers, and let the person choose one of them or type an address."""
    print("Looking for servers on the network ...", file=sys.stderr)
    found = find_servers()
    for number, server in enumerate(found, 1):
        print(f"  {number}  {server.title or 'a chat'}, {server.address}", file=sys.stderr)
    if not found:
        print(NOTHING_FOUND, file=sys.stderr)
    first = found[0].address if found else parse_address(settings.server or "127.0.0.1")
    text = _ask("Server", str(first) if found else first.host, _checked_host)
    if found and text == str(first):
        return first
    if text in map(str, range(1, len(found) + 1)):
        return found[int(text) - 1].address
    address = parse_address(text)
    if parse_address(text, PORT + 1) == address:  # it was typed with its port
        return address
    return Address(address.host, _ask("Port", str(first.port if text == first.host else PORT), parse_port))


def _checked_host(text: str) -> str:
    parse_address(text)
    return text


def _ask(question: str, default: str, check: Callable[[str], _Answer]) -> _Answer:
    """Ask until the answer passes the check; Enter takes the default. Raises EOFError, KeyboardInterrupt."""
    while True:
        answer = _input(f"{question} [{default}]: ").strip() or default
        try:
            return check(answer)
        except ValueError as wrong:
            print(wrong, file=sys.stderr)


def _input(prompt: str) -> str:
    """A line from the person. Raises EOFError at the end of the input."""
    if is_terminal(sys.stdin) and is_terminal(sys.stdout):
        return clean(input(prompt))
    print(prompt, end="", file=sys.stderr, flush=True)
    line = sys.stdin.buffer.readline()
    if not line:
        raise EOFError
    return clean_bytes(line)


def _login_name() -> str:
    """The user's name on this computer, if it can be a name in the chat."""
    try:
        return checked_name(re.sub(r"\s+", "_", getpass.getuser()).lstrip("/")[:24])
    except (ValueError, OSError, KeyError, ImportError):  # getuser raises any of these
        return "guest"


def _checked_replay(text: str) -> str:
    if text != "all" and not (text.isascii() and text.isdigit()):
        raise ValueError(f"--replay takes a number, or all; not {text!r}.")
    return text


def _parse_pins(text: str) -> tuple[str, ...]:
    """One fingerprint, or several with commas between them, for several servers."""
    return tuple(parse_pin(each) for each in text.split(","))


def _argument(check: Callable[[str], object]) -> Callable[[str], object]:
    """The check as argparse wants it."""

    def checked(text: str) -> object:
        try:
            return check(text)
        except ValueError as wrong:
            raise argparse.ArgumentTypeError(str(wrong)) from None

    return checked


def _password(path: Path | None) -> str:
    """The first line of the file. Raises _CannotStart."""
    if path is None:
        return ""
    try:
        _check_private(path)
        return clean(path.read_text("utf-8").partition("\n")[0]).strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise _CannotStart(f"the password file {path} can't be read: {why}.") from None
    except ValueError as exposed:
        raise _CannotStart(f"{exposed}.") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="A terminal client for the chat. It asks for what is missing here.",
    )
    add = parser.add_argument
    where = _argument(parse_address)
    add(
        "server",
        nargs="?",
        type=where,
        metavar="HOST[:PORT][,...]",
        help="the server (default: look for one on the network)",
    )
    add("--name", type=_argument(checked_name), help="your name (default: the last one)")
    add("--password-file", type=Path, metavar="F", help="send the password on the first line of this file")
    add(
        "--replay",
        type=_argument(_checked_replay),
        metavar="N",
        help="earlier records to show, or all (default: 20)",
    )
    add("--plain", action="store_true", help="print one record a line: for programs and screen readers")
    add("--json", action="store_true", help="like --plain, with each record as a JSON object")
    add(
        "--time",
        choices=("clock", "iso"),
        default="clock",
        help="with --plain: the time as 10:15, or with date and zone (default: clock)",
    )
    add("--commands", action="store_true", help="run commands from a pipe (default: every line is a message)")
    add(
        "--pin",
        type=_argument(_parse_pins),
        default=(),
        metavar="FINGERPRINT",
        help="connect only to the server with this certificate; it prints it when it starts",
    )
    add(
        "--forget-server",
        type=where,
        metavar="HOST[:PORT]",
        help="trust a server anew whose certificate has changed, or which no longer has TLS",
    )
    add("--doctor", action="store_true", help="check the connection to the server, step by step")
    add("--no-color", action="store_true", help="use no colours, as with NO_COLOR")
    return parser


if __name__ == "__main__":
    sys.exit(main())
