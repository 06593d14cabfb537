"""Compares what everybody saw with what is in the files."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from chat import record
from chat.record import Record
from tests.faults.client import Client, Violation

_KEPT = re.compile(r"is kept as (\S+)\.$")


def whole_history(path: Path) -> bytes:
    """The history with everything cleared from it, oldest first: each `clear` names the earlier file."""
    files = []
    while True:
        content = path.read_bytes()
        files.append(content)
        first = record.parse(content.partition(b"\n")[0]) if content else None
        kept = _KEPT.search(first.text) if first and first.kind == "clear" else None
        if not kept:
            return b"".join(reversed(files))
        path = path.with_name(kept.group(1))


def check(path: Path, clients: Iterable[Client], secrets: Iterable[str]) -> list[Record]:
    """All the records, if every promise was kept. Raises Violation."""
    history = whole_history(path)
    records = _records(history)
    _times_never_run_back(records)
    _people_come_and_go(records)
    for client in clients:
        _saw_the_history(client, history)
        _said_exactly_once(client, records)
    for secret in secrets:
        if secret.encode() in history:
            raise Violation(f"the private {secret!r} is in the history")
    return records


def _records(history: bytes) -> list[Record]:
    *lines, rest = history.split(b"\n")
    if rest:
        raise Violation(f"the history ends in {rest!r}")
    try:
        records = [record.parse(line) for line in lines]
    except record.NotARecord:
        wrong = next(line for line in lines if not record.HISTORY_RECORD.fullmatch(line + b"\n"))
        raise Violation(f"no record is {wrong!r}") from None
    if any(found.direct for found in records):
        raise Violation("a direct record is in the history")
    return records


def _times_never_run_back(records: list[Record]) -> None:
    for before, after in itertools.pairwise(records):
        if after.time < before.time:
            raise Violation(f"time runs back: {before} {after}")


def _people_come_and_go(records: list[Record]) -> None:
    """Nobody speaks without being here, nobody joins twice, and a `start` empties the room."""
    here: set[str] = set()
    for found in records:
        if found.kind == "start":
            here.clear()
        elif found.kind == "join":
            if found.name in here:
                raise Violation(f"{found.name} came twice: {found}")
            here.add(found.name)
        elif found.address != record.NOBODY and found.name not in here:
            raise Violation(f"{found.name} is not here: {str(found)[:200]}")
        elif found.kind == "rename":
            here.remove(found.name)
            here.add(found.text)
        elif found.kind == "leave":
            here.remove(found.name)


def _saw_the_history(client: Client, history: bytes) -> None:
    """Each segment is a piece of the history without gaps, and the last one reaches its end."""
    for segment in client.segments:
        if segment not in history:
            raise Violation(f"{client.name} saw what is not so in the history: {_where(segment, history)}")
    if client.segments and not history.endswith(client.segments[-1]):
        raise Violation(f"{client.name} has not got the end of the history")


def _where(segment: bytearray, history: bytes) -> str:
    """The first record of the segment that is out of place."""
    start = history.find(segment[: segment.find(b"\n") + 1])
    here = 0
    for line in segment.splitlines(keepends=True):
        if not history.startswith(line, start + here):
            there = history[start + here :].partition(b"\n")[0]
            return f"{bytes(line)[:200]!r} where the file has {there[:200]!r}"
        here += len(line)
    return "it begins twice there"


def _said_exactly_once(client: Client, records: list[Record]) -> None:
    said = [
        found.text for found in records if found.name == client.name and found.kind in ("message", "action")
    ]
    twice = [text for text, count in Counter(said).items() if count > 1]
    if twice:
        raise Violation(f"{client.name} said it twice: {twice[0][:80]!r}")
    unknown, refused = set(client.unknown), set(client.refused)
    if known := refused.intersection(said):
        raise Violation(f"{client.name} was told that it is not stored, and it is: {min(known)[:80]!r}")
    if [text for text in said if text not in unknown] != client.stored:
        lost = set(client.stored).difference(said)
        more = set(said).difference(client.stored, unknown)
        raise Violation(
            f"{client.name}: acknowledged and lost {sorted(lost)[:3]}, stored unasked {sorted(more)[:3]}"
        )
