"""Each table against the slow, plain reckoning of the same thing; and what a filter leaves as it is."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.choice import Choice
from analytics.document import document
from analytics.export import TABLES
from analytics.findings import Findings, NothingChosen
from tests.analytics.histories import findings, line, utc
from tests.analytics.reckoning import Reckoning

BERLIN = ZoneInfo("Europe/Berlin")
NAMES = ("al", "AL", "alice", "bob", "李雷", "guest")
TEXTS = (
    *("hello", "", "  two words ", "@al, hi", "bob: ok", "alice, 你好\u3000x", "a\u2003b\xa0c", "@@bob @AL."),
    *("x" * 40, "seven77 eight888", "café @nobody", "al:bob: no", "bob:"),
)
event = st.one_of(
    st.tuples(
        st.sampled_from(NAMES), st.sampled_from(("message", "message", "action")), st.sampled_from(TEXTS)
    ),
    st.tuples(st.sampled_from(NAMES), st.sampled_from(("join", "leave")), st.just("")),
    st.tuples(st.sampled_from(NAMES), st.just("rename"), st.sampled_from(NAMES)),
    st.tuples(st.just("server"), st.sampled_from(("start", "stop", "clear", "notice")), st.just("")),
)
gap = st.sampled_from((0, 1, 500, 61_000, 1_799_999, 1_800_000, 90_000_000))


def written(events: list[tuple[int, tuple[str, str, str]]]) -> list[bytes]:
    time = datetime(2026, 10, 23, 22, 0, tzinfo=UTC)  # the clocks change two days later
    lines = []
    for wait, (name, kind, text) in events:
        time += timedelta(milliseconds=wait)
        address = "-" if name == "server" else f"10.0.0.{1 + NAMES.index(name) % 3}"
        stamp = time.isoformat(timespec="milliseconds")[:23]
        lines.append(f"{stamp}Z\t{address}\t{name}\t{kind}\t{text}\n".encode())
    return lines


@settings(max_examples=75, deadline=None)
@given(st.lists(st.tuples(gap, event), min_size=1, max_size=40))
def test_every_table_is_what_a_plain_reckoning_finds(events: list[tuple[int, tuple[str, str, str]]]) -> None:
    lines = written(events)
    plain, found = Reckoning(lines), findings(*lines, zone=BERLIN)
    told = document(found)
    assert told["records"] == len(lines)
    assert told["series"]["minute"] == plain.per_minute()
    assert told["by_name"] == _counted(each.record.name for each in plain.said)
    assert told["by_address"] == _counted(each.record.address for each in plain.said)
    assert {
        row["person"]: (row["messages"], row["words"], row["characters"], row["first"], row["last"])
        for row in told["by_person"]
    } == plain.by_person()
    assert found.tokens == plain.tokens()
    assert [tuple(row.values()) for row in told["conversations"]] == plain.conversations()
    answered = {(row["name"], row["to"]): (row["answers"], row["median"]) for row in told["answers"]}
    assert answered == plain.answers()
    assert {(row["name"], row["mentioned"]): row["times"] for row in told["mentions"]} == plain.mentions()
    assert told["online"]["max"] == plain.most_online()
    connected = {row["name"]: timedelta(seconds=row["connected"]) for row in told["time_connected"]}
    assert connected == plain.time_connected()
    assert {
        (row.weekday, row.hour): pytest.approx(row.messages)
        for row in TABLES["weekday_by_hour"](found).itertuples()
    } == plain.weekday_by_hour(BERLIN)
    json.dumps(told)


def _counted(values: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for value in values:
        found[value] = found.get(value, 0) + 1
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(gap, event), min_size=1, max_size=30), st.sampled_from(NAMES))
def test_a_choice_changes_no_number(events: list[tuple[int, tuple[str, str, str]]], name: str) -> None:
    lines = written(events)
    everything = findings(*lines)
    try:
        chosen = findings(*lines, choice=Choice(names=frozenset([name])))
        person = next(iter(chosen.choice.names))
        _ = chosen.records
    except NothingChosen:
        return
    for table, column in (("by_person", "person"), ("time_connected", "name")):
        whole, own = TABLES[table](everything), TABLES[table](chosen)
        columns = [each for each in own if each != "share"]
        pd.testing.assert_frame_equal(
            own[columns].reset_index(drop=True),
            whole[whole[column] == person][columns].reset_index(drop=True),
            check_dtype=False,
            check_index_type=False,
        )
    whole = TABLES["answers"](everything)
    mine = whole[(whole["name"] == person) | (whole["to"] == person)]
    assert TABLES["answers"](chosen).values.tolist() == mine.values.tolist()


# --------------------------------------------------------------------------------- what the issue found wrong

TWO_HOURS = (
    line("10:00", "alice", "join"),
    line("10:00", "bob", "join", address="10.0.0.2"),
    line("11:00", "bob", text="hello?", address="10.0.0.2"),
    line("11:01", "alice", text="yes"),
    line("12:00", "alice", "leave", "exit"),
)


def chosen(*lines: bytes, **choice: Any) -> Findings:
    return findings(*lines, choice=Choice(**choice))


def test_a_filter_shortens_no_connection_and_invents_no_answer() -> None:
    alice = chosen(*TWO_HOURS, names=frozenset(["ALICE"]))
    assert alice.time_connected.to_dict() == {"alice": pd.Timedelta(hours=2)}
    assert alice.time_to_answer.loc["alice", "median"] == pd.Timedelta(minutes=1)
    assert alice.conversations["starter"].tolist() == ["bob"]
    assert TABLES["answers"](alice)[["name", "to"]].values.tolist() == [["alice", "bob"]]


def test_three_names_of_one_person_are_one_unless_asked() -> None:
    lines = (
        line("10:00", "alice", "join"),
        line("10:01", "alice", text="one"),
        line("10:02", "alice", "rename", "al"),
        line("10:03", "al", text="two"),
        line("10:04", "al", "leave", ""),
        line("10:05", "ALICE", "join"),
        line("10:06", "ALICE", text="three"),
        line("10:06", "ALICE", text="four"),
    )
    one = findings(*lines)
    assert one.people["messages"].to_dict() == {"ALICE": 4}
    assert one.names == {"ALICE": ["alice", "al", "ALICE"]}
    assert one.time_connected.to_dict() == {"ALICE": pd.Timedelta(minutes=5)}
    assert one.answers.empty
    assert findings(*lines, by="name").people["messages"].to_dict() == {"ALICE": 2, "al": 1, "alice": 1}


def test_a_time_is_cut_where_it_was_asked_for() -> None:
    found = chosen(*TWO_HOURS, since=utc("11:00:30"), until=utc("11:30"))
    assert found.time_connected.to_dict() == {
        "alice": pd.Timedelta(minutes=29, seconds=30),
        "bob": pd.Timedelta(minutes=29, seconds=30),
    }
    assert len(found.answers) == 1
    assert found.conversations["messages"].tolist() == [2]


def test_what_chooses_nothing_says_so() -> None:
    with pytest.raises(NothingChosen, match="called nobody"):
        _ = chosen(*TWO_HOURS, names=frozenset(["nobody"])).records
    with pytest.raises(NothingChosen, match="2026-11-21T10:00:00"):
        _ = chosen(*TWO_HOURS, since=utc("13:00")).records
    assert chosen(names=frozenset(["nobody"])).records.empty
