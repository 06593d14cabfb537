"""What --json prints is what its schema says."""

from __future__ import annotations

import json
import re

from analytics.document import document
from tests.analytics.histories import WEEK, findings, line
from tests.harness import ROOT


def test_every_member_is_documented_and_no_other() -> None:
    told = document(findings(WEEK))
    section = (ROOT / "docs/analytics.md").read_text("utf-8").partition("## JSON")[2].partition("\n## ")[0]
    documented = re.findall(r"^\| `(\w+)`", section, re.MULTILINE)
    assert sorted(told) == sorted(documented)


def test_it_holds_for_an_empty_chat() -> None:
    told = document(findings())
    assert (told["version"], told["records"], told["first"]) == (1, 0, None)
    assert told["messages_per_minute"]["busiest"] is None
    assert told["series"] == {"minute": {}, "hour": {}, "day": {}, "online": []}
    assert set(document(findings(WEEK))) == set(told)
    json.dumps(told)


def test_times_are_as_records_have_them() -> None:
    told = document(
        findings(line("0007-03-01 10:00", "alice", "join"), line("0007-03-01 10:01:30.500", "alice"))
    )
    assert told["first"] == told["online"]["at"] == "0007-03-01T10:00:00.000Z"
    assert told["messages_per_minute"]["busiest"] == "0007-03-01T10:01Z"
    assert told["series"]["minute"] == {"0007-03-01T10:01Z": 1}
    assert told["series"]["hour"] == {"0007-03-01T10Z": 1}
    assert told["series"]["day"] == {"0007-03-01": 1}


def test_silent_minutes_are_not_listed_however_many() -> None:
    series = document(findings(line("0001-01-01 00:00", "a"), line("9999-12-31 23:59", "c")))["series"]
    assert series["minute"] == {"0001-01-01T00:00Z": 1, "9999-12-31T23:59Z": 1}
    assert series["day"] == {"0001-01-01": 1, "9999-12-31": 1}
