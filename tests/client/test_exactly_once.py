"""Nothing lost and nothing twice, whatever breaks when: the conversation against a model of the server."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

import TCP_client
from TCP_client import (
    Conversation,
    Event,
    Received,
)
from tests.client.wire import direct, line


class ModelServer:
    """A server in memory: a history of bytes, one client, and pipes that can be cut between any two bytes."""

    def __init__(self) -> None:
        self.history = b""
        self.clock = 0
        self.name = ""  # of the client that is in
        self.inbox = b""
        self.outbox = b""
        self.options: list[str] = []

    def append(self, kind: str, text: str, name: str) -> None:
        self.clock += 1
        record = line(kind, text, name, self.clock)
        self.history += record
        if self.name:
            self.outbox += record

    def hang_up(self, *, crashed: bool) -> None:
        """The connection ends; what was received is handled first, unless the server crashed."""
        if not crashed:
            self.handle(b"")
            if self.name:
                self.append("leave", "connection lost", self.name)
        self.name, self.inbox, self.outbox, self.options = "", b"", b"", []
        if crashed:
            self.append("start", "", "server")

    def handle(self, data: bytes) -> None:
        *lines, self.inbox = (self.inbox + data).split(b"\n")
        for text in (found.decode() for found in lines):
            if self.name:
                self.answer(text)
            elif text.startswith("/"):
                self.options.append(text)
            else:
                self.join(text)

    def answer(self, text: str) -> None:
        """As the real one does: a line has one answer, of a record or of several direct ones."""
        word, _, argument = text.partition(" ")
        if word in ("/users", "/help", "/history"):
            self.outbox += direct(word, "one") * (1 + int(argument or 0))
        elif word in ("/msg", "/r"):
            name, _, said = argument.partition(" ") if word == "/msg" else ("bob", "", argument)
            if name == self.name:
                self.outbox += line("/msg", said, self.name)
            self.outbox += line("/msg", f"to {name}: {said}", self.name)
        elif word == "/me":
            self.append("action", argument, self.name)
        elif word.startswith("/") or text == "refuse":
            self.outbox += direct("/error", "That can't be done.")
        else:
            self.append("message", text, self.name)

    def join(self, name: str) -> None:
        resume = re.fullmatch(r"/session \w+ (\d+) (\S+)", self.options[-1])
        start = int(resume.group(1)) if resume else 0
        if resume:
            last_seen = TCP_client.parse(self.history[:start].splitlines(keepends=True)[-1])
            assert last_seen
            assert last_seen.time == resume.group(2), "the client knows where in the history it was"
        self.outbox = direct("/session", f"T {start} {len(self.history)}") + self.history[start:]
        self.name = name
        self.append("join", "", name)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["say", "say", "ask", "other", "up", "down", "down", "cut", "crash"]),
        st.integers(0, 200),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_nothing_is_lost_and_nothing_comes_twice(steps: list[tuple[str, int]]) -> None:  # R42
    """Whatever breaks wherever: all that was said is in the history once, in order, and heard once."""
    server, client = ModelServer(), Conversation("alice", replay="all")
    up = b""
    said: list[str] = []
    heard: list[bytes] = []

    def take(data: bytes) -> None:
        records = [event.record for event in client.receive(data) if isinstance(event, Received)]
        heard.extend("\t".join(record).encode() + b"\n" for record in records if not record.direct)

    client.connected()
    for step, number in [*steps, ("cut", 0)]:
        if step == "say":
            said.append(f"line {number % 3}")  # the same texts again and again
            client.say(said[-1])
        elif step == "ask":
            client.say("/users")
        elif step == "other":
            server.append("message", "line 1", "bob")
        elif step == "up":
            up += client.data_to_send()
            server.handle(up[:number])
            up = up[number:]
        elif step == "down":
            take(server.outbox[:number])
            server.outbox = server.outbox[number:]
        else:
            server.hang_up(crashed=step == "crash")
            client.connected()
            up = b""
    for _ in range(3):
        server.handle(client.data_to_send())
        take(server.outbox)
        server.outbox = b""
    assert client.waiting == []
    stored = [TCP_client.parse(found) for found in server.history.splitlines(keepends=True)]
    assert [
        found.text for found in stored if found and found.kind == "message" and found.name == "alice"
    ] == said
    assert b"".join(heard) == server.history


TYPED = [
    "hello",
    "hello",
    "refuse",
    "/me waves",
    "/users",
    "/users 2",
    "/history 1",
    "/help",
    "/nope",
    "/what 1",
]
TYPED += ["/msg bob a", "/msg alice a", "/msg alice to alice: a", "/r a"]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([*TYPED, "", "", "(psst)", "(other)"]), st.booleans()), max_size=40),
    st.integers(1, 300),
)
def test_each_line_is_acknowledged_once_and_in_its_place(steps: list[tuple[str, bool]], cut: int) -> None:
    """Against a model of the server: bursts, errors, and other people's messages in between."""
    server, client = ModelServer(), Conversation("alice")
    client.connected()
    server.handle(client.data_to_send())
    client.receive(server.outbox)
    server.outbox = b""
    typed: list[tuple[str, bool]] = []
    events: list[Event] = []

    def exchange() -> None:
        server.handle(client.data_to_send())
        for at in range(0, len(server.outbox), cut):
            events.extend(client.receive(server.outbox[at : at + cut]))
        server.outbox = b""

    for text, quiet in steps:
        if text == "(psst)":
            server.outbox += line("/msg", "to alice: a", "bob")
        elif text == "(other)":
            server.append("message", "hello", "bob")
        elif text:
            typed.append((text, quiet and text.startswith("/users")))
            client.say(text, quiet=typed[-1][1])
        else:
            exchange()
    exchange()
    assert client.waiting == []
    received = [event for event in events if isinstance(event, Received)]
    assert len(received) == len(events), "nothing is unconfirmed"
    assert [event.answers for event in received if event.answers] == [
        text for text, quiet in typed if not quiet
    ]
    shown = [event for event in received if event.record.direct and not event.quiet]
    assert len([event for event in shown if event.record.name != "bob"]) == sum(
        _direct_records(text) for text, quiet in typed if not quiet
    )


def _direct_records(text: str) -> int:
    """By how many direct records the model answers a line."""
    word, _, argument = text.partition(" ")
    if word in ("/users", "/help", "/history"):
        return 1 + int(argument or 0)
    if text in ("hello", "/me waves"):
        return 0
    return 2 if text.startswith("/msg alice") else 1
