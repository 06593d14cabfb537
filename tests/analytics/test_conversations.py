"""Who talks with whom."""

from __future__ import annotations

import pandas as pd

from analytics import conversations
from tests.analytics.histories import line, records, utc

TALK = records(
    line("10:00", "alice", text="bob: lunch?"),
    line("10:02", "bob", text="sure, @Alice!"),
    line("10:03", "bob", text="at twelve"),
    line("10:05", "alice"),
    line("10:34:59", "carol", text="nobody: x, and mail me@bob.example"),
    line("11:05", "bob", text="@bob, talking to myself"),
    line("11:06", "bob"),
)


def test_half_an_hour_of_silence_ends_a_conversation() -> None:
    table = conversations.conversations(TALK)
    assert table.to_dict("records") == [
        {"start": utc("10:00"), "end": utc("10:34:59"), "messages": 5, "people": 3, "starter": "alice"},
        {"start": utc("11:05"), "end": utc("11:06"), "messages": 2, "people": 1, "starter": "bob"},
    ]


def test_an_answer_is_by_another_in_one_conversation() -> None:
    answers = conversations.answers(TALK)
    assert answers[["name", "to"]].to_numpy().tolist() == [
        ["bob", "alice"],
        ["alice", "bob"],
        ["carol", "alice"],
    ]
    assert answers["delay"].iloc[1] == pd.Timedelta(minutes=2)


def test_who_answers_whom_and_how_soon() -> None:
    answers = conversations.answers(TALK)
    assert conversations.who_answers_whom(answers).loc["bob", "alice"] == 1
    assert conversations.who_answers_whom(answers, most=2).shape == (2, 2)
    assert conversations.time_to_answer(answers).loc["bob", "median"] == pd.Timedelta(minutes=2)


def test_mentions_are_of_people_only() -> None:
    assert conversations.mentions(TALK).to_numpy().tolist() == [
        ["alice", "bob", 1],
        ["bob", "alice", 1],
        ["bob", "bob", 1],
    ]


def test_silence() -> None:
    nothing = records()
    assert conversations.conversations(nothing).empty
    assert conversations.answers(nothing).empty
    assert conversations.who_answers_whom(conversations.answers(nothing)).empty
    assert conversations.time_to_answer(conversations.answers(nothing)).empty
    assert conversations.mentions(nothing).empty
