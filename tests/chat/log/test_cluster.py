"""The cluster as a function of the log: lists of batches, without any server."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Sequence

from chat import record
from chat.log import batch as codec
from chat.log import entries
from chat.log.batch import Batch, Operation
from chat.log.cluster import CUT_OFF, ELSEWHERE, GAP, GONE, LEASE, NOT_HERE, Cluster
from chat.log.entries import Append, Change, Direct, Entry, Presence, TakeOver
from chat.log.log import NAME_TAKEN
from chat.log.roster import Roster

START = 1_795_000_000_000


class Servers:
    """A log that servers append to, and the resulting state."""

    def __init__(self, *lives: str) -> None:
        self.cluster = Cluster(Roster())
        self.records = ""
        self.refused: list[str] = []
        self.time = START
        self._sequence = 0
        self._numbers: dict[str, itertools.count[int]] = {}
        self.batches: list[tuple[int, int, Batch]] = []
        for life in lives:
            self.open(life)

    def open(self, life: str, server: str = "") -> None:
        self._commit(life, [Operation(codec.OPEN, (server or f"{life}:9999",))], [])

    def close(self, life: str) -> None:
        self._commit(life, [Operation(codec.CLOSE)], [])

    def beat(self, life: str, after: int = 0) -> None:
        self.time += after
        self._commit(life, [Operation(codec.BEAT, ("0",))], [])

    def propose(self, life: str, *proposed: Entry) -> list[str]:
        """Why the entries were refused; "" for what was committed."""
        operations = [operation for entry in proposed for operation in codec.operations(entry)]
        self._commit(life, operations, list(proposed))
        return self.refused

    def again(self, batch: Batch) -> None:
        """The engine delivers it again."""
        self._apply(batch, [])

    def _commit(self, life: str, operations: list[Operation], own: Sequence[Entry | None]) -> None:
        numbers = self._numbers.setdefault(life, itertools.count(1))
        self._apply(Batch(life, next(numbers), operations), own)

    def _apply(self, batch: Batch, own: Sequence[Entry | None]) -> None:
        self._sequence += 1
        self.batches.append((self._sequence, self.time, batch))
        steps = list(self.cluster.apply(self._sequence, self.time, batch, own))
        drafts = b"".join([step.drafts + (step.clear.drafts if step.clear else b"") for step in steps])
        self.records += drafts.decode()
        self.refused = [step.why_not for step in steps if step.entry in own]

    def kinds(self) -> list[str]:
        """The records, as "name kind text"."""
        return [" ".join(line.split("\t")[2:]).strip() for line in self.records.splitlines()]


def presence(key: str, name: str, session: str = "") -> Presence:
    return Presence(key, name, "10.0.0.1", session=session)


def said(who: Presence, text: str) -> Append:
    return Append(record.draft(who.address, who.name, "message", text), who.id)


def test_the_first_server_starts_the_chat_and_the_last_one_stops_it() -> None:
    servers = Servers("a", "b")
    servers.close("a")
    servers.close("b")
    assert servers.kinds() == [
        "server start a:9999",
        "server notice The server b:9999 has joined.",
        "server notice The server a:9999 has stopped.",
        "server notice The server b:9999 has stopped.",
        "server stop",
    ]


def test_the_second_to_want_a_name_is_refused() -> None:
    servers = Servers("a", "b")
    alice = presence("p1", "alice")
    assert servers.propose("a", entries.join(alice)) == [""]
    assert servers.propose("b", entries.join(presence("p2", "ALICE"))) == [NAME_TAKEN]
    bob = presence("p3", "bob")
    assert servers.propose("b", entries.join(bob)) == [""]
    assert servers.propose("b", entries.rename(bob, "Alice")) == [NAME_TAKEN]
    assert servers.propose("a", entries.rename(alice, "al")) == [""]
    assert servers.propose("b", entries.rename(bob, "Alice")) == [""]
    assert [who.name for who in servers.cluster.roster.all()] == ["al", "Alice"]


def test_a_session_that_moved_can_say_nothing_at_the_first_server() -> None:
    servers = Servers("a", "b")
    before, after = presence("p1", "alice", "s"), presence("p2", "alice", "s")
    servers.propose("a", entries.join(before), said(before, "one"))
    assert servers.propose("b", TakeOver(b"", "s")) == [""]
    assert servers.propose("a", said(before, "two")) == [GONE]
    assert servers.propose("b", entries.join(after)) == [""]
    assert servers.propose("a", entries.leave(before, "connection lost")) == [""]
    assert servers.kinds()[2:] == [
        "alice join",
        "alice message one",
        "alice leave reconnecting",
        "alice join",
    ]


def test_a_pending_join_is_refused_once_the_session_has_moved() -> None:
    servers = Servers("a", "b")
    servers.propose("b", TakeOver(b"", "s"))
    assert servers.propose("a", entries.join(presence("p1", "alice", "s"))) == [ELSEWHERE]
    assert servers.propose("b", entries.join(presence("p2", "alice", "s"))) == [""]
    assert servers.propose("a", TakeOver(b"", "s"), entries.join(presence("p3", "alice", "s"))) == ["", ""]


def test_a_kick_from_another_server_uses_the_current_name() -> None:
    servers = Servers("a", "b")
    alice = presence("p1", "alice")
    servers.propose("a", entries.join(alice), entries.rename(alice, "al"))
    kick = entries.leave(presence("p1", "alice"), "kicked by admin")
    servers.propose("b", kick)
    assert servers.kinds()[-1] == "al leave kicked by admin"
    assert servers.propose("a", entries.rename(alice, "alice")) == [GONE]


def test_a_silent_server_is_removed_with_its_members_and_returns_as_a_new_life() -> None:
    servers = Servers("a", "b")
    alice = presence("p1", "alice")
    servers.propose("a", entries.join(alice))
    for _ in range(LEASE // 2000):
        servers.beat("b", after=2000)
    assert servers.kinds()[-2:] == [
        "server notice The server a:9999 was lost.",
        "alice leave connection lost",
    ]
    assert servers.propose("a", said(alice, "late")) == [CUT_OFF]
    servers.open("a2", "a:9999")
    assert [life.id for life in servers.cluster.servers()] == ["b", "a2"]


def test_any_batch_is_a_sign_of_life() -> None:
    servers = Servers("a", "b")
    for _ in range(LEASE // 1000):
        servers.beat("b", after=2000)
        servers.propose("a")
    assert len(servers.cluster.servers()) == 2


def test_nobody_expires_while_the_engine_is_down() -> None:
    servers = Servers("a", "b", "c")
    servers.beat("a", after=600_000)
    assert len(servers.cluster.servers()) == 3
    servers.beat("b", after=LEASE - GAP - 1)
    assert len(servers.cluster.servers()) == 3


def test_times_never_run_backwards_whatever_the_clock_does() -> None:
    servers = Servers("a", "b")
    before = servers.cluster.time
    servers.time -= 300_000
    servers.beat("a")
    assert servers.cluster.time == before
    servers.beat("a", after=400_000)
    assert servers.cluster.time > before


def test_a_restart_ends_the_earlier_life() -> None:
    servers = Servers("a", "b")
    servers.propose("a", entries.join(presence("p1", "alice")))
    servers.open("a2", "a:9999")
    assert servers.kinds()[-3:] == [
        "server notice The server a:9999 has restarted.",
        "alice leave connection lost",
        "server notice The server a:9999 has joined.",
    ]


def test_a_batch_delivered_twice_is_applied_once() -> None:
    servers = Servers("a", "b")
    alice = presence("p1", "alice")
    servers.propose("a", entries.join(alice))
    servers.propose("a", said(alice, "one"))
    before = servers.records
    for _, _, batch in servers.batches[:]:
        servers.again(batch)
    assert servers.records == before
    assert servers.propose("a", said(alice, "two")) == [""]


def test_a_late_open_does_not_revive_a_life() -> None:
    servers = Servers("a", "b")
    servers.close("a")
    servers.again(servers.batches[0][2])
    assert [life.id for life in servers.cluster.servers()] == ["b"]


def test_direct_records_reach_members_and_are_not_history() -> None:
    servers = Servers("a", "b")
    servers.propose("a", entries.join(presence("p1", "alice")))
    before = servers.records
    assert servers.propose("b", Direct(b"\tx\n", "p1"), Direct(b"\tx\n", "p2")) == ["", NOT_HERE]
    assert servers.records == before


def test_a_table_is_the_same_everywhere() -> None:
    servers = Servers("a", "b")
    servers.propose("a", Change(b"", "bans", "spam", "alice"), Change(b"", "bans", "eggs", "bob"))
    servers.propose("b", Change(b"", "bans", "spam", ""))
    assert servers.cluster.tables == {"bans": {"spam": "", "eggs": "bob"}}


def test_two_clears_at_one_moment_keep_two_files() -> None:
    servers = Servers("a")
    servers.propose("a", entries.clear("10.0.0.1", "x"), entries.clear("10.0.0.1", "x"))
    kept = [line.rpartition(" ")[2] for line in servers.kinds()[-2:]]
    assert kept[0].endswith("Z.txt.")
    assert kept[1].endswith("Z-2.txt.")


def test_a_state_can_be_dumped_and_loaded_anywhere() -> None:
    """Wherever a log is cut: a state dumped there and loaded again ends up the same."""
    rng = random.Random(7)
    servers = Servers("a", "b", "c")
    people = [presence(f"p{number}", f"name{number}", f"s{number}") for number in range(6)]
    homes = {who.id: rng.choice("abc") for who in people}
    for _ in range(300):
        who = rng.choice(people)
        servers.time += rng.choice((0, 1, 5, 3000))
        servers.propose(
            homes[who.id],
            rng.choice(
                (
                    entries.join(who),
                    entries.leave(who, "exit"),
                    entries.rename(who, f"name{rng.randrange(9)}"),
                    said(who, "hello"),
                    TakeOver(b"", rng.choice(people).session),
                    entries.clear("10.0.0.1", "x"),
                    Change(b"", "t", rng.choice("xy"), rng.choice(("", "1", "2"))),
                )
            ),
        )
        if rng.random() < 0.05:
            servers.open(f"life{servers.time}", rng.choice(("a:9999", "b:9999")))
    whole, records = _replay(servers.batches, Cluster(Roster()))
    assert records == servers.records
    for cut in (1, 50, 200, 299):
        before, first = _replay(servers.batches[:cut], Cluster(Roster()))
        after = Cluster(Roster())
        after.load(json.loads(json.dumps(before.dump())))
        after, second = _replay(servers.batches[cut:], after)
        assert first + second == records
        assert json.dumps(after.dump()) == json.dumps(whole.dump())


def _replay(batches: list[tuple[int, int, Batch]], cluster: Cluster) -> tuple[Cluster, str]:
    drafts = b""
    for sequence, time, batch in batches:
        for step in cluster.apply(sequence, time, codec.decode(codec.encode(batch))):
            drafts += step.drafts + (step.clear.drafts if step.clear else b"")
    return cluster, drafts.decode()
