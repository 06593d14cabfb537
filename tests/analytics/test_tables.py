"""How much, when and by whom."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics import tables
from tests.analytics.histories import line, records, utc

BERLIN = ZoneInfo("Europe/Berlin")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")  # its clocks change by half an hour


def test_minutes_in_which_nothing_was_said_are_there() -> None:
    table = tables.messages_per_minute(
        records(line("10:15:59.999", "a"), line("10:18", "b", "action"), line("10:18:01", "a"))
    )
    assert table.tolist() == [1, 0, 0, 2]
    assert table.index[0] == utc("10:15")
    assert table.index[-1] == utc("10:18")


def test_only_messages_and_actions_are_said() -> None:
    table = records(
        *(line("10:00", "a", kind) for kind in ("join", "leave", "notice", "rename", "start", "message"))
    )
    assert len(tables.spoken(table)) == 1
    assert tables.messages_per_minute(table).sum() == 1


def test_of_nothing_there_are_no_minutes() -> None:
    for empty in (records(), records(line("10:00", "a", "join"))):
        assert tables.messages_per_minute(empty).empty
        assert tables.rate(empty) == (0, 0, 0, 0, None)
        assert tables.busiest(empty, "day") is None
        assert tables.longest_silence(empty) is None
        assert np.nansum(tables.weekday_by_hour(empty)) == 0
        assert tables.by_name(empty).empty


def test_one_record_is_one_minute() -> None:
    one = records(line("10:15:30", "a"))
    assert tables.messages_per_minute(one).tolist() == [1]
    assert tables.rate(one) == (1, 1.0, 1.0, 1, utc("10:15"))
    assert tables.longest_silence(one) is None


def test_ten_years_with_two_messages() -> None:
    table = records(line("2016-11-21 10:00", "a"), line("2026-11-21 10:00", "a"))
    counts = tables.messages_per_minute(table)
    assert len(counts) == tables.rate(table).minutes == 5_258_881
    assert counts.sum() == 2
    assert tables.rate(table).median == 0


def test_a_mistyped_year_does_not_fill_the_memory() -> None:
    table = records(line("0001-01-01 10:00", "a"), line("9999-12-31 10:00", "a"))
    with pytest.raises(ValueError, match="too many to count one by one"):
        tables.messages_per_minute(table)
    assert tables.rate(table).minutes > 5e9
    assert tables.messages_per(table, "day").sum() == 2


@settings(deadline=None)
@given(st.lists(st.integers(0, 7), min_size=1, max_size=40))
def test_the_rate_is_that_of_the_minutes_one_by_one(gaps: list[int]) -> None:
    minutes = np.cumsum(gaps)
    table = records(*(line(f"{10 + minute // 60}:{minute % 60:02}", "a") for minute in minutes))
    counts = tables.messages_per_minute(table)
    rate = tables.rate(table)
    assert rate.minutes == len(counts)
    assert rate.mean == pytest.approx(counts.mean())
    assert rate.median == counts.median()
    assert rate.max == counts.max()
    assert rate.busiest == counts.idxmax()


def test_the_clock_goes_back_and_no_hour_is_counted_twice() -> None:
    table = records(*(line(f"2026-10-25 0{hour}:30", "a") for hour in range(4)))
    counts = tables.messages_per(table, "hour", BERLIN)
    assert counts.tolist() == [1, 1, 1, 1]
    assert [f"{hour:%H%z}" for hour in counts.index] == ["02+0200", "02+0100", "03+0100", "04+0100"]


def test_the_clock_goes_forward_and_no_hour_is_left_empty() -> None:
    table = records(line("2026-03-29 00:30", "a"), line("2026-03-29 01:30", "a"))
    counts = tables.messages_per(table, "hour", BERLIN)
    assert [f"{hour:%H}" for hour in counts.index] == ["01", "03"]


@pytest.mark.parametrize("zone", [BERLIN, LORD_HOWE, ZoneInfo("America/Havana"), ZoneInfo("Asia/Kathmandu")])
def test_days_are_those_of_the_zone_across_all_changes(zone: ZoneInfo) -> None:
    times = pd.date_range("2026-01-01", "2026-12-31", freq="3h", tz="UTC")
    table = records(*(line(f"{time:%Y-%m-%d %H:%M}", "a") for time in times))
    expected: dict[pd.Timestamp, int] = {}
    for time in times:
        day = pd.Timestamp(time.tz_convert(zone).date())
        expected[day] = expected.get(day, 0) + 1
    assert tables.messages_per(table, "day", zone).to_dict() == expected


def test_the_busiest_and_the_first_of_equals() -> None:
    table = records(
        *(line(time, "a") for time in ("08:00", "09:10", "09:20", "11:10", "11:20", "23:30")),
        line("2026-11-22 22:59", "a"),
    )
    assert tables.busiest(table, "hour") == (utc("09:00"), 2)
    assert tables.busiest(table, "minute", BERLIN) == (utc("08:00"), 1)
    assert tables.busiest(table, "day", BERLIN) == (pd.Timestamp("2026-11-21"), 5)


def test_the_longest_silence_is_between_messages_only() -> None:
    table = records(
        line("08:00", "a"),
        line("09:00", "a", "join"),
        line("10:00", "a"),
        line("11:00", "a"),
        line("12:30", "a"),
    )
    assert tables.longest_silence(table) == (utc("08:00"), utc("10:00"))


def test_weekdays_by_hours_of_the_zone() -> None:
    table = tables.weekday_by_hour(
        records(line("2026-11-22 23:30", "a"), line("2026-11-23 09:00", "a")), BERLIN
    )
    assert table.loc[0, 0] == 1
    assert table.loc[0, 10] == 1
    assert np.nansum(table) == 2
    assert table.loc[1:5].isna().all(axis=None)  # of these days there was none


def test_by_name() -> None:
    table = tables.by_name(
        records(
            line("10:00", "NA", text="one two"),
            line("10:01", "007", text="a\u3000b  c"),
            line("10:02", "NA", "action", ""),
            line("10:03", "quiet", "join"),
        )
    )
    assert table.index.tolist() == ["NA", "007"]
    assert table.loc["NA"].to_dict() == {
        "messages": 2,
        "words": 2,
        "characters": 7,
        "first": utc("10:00"),
        "last": utc("10:02"),
        "share": 2 / 3,
    }
    assert table.loc["007", "words"] == 3


def test_by_address_most_first_and_then_by_address() -> None:
    table = tables.by_address(
        records(
            line("10:00", "a", address="fe80::1"), line("10:00", "a", address="10.0.0.2"), line("10:01", "b")
        )
    )
    assert table.index.tolist() == ["10.0.0.1", "10.0.0.2", "fe80::1"]
