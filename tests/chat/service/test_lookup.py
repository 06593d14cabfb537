"""What can be looked up, over real connections."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chat.service import lookup
from tests.harness import Client, texts

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
    assert shown[-1].endswith("Z alice: waves")
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


def test_history_of_a_long_text_stays_a_record(join: Join) -> None:
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
        "alice: eats an APPLE pie",
        "alice: Straße and Äpfel",
        "alice: eats an APPLE pie",
        "found for nothing at all.",
    ]
    alice.send("/search apple", "end")
    alice.until("message", "end")
    newest = [text.rpartition(": ")[2] for text in texts(alice.records, "/search")[4:]]
    assert newest == [f"apple number {number}" for number in range(11, 30)] + ["eats an APPLE pie"]
    assert "/search WORDS" in alice.ask("/search", "/error").text
