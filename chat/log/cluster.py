"""The cluster: the state of servers and members, as a function of the log alone.

Every server applies the same batches in the same order, so that all arrive at the same state and the same
records. Nothing here may depend on a clock, a setting or a file of this machine.

A server lives from its `open` to its `close`, or until nothing has come from it for LEASE in the log's time.
Then its members leave, and whatever it proposed in that life and comes later is not applied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from chat import record
from chat.log import batch as codec
from chat.log import entries
from chat.log.batch import Batch, Operation
from chat.log.entries import Append, Change, Clear, Direct, Entry, Join, Presence
from chat.log.log import NAME_TAKEN
from chat.log.roster import Roster

LEASE = 10_000  # milliseconds of the log's time without a batch from a server, after which it is gone
# No more of a gap in the log counts: without a quorum no server can give a sign of life.
GAP = 3_000
CLAIMS = 10_000  # remembered sessions on their way from one server to another; more is an attack
ENDED = 1_000  # lives remembered as over, in case the engine delivers an `open` late

CUT_OFF = "Not stored and not sent: this server was cut off from the others. Reconnect and send it again."
GONE = "Not stored and not sent: you are no longer here."
NOT_HERE = "They have just left; /users lists who is here."
ELSEWHERE = "Your session has moved to another server."


@dataclass(slots=True)
class Life:
    """One run of a server. `address` is where clients reach it, and serves as its name."""

    id: str
    address: str
    number: int = 0  # of its last batch
    silence: int = 0  # milliseconds of the log's time since its last batch
    applied: int = 0  # the sequence it had applied by its last beat


@dataclass(slots=True)
class Step:
    """The outcome of an operation: drafts to write, and an entry to report, committed or not."""

    drafts: bytes = b""
    entry: Entry | None = None
    why_not: str = ""
    clear: Cleared | None = None


@dataclass(slots=True)
class Cleared:
    """A new history starts with these drafts; the old file is kept under this name, deleted if ""."""

    drafts: bytes
    kept: str


class Cluster:
    """The state. One thread applies; any thread may read the roster and `servers`."""

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self.time = ""  # of the newest record
        self.sequence = 0  # up to which the log is applied
        self.generation = 0  # how often the history was cleared
        self.tables: dict[str, dict[str, str]] = {}
        self.lives: dict[str, Life] = {}
        self.replaced = ""  # the last life that ended because another server came under its address
        self._ended: dict[str, None] = {}  # ids of lives that are over, oldest first
        self._homes: dict[str, str] = {}  # the life that a member is at, by their id
        self._sessions: dict[str, str] = {}  # the id of the member that has a session
        self._claims: dict[str, str] = {}  # the life that a session is moving to
        self._clock = 0  # the log's time for the last batch, in milliseconds
        self._cleared = ("", 0)  # the time of the last clear, and the number of clears at that time

    def servers(self) -> list[Life]:
        """The live servers, in the order of opening."""
        return list(self.lives.values())

    def people_at(self, life: Life) -> int:
        """How many are at this server."""
        return sum(home == life.id for home in list(self._homes.values()))

    # ----- applying

    def apply(
        self, sequence: int, time: int, batch: Batch, own: Sequence[Entry | None] = ()
    ) -> Iterator[Step]:
        """Apply the batch with this sequence and time in the log (milliseconds since 1970).

        `own` are the entries of its operations, if this server proposed it. Must be iterated to the end.
        """
        self.sequence = sequence
        self.time = max(self.time, record.format_time(time / 1000))
        yield from self._pass_time(batch.life, time)
        if batch.operations and batch.operations[0].kind == codec.OPEN:
            yield from self._open(batch)
        life = self.lives.get(batch.life)
        if life and batch.number != life.number + 1:
            return  # the engine has delivered it twice
        if life:
            life.number = batch.number
        for index, operation in enumerate(batch.operations):
            entry = own[index] if index < len(own) else None
            if batch.life in self.lives:
                yield from self._apply(batch.life, operation, entry)
            elif entry:
                yield Step(entry=entry, why_not=CUT_OFF)

    def _apply(self, life: str, operation: Operation, entry: Entry | None) -> Iterator[Step]:
        match operation:
            case Operation(codec.APPEND, (author,), drafts):
                if author and author not in self._homes:
                    yield Step(entry=entry, why_not=GONE)
                else:
                    yield Step(drafts, entry)
            case Operation(codec.JOIN, (id, name, address, session)):
                who = Presence(id, name, address, "", session)
                yield self._join(life, entry if isinstance(entry, Join) else entries.join(who))
            case Operation(codec.LEAVE, (id, reason)):
                if here := self.roster.get(id):
                    yield self._leave(here, reason, entry)
                else:
                    yield Step(entry=entry)
            case Operation(codec.RENAME, (id, name)):
                yield self._rename(id, name, entry)
            case Operation(codec.CLEAR, (address, name, forget)):
                yield self._clear(address, name, bool(forget), entry)
            case Operation(codec.DIRECT, (id,), drafts):
                yield Step(entry=entry or Direct(drafts, id), why_not="" if id in self._homes else NOT_HERE)
            case Operation(codec.CHANGE, (table, key, value)):
                yield self._change(entry or Change(b"", table, key, value), table, key, value)
            case Operation(codec.TAKE_OVER, (session,)):
                yield from self._take_over(life, session, entry)
            case Operation(codec.BEAT, (applied,)):
                self.lives[life].applied = int(applied)
            case Operation(codec.CLOSE):
                yield from self._close(life)
                yield Step(entry=entry)

    def _join(self, life: str, entry: Join) -> Step:
        who = entry.presence
        if self._claims.get(who.session, life) != life:
            return Step(entry=entry, why_not=ELSEWHERE)
        if self.roster.refused([entry]):
            return Step(entry=entry, why_not=NAME_TAKEN)
        self.roster.apply(entry, self.time)
        self._homes[who.id] = life
        if who.session:
            self._claims.pop(who.session, None)
            self._sessions[who.session] = who.id
        return Step(entry.drafts, entry)

    def _leave(self, who: Presence, reason: str, entry: Entry | None = None) -> Step:
        """The record has the member's current name, whoever proposed it."""
        leave = entries.leave(who, reason)
        self.roster.apply(leave, self.time)
        del self._homes[who.id]
        self.tables.get("away", {}).pop(who.id, None)
        if self._sessions.get(who.session) == who.id:
            del self._sessions[who.session]
        return Step(leave.drafts, entry or leave)

    def _rename(self, who_id: str, name: str, entry: Entry | None) -> Step:
        who = self.roster.get(who_id)
        if who is None:
            return Step(entry=entry, why_not=GONE)
        rename = entries.rename(who, name)
        if self.roster.refused([rename]):
            return Step(entry=entry, why_not=NAME_TAKEN)
        self.roster.apply(rename, self.time)
        return Step(rename.drafts, entry or rename)

    def _clear(self, address: str, name: str, forget: bool, entry: Entry | None) -> Step:
        self.generation += 1
        kept = "" if forget else self._kept_name()
        fate = f"is kept as {kept}" if kept else "was deleted"
        drafts = record.draft(address, name, "clear", f"The earlier history {fate}.")
        return Step(entry=entry or Clear(b"", address, name), clear=Cleared(drafts, kept))

    def _kept_name(self) -> str:
        """A name for the cleared history, the same on all servers."""
        time, count = self._cleared
        self._cleared = (self.time, count + 1 if time == self.time else 1)
        more = "" if self._cleared[1] == 1 else f"-{self._cleared[1]}"
        return f"history.cleared-{self.time.replace(':', '-')}{more}.txt"

    def _change(self, entry: Entry, table: str, key: str, value: str) -> Step:
        self.tables.setdefault(table, {})[key] = value  # also "": a server that was away has to know
        return Step(entry=entry)

    def _take_over(self, life: str, session: str, entry: Entry | None) -> Iterator[Step]:
        """The session moves to this life: a pending join with it at another server will be refused."""
        if who := self.roster.get(self._sessions.get(session, "")):
            yield self._leave(who, record.LEFT_RECONNECTING)
        self._claims.pop(session, None)
        self._claims[session] = life
        _keep_newest(self._claims, CLAIMS)
        yield Step(entry=entry)

    # ----- servers

    def _pass_time(self, speaker: str, time: int) -> Iterator[Step]:
        """Every server but the speaker has been silent for this long, by the log's time."""
        passed = min(max(0, time - self._clock), GAP)
        self._clock = time
        for life in self.servers():
            life.silence = 0 if life.id == speaker else life.silence + passed
            if life.silence >= LEASE:
                yield from self._end(life, record.LEFT_LOST, f"The server {life.address} was lost.")

    def _open(self, batch: Batch) -> Iterator[Step]:
        address = batch.operations[0].arguments[0]
        if batch.life in self.lives or batch.life in self._ended:
            return
        for life in self.servers():
            if life.address == address:
                self.replaced = life.id
                yield from self._end(life, record.LEFT_LOST, f"The server {address} has restarted.")
        if self.lives:
            yield Step(_notice(f"The server {address} has joined."), Append(b""))
        else:  # R48: whoever had not left is gone
            yield Step(record.draft(record.NOBODY, "server", "start", address), Append(b""))
        self.lives[batch.life] = Life(batch.life, address, batch.number - 1)

    def _close(self, life_id: str) -> Iterator[Step]:
        life = self.lives[life_id]
        yield from self._end(life, record.LEFT_SERVER_STOPPED, f"The server {life.address} has stopped.")
        if not self.lives:
            yield Step(record.draft(record.NOBODY, "server", "stop"), Append(b""))

    def _end(self, life: Life, reason: str, notice: str) -> Iterator[Step]:
        """The server is gone, and with it its members."""
        del self.lives[life.id]
        self._ended[life.id] = None
        _keep_newest(self._ended, ENDED)
        yield Step(_notice(notice), Append(b""))
        for who in self.roster.all():
            if self._homes.get(who.id) == life.id:
                yield self._leave(who, reason)
        self._claims = {session: to for session, to in self._claims.items() if to != life.id}

    # ----- as data

    def dump(self) -> dict[str, Any]:
        """The state, for `load`."""
        return {
            "time": self.time,
            "sequence": self.sequence,
            "generation": self.generation,
            "tables": self.tables,
            "lives": [asdict(life) for life in self.lives.values()],
            "ended": list(self._ended),
            "people": [[*_fields(who), self._homes[who.id]] for who in self.roster.all()],
            "claims": self._claims,
            "clock": self._clock,
            "cleared": self._cleared,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Restore a dumped state, before anything is applied. Raises KeyError, ..."""
        self.time, self.sequence = state["time"], state["sequence"]
        self.generation, self.tables = state["generation"], state["tables"]
        self.lives = {life["id"]: Life(**life) for life in state["lives"]}
        self._ended = dict.fromkeys(state["ended"])
        self._claims, self._clock, self._cleared = state["claims"], state["clock"], tuple(state["cleared"])
        for *fields, home in state["people"]:
            who = Presence(*fields)
            self.roster.apply(Join(b"", who), who.since)
            self._homes[who.id] = home
            if who.session:
                self._sessions[who.session] = who.id


def _fields(who: Presence) -> Iterable[str]:
    return who.id, who.name, who.address, who.since, who.session


def _notice(text: str) -> bytes:
    return record.draft(record.NOBODY, "server", "notice", text)


def _keep_newest(remembered: dict[str, Any], count: int) -> None:
    while len(remembered) > count:
        del remembered[next(iter(remembered))]
