"""The numbers that come first."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pandas as pd

from analytics.summary import Summary, summarize
from tests.analytics.histories import findings, line, utc

BERLIN = ZoneInfo("Europe/Berlin")


def summed_up(*lines: bytes, skipped: int = 0) -> Summary:
    return summarize(findings(*lines, skipped=skipped, zone=BERLIN))


def test_what_was_said_and_what_happened_besides() -> None:
    found = summed_up(
        line("22:30", "alice", "join"),
        line("22:30:01", "bob", "join", address="10.0.0.2"),
        line("22:59", "alice"),
        line("23:00:01", "bob", "action", address="10.0.0.2"),
        line("23:00:02", "alice"),
        line("23:10", "alice", "leave"),
        skipped=3,
    )
    assert (found.records, found.skipped, found.messages) == (6, 3, 3)
    assert (found.first, found.last) == (utc("22:30"), utc("23:10"))
    assert found.by_name.to_dict() == {"alice": 2, "bob": 1}
    assert found.by_address.to_dict() == {"10.0.0.1": 2, "10.0.0.2": 1}
    assert (found.most_online, found.most_online_at) == (2, utc("22:30:01"))
    assert found.silence == (utc("22:59"), utc("23:00:01"))


def test_hours_are_those_of_utc_and_days_those_of_the_zone() -> None:
    found = summed_up(line("22:59", "alice"), line("23:00", "alice"), line("23:01", "alice"))
    assert found.busiest_hour == (utc("23:00"), 2)
    assert found.busiest_day == (pd.Timestamp("2026-11-22"), 2)


def test_of_nothing() -> None:
    found = summed_up()
    assert not found.messages
    assert {found.first, found.busiest_hour, found.busiest_day, found.silence, found.most_online_at} == {None}
