"""The log of several servers: a stream in NATS JetStream, which each of them applies in order.

    propose(entries) --> batches --> engine (one in flight) --> stream
    settled()        <-- results <-- cluster, replica        <-- stream        on every server alike

A proposal is settled when it comes back from the stream, whatever happened in between: the log decides an
entry's fate. A batch is applied once, because the cluster knows the number of each server's last one.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from nats.js.api import StreamInfo

from chat import record
from chat.log import batch as codec
from chat.log.batch import Batch, Operation
from chat.log.cluster import Cluster, Step
from chat.log.consumer import Committed
from chat.log.engine import ENGINE_ERRORS, TROUBLE_SECONDS, Address, Engine
from chat.log.entries import Append, Change, Clear, Entry, Stop
from chat.log.file import HistoryFile
from chat.log.history import History, HistoryError
from chat.log.log import Result
from chat.log.replica import Replica
from chat.log.roster import Roster
from chat.log.snapshot import Snapshot, Snapshots

LOOK_SECONDS = 30.0  # between two checks whether a snapshot is due
BEAT_SECONDS = 2.0  # between signs of life of an idle server: five in a lease
NO_ENGINE = "The servers of this chat can't agree at the moment: your messages wait, and will not be lost."
CAN_NOT_WRITE = "This server can't write its history ({}): your messages wait, and will not be lost."

log = logging.getLogger("chat.log.jetstream")


@dataclass(slots=True)
class _Flight:
    """A batch whose fate is not known yet, and the entries that end with its operations."""

    life: str
    number: int
    entries: list[Entry | None]


class JetStreamLog:
    """The log of one server among several. The constructor applies the whole log so far.

    One thread proposes and settles. Raises HistoryError, EngineError.
    """

    sessions = None  # the log holds a name until its server is declared dead; there is no other hold

    def __init__(self, history: History, address: Address, *, forget: bool = False) -> None:
        self.history = history
        self.roster = Roster()
        self.cluster = Cluster(self.roster)
        self._forget = forget
        self._wake: Callable[[], None] = lambda: None
        self._arrived = threading.Event()
        self._server = ""  # where clients reach it, once it is open
        self._life = ""
        self._number = 0  # of the last batch
        self._flights: collections.deque[_Flight] = collections.deque()
        self._unapplied: collections.deque[Committed] = collections.deque()
        self._steps: collections.deque[Step] = collections.deque()  # applied, not yet in the history
        self._spoke = 0.0  # when the last proposal was made
        self._failure = ""  # why the history can't be written, while it can't
        self._shared: list[Result] = []  # what the tables have when this server joins, for the service
        self._founding = False  # the chat begins with this server's history
        self._keeper: threading.Thread | None = None  # runs one task that keeps the log short, and ends
        self._look_at = time.monotonic() + LOOK_SECONDS  # when to look again
        self._snapshot_due = False
        self._engine = Engine(address, self._signal)
        try:
            info = self._engine.open()
            self._snapshots = Snapshots(self._engine, info.config.num_replicas or 1)
            self._replica = Replica(history, str(info.created))
            self._begin(info)
            self._engine.follow(self.cluster.sequence + 1)
            self._catch_up(info.state.last_seq)
        except BaseException:
            self._engine.close()
            raise

    # ----- beginning

    def _begin(self, info: StreamInfo) -> None:
        """Get to a state and a history from which the log continues. Raises HistoryError."""
        state = self._replica.read_note()
        if state:
            self.cluster.load(state)
            if self.cluster.sequence + 1 < info.state.first_seq:
                self._restore()
            elif info.state.last_seq == 0:  # it crashed while it founded the chat
                self._found()
            return
        if self._snapshots.latest():
            if state is None:
                self._replica.require_empty()
                self._replica.write_note({}, wait=True)  # after a crash, what is there by then is ours
            self._restore()
        elif info.state.last_seq == 0:
            self._found()
        else:
            self._replica.require_empty()

    def _restore(self) -> None:
        """Begin from the snapshot. Raises HistoryError."""
        found = self._snapshots.latest()
        if found is None:
            raise HistoryError("the chat's log begins later than this server knows, without a snapshot.")
        snapshot, end = found
        if self.cluster.generation != snapshot.generation or self._replica.elsewhere:
            self._replica.start_anew()
        for piece in self._snapshots.pieces(snapshot, end, self._replica.offset):
            self._replica.add(piece)
        self.roster = Roster()
        self.cluster = Cluster(self.roster)
        self.cluster.load(snapshot.state)

    def _found(self) -> None:
        """Begin the chat, with this server's history if it has one."""
        if self.history.file.end:
            self._founding = True
            self._replica.adopt()
            self.cluster.time = self.history.last_time
            self._replica.write_note(self.cluster.dump(), wait=True)
            self._snapshots.take(self._snapshot(), self.history.file)

    def _snapshot(self) -> Snapshot:
        state = self.cluster
        return Snapshot(state.sequence, state.generation, self._replica.offset, state.dump())

    # ----- being one of the servers

    def open(self, server: str) -> None:
        """Become one of the chat's servers, which clients reach at this address. Raises HistoryError."""
        self._server = server
        self._begin_life()
        while not self.ready:
            self._arrived.wait()
            self._arrived.clear()
            self.settled()
        self._replica.finish()
        self._shared = [
            Result(Change(b"", table, key, value), self.history.position, self.cluster.time)
            for table, values in self.cluster.tables.items()
            for key, value in values.items()
        ]
        self._replica.write_note(self.cluster.dump(), wait=True)
        self._engine.every(BEAT_SECONDS / 2, self._signal)

    def close(self) -> None:
        """Take no further part. Who is still here leaves once the others miss this server.

        Raises HistoryError.
        """
        self._engine.close()
        if not self._steps:
            self._replica.close(self.cluster.dump())
        self.history.close()

    def _begin_life(self) -> None:
        self._life, self._number = secrets.token_hex(6), 0
        self._propose([(Operation(codec.OPEN, (self._server,)), None)], first=self._founding)

    def _stay_alive(self) -> None:
        """Give a sign of life, or begin a new life if the log has ended this one."""
        if self._is_alive:
            quiet = time.monotonic() - self._spoke > BEAT_SECONDS
            if quiet and self._engine.idle:  # what is stored and not seen yet is no reason to be silent
                self._propose([(Operation(codec.BEAT, (str(self.cluster.sequence),)), None)])
        elif self.cluster.replaced == self._life:
            raise HistoryError(
                f"another server has joined the chat as {self._server}: "
                "stop one of them, or give each its own --advertise."
            )
        elif not self._flights:
            log.warning("this server was cut off, and the others continued without it; it is coming back")
            self._begin_life()

    @property
    def _is_alive(self) -> bool:
        return self._life in self.cluster.lives

    # ----- the log

    def on_settled(self, wake: Callable[[], None]) -> None:
        """Have `wake` called, in whatever thread, when there may be something to settle."""
        self._wake = wake

    @property
    def ready(self) -> bool:
        """Whether it accepts a proposal now: nothing is in flight, and the log knows this server."""
        return not self._flights and self._is_alive

    @property
    def trouble(self) -> str:
        """Why proposals wait unusually long, a sentence; "" if they don't."""
        if self._failure:
            return CAN_NOT_WRITE.format(self._failure)
        return NO_ENGINE if time.monotonic() - self._engine.waits_since > TROUBLE_SECONDS else ""

    @property
    def servers(self) -> tuple[str, ...]:
        """Where clients reach the servers, this one first."""
        others = [life.address for life in self.cluster.servers() if life.id != self._life]
        return (self._server, *others) if self._server else ()

    def propose(self, entries: Sequence[Entry]) -> None:
        """Propose entries, to be committed in this order. Requires `ready`."""
        if any(isinstance(entry, Stop) for entry in entries):
            self._server = ""
        self._propose([item for entry in entries for item in self._operations(entry)])

    def settled(self) -> list[Result]:
        """The results since the last call, in the order of the log."""
        results, self._shared = self._shared, []
        self._unapplied.extend(self._engine.committed())
        while self._write(results) and self._unapplied:
            self._apply(self._unapplied.popleft())
        if self._server and not self._steps:
            self._stay_alive()
        if not self._steps:
            self._keep()
        return results

    def now(self) -> str:
        """The time that a record committed now would get, by this machine's clock."""
        return max(record.format_time(time.time()), self.cluster.time)

    def report(self) -> list[str]:
        """Each server with its people and how far it is, and the engine. May take seconds."""
        info = self._engine.info()
        last = info.state.last_seq if info else self.cluster.sequence
        lines = []
        for life in self.cluster.servers():
            own = life.id == self._life
            applied = self.cluster.sequence if own else life.applied
            people = self.cluster.people_at(life)
            here = " (this one)" if own else ""
            lines.append(f"{life.address}{here}: {people} here, {applied} of {last} applied")
        return [*lines, _engine_line(info)]

    # ----- proposing

    def _operations(self, entry: Entry) -> Iterator[tuple[Operation, Entry | None]]:
        *before, last = codec.operations(entry, forget=self._forget)
        yield from ((operation, None) for operation in before)
        yield last, entry

    def _propose(self, items: list[tuple[Operation, Entry | None]], *, first: bool = False) -> None:
        for run in codec.runs(items):
            self._number += 1
            data = codec.encode(Batch(self._life, self._number, [operation for operation, _ in run]))
            self._flights.append(_Flight(self._life, self._number, [entry for _, entry in run]))
            self._engine.publish(f"{self._life}.{self._number}", data, first=first)
        self._spoke = time.monotonic()

    # ----- applying

    def _apply(self, committed: Committed) -> None:
        """Apply a batch, which leaves steps to be written in `_steps`. Raises HistoryError."""
        try:
            batch = codec.decode(committed.data)
        except codec.LaterVersion:
            raise HistoryError("a server of a later version has joined the chat: update this one.") from None
        own: list[Entry | None] = []
        if committed.sequence != self.cluster.sequence + 1:
            raise HistoryError(
                "this server was away for longer than the chat's log goes back: start it again."
            )
        flight = self._flights[0] if self._flights else None
        if flight and (flight.life, flight.number) == (batch.life, batch.number):
            own = self._flights.popleft().entries
        elif self._founding and committed.sequence == 1:
            raise HistoryError(
                f"the chat was begun by another server, without {self.history.path}. "
                "Move that file away, and this server will fetch the chat's own."
            )
        self._founding = False
        self._steps.extend(self.cluster.apply(committed.sequence, committed.time, batch, own))

    def _write(self, results: list[Result]) -> bool:
        """Write what was applied, and add the result of each entry. False if that is impossible now."""
        try:
            while self._steps:
                if self._steps[0].clear:
                    self._replica.clear(self._steps[0].clear, self.cluster.time)
                    results.append(self._result(self._steps.popleft(), self.history.position[1]))
                else:
                    self._write_run(results)
            self._report("")
        except OSError as error:
            self._report(error.strerror or str(error))
            return False
        return True

    def _write_run(self, results: list[Result]) -> None:
        """Write the steps up to the next clear, with one append. Raises OSError, HistoryError."""
        run = []
        for step in self._steps:
            if step.clear:
                break
            run.append(step)
        drafts = b"".join([step.drafts for step in run])
        end = self._replica.offset
        if drafts:
            self._replica.write(drafts, self.cluster.time)
        appended = False
        for step in run:
            self._steps.popleft()
            end += record.stamped_size(step.drafts)
            if step.entry:
                results.append(self._result(step, end))
            else:
                appended = appended or bool(step.drafts)
        if appended:  # what others said needs no separate results
            results.append(Result(Append(b""), (self.history.file.number, end), self.cluster.time))

    def _result(self, step: Step, end: int) -> Result:
        entry = step.entry or Clear(b"", "", "")
        time = "" if step.why_not else self.cluster.time
        return Result(entry, (self.history.file.number, end), time, step.why_not)

    def _report(self, failure: str) -> None:
        """Tell the host when writing begins to fail and when it works again, not every time in between."""
        if failure != self._failure:
            log.error("history: %s", failure or "writing works again.")
            self._failure = failure

    # ----- keeping the log short

    def _keep(self) -> None:
        """Write a note if it is due, and a snapshot if it is due and this server is the oldest."""
        if self._replica.note_is_due:
            self._replica.write_note(self.cluster.dump())
        if self._keeper and self._keeper.is_alive():
            return
        if self._snapshot_due:
            self._snapshot_due = False
            taken = (self._snapshot(), self.history.file)
            self._start_keeper(self._take_snapshot, *taken)
        elif time.monotonic() > self._look_at and next(iter(self.cluster.lives), "") == self._life:
            self._look_at = time.monotonic() + LOOK_SECONDS
            self._start_keeper(self._look)

    def _start_keeper(self, work: Callable[..., None], *arguments: object) -> None:
        self._keeper = threading.Thread(target=work, args=arguments, name="keeper", daemon=True)
        self._keeper.start()

    def _look(self) -> None:
        self._snapshot_due = self._snapshots.due()

    def _take_snapshot(self, snapshot: Snapshot, file: HistoryFile) -> None:
        """Store a snapshot, and purge what every server has applied from the log."""
        applied = [life.applied for life in self.cluster.servers() if life.id != self._life]
        try:
            self._snapshots.take(snapshot, file)
            self._engine.purge(min([snapshot.sequence, *applied]) + 1)
        except ENGINE_ERRORS as error:
            log.warning("the snapshot of the chat can't be stored (%s); trying again later", error)

    # ----- parts

    def _signal(self) -> None:
        """Something was committed, or time has passed. In the engine's thread."""
        self._arrived.set()
        with contextlib.suppress(OSError):  # it is about to wake already, or closed
            self._wake()

    def _catch_up(self, sequence: int) -> None:
        """Apply the log up to this sequence, before anybody listens. Raises HistoryError."""
        while self.cluster.sequence < sequence:
            self._arrived.wait()
            self._arrived.clear()
            self.settled()


def _engine_line(info: StreamInfo | None) -> str:
    """The state of the engine, in words."""
    if info is None:
        return "The engine does not answer, or has no quorum."
    held = f"{info.state.messages} batches of {info.state.bytes // 1024} KiB are held"
    if not info.cluster or not info.cluster.replicas:
        return f"The engine is a single node; {held}."
    followers = [
        f"{peer.name} ({'up to date' if peer.current and not peer.offline else 'not there'})"
        for peer in info.cluster.replicas
    ]
    return f"The engine is led by {info.cluster.leader}, followed by {', '.join(followers)}; {held}."
