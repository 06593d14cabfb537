"""The log of several servers, against a real engine."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chat import record
from chat.log import cluster, entries, jetstream, snapshot
from chat.log.cluster import CUT_OFF
from chat.log.engine import Address
from chat.log.entries import Append, Direct, Entry, Presence, Stop, TakeOver
from chat.log.history import History, HistoryError
from chat.log.jetstream import JetStreamLog
from chat.log.log import NAME_TAKEN, Result
from tests.engine import Engine as Nodes
from tests.harness import DEADLINE


class Server:
    """A server without clients: its log, settled in the test's own thread."""

    def __init__(self, nodes: Nodes, chat: str, folder: Path, *, forget: bool = False) -> None:
        folder.mkdir(exist_ok=True)
        self.path = folder / "history.txt"
        self.arrived = threading.Event()
        history = History(self.path)
        try:
            self.log = JetStreamLog(history, Address(tuple(nodes.urls.split(",")), chat), forget=forget)
        except BaseException:
            history.close()
            raise
        self.log.on_settled(self.arrived.set)
        self.results: list[Result] = []

    def open(self) -> Server:
        self.log.open(f"{self.path.parent.name}:9999")
        return self

    def until(self, done: Callable[[], bool]) -> None:
        """Settle until the condition holds."""
        until = time.monotonic() + DEADLINE
        while True:
            self.results += self.log.settled()
            if done():
                return
            assert time.monotonic() < until, self.results
            self.arrived.wait(0.5)
            self.arrived.clear()

    def propose(self, *proposed: Entry) -> list[str]:
        """Why each was refused, once that is known."""
        self.until(lambda: self.log.ready)
        self.results.clear()
        self.log.propose(proposed)
        self.until(lambda: all(any(r.entry is each for r in self.results) for each in proposed))
        return [next(r.why_not for r in self.results if r.entry is each) for each in proposed]

    def catch_up(self, *others: Server) -> bytes:
        """The history, once it is as long as the longest."""
        self.until(lambda: all(self.log.cluster.sequence >= other.log.cluster.sequence for other in others))
        return self.path.read_bytes()

    def stop(self) -> None:
        """Stop in order."""
        self.propose(Stop(b"", retry=True))
        self.log.close()

    def crash(self) -> None:
        """Die without a word."""
        self.log._engine.close()
        self.log.history.close()


@pytest.fixture
def server(node: Nodes, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Server]]:
    """Makes servers of one chat, each in a folder of its own."""
    made: list[Server] = []

    def make(name: str, **options: bool) -> Server:
        made.append(Server(node, request.node.name, tmp_path / name, **options))
        return made[-1]

    yield make
    for each in made:
        each.log._engine.close()


Make = Callable[..., Server]


def said(who: Presence, text: str) -> Append:
    return Append(record.draft(who.address, who.name, "message", text), who.id)


def notice(text: str) -> Append:
    return Append(record.draft("-", "server", "notice", text))


def alice(key: str = "p1") -> Presence:
    return Presence(key, "alice", "10.0.0.1", session="s1")


def test_all_servers_write_the_same_file(server: Make) -> None:
    a, b = server("a").open(), server("b").open()
    who = alice()
    assert a.propose(entries.join(who), said(who, "one"), entries.rename(who, "al")) == ["", "", ""]
    assert who.name == "al"
    assert b.propose(entries.join(Presence("p2", "AL", "10.0.0.2")), notice("two")) == [NAME_TAKEN, ""]
    assert b.propose(entries.clear("10.0.0.2", "bob"), notice("three")) == ["", ""]
    assert a.catch_up(b) == b.catch_up(a)
    assert b"three" in a.path.read_bytes()
    assert len(list(a.path.parent.glob("history.cleared-*"))) == 1
    for kept in a.path.parent.glob("history.cleared-*"):
        assert kept.read_bytes() == (b.path.parent / kept.name).read_bytes()


def test_a_forgetting_clear_deletes_everywhere(server: Make) -> None:
    a, b = server("a", forget=True).open(), server("b").open()
    a.propose(notice("secret"), entries.clear("10.0.0.1", "alice"))
    assert a.catch_up(b) == b.catch_up(a)
    assert not list(b.path.parent.glob("history.cleared-*"))


def test_a_result_says_where_its_records_end(server: Make) -> None:
    a = server("a").open()
    first, second = notice("one"), notice("two")
    a.propose(first, second)
    whole = a.path.read_bytes()
    ends = [next(r.end for r in a.results if r.entry is each) for each in (first, second)]
    assert [whole[:end].rpartition(b"\t")[2] for _, end in ends] == [b"one\n", b"two\n"]


def test_others_see_leaves_and_their_own_direct_records(server: Make) -> None:
    a, b = server("a").open(), server("b").open()
    who = alice()
    a.propose(entries.join(who))
    b.propose(Direct(b"\tx\n", "p1"), TakeOver(b"", "s1"))
    a.results.clear()
    a.catch_up(b)
    direct, leave = [r.entry for r in a.results]
    assert isinstance(direct, Direct)
    assert direct.recipient == "p1"
    assert isinstance(leave, entries.Leave)
    assert leave.presence is who


def test_a_server_that_was_away_applies_what_it_missed(server: Make) -> None:
    a, b = server("a").open(), server("b").open()
    a.propose(notice("one"))
    a.crash()
    b.propose(*[notice(f"while {number}") for number in range(500)])
    again = server("a").open()
    assert again.catch_up(b) == b.catch_up(again)
    again.stop()
    b.propose(notice("more"))
    again = server("a").open()
    assert again.catch_up(b) == b.catch_up(again)


def test_a_server_that_was_cut_off_comes_back_under_a_new_life(
    server: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "LEASE", 300)
    monkeypatch.setattr(jetstream, "BEAT_SECONDS", 0.05)
    a, b = server("a").open(), server("b").open()
    who = alice()
    b.propose(entries.join(who))
    b.until(lambda: b.log.ready)
    a.until(lambda: len(a.log.cluster.servers()) == 1)  # b settles nothing meanwhile
    late = said(who, "late")
    b.log.propose([late])
    b.results.clear()
    b.until(lambda: b.log.ready)
    assert [r.why_not for r in b.results if r.entry is late] == [CUT_OFF]
    assert [r.entry.presence for r in b.results if isinstance(r.entry, entries.Leave)] == [who]
    assert a.catch_up(b) == b.catch_up(a)
    assert b"late" not in a.path.read_bytes()


def test_two_servers_can_not_have_one_address(server: Make) -> None:
    a = server("a").open()
    rival = server("rival")
    rival.log.open("a:9999")
    with pytest.raises(HistoryError, match="give each its own --advertise"):
        a.until(lambda: False)


def test_a_crash_while_the_chat_is_founded_or_fetched_is_no_harm(
    server: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*arguments: object) -> None:
        raise KeyboardInterrupt

    line = record.stamp("2026-11-24T10:00:00.000Z", record.draft("10.0.0.1", "bob", "message", "old"))
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "history.txt").write_bytes(line)
    with monkeypatch.context() as patched:
        patched.setattr(snapshot.Snapshots, "take", crash)
        with pytest.raises(KeyboardInterrupt):
            server("a")
    with monkeypatch.context() as patched:
        patched.setattr(JetStreamLog, "_catch_up", crash)
        with pytest.raises(KeyboardInterrupt):
            server("a")
    a = server("a").open()
    with monkeypatch.context() as patched:
        patched.setattr(JetStreamLog, "_catch_up", crash)
        with pytest.raises(KeyboardInterrupt):
            server("b")
    b = server("b").open()
    assert a.catch_up(b) == b.catch_up(a)
    assert a.path.read_bytes().startswith(line)


def test_the_history_of_one_server_becomes_that_of_all(server: Make, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    before = record.stamp("2026-11-24T10:00:00.000Z", record.draft("10.0.0.1", "alice", "message", "old"))
    (tmp_path / "a" / "history.txt").write_bytes(before)
    a = server("a").open()
    a.propose(notice("new"))
    b = server("b").open()
    assert a.catch_up(b) == b.catch_up(a)
    assert a.path.read_bytes().startswith(before)


def test_a_history_of_unknown_origin_is_refused(server: Make, tmp_path: Path) -> None:
    server("a").open()
    (tmp_path / "b").mkdir()
    line = record.stamp("2026-11-24T10:00:00.000Z", record.draft("10.0.0.1", "bob", "message", "mine"))
    (tmp_path / "b" / "history.txt").write_bytes(line)
    with pytest.raises(HistoryError, match="another server began the chat"):
        server("b")
    assert (tmp_path / "b" / "history.txt").read_bytes() == line


def test_the_log_forgets_and_a_new_server_begins_from_a_snapshot(
    server: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "STREAM_MESSAGES", 20)
    monkeypatch.setattr(jetstream, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(jetstream, "BEAT_SECONDS", 0.01)
    a = server("a").open()
    away = server("away").open()
    who = alice()
    a.propose(entries.join(who))
    away.catch_up(a)
    away.stop()
    for number in range(40):
        a.propose(notice(f"{number} " + "x" * 1000))
    a.until(lambda: int(re.findall(r"(\d+) batches", a.log.report()[-1])[0]) < 20)
    a.propose(notice("after"))
    monkeypatch.undo()
    for name in ("new", "away"):
        late = server(name).open()
        assert late.catch_up(a) == a.catch_up(late)
        assert [each.name for each in late.log.roster.all()] == ["alice"]


def test_what_cannot_be_written_now_is_written_later(server: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = server("a").open(), server("b").open()

    def full(drafts: bytes, now: str) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(a.log.history, "append", full)
        a.until(lambda: a.log.ready)
        late = notice("one")
        a.log.propose([late])
        a.until(lambda: "No space left" in a.log.trouble)
        b.propose(notice("two"))
    a.until(lambda: any(r.entry is late for r in a.results))
    assert a.log.trouble == ""
    assert a.catch_up(b) == b.catch_up(a)
