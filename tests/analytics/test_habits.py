"""Day by day, against what one counts on one's fingers."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pandas as pd

from analytics import habits
from tests.analytics.histories import line, records, utc

BERLIN = ZoneInfo("Europe/Berlin")
FOUR_DAYS = records(
    line("2026-11-20 10:00", "al"),
    line("2026-11-20 22:30", "bob"),  # 23:30 in Berlin
    line("2026-11-20 23:30", "al"),  # the next day there
    line("2026-11-22 08:00", "al"),
    line("2026-11-22 09:00", "bob"),
    line("2026-11-23 09:00", "bob"),
    line("2026-11-23 10:00", "al", "join"),
)


def test_active_people() -> None:
    assert habits.active_people(FOUR_DAYS, "day", BERLIN).tolist() == [2, 1, 2, 1]
    assert habits.active_people(FOUR_DAYS, "day").tolist() == [2, 0, 2, 1]
    weeks = habits.active_people(FOUR_DAYS, "week", BERLIN)
    assert weeks.to_dict() == {pd.Timestamp("2026-11-16"): 2, pd.Timestamp("2026-11-23"): 1}
    assert habits.active_people(FOUR_DAYS, "month").tolist() == [2]
    assert habits.active_people(records()).empty


def test_first_and_last_words() -> None:
    table = habits.first_and_last_words(FOUR_DAYS, BERLIN)
    assert table["first"].to_dict() == {"al": 3, "bob": 1}
    assert table["last"].to_dict() == {"al": 1, "bob": 3}
    assert habits.first_and_last_words(records()).empty


def test_streaks() -> None:
    table = habits.streaks(FOUR_DAYS, BERLIN)
    assert table.loc["al"].tolist() == [3, 3, pd.Timestamp("2026-11-22")]
    assert table.loc["bob"].tolist() == [3, 2, pd.Timestamp("2026-11-23")]
    assert habits.streaks(records()).empty


def test_this_week_and_the_week_before() -> None:
    table = habits.weeks(FOUR_DAYS, utc("2026-11-29 10:00"), BERLIN)
    assert table.loc["this week"].tolist() == [1, 1, 1]
    assert table.loc["the week before"].tolist() == [5, 2, 3]
