"""What is pending for the broadcaster: entries for the log, and other items in order with them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from chat.log.entries import Entry
from chat.room.delivery import Listener


@dataclass(slots=True)
class Proposal:
    """An entry for the log. `author` gets a `/error` if it fails; a Join or a Leave is the author's own."""

    entry: Entry
    author: Listener | None = None


@dataclass(slots=True)
class Awaited(Proposal):
    """An entry whose author's handler waits for the result. `waits` is called once if that takes long."""

    settled: threading.Event = field(default_factory=threading.Event, kw_only=True)
    time: str = field(default="", kw_only=True)
    why_not: str = field(default="", kw_only=True)
    waits: Callable[[], None] | None = field(default=None, kw_only=True)


@dataclass(slots=True)
class SendDirect:
    """Direct records for one listener."""

    listener: Listener
    drafts: bytes


@dataclass(slots=True)
class Subscribe:
    """A listener that is not in the room."""

    listener: Listener


@dataclass(slots=True)
class Barrier:
    """A thread waits until everything that was pending before this is done."""

    reached: threading.Event


Item = Proposal | SendDirect | Subscribe | Barrier


def is_free(item: Item, waiting: set[Listener]) -> bool:
    """Whether the item needs neither the log nor to come after an entry that waits for it."""
    return isinstance(item, Barrier) or (isinstance(item, SendDirect) and item.listener not in waiting)
