"""The numbers that the page's script draws from add up to what the tables say."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from analytics import page
from tests.analytics.histories import WEEK, findings, line

BERLIN = ZoneInfo("Europe/Berlin")


def test_every_number_is_there_whatever_is_chosen() -> None:
    found = findings(WEEK, zone=BERLIN)
    data = page.page_data(found)
    messages = len(found.said)
    assert sum(data["total"]) == sum(data["bins"]["counts"]) == sum(data["rhythm"][1::2]) == messages
    assert sum(sum(person["messages"][1::2]) for person in data["people"]) == messages
    assert sum(sum(person["hours"]) for person in data["people"]) == messages
    assert [person["name"] for person in data["people"]] == found.people.index.tolist()
    assert sum(data["answers"]["cells"][1::2]) == len(found.answers)
    assert len(data["steps"]) == len(data["total"]) + 1 == 8
    assert data["steps"][0] == 1_794_006_000_000 or data["steps"][0] % 3_600_000 == 0


@pytest.mark.parametrize(
    ("last", "most"),
    [("2026-11-21 10:00", 2), ("2026-11-22 23:00", 49), ("2027-06-01 10:00", 366), ("9998-12-31 00:00", 366)],
)
def test_steps_are_as_few_as_the_page_can_follow(last: str, most: int) -> None:
    data = page.page_data(findings(line("2026-11-21 10:00", "a"), line(last, "b"), zone=BERLIN))
    assert len(data["total"]) <= most
    assert sum(data["total"]) == 2
    assert data["steps"] == sorted(set(data["steps"]))


def test_where_the_clocks_change() -> None:
    data = page.page_data(
        findings(
            line("2026-10-24 22:30", "a"),
            line("2026-10-25 01:30", "a"),
            line("2026-10-26 10:00", "a"),
            zone=BERLIN,
        )
    )
    assert data["steps"] == sorted(set(data["steps"]))
    assert sum(data["total"]) == 3


def test_time_connected_adds_up_from_the_days() -> None:
    found = findings(
        line("2026-11-20 20:00", "alice", "join"),
        line("2026-11-20 23:00", "bob", "join"),
        line("2026-11-21 10:00", "alice", text="hello"),
        line("2026-11-23 08:00", "alice", "leave"),
        line("2026-11-23 10:00", "alice", text="from elsewhere"),
        line("2026-11-25 23:00", "bob", "leave"),
        line("2026-11-25 23:00", "carol", "join"),
        zone=BERLIN,
    )
    connected = dict(page.page_data(found)["connected"])
    assert connected["alice"] == [0, 27 * 3600, 1, 24 * 3600, 2, 9 * 3600]
    for name, length in found.time_connected.items():
        assert sum(connected[str(name)][1::2]) == length.total_seconds()
