"""The summary as a person at a terminal sees it."""

from __future__ import annotations

import io
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from rich.console import Console

from analytics import summary, terminal
from tests.analytics.histories import findings, line

UTC = ZoneInfo("UTC")


def shown(*lines: bytes, columns: int = 80, skipped: int = 0) -> str:
    """What is printed on a terminal so wide."""
    found = findings(*lines, zone=UTC)
    found.skipped = pd.DataFrame({"file": "hi\x1b[31m.txt", "line": range(1, skipped + 1)})
    output = io.StringIO()
    console = Console(file=output, width=columns, highlight=False)
    terminal.show(summary.summarize(found), found, console)
    return output.getvalue()


@pytest.mark.parametrize("bins", [1, 39, 40, 1000])
def test_a_narrow_plot_loses_no_peak(bins: int) -> None:
    counts = pd.Series([1] * bins)
    counts.iloc[bins // 2] = 8 * terminal.PLOT_ROWS
    plot = terminal.small_plot(counts, 40)
    assert [len(row) for row in plot] == [min(bins, 40)] * terminal.PLOT_ROWS
    assert plot[0].strip() == "█"  # the peak alone is so high
    assert plot[-1].replace("▁", "") == "█"  # and an eighth of a row is one


def test_a_plot_of_silence_is_empty() -> None:
    assert "".join(terminal.small_plot(pd.Series([0, 0]), 40)).strip() == ""


def test_most_first_and_the_others_are_counted() -> None:
    said = [
        line(f"10:{minute:02}", f"person{number}")
        for number in range(terminal.MOST_PEOPLE + 2)
        for minute in range(number + 1)
    ]
    people = shown(*said).splitlines()[-terminal.MOST_PEOPLE - 1 :]
    assert people[0].split() == ["person11", "12", "15.4%"]
    assert people[-1].rstrip() == "and 2 more"


def test_nothing_steers_the_terminal() -> None:
    text = shown(line("10:00", "\x1b[31mred"), line("10:01", "👩\u200d🚀"), skipped=1)
    assert "\x1b" not in text
    assert "👩\u200d🚀" in text
    assert "hi\ufffd[31m.txt:1" in text


def test_nothing_at_all() -> None:
    lines = [" ".join(row.split()) for row in shown().splitlines()]
    assert lines == ["no records; times in UTC", "", "Messages 0 0 records", "People 0 from 0 addresses"]
