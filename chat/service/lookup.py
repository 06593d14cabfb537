"""Commands that look things up: who is here, what was said, statistics."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from chat import record
from chat.record import Record
from chat.service.policy import Caller, CommandError, answer
from chat.service.service import Service
from chat.service.statistics import NoStatistics

HISTORY_RECORDS = 20  # the default of /history, and of the replay on joining
HISTORY_MOST = 1000  # they are held while they are put in order; /replay all, on joining, has no limit
SEARCH_RESULTS = 20  # the newest ones; for all of them there is grep
SEARCH_BYTES = 64 * 1024 * 1024  # how far back a search goes: about half a second of one processor
SAID = ("message", "action", "notice")  # the kinds that /history and /search show


def users(service: Service, caller: Caller, argument: str) -> Iterator[bytes]:
    """`users`: who is here (R31)."""
    here = service.room.members()
    for other in here:
        away = "" if other.away is None else f" away: {other.away}".removesuffix(": ")
        muted = " muted" if other.muted and caller.admin else ""
        yield answer("/users", f"{other.name} {other.address} since {other.since}{muted}{away}")
    if not here:
        yield answer("/users", "Nobody is here.")


def history(service: Service, caller: Caller, argument: str) -> Iterator[bytes]:
    """`history [N]`: what was said last, oldest first (R32)."""
    argument = argument or str(HISTORY_RECORDS)
    wanted = int(argument) if argument.isascii() and argument.isdigit() else 0
    if not 1 <= wanted <= HISTORY_MOST:
        raise CommandError(f"{caller.slash}history takes a number from 1 to {HISTORY_MOST}.")
    found = list(itertools.islice(_said_back(service), wanted))
    yield from _shown("/history", found, "Nothing has been said yet.")


def search(service: Service, caller: Caller, argument: str) -> Iterator[bytes]:
    """`search WORDS`: what was said that contains all these words, oldest first (R32)."""
    words = argument.casefold().split()
    found = (
        said
        for said in _said_back(service, SEARCH_BYTES, words)
        if all(word in f"{said.name} {said.text}".casefold() for word in words)
    )
    newest = list(itertools.islice(found, SEARCH_RESULTS))
    yield from _shown("/search", newest, f"Nothing found for {argument}.")


def stats(service: Service, caller: Caller, argument: str) -> Iterator[bytes]:
    """`stats`: messages per minute and more."""
    service.room.flush()
    try:
        lines = service.statistics.summary()
    except NoStatistics as why:
        raise CommandError(str(why)) from None
    for line in lines:
        yield answer("/stats", line)


def plot(service: Service, caller: Caller, argument: str) -> Iterator[bytes]:
    """`plot`: messages per minute as a picture, in the whole report."""
    service.room.flush()
    try:
        yield answer("/plot", f"The plot is in {service.statistics.plot()}")
    except NoStatistics as why:
        raise CommandError(str(why)) from None


def _said_back(service: Service, limit: int | None = None, words: Sequence[str] = ()) -> Iterator[Record]:
    """What was said, newest first, at most `limit` bytes back; with words, from blocks that have them."""
    service.room.flush()
    file = service.room.log.history.file
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


def _shown(kind: str, newest_first: list[Record], nothing: str) -> Iterator[bytes]:
    for said in reversed(newest_first):
        yield answer(kind, f"{said.time} {said.name}: {said.text}")
    if not newest_first:
        yield answer(kind, nothing)
