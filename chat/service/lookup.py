"""Commands that look things up: who is here, what was said, statistics.

What is near the end of the history is found here. For what is further back, a separate process is asked
(queries.py); without it, or while it reads a long history for the first time, this looks back as far as it
can in a moment. Either way only offsets are held: the records are read when it is their turn to be sent.
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from chat import record
from chat.log.file import SHORTEST_RECORD, HistoryFile
from chat.log.search import MOST_WORDS, Search
from chat.record import RECORD_BYTES, NotARecord, Record
from chat.room.broadcaster import Closed, Full
from chat.service.budget import Account
from chat.service.counters import Counters
from chat.service.policy import Caller, CommandError, answer, error
from chat.service.queries import Unavailable
from chat.service.service import Service
from chat.service.shared import is_muted
from chat.service.statistics import NoStatistics

HISTORY_RECORDS = 20  # the default of /history, and of the replay on joining
HISTORY_MOST = 1000  # a long evening; all of it comes with /replay all, on joining
SEARCH_RESULTS = 20  # the newest ones; for all of them there is grep
SAID = (b"message", b"action", b"notice")  # the kinds that /history and /search show
NEAR_BYTES = 256 * 1024  # from the end: searched here, within milliseconds
FAR_BYTES = 2 * 1024 * 1024  # the same where nobody else can do it: a twentieth of a second
ANSWER_BYTES = 16 * 1024  # of direct records made at once
FLUSH_SECONDS = 1.0  # until what the caller has just said is in the history
NOT_HERE = "No such report can be made here; ask the host."

log = logging.getLogger("chat.service.lookup")


def users(service: Service, caller: Caller, argument: str) -> Iterator[bytes]:
    """`users`: who is here (R31)."""
    here = service.room.log.roster.all()
    silent = {member.presence.id for member in service.room.members() if member.muted}
    for other in here:
        away = "" if other.away is None else f" away: {other.away}".removesuffix(": ")
        is_silent = other.id in silent or is_muted(service, other.name, other.session)
        muted = " muted" if is_silent and caller.admin else ""
        yield answer("/users", f"{other.name} {other.address} since {other.since}{muted}{away}")
    if not here:
        yield answer("/users", "Nobody is here.")


def history(service: Service, caller: Caller, argument: str) -> Iterator[bytes]:
    """`history [N]`: what was said last, oldest first (R32)."""
    argument = argument or str(HISTORY_RECORDS)
    wanted = int(argument) if argument.isascii() and argument.isdigit() and len(argument) < 5 else 0
    if not 1 <= wanted <= HISTORY_MOST:
        raise CommandError(f"{caller.slash}history takes a number from 1 to {HISTORY_MOST}.")
    file, end = _now(service)
    found: list[int] = []
    for offset, matches in _back(caller.account, file, end, NEAR_BYTES):
        found += [offset + match.start() for match in reversed(matches) if match[1] in SAID]
        if len(found) >= wanted:
            break
    else:
        if end > NEAR_BYTES:
            found = _far_history(service, caller, file, end, wanted)
    return _shown("/history", file, found[:wanted], "Nothing has been said yet.")


def search(service: Service, caller: Caller, argument: str) -> Iterator[bytes]:
    """`search WORDS`: what was said that contains all these words, oldest first (R32)."""
    looked_for = Search(argument)
    if len(looked_for.words) > MOST_WORDS:
        raise CommandError(f"Too many words; search for at most {MOST_WORDS}.")
    file, end = _now(service)
    complete = end <= FAR_BYTES
    try:
        if end <= NEAR_BYTES:
            raise Unavailable
        found = _ask(service, caller.account, file, end, ask="search", words=argument, most=SEARCH_RESULTS)
        offsets, complete = found["offsets"], found["complete"]
    except Unavailable:
        offsets = _search_here(caller, file, end, looked_for)
    later = " so far: a long history is still being read. Search again in a minute"
    if complete or not looked_for.expression:
        later = (
            ""
            if complete
            else " in the newest part of the history; a search for letters or digits goes further"
        )
    return _shown("/search", file, offsets[:SEARCH_RESULTS], f"Nothing found for {argument}{later}.")


def stats(service: Service, caller: Caller, argument: str) -> Iterator[bytes]:
    """`stats`: messages per minute and more; `stats full`: the same by analytics, when it is ready."""
    if argument:
        return _report(service, caller, argument)
    file, end = _now(service)
    if end <= NEAR_BYTES:
        counters = Counters()
        with caller.account.working():
            counters.feed(file.read(0, end), time.time())
        lines = counters.summary()
    else:
        try:
            lines = _ask(service, caller.account, file, end, ask="stats")["lines"]
        except Unavailable as why:
            raise CommandError(
                f"The history is still being counted{f' ({why})' if str(why) else ''}; try again in a moment."
            ) from None
    return iter([answer("/stats", line) for line in lines])


def servers(service: Service, caller: Caller, argument: str) -> Iterator[bytes]:
    """`servers`: the servers of this chat, how far each is, and the engine. `/servers` itself is R45."""
    for line in service.room.log.report():
        yield answer("/cluster", line)


def plot(service: Service, caller: Caller, argument: str) -> Iterator[bytes]:
    """`plot`: messages per minute as a picture, with the whole report, when it is ready."""
    return _start_analytics(service, caller, "/plot", lambda: [f"The plot is in {service.statistics.plot()}"])


def start_of_last(service: Service, account: Account, file: HistoryFile, count: int | None) -> int:
    """Where the last `count` records begin (None: all of them); 0 if there are fewer."""
    end = file.end
    if count == 0:
        return end
    if count is None or count * SHORTEST_RECORD > end:
        return 0
    if (found := _start_within(account, file, end, count, NEAR_BYTES)) is not None:
        return found
    try:
        start: int = _ask(service, account, file, end, ask="last", count=count)["offset"]
        return start
    except Unavailable:
        found = _start_within(account, file, end, count, FAR_BYTES)
        return max(0, end - FAR_BYTES) if found is None else found


# ------------------------------------------------------------------------------------------------- parts


def _now(service: Service) -> tuple[HistoryFile, int]:
    """The history now, including what the caller has just said."""
    service.room.flush(FLUSH_SECONDS)
    file = service.room.log.history.file
    return file, file.end


def _ask(service: Service, account: Account, file: HistoryFile, end: int, **question: Any) -> dict[str, Any]:
    """Ask the process that has read the whole history. Raises Unavailable."""
    with account.turn():
        answered = service.queries.ask({**question, "file": file.identity(), "end": end})
    account.charge(work=answered["seconds"])
    return answered


def _back(
    account: Account, file: HistoryFile, end: int, limit: int
) -> Iterator[tuple[int, list[re.Match[bytes]]]]:
    """The records before `end`, newest block first: (where the block begins, the records in it)."""
    blocks = file.blocks_back(end)
    while True:
        with account.working():
            offset, lines = next(blocks, (0, b""))
            matches = list(record.HISTORY_KINDS.finditer(lines))
        if not lines:
            return
        yield offset, matches
        if end - offset >= limit:
            return


def _start_within(account: Account, file: HistoryFile, end: int, count: int, limit: int) -> int | None:
    """Where the last `count` records begin; None if that is further back than the limit."""
    for offset, matches in _back(account, file, end, limit):
        if len(matches) >= count:
            return offset + matches[-count].start()
        count -= len(matches)
    return 0 if end <= limit else None


def _far_history(service: Service, caller: Caller, file: HistoryFile, end: int, wanted: int) -> list[int]:
    try:
        found: list[int] = _ask(service, caller.account, file, end, ask="said", most=wanted)["offsets"]
        return found
    except Unavailable:
        found = []
        for offset, matches in _back(caller.account, file, end, FAR_BYTES):
            found += [offset + match.start() for match in reversed(matches) if match[1] in SAID]
            if len(found) >= wanted or caller.listener.ending:
                break
        return found


def _search_here(caller: Caller, file: HistoryFile, end: int, search: Search) -> list[int]:
    found: list[int] = []
    for offset, matches in _back(caller.account, file, end, FAR_BYTES):
        with caller.account.working():
            said = ((match, record.parse(match[0])) for match in reversed(matches) if match[1] in SAID)
            found += [offset + match.start() for match, each in said if search.matches(each.name, each.text)]
        if len(found) >= SEARCH_RESULTS or caller.listener.ending:
            break
    return found


def _shown(kind: str, file: HistoryFile, newest_first: list[int], nothing: str) -> Iterator[bytes]:
    """The records at these offsets as answers, oldest first, read as they are taken."""
    if not newest_first:
        yield answer(kind, nothing)
    drafts = b""
    for said in _read(file, newest_first[::-1]):
        who = f"* {said.name}" if said.kind == "action" else f"{said.name}:"
        drafts += answer(kind, f"{said.time} {who} {said.text}")
        if len(drafts) > ANSWER_BYTES:
            yield drafts
            drafts = b""
    if drafts:
        yield drafts


def _read(file: HistoryFile, offsets: list[int]) -> Iterator[Record]:
    """The records at these offsets, in order; most of them are close together."""
    start, block = 0, b""
    for offset in offsets:
        if not start <= offset <= start + len(block) - RECORD_BYTES:
            start, block = offset, file.read(offset, ANSWER_BYTES + RECORD_BYTES)
        try:
            yield record.parse(block[offset - start : block.find(b"\n", offset - start) + 1])
        except NotARecord:  # the file was changed from outside
            continue


def _report(service: Service, caller: Caller, argument: str) -> Iterator[bytes]:
    if argument.casefold() != "full":
        raise CommandError(f"{caller.slash}stats takes no argument, or full for a full report.")
    return _start_analytics(service, caller, "/stats", service.statistics.summary)


def _start_analytics(
    service: Service, caller: Caller, kind: str, work: Callable[[], Iterable[str]]
) -> Iterator[bytes]:
    """Run analytics in the background; its answer is sent to the caller when it is ready."""

    def tell(drafts: bytes) -> None:
        with contextlib.suppress(Full, Closed):
            service.room.send_direct(caller.listener, drafts)

    def run() -> None:
        try:
            for line in work():
                tell(answer(kind, line))
        except NoStatistics as why:
            log.warning("%s for %s: %s", kind, caller.name, why)
            tell(error(str(why) if caller.member is None or why.for_guests else NOT_HERE))

    try:
        service.statistics.start(run)
    except NoStatistics as why:
        raise CommandError(str(why)) from None
    return iter([answer(kind, "That takes a while; the answer will follow.")])
