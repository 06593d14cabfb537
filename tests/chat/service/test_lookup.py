"""Commands that look things up, over real connections."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chat import record
from chat.record import Record
from chat.service import lookup, queries
from chat.service.budget import UNLIMITED
from chat.service.policy import CommandError, MemberCaller
from chat.service.queries import Queries, Unavailable
from tests.harness import DEADLINE, Client, texts
from tests.rooms import Peer, opened, service_of

Join = Callable[..., Client]


@pytest.mark.parametrize("command", ["/users", "/who", "/names"])
def test_users(command: str, join: Join) -> None:  # R31
    join("alice").ask("/away at lunch", "/away")
    bob = join("bob")
    bob.send("/away", command, "end")
    bob.until("message", "end")
    joined = next(said.time for said in bob.history() if said.kind == "join" and said.name == "alice")
    first, second = texts(bob.records, "/users")
    assert first == f"alice 127.0.0.1 since {joined} away: at lunch"
    assert second.startswith("bob 127.0.0.1 since ")
    assert second.endswith(" away")
    assert not bob.ask("/back", "/back").text.startswith("You were not")
    assert "not away" in bob.ask("/back", "/error").text


def test_history_shows_what_was_said(join: Join) -> None:  # R32
    alice = join("alice")
    assert "Nothing" in alice.ask("/history", "/history").text
    alice.send(*(str(number) for number in range(30)), "/me waves", "/history", "end")
    alice.until("message", "end")
    shown = texts(alice.records, "/history")[1:]
    assert len(shown) == lookup.HISTORY_RECORDS
    assert shown[-1].endswith("Z * alice waves")
    assert shown[-2] == f"{alice.history()[-3].time} alice: 29"
    alice.send("/history 3", "end")
    alice.until("message", "end")
    assert [text.rpartition(" ")[2] for text in texts(alice.records, "/history")[-3:]] == [
        "29",
        "waves",
        "end",
    ]
    for number in ("0", "-1", "many", "1001", "9" * 4000):
        assert "1 to 1000" in alice.ask(f"/history {number}", "/error").text


def test_a_long_text_in_history_is_shortened(join: Join) -> None:
    alice = join("alice")
    alice.send("é" * 2048)
    shown = alice.ask("/history", "/history").text
    assert len(shown.encode()) <= 4096
    assert shown.endswith("é…")


def test_search(join: Join) -> None:  # R32
    alice = join("alice")
    alice.send(
        *(f"apple number {number}" for number in range(30)), "Straße and Äpfel", "/me eats an APPLE pie"
    )
    alice.send(
        "/search apple PIE", "/search STRASSE äpfel", "/search alice pie", "/search nothing at all", "end"
    )
    alice.until("message", "end")
    found = [text.partition(" ")[2] for text in texts(alice.records, "/search")]
    assert found == [
        "* alice eats an APPLE pie",
        "alice: Straße and Äpfel",
        "* alice eats an APPLE pie",
        "found for nothing at all.",
    ]
    alice.send("/search apple", "end")
    alice.until("message", "end")
    newest = [text.partition("alice")[2].strip(": ") for text in texts(alice.records, "/search")[4:]]
    assert newest == [f"apple number {number}" for number in range(11, 30)] + ["eats an APPLE pie"]
    assert "/search WORDS" in alice.ask("/search", "/error").text
    assert "at most" in alice.ask(f"/search {'word ' * 40}", "/error").text


def test_stats_are_immediate(join: Join) -> None:
    alice = join("alice")
    assert alice.ask("/stats", "/stats").text == "the last hour: no messages"
    alice.send("one", "/me two", "/stats", "end")
    alice.until("message", "end")
    lines = texts(alice.records, "/stats")[3:]
    assert [line.partition(", at most 2 (")[0] for line in lines] == [
        "the last hour: 2 messages by 1 name, 0.033 a minute",
        "the last day: 2 messages by 1 name, 0.0014 a minute",
        "all of it: 2 messages by 1 name, 2.0 a minute over 1 minute",
    ]
    assert "/stats takes no argument" in alice.ask("/stats please", "/error").text


# --------------------------------------------------------------------------------------- a long history

TIME = "2026-11-21T10:15:42.123Z"


def write(path: Path, records: int, kinds: tuple[str, ...] = ("message",)) -> None:
    """Every record contains its number, and every seventh line is not a record."""
    with path.open("wb") as file:
        for number in range(records):
            kind = kinds[number % len(kinds)]
            file.write(Record(TIME, "10.0.0.1", "old", kind, f"number{number} {'x' * 200}").encode())
            if number % 7 == 0:
                file.write(b"a note of the host's\n")


@pytest.fixture
def without_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the process that answers questions about the history."""

    def ask(self: Queries, question: dict[str, object]) -> dict[str, object]:
        raise Unavailable

    monkeypatch.setattr(Queries, "ask", ask)


def numbers(answers: Iterator[bytes]) -> list[int]:
    """The numbers in the answers."""
    shown = b"".join(answers)
    return [int(number) for number in re.findall(rb" old: number(\d+) ", shown)]


@pytest.mark.parametrize("process", ["with", "without"])
def test_a_long_history_can_be_searched(
    process: str, history_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if process == "without":
        request.getfixturevalue("without_process")
    monkeypatch.setattr(queries, "READY_SECONDS", DEADLINE)
    write(history_path, 8000, ("join",) * 20 + ("message",))
    with opened(history_path) as room:
        service = service_of(room)
        alice = Peer(room, "alice")
        caller = MemberCaller(alice.member)
        spoken = [number for number in range(8000) if number % 21 == 20]
        assert numbers(lookup.history(service, caller, "200")) == spoken[-200:]
        assert (
            numbers(lookup.search(service, caller, "old NUMBER7"))
            == [number for number in spoken if str(number).startswith("7")][-20:]
        )
        assert numbers(lookup.search(service, caller, f"number{spoken[300]}")) == [spoken[300]]
        file = room.log.history.file
        for count in (0, 1, 20, 3000, 7000):
            start = lookup.start_of_last(service, UNLIMITED, file, count)
            records = record.HISTORY_RECORD.findall(file.read(start, file.end - start))
            assert len(records) == count
        assert lookup.start_of_last(service, UNLIMITED, file, 10**9) == 0
        assert lookup.start_of_last(service, UNLIMITED, file, None) == 0
        if process == "with":
            assert "all of it: 380 messages" in b"".join(lookup.stats(service, caller, "")).decode()
        else:
            with pytest.raises(CommandError, match="still being counted"):
                lookup.stats(service, caller, "")
        alice.close()
        service.close()


def test_answers_are_made_as_they_are_taken(history_path: Path) -> None:
    """For a client that asks for a thousand records and reads none, the server holds only a few."""
    write(history_path, 3000)
    with opened(history_path) as room:
        service, alice = service_of(room), Peer(room, "alice")
        answers = lookup.history(service, MemberCaller(alice.member), "1000")
        first = next(answers)
        assert len(first) < 2 * lookup.ANSWER_BYTES
        assert len(numbers(iter([first, *answers]))) == 1000
        alice.close()
        service.close()
