"""Numbers, times and spans as people read them."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from analytics import summary, wording
from tests.analytics.histories import findings, line, utc

TOKYO = ZoneInfo("Asia/Tokyo")


def summed_up(*lines: bytes) -> summary.Summary:
    return summary.summarize(findings(*lines, zone=TOKYO))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.25, "0.2 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3661, "1 h 1 min"),
        (3601, "1 h"),
        (90_000, "1 d 1 h"),
        (86_400 * 400 + 59, "400 d"),
    ],
)
def test_a_span_by_its_two_biggest_units(seconds: float, words: str) -> None:
    assert wording.span(pd.Timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(("number", "words"), [(0, "0 lines"), (1, "1 line"), (12_345, "12,345 lines")])
def test_what_is_counted(number: int, words: str) -> None:
    assert wording.counted(number, "line") == words


def test_a_moment_in_the_zone() -> None:
    assert wording.moment(utc("20:05"), TOKYO) == "Sun 22 Nov 2026 05:05"
    assert wording.day(pd.Timestamp("0999-01-01")) == "Tue 1 Jan 0999"


def test_the_facts_of_a_conversation() -> None:
    facts = wording.facts(
        summed_up(
            line("10:00", "alice", "join"),
            line("10:00:30", "alice", text="hello"),
            line("10:00:31", "alice", text="anybody?"),
            line("12:02", "bob", text="yes", address="10.0.0.2"),
        ),
        TOKYO,
    )
    assert [tuple(fact) for fact in facts] == [
        ("Messages", "3", "4 records"),
        ("People", "2", "from 2 addresses"),
        ("Messages per minute", "0.0244", "mean of 123 minutes; median 0"),
        ("Busiest minute", "2", "Sat 21 Nov 2026 19:00"),
        ("Busiest hour", "2", "from Sat 21 Nov 2026 19:00"),
        ("Busiest day", "3", "Sat 21 Nov 2026"),
        ("Longest silence", "2 h 1 min", "from Sat 21 Nov 2026 19:00"),
        ("Most connected", "1", "Sat 21 Nov 2026 19:00"),
    ]


def test_the_facts_of_nothing() -> None:
    nothing = summed_up()
    assert [fact.label for fact in wording.facts(nothing, TOKYO)] == ["Messages", "People"]
    assert wording.period(nothing, TOKYO) == "no records; times in Asia/Tokyo"


def test_the_lines_that_were_skipped_are_named_up_to_a_few() -> None:
    skipped = pd.DataFrame({"file": "history.txt", "line": range(1, 1001)})
    assert wording.skipped_lines(skipped[:0]) == ""
    assert wording.skipped_lines(skipped[:1]) == "1 line skipped, being no record: history.txt:1"
    assert wording.skipped_lines(skipped, most=2) == (
        "1,000 lines skipped, being no record: history.txt:1, history.txt:2 and 998 more"
    )
