"""The summary for a person at a terminal: the numbers, a small plot, and who said most."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from analytics import wording
from analytics.findings import Findings
from analytics.summary import Summary

PLOT_ROWS = 5
MOST_PEOPLE = 10
MOST_COLUMNS = 100  # a plot wider than that is not easier to read
STEPS = " ▁▂▃▄▅▆▇█"
ZERO_WIDTH_JOINER = "\u200d"  # holds emoji together


def console() -> Console:
    """Standard output; where that is no terminal, plain text."""
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    return Console(highlight=False)


@contextmanager
def progress(doing: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, where that is a terminal; advanced by what is given. It leaves no trace."""
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(doing, total=total)
        yield lambda done: bar.advance(task, done)


def show(summary: Summary, findings: Findings, console: Console) -> None:
    """Prints the summary with a plot of messages per minute, hour or day."""
    zone, skipped = findings.zone, findings.skipped
    console.print(Text(wording.period(summary, zone)), soft_wrap=True)
    console.print()
    numbers = Table.grid(padding=(0, 2))
    for fact in wording.facts(summary, zone):
        numbers.add_row(fact.label, Text(fact.value, "bold"), Text(fact.note, "dim"))
    console.print(numbers)
    counts = findings.counts
    if len(counts):
        console.print(f"\nMessages per {counts.index.name}, at most {counts.max():,}")
        for line in small_plot(counts, min(console.width, MOST_COLUMNS)):
            console.print(Text(line, "blue"))
    if len(summary.by_person):
        console.print()
        console.print(_people(summary.by_person))
    if len(skipped):
        console.print(Text("\n" + printable(wording.skipped_lines(skipped)), "yellow"), soft_wrap=True)


def _people(by_person: pd.Series[int]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    for name, messages in by_person.head(MOST_PEOPLE).items():
        table.add_row(
            Text(printable(str(name))), f"{messages:,}", Text(f"{messages / by_person.sum():.1%}", "dim")
        )
    if len(by_person) > MOST_PEOPLE:
        table.add_row(Text(f"and {len(by_person) - MOST_PEOPLE:,} more", "dim"))
    return table


def small_plot(counts: pd.Series[int], columns: int) -> list[str]:
    """The counts as PLOT_ROWS lines of blocks: each column is as high as the busiest of its bins."""
    starts = np.linspace(0, len(counts), min(columns, len(counts)), endpoint=False).astype(int)
    heights = np.maximum.reduceat(counts.to_numpy(), starts) / max(counts.max(), 1) * PLOT_ROWS
    eighths = np.ceil(heights * 8).astype(int)
    return [
        "".join(STEPS[min(max(height - 8 * row, 0), 8)] for height in eighths) for row in range(PLOT_ROWS)
    ][::-1]


def printable(text: str) -> str:
    """The text without what could steer a terminal: an edited history may hold anything."""
    return "".join(
        character if character.isprintable() or character == ZERO_WIDTH_JOINER else "\ufffd"
        for character in text
    )
