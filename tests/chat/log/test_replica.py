"""The replica: the effects of a crash, a clear and an editor on the history and its note."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chat import record
from chat.log.cluster import Cleared
from chat.log.history import History, HistoryError
from chat.log.replica import Replica

NOW = "2026-11-24T10:00:00.000Z"


def message(text: str) -> bytes:
    return record.draft("10.0.0.1", "alice", "message", text)


def clear(number: int, *, forget: bool = False) -> Cleared:
    kept = "" if forget else f"history.cleared-{number}.txt"
    return Cleared(record.draft("10.0.0.1", "alice", "clear", f"number {number}"), kept)


def opened(path: Path, chat: str = "chat") -> tuple[Replica, Any]:
    """A replica and the state of its note, as after a start."""
    replica = Replica(History(path), chat)
    return replica, replica.read_note()


def crash(replica: Replica) -> None:
    """Close everything without writing a note."""
    replica.history.close()


Step = Callable[[Replica], None]

STEPS: list[Step] = [
    lambda replica: replica.write(message("one"), NOW),
    lambda replica: replica.write(message("two") + message("three"), NOW),
    lambda replica: replica.clear(clear(1), NOW),
    lambda replica: replica.write(message("four"), NOW),
    lambda replica: replica.clear(clear(2, forget=True), NOW),
    lambda replica: replica.write(message("five"), NOW),
]


@pytest.mark.parametrize(
    ("noted", "crashed"), [*itertools.combinations_with_replacement(range(len(STEPS) + 1), 2)]
)
def test_after_a_crash_the_rest_is_applied_and_nothing_is_stored_twice(
    tmp_path: Path, noted: int, crashed: int
) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    replica, _ = opened(whole / "history.txt")
    for step in STEPS:
        step(replica)
    crash(replica)

    path = tmp_path / "history.txt"
    replica, _ = opened(path)
    replica.write_note({"sequence": 0}, wait=True)
    for index, step in enumerate(STEPS[:crashed]):
        if index == noted:
            replica.write_note({"sequence": noted}, wait=True)
        step(replica)
    if noted == crashed:
        replica.write_note({"sequence": noted}, wait=True)
    crash(replica)

    replica, state = opened(path)
    for step in STEPS[state["sequence"] :]:
        step(replica)
    replica.finish()
    crash(replica)
    for made in whole.glob("history*.txt"):
        assert (tmp_path / made.name).read_bytes() == made.read_bytes()
    assert len(list(tmp_path.glob("history*.txt"))) == len(list(whole.glob("history*.txt")))


def test_records_lost_in_a_power_cut_are_written_again(tmp_path: Path) -> None:
    path = tmp_path / "history.txt"
    replica, _ = opened(path)
    replica.write(message("one"), NOW)
    replica.write_note({"sequence": 1}, wait=True)
    replica.write(message("two") + message("three"), NOW)
    crash(replica)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    replica, state = opened(path)
    assert state == {"sequence": 1}
    replica.write(message("two") + message("three"), NOW)
    replica.finish()
    crash(replica)
    assert path.read_bytes() == whole


def test_a_history_of_another_chat_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.txt"
    replica, _ = opened(path)
    replica.write(message("one"), NOW)
    replica.write_note({}, wait=True)
    crash(replica)
    replica = Replica(History(path), "another")
    with pytest.raises(HistoryError, match="it belongs to another chat"):
        replica.read_note()
    crash(replica)


def test_a_history_that_continues_differently_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.txt"
    replica, _ = opened(path)
    replica.write_note({}, wait=True)
    crash(replica)
    path.write_bytes(record.stamp(NOW, message("from a server of its own")))
    replica, _ = opened(path)
    replica.write(message("one"), NOW)
    with pytest.raises(HistoryError, match="records that the chat doesn't have"):
        replica.finish()
    crash(replica)


def test_a_history_edited_meanwhile_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.txt"
    replica, _ = opened(path)
    replica.write(message("one"), NOW)
    with path.open("ab") as file:
        file.write(b"edited\n")
    with pytest.raises(HistoryError, match="changed on this computer"):
        replica.write(message("two"), NOW)
    crash(replica)


def test_an_unreadable_note_is_refused(tmp_path: Path) -> None:
    (tmp_path / "history.applied.json").write_text("{")
    replica = Replica(History(tmp_path / "history.txt"), "chat")
    with pytest.raises(HistoryError, match="can't be read"):
        replica.read_note()
    crash(replica)


def test_a_snapshot_is_compared_with_the_existing_history(tmp_path: Path) -> None:
    path = tmp_path / "history.txt"
    whole = record.stamp(NOW, message("one") + message("two"))
    path.write_bytes(whole[: len(whole) // 2 - 10])
    replica = Replica(History(path), "chat")
    replica.add(whole)
    crash(replica)
    assert path.read_bytes() == whole
    replica = Replica(History(path), "chat")
    with pytest.raises(HistoryError, match="differs from the chat's snapshot"):
        replica.add(record.stamp(NOW, message("two")))
    replica.start_anew()
    replica.add(record.stamp(NOW, message("two")))
    crash(replica)
    assert path.read_bytes() == record.stamp(NOW, message("two"))
    assert (tmp_path / "history.before.txt").read_bytes() == whole


def test_a_link_where_the_note_is_made_leads_nowhere(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("untouched")
    (tmp_path / "history.applied.json.new").symlink_to(theirs)
    replica, _ = opened(tmp_path / "history.txt")
    replica.write_note({"time": NOW}, wait=True)
    replica.history.close()
    again, state = opened(tmp_path / "history.txt")
    again.history.close()
    assert state == {"time": NOW}
    assert theirs.read_text() == "untouched"
    assert not list(tmp_path.glob("*.new"))
