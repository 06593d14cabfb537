"""Which rows are shown."""

from __future__ import annotations

import ipaddress

import pytest

from analytics.choice import Choice
from tests.analytics.histories import line, records, utc

THREE = records(
    line("10:00", "alice"), line("10:01", "bob", address="fe80::1"), line("10:02", "host", address="-")
)


@pytest.mark.parametrize(
    ("choice", "rows"),
    [
        (Choice(), [True, True, True]),
        (Choice(since=utc("10:01")), [False, True, True]),
        (Choice(until=utc("10:01")), [True, False, False]),
        (Choice(names=frozenset(["bob", "host"])), [False, True, True]),
        (Choice(networks=(ipaddress.ip_network("fe80::/10"),)), [False, True, False]),
        (Choice(names=frozenset(["bob"]), networks=(ipaddress.ip_network("10.0.0.0/8"),)), [False] * 3),
    ],
)
def test_rows(choice: Choice, rows: list[bool]) -> None:
    assert choice.rows(THREE).tolist() == rows


def test_of_nothing_nothing_is_chosen() -> None:
    assert Choice(names=frozenset(["bob"])).rows(records()).tolist() == []
