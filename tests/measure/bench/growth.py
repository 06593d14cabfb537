"""How the servers grow: deliveries and latency by the number of clients, and by the size of the history."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chat import record
from tests.measure.bench.measure import Measured, Span, measure
from tests.measure.bench.servers import SHAPE, THIS, Kind

CLIENTS = (10, 30, 100, 300, 1000, 3000, 10_000)
HISTORY_BYTES = (0, 10**6, 10**8, 10**9, 10**10)
PEERS = (THIS.name, SHAPE.name, "nats-server", "redis-server")  # that can handle 10,000 listeners
SPAN = Span(flood=0.3, pace=1.5, idle=0.1)


@dataclass(frozen=True)
class Growth:
    """Measurements by server: (number of clients or bytes of history, what was measured), in that order."""

    clients: dict[str, list[tuple[int, Measured]]]
    history: dict[str, list[tuple[int, Measured]]]


def run(kinds: list[Kind], rounds: int) -> Growth:
    """Measure with 10 to 10,000 clients, and this chat with a history of nothing to 10 GB."""
    by_clients = {
        kind.name: [(count, _middle(kind, count, rounds)) for count in CLIENTS]
        for kind in kinds
        if kind.name in PEERS
    }
    by_history = [(size, _middle(THIS, 100, rounds, with_history(size))) for size in HISTORY_BYTES]
    return Growth(by_clients, {THIS.name: by_history})


def table(growth: Growth) -> str:
    """The figures of the plot, and others: start-up time and memory by size of the history."""
    figures = "  deliveries/s    p50 ms    p99 ms      MB"
    lines = [f"{'clients':44}{figures}  connect s"]
    for name, points in growth.clients.items():
        lines += [f"{name:30}{count:14,}{_cells(found)}{found.connect:11.2f}" for count, found in points]
    lines.append(f"\n{'bytes of history':44}{figures}    start s")
    for name, points in growth.history.items():
        lines += [f"{name:30}{size:14,}{_cells(found)}{found.start:11.2f}" for size, found in points]
    return "\n".join(lines)


def draw(growth: Growth, path: Path) -> None:
    """Plot it. Raises ImportError if matplotlib is missing."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), layout="constrained")
    axes = figure.subplots(2, 2, sharey="row")
    _lines(axes[0][0], growth.clients, lambda found: found.rate / 1e6, "deliveries/s, millions", "")
    _lines(axes[1][0], growth.clients, lambda found: found.p50 / 1e3, "p50 latency, ms", "clients")
    _lines(axes[0][1], growth.history, lambda found: found.rate / 1e6, "", "")
    _lines(axes[1][1], growth.history, lambda found: found.p50 / 1e3, "", "bytes of history, 100 clients")
    axes[0][0].set_ylim(bottom=0)
    axes[1][0].set_yscale("log")
    axes[1][0].yaxis.set_major_formatter("{x:g}")
    for left, right in axes:
        left.set_xscale("log")
        right.set_xscale("symlog", linthresh=10**5)  # it begins with nothing
        right.set_xlim(left=-(10**4))
    figure.legend(
        handles=axes[0][0].get_lines(), loc="outside upper center", ncols=len(growth.clients), frameon=False
    )
    figure.savefig(path, dpi=110)


def _lines(
    axes: Any,
    points_by_name: dict[str, list[tuple[int, Measured]]],
    figure_of: Callable[[Measured], float],
    label: str,
    below: str,
) -> None:
    for name, points in points_by_name.items():
        axes.plot([x for x, _ in points], [figure_of(found) for _, found in points], marker="o", label=name)
    axes.set(ylabel=label, xlabel=below)
    axes.grid(visible=True, alpha=0.3)


def _cells(found: Measured) -> str:
    return (
        f"{found.rate / 1e6:12.1f} M{found.p50 / 1e3:10.2f}{found.p99 / 1e3:10.2f}{found.memory / 1e6:8.0f}"
    )


def _middle(
    kind: Kind, listeners: int, rounds: int, prepare: Callable[[Path], None] | None = None
) -> Measured:
    """The measurement whose rate is the middle one."""
    found = sorted((measure(kind, listeners, SPAN, prepare) for _ in range(rounds)), key=lambda one: one.rate)
    print(".", end="", flush=True)
    return found[len(found) // 2]


def with_history(size: int) -> Callable[[Path], None]:
    """A function that puts a history of this size into a folder: records at both ends, a hole in between."""

    def write(folder: Path) -> None:
        line = record.stamp(
            "2026-01-01T00:00:00.000Z", record.draft("127.0.0.1", "somebody", "message", "x" * 32)
        )
        block = line * 1000
        with (folder / "history.txt").open("wb") as file:
            if size:
                file.write(block)
                file.seek(max(size - len(block), len(block)), os.SEEK_SET)
                file.write(b"\n" + block)

    return write
