"""The codec of batches: what one server proposes at once, as bytes.

    batch = head LF drafts
    head  = JSON: [version, life, number, [[kind, argument, ..., bytes of drafts], ...]]

`life` identifies one run of one server; `number` counts its batches. The operations' drafts are concatenated.
Everything here is pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from chat.log.entries import Append, Change, Clear, Direct, Entry, Join, Leave, Rename, Stop, TakeOver

VERSION = 1
BATCH_BYTES = 256 * 1024  # of drafts: the fastest size for the engine, and well below its largest message
BATCH_OPERATIONS = 4096  # so that a crowd of joins, which have few bytes, stays below that as well

# The kinds, and their arguments.
APPEND = "append"  # author's id, "" for a server
JOIN = "join"  # id, name, address, session
RENAME = "rename"  # id, name
LEAVE = "leave"  # id, reason
CLEAR = "clear"  # address, name, "forget" or ""
DIRECT = "direct"  # id
CHANGE = "change"  # table, key, value: "" removes the key
TAKE_OVER = "takeover"  # session
OPEN = "open"  # the address where clients reach the server
CLOSE = "close"
BEAT = "beat"  # the sequence up to which the server has applied the log


class LaterVersion(Exception):
    """The batch is from a later version of the chat, and this one can't interpret it."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing for the log to decide on. If it is applied, its drafts become records."""

    kind: str
    arguments: tuple[str, ...] = ()
    drafts: bytes = b""


@dataclass(frozen=True, slots=True)
class Batch:
    """Operations in order. `life` and `number` make sure that it is applied once."""

    life: str
    number: int
    operations: list[Operation]


def encode(batch: Batch) -> bytes:
    """The batch as bytes."""
    operations = [[each.kind, *each.arguments, len(each.drafts)] for each in batch.operations]
    head = json.dumps(
        [VERSION, batch.life, batch.number, operations], ensure_ascii=False, separators=(",", ":")
    )
    return b"".join([head.encode(), b"\n", *[each.drafts for each in batch.operations]])


def decode(data: bytes) -> Batch:
    """The batch in these bytes; an empty one if they are not a batch. Raises LaterVersion."""
    here = data.find(b"\n") + 1
    try:
        version, *parts = json.loads(data[:here])
        if version > VERSION:
            raise LaterVersion
        life, number, listed = parts
        operations = []
        for kind, *arguments, size in listed:
            operations.append(Operation(kind, tuple(arguments), data[here : here + size]))
            here += size
    except (ValueError, TypeError):
        return Batch("", 0, [])
    if here != len(data) or not isinstance(life, str) or not isinstance(number, int):
        return Batch("", 0, [])
    return Batch(life, number, operations)


def operations(entry: Entry, *, forget: bool = False) -> list[Operation]:
    """The entry as operations: one, unless it has more drafts than a batch can hold."""
    if isinstance(entry, Stop):
        return [Operation(CLOSE)]
    if isinstance(entry, Append):
        return [Operation(APPEND, (entry.author,), part) for part in _parts(entry.drafts)]
    return [_operation(entry, forget)]


def _operation(entry: Entry, forget: bool) -> Operation:
    match entry:
        case Join(_, who):
            return Operation(JOIN, (who.id, who.name, who.address, who.session))
        case Rename(_, who, name):
            return Operation(RENAME, (who.id, name))
        case Leave(_, who, reason):
            return Operation(LEAVE, (who.id, reason))
        case Clear(_, address, name):
            return Operation(CLEAR, (address, name, "forget" if forget else ""))
        case Direct(drafts, id):
            return Operation(DIRECT, (id,), drafts)
        case Change(_, table, key, value):
            return Operation(CHANGE, (table, key, value))
        case TakeOver(_, session):
            return Operation(TAKE_OVER, (session,))
    raise TypeError(entry)


def _parts(drafts: bytes) -> Iterator[bytes]:
    """The drafts, cut between records into parts that fit into a batch."""
    start = 0
    while len(drafts) - start > BATCH_BYTES:
        end = drafts.rfind(b"\n\t", start, start + BATCH_BYTES) + 1
        yield drafts[start:end]
        start = end
    yield drafts[start:]


def runs(items: Iterable[tuple[Operation, Entry | None]]) -> Iterator[list[tuple[Operation, Entry | None]]]:
    """The operations, each with the entry that it completes, in runs that fit into a batch."""
    run: list[tuple[Operation, Entry | None]] = []
    size = 0
    for operation, entry in items:
        size += len(operation.drafts)
        if run and (size > BATCH_BYTES or len(run) == BATCH_OPERATIONS):
            yield run
            run, size = [], len(operation.drafts)
        run.append((operation, entry))
    if run:
        yield run
