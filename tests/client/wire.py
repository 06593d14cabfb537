"""Records on the wire, and conversations that have come this far."""

from __future__ import annotations

import re

from TCP_client import (
    Conversation,
    Event,
    Joined,
    Received,
)

HOME = "127.0.0.1"  # everybody's address in these tests, so that names alone must tell people apart


def line(kind: str, text: str = "", name: str = "alice", time: int = 0, address: str = HOME) -> bytes:
    """A record on the wire, `time` milliseconds after the first one."""
    stamp = f"2026-11-21T10:15:{time // 1000:02}.{time % 1000:03}Z"
    return f"{stamp}\t{address}\t{name}\t{kind}\t{text}\n".encode()


def direct(kind: str, text: str = "") -> bytes:
    """A record for us alone."""
    return line(kind, text, name="server", address="-")


def kinds(events: list[Event]) -> list[str]:
    """What the events are, records by their kind."""
    return [event.record.kind if isinstance(event, Received) else type(event).__name__ for event in events]


def joined(name: str = "alice") -> Conversation:
    """A conversation in the room, with nothing sent."""
    conversation = Conversation(name)
    conversation.connected()
    conversation.data_to_send()
    events = conversation.receive(direct("/hello") + direct("/session", "T 0 0") + line("join", name=name))
    assert events[-1] == Joined()
    return conversation


def reconnect(conversation: Conversation) -> int:
    """A new connection; the offset at which the client asks to go on."""
    conversation.connected()
    asked = re.search(rb"/session \S+ (\d+) ", conversation.data_to_send())
    assert asked
    return int(asked.group(1))
