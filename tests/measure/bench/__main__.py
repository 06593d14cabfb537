"""The benchmark: this server and its peers under the same load, in turn, in one run.

`python3 -m tests.measure.bench` prints a table for each number of listeners; docs/performance.md says what
the columns mean. Only the ratios mean something: the machine, and what else it does, are in every figure.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path
from statistics import median

from tests.measure.bench import growth
from tests.measure.bench.measure import Measured, Span, measure
from tests.measure.bench.servers import KINDS, THIS, Kind, beside

# The columns, and how wide they are. An x is the ratio to this chat's figure before it.
COLUMNS = (
    *(("deliveries/s", 13), ("x", 6), ("load", 6), ("p50 ms", 8), ("x", 6), ("p99 ms", 8), ("x", 6)),
    *(
        ("p99.9", 8),
        ("CPU", 7),
        ("x", 6),
        ("MB", 6),
        ("connect s", 11),
        ("x", 6),
        ("idle CPU", 10),
        ("wrong", 7),
    ),
)


def main() -> int:
    """Run what the arguments choose; the exit code is 1 if a delivery went wrong at this server."""
    options = _parser().parse_args()
    kinds = [kind for kind in KINDS if not options.servers or kind.name in options.servers]
    if options.beside:
        kinds = [THIS, *beside(options.beside)]
    for kind in kinds:
        if not kind.available:
            print(f"{kind.name} is not installed, so it is not compared.")
    kinds = [kind for kind in kinds if kind.available]
    wrong = 0
    for listeners in options.listeners:
        results = _rounds(kinds, listeners, options.rounds)
        print(table(results, listeners), flush=True)
        wrong += sum(measured.wrong for measured in results.get(THIS.name, []))
    if options.growth:
        _show_growth(kinds, options.rounds, options.growth)
    return 1 if wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.measure.bench", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    names = [kind.name for kind in KINDS]
    add(
        "--listeners",
        type=int,
        nargs="+",
        default=[100, 1000, 10_000],
        metavar="N",
        help="how many (100 1000 10000)",
    )
    add("--rounds", type=int, default=3, metavar="N", help="how often each is measured, in turn (3)")
    add("--servers", nargs="+", choices=names, metavar="NAME", help=f"only these of: {', '.join(names)}")
    add("--beside", type=Path, metavar="CHECKOUT", help="only this chat, twice, and that of another checkout")
    add("--growth", type=Path, metavar="FILE.png", help="then measure and plot how they grow")
    return parser


def _show_growth(kinds: list[Kind], rounds: int, plot: Path) -> None:
    found = growth.run(kinds, rounds)
    print("\n" + growth.table(found))
    try:
        growth.draw(found, plot)
    except ImportError:
        print("matplotlib is not installed, so there is no plot.")


def _rounds(kinds: list[Kind], listeners: int, rounds: int) -> dict[str, list[Measured]]:
    """The measurements by name of the server, one a round.

    In turn, so that each gets the same weather, and in another order each time, because what ran before
    leaves something behind.
    """
    results: dict[str, list[Measured]] = {}
    for number in range(rounds):
        for kind in random.sample(kinds, len(kinds)):
            if listeners > kind.most_listeners:
                continue
            print(
                f"\r{listeners} listeners, round {number + 1}: {kind.name:40}",
                end="",
                file=sys.stderr,
                flush=True,
            )
            try:
                results.setdefault(kind.name, []).append(measure(kind, listeners, Span()))
            except (TimeoutError, EOFError) as error:
                print(f"\n{kind.name}: {error}", file=sys.stderr)
    print("\r" + " " * 79 + "\r", end="", file=sys.stderr)
    return results


def table(results: dict[str, list[Measured]], listeners: int) -> str:
    """The medians of the rounds, and of the ratios round by round."""
    ours = results.get(THIS.name, [])
    rows = [(f"{listeners:,} listeners", [name for name, _ in COLUMNS])]
    rows += [(name, _cells(rounds, ours)) for name, rounds in sorted(results.items(), key=_order)]
    return "".join(
        name.ljust(30)
        + "".join(cell.rjust(width) for cell, (_, width) in zip(cells, COLUMNS, strict=True))
        + "\n"
        for name, cells in rows
    )


def _order(row: tuple[str, list[Measured]]) -> int:
    """The position of a server's row: in the order of KINDS, others last."""
    names = [kind.name for kind in KINDS]
    return names.index(row[0]) if row[0] in names else len(names)


def _cells(rounds: list[Measured], ours: list[Measured]) -> list[str]:
    def middle(field: str) -> float:
        return float(median(getattr(measured, field) for measured in rounds))

    def ratio(field: str) -> str:
        pairs = zip(rounds, ours, strict=False)  # a server that failed in a round has fewer
        ratios = [getattr(theirs, field) / (getattr(own, field) or 1) for theirs, own in pairs]
        return f"{median(ratios):.2f}" if ratios else ""

    return [
        *(f"{middle('rate') / 1e6:.2f} M", ratio("rate"), f"{middle('load_busy'):.0%}"),
        *(f"{middle('p50') / 1e3:.2f}", ratio("p50"), f"{middle('p99') / 1e3:.2f}", ratio("p99")),
        *(f"{middle('p999') / 1e3:.2f}", f"{middle('cpu'):.1%}", ratio("cpu")),
        *(f"{middle('memory') / 1e6:.0f}", f"{middle('connect'):.2f}", ratio("connect")),
        *(f"{middle('idle_cpu'):.1%}", f"{sum(measured.wrong for measured in rounds)}"),
    ]


if __name__ == "__main__":
    sys.exit(main())
