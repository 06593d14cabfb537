"""What the parts of the page say in words."""

from __future__ import annotations

import pytest

from analytics.sections import SECTIONS, Report
from analytics.summary import summarize
from tests.analytics.histories import WEEK, findings, line


def sentences(*lines: bytes) -> dict[str, str]:
    found = findings(*lines)
    report = Report(found, summarize(found))
    sections = [part(report) for part in SECTIONS]
    return {section.id: section.sentence for section in sections}


def test_of_one_message() -> None:
    said = sentences(line("10:00", "a", "join"), line("10:00", "a"))
    assert said["messages"] == "1 message in the last seven days."
    assert said["online"] == "1 connection of 1 person, at most 1 at once."
    assert "there was 1" in said["talk"]


def test_of_a_week() -> None:
    said = sentences(WEEK)
    assert "14 conversations" in said["talk"] or "7 conversations" in said["talk"]
    assert "longest streak, 7 days" in said["people"]


@pytest.mark.parametrize(
    ("before", "words"), [(1, "100% more than"), (2, "as many as"), (4, "50% less than")]
)
def test_this_week_beside_the_last(before: int, words: str) -> None:
    lines = [line("2026-11-10 10:00", "a")] * before + [line("2026-11-17 10:00", "a")] * 2
    assert sentences(*lines)["messages"] == f"2 messages in the last seven days, {words} in the seven before."
