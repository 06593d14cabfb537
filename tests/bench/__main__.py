"""The benchmark: this server and its peers under the same load, in turn, in one run.

`python3 -m tests.bench` prints a table for each number of listeners; docs/performance.md says what the
columns mean. Only the ratios mean something: the machine, and what else it does, are in every figure.
"""

from __future__ import annotations

import argparse
import sys
from statistics import median

from tests.bench.measure import Measured, Span, measure
from tests.bench.servers import KINDS, THIS, Kind

COLUMNS = (
    "deliveries/s",
    "x",
    "load busy",
    "p50 ms",
    "x",
    "p99 ms",
    "p99.9",
    "CPU %",
    "MB",
    "connect s",
    "idle %",
    "wrong",
)


def main() -> int:
    """Run what the arguments choose; the exit code is 1 where a delivery went wrong at this server."""
    options = _parser().parse_args()
    kinds = [kind for kind in KINDS if not options.servers or kind.name in options.servers]
    for kind in kinds:
        if not kind.available:
            print(f"{kind.name} is not installed, so it is not compared.")
    kinds = [kind for kind in kinds if kind.available]
    wrong = 0
    for listeners in options.listeners:
        results = _rounds(kinds, listeners, options.rounds)
        print(table(results, listeners), flush=True)
        wrong += sum(measured.wrong for measured in results.get(THIS.name, []))
    return 1 if wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m tests.bench", description=__doc__.splitlines()[0])
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
    return parser


def _rounds(kinds: list[Kind], listeners: int, rounds: int) -> dict[str, list[Measured]]:
    """The measurements by name of the server, one a round: in turn, so that each gets the same weather."""
    results: dict[str, list[Measured]] = {}
    for number in range(rounds):
        for kind in kinds:
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
    """The medians; `x` is the ratio to this chat, round by round."""
    lines = [f"{listeners:,} listeners".ljust(30) + " ".join(column.rjust(12) for column in COLUMNS)]
    ours = results.get(THIS.name, [])
    for name, rounds in results.items():
        if rounds:
            lines.append(name.ljust(30) + " ".join(cell.rjust(12) for cell in _row(rounds, ours)))
    return "\n".join(lines) + "\n"


def _row(rounds: list[Measured], ours: list[Measured]) -> list[str]:
    def middle(field: str) -> float:
        return float(median(getattr(measured, field) for measured in rounds))

    def ratio(field: str) -> str:
        pairs = zip(rounds, ours, strict=False)
        ratios = [getattr(theirs, field) / (getattr(own, field) or 1) for theirs, own in pairs]
        return f"{median(ratios):.2f}" if ratios else ""

    return [
        f"{middle('rate') / 1e6:.2f} M",
        ratio("rate"),
        f"{middle('load_busy'):.0%}",
        f"{middle('p50') / 1e3:.2f}",
        ratio("p50"),
        f"{middle('p99') / 1e3:.2f}",
        f"{middle('p999') / 1e3:.2f}",
        f"{middle('cpu'):.1%}",
        f"{middle('memory') / 1e6:.0f}",
        f"{middle('connect'):.2f}",
        f"{middle('idle_cpu'):.1%}",
        f"{sum(measured.wrong for measured in rounds)}",
    ]


if __name__ == "__main__":
    sys.exit(main())
