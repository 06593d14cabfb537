"""The roster: names are decided by the order of commits, and by nothing else."""

from __future__ import annotations

import pytest

from chat.log.entries import Append, Entry, Presence, join, leave, rename
from chat.log.roster import Roster

NOW = "2026-11-21T10:15:42.123Z"


def presence(name: str, id_: str = "") -> Presence:
    return Presence(id_ or name, name, "10.0.0.1")


def commit(roster: Roster, *entries: Entry) -> list[bool]:
    """Whether each entry was applied."""
    refused = roster.refused(entries)
    for entry in entries:
        if entry not in refused:
            roster.apply(entry, NOW)
    return [entry not in refused for entry in entries]


@pytest.mark.parametrize("together", [True, False])
def test_the_first_to_want_a_name_gets_it(together: bool) -> None:  # R14
    roster, first, second = Roster(), presence("Bob", "1"), presence("ｂｏｂ", "2")
    if together:
        assert commit(roster, join(first), join(second)) == [True, False]
    else:
        assert commit(roster, join(first)) + commit(roster, join(second)) == [True, False]
    assert roster.find("BOB") is first
    assert roster.all() == [first]
    assert first.since == NOW


@pytest.mark.parametrize("name", ["server", "HOST", "Ｅveryone"])
def test_reserved_names_are_refused(name: str) -> None:  # R15
    roster, alice = Roster(), presence("alice")
    assert commit(roster, join(presence(name)), join(alice), rename(alice, name)) == [False, True, False]
    assert alice.name == "alice"


def test_a_name_is_free_once_its_holder_has_left_or_renamed() -> None:  # R16
    roster, alice, bob, carol = Roster(), presence("alice"), presence("bob"), presence("alice", "carol")
    assert commit(roster, join(alice), join(bob), leave(alice, "exit"), join(carol)) == [True] * 4
    assert roster.find("alice") is carol
    assert commit(roster, rename(carol, "bob"), rename(bob, "Robert"), rename(carol, "bob")) == [
        False,
        True,
        True,
    ]
    assert roster.find("bob") is carol
    assert roster.find("alice") is None
    assert roster.all() == [bob, carol]


def test_a_name_may_change_its_case() -> None:
    roster, alice = Roster(), presence("alice")
    assert commit(roster, join(alice), rename(alice, "ALICE")) == [True, True]
    assert roster.find("alice") is alice
    assert alice.name == "ALICE"


def test_a_second_leave_does_not_affect_a_later_holder_of_the_name() -> None:
    roster, first, second = Roster(), presence("bob", "1"), presence("bob", "2")
    commit(roster, join(first), leave(first, "exit"), join(second), leave(first, "exit"))
    assert roster.find("bob") is second


def test_messages_change_nothing() -> None:
    roster = Roster()
    assert commit(roster, Append(b"\t-\thost\tnotice\thello\n")) == [True]
    assert roster.all() == []
