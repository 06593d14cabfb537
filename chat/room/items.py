"""What is pending for the broadcaster: entries for the log, and what keeps its place between them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from chat.log.entries import Entry
from chat.room.delivery import Listener


@dataclass(slots=True)
class Proposal:
    """An entry for the log. `author` is told where it fails; a Join or a Leave is of the author."""

    entry: Entry
    author: Listener | None = None


@dataclass(slots=True)
class Awaited(Proposal):
    """An entry whose author's handler waits for the result."""

    settled: threading.Event = field(default_factory=threading.Event, kw_only=True)
    time: str = field(default="", kw_only=True)
    why_not: str = field(default="", kw_only=True)


@dataclass(slots=True)
class SendDirect:
    """Direct records for one listener."""

    listener: Listener
    drafts: bytes


@dataclass(slots=True)
class Subscribe:
    """Somebody listens without being in the room."""

    listener: Listener


@dataclass(slots=True)
class Barrier:
    """Somebody waits until everything that was pending before this is done."""

    reached: threading.Event


Item = Proposal | SendDirect | Subscribe | Barrier


def is_free(item: Item, waiting: set[Listener]) -> bool:
    """Whether the item needs no log, nor to come after what waits for it."""
    return isinstance(item, Barrier) or (isinstance(item, SendDirect) and item.listener not in waiting)
