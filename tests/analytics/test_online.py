"""Who was connected, also where a record of leaving was never written."""

from __future__ import annotations

import pandas as pd

from analytics.online import connections, online, time_connected, within
from tests.analytics.histories import line, records, utc


def curve(*lines: bytes) -> list[tuple[str, int]]:
    counted = online(connections(records(*lines)))
    return [(f"{time:%H:%M}", number) for time, number in counted.items()]


def test_comings_and_goings() -> None:
    assert curve(
        line("10:00", "server", "start", address="-"),
        line("10:01", "alice", "join"),
        line("10:02", "bob", "join"),
        line("10:03", "alice", "leave", "exit"),
        line("10:04", "server", "stop", address="-"),
    ) == [("10:01", 1), ("10:02", 2), ("10:03", 1), ("10:04", 0)]


def test_a_crash_ends_all_connections_with_its_last_record() -> None:
    lines = (
        line("10:01", "alice", "join"),
        line("10:05", "alice", text="still here"),
        line("12:00", "server", "start", address="-"),
        line("12:01", "bob", "join"),
    )
    assert curve(*lines) == [("10:01", 1), ("10:05", 0), ("12:01", 1)]


def test_a_join_right_before_a_crash_counts() -> None:
    crash = (line("10:01", "alice", "join"), line("12:00", "server", "start", address="-"))
    assert online(connections(records(*crash))).max() == 1


def test_a_second_join_ends_a_connection_without_leave() -> None:
    table = connections(
        records(line("10:00", "a", "join"), line("11:00", "a", "join"), line("12:00", "a", "leave"))
    )
    assert table["left"].tolist() == [utc("11:00"), utc("12:00")]
    assert online(table).max() == 1


def test_a_rename_is_one_person() -> None:
    table = connections(
        records(
            line("10:00", "al", "join"),
            line("11:00", "al", "rename", "alice"),
            line("12:00", "alice", "leave"),
        )
    )
    assert online(table).tolist() == [1, 1, 0]
    assert time_connected(table, utc("13:00")).to_dict() == {
        "al": pd.Timedelta(hours=1),
        "alice": pd.Timedelta(hours=1),
    }


def test_a_clear_keeps_those_who_are_there() -> None:
    assert curve(
        line("10:00", "server", "clear", address="-"),
        line("10:05", "alice", text="gone it is"),
        line("10:06", "bob", "leave"),
        line("10:07", "carol", "join"),
        line("10:08", "host", "notice", "hello", address="-"),
    ) == [("10:00", 2), ("10:06", 1), ("10:07", 2)]


def test_with_its_cleared_part_nobody_counts_twice() -> None:
    assert curve(
        line("09:00", "alice", "join"),
        line("10:00", "server", "clear", address="-"),
        line("10:05", "alice", text="hi"),
        line("10:06", "alice", "leave"),
    ) == [("09:00", 1), ("10:06", 0)]


def test_changes_within_one_millisecond_keep_their_order() -> None:
    assert curve(
        line("10:00", "alice", "join"), line("10:00", "bob", "join"), line("10:00", "alice", "leave")
    ) == [("10:00", 1), ("10:00", 2), ("10:00", 1)]


def test_who_is_still_there_has_not_left() -> None:
    table = connections(records(line("10:00", "alice", "join"), line("11:00", "alice")))
    assert table["left"].isna().all()
    assert time_connected(table, utc("11:00"))["alice"] == pd.Timedelta(hours=1)


def test_a_window_cuts_connections() -> None:
    table = connections(
        records(
            line("08:00", "early", "join"),
            line("08:30", "early", "leave"),
            line("09:00", "alice", "join"),
            line("11:00", "alice", "leave"),
            line("12:00", "late", "join"),
        )
    )
    seen = within(table, utc("10:00"), utc("10:30"))
    assert seen["name"].tolist() == ["alice"]
    assert online(seen).to_dict() == {utc("10:00"): 1}
    assert time_connected(seen, utc("10:30"))["alice"] == pd.Timedelta(minutes=30)


def test_nobody() -> None:
    empty = connections(records())
    assert online(empty).empty
    assert online(within(empty, utc("10:00"), utc("11:00"))).empty
    assert time_connected(empty, utc("10:00")).empty
