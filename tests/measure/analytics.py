"""What analytics costs, as ratios to duckdb in the same run.

    python3 -m pip install duckdb
    python3 -m tests.measure.analytics [--quick]

| row | is |
| --- | --- |
| duckdb | messages per minute, by name, by address and the top words of a file, by four queries |
| --json | `python3 -m analytics FILE --json` over the same file |
| the page | `python3 -m analytics FILE`, with all pictures |
| 150,000 names | the page of a file as big, in which so many people speak, beside one with 100 |
| per minute | messages per minute from file to table: duckdb's one query, and analytics |
| --follow | until it shows the last hour of that file, until all of it is counted, and the most memory |
| /stats | the three lines of the chat, from the server's counters of 1 million records |

Each measurement is a process of its own and counts from its start to its end, with what it imports. Those
that are compared take turns, and the middle of ROUNDS is shown: seconds by the clock, seconds of all
processors, and the most memory. Before anything is measured, both must find the same in a small file.

Not quite the same work: analytics holds every line against the whole grammar, and says much more.
"""

from __future__ import annotations

import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

ROOT = Path(__file__).parent.parent.parent
ROUNDS = 3
CHUNK = 100_000
KINDS = ("join", "leave", "action", "notice")  # of every fiftieth record; the others are messages
COMMON = "the hello what is going on lunch today build fails café привет 你好 and you it".split()  # noqa: SIM905

QUERIES = {
    "per minute": "select date_trunc('minute', t) as m, count(*) from said group by m order by m",
    "by name": "select n, count(*) as c from said group by n order by c desc, n",
    "by address": "select a, count(*) as c from said group by a order by c desc, a",
    "words": """select w, count(*) as c from (select unnest(string_split(lower(x), ' ')) as w from said)
        where w != '' group by w order by c desc, w limit 100""",
}
VIEW = """create view said as select * from read_csv('{}', delim = '\t', header = false, quote = '',
    escape = '', auto_detect = false, ignore_errors = true,
    columns = {{'t': 'TIMESTAMP', 'a': 'VARCHAR', 'n': 'VARCHAR',
    'k': 'VARCHAR', 'x': 'VARCHAR'}}) where k in ('message', 'action')"""


class Cost(NamedTuple):
    """Of one process: seconds by the clock, of the processors, and MB of memory at most."""

    seconds: float
    processor: float
    megabytes: float


def main(quick: bool) -> None:
    """Measures and prints the table."""
    records, many = (200_000, 1_000_000) if quick else (2_000_000, 10_000_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _agree(folder)
        path = _history(folder, records)
        print(f"{records:,} records, {path.stat().st_size / 1e6:,.0f} MB")
        found = _measured(
            {
                "duckdb": _this("duckdb", path),
                "--json": _analytics(path, "--json"),
                "the page": _analytics(path, "--out", folder / "page"),
            }
        )
        _print(found, "duckdb")
        few, crowd = _history(folder, records, 100), _history(folder, records, 150_000)
        print(f"\n{records:,} records, the page")
        found = _measured(
            {
                "100 names": _analytics(few, "--out", folder / "page"),
                "150,000 names": _analytics(crowd, "--out", folder / "page"),
            }
        )
        _print(found, "100 names")
        for each in (path, few, crowd):
            each.unlink()
        path = _history(folder, many)
        print(f"\n{many:,} records, {path.stat().st_size / 1e6:,.0f} MB, messages per minute")
        _print(
            _measured({"duckdb": _this("minutes", path), "analytics": _this("ours", path)}),
            "duckdb",
        )
        print(f"\n{many:,} records, --follow")
        subprocess.run(_this("follow", path), cwd=ROOT, check=True)
        print("\n/stats, 1,000,000 records")
        subprocess.run(_this("stats", path), cwd=ROOT, check=True)


def _measured(commands: dict[str, list[str]]) -> dict[str, list[Cost]]:
    found: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            found[name].append(_cost(command))
    return found


def _cost(command: list[str]) -> Cost:
    begin = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    if status:
        raise SystemExit(f"{command} failed")
    return Cost(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def _print(found: dict[str, list[Cost]], against: str) -> None:
    print(f"{'':16}{'seconds':>9}{'processor':>11}{'MB':>8}   of {against}, by the clock and of processors")
    for name, costs in found.items():
        pairs = list(zip(costs, found[against], strict=True))
        clock = statistics.median(ours.seconds / theirs.seconds for ours, theirs in pairs)
        work = statistics.median(ours.processor / theirs.processor for ours, theirs in pairs)
        seconds, processor, _ = (statistics.median(column) for column in zip(*costs, strict=True))
        most = max(each.megabytes for each in costs)
        print(f"{name:16}{seconds:9.2f}{processor:11.2f}{most:8,.0f}   {clock:.2f} {work:.2f}")


def _analytics(path: Path, *arguments: object) -> list[str]:
    return [sys.executable, "-m", "analytics", str(path), *map(str, arguments)]


def _this(what: str, path: Path) -> list[str]:
    return [sys.executable, "-m", "tests.measure.analytics", what, str(path)]


# ------------------------------------------------------------------------------------------------ the files


def _history(folder: Path, records: int, people: int = 43) -> Path:
    path = folder / f"{records}-{people}.txt"
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(history(records, people))
    return path


def history(records: int, people: int) -> Iterator[str]:
    """The lines of a busy room: some forty messages a minute, nearly all of them different."""
    chance = random.Random(4)
    names = ["李雷", "_bob", "007", *(f"user{number}" for number in range(people - 3))]
    heads = [f"10.{place >> 14}.{place >> 7 & 127}.{place & 127}\t{name}" for place, name in enumerate(names)]
    rare = ["".join(chance.choices("aeioubcdfgklmnprst", k=chance.randint(3, 9))) for _ in range(30_000)]
    words = COMMON + rare
    chances = [1 / place for place in range(1, len(words) + 1)]  # as in every language
    parts = [" ".join(chance.choices(words, chances, k=chance.randint(1, 8))) for _ in range(50_000)]
    now = datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000
    for start in range(0, records, CHUNK):
        lines = []
        for number in range(start, min(start + CHUNK, records)):
            now += int(chance.random() * 3000)
            stamp = datetime.fromtimestamp(int(now) / 1000, UTC).isoformat(timespec="milliseconds")[:23]
            head = heads[int(chance.random() ** 2 * len(heads))]
            kind = KINDS[number // 50 % len(KINDS)] if number % 50 == 0 else "message"
            one, two = parts[int(chance.random() * 50_000)], parts[int(chance.random() * 50_000)]
            lines.append(f"{stamp}Z\t{head}\t{kind}\t{one} {two}\n")
        yield from lines


# -------------------------------------------------------------------------------------- one measurement each


def _duckdb(path: Path, *queries: str) -> dict[str, list[tuple[object, int]]]:
    import duckdb

    connection = duckdb.connect()
    connection.sql(VIEW.format(path))
    return {name: connection.sql(QUERIES[name]).fetchall() for name in queries}


def _minutes(path: Path) -> pd.Series[int]:
    from analytics.minutes import messages_per_minute

    return messages_per_minute(path)


def _follow(path: Path) -> None:
    """Prints how soon the last hour is there, and everything; and what memory that takes."""
    from analytics.follow import Followed

    begin, now = time.perf_counter(), datetime.now(UTC)
    followed = Followed(path)
    followed.look()
    ready = time.perf_counter() - begin
    followed.forget(now)
    while followed.backward():
        followed.forget(now)
    complete = time.perf_counter() - begin
    print(f"ready {ready:.2f} s, complete {complete:.1f} s, {_most_megabytes():,.0f} MB")


def _stats(path: Path) -> None:
    """Prints how long the server's counters take for the lines of /stats, when they know so many records."""
    from chat.service.counters import Counters

    counters, now = Counters(), time.time()
    with path.open("rb") as file:
        for _ in range(10):
            counters.feed(b"".join(islice(file, CHUNK)), now)
    begin = time.perf_counter()
    counters.summary(now)
    print(f"{(time.perf_counter() - begin) * 1000:.1f} ms")


def _most_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _agree(folder: Path) -> None:
    """Both find the same in a small file, or there is nothing to compare."""
    path = _history(folder, 20_000)
    theirs = _duckdb(path, *QUERIES)
    ours = json.loads(subprocess.check_output(_analytics(path, "--json"), cwd=ROOT))
    assert ours["by_name"] == dict(theirs["by name"])
    assert ours["by_address"] == dict(theirs["by address"])
    minutes = _minutes(path)
    said = minutes[minutes > 0]
    assert list(zip(said.index.tz_localize(None), said.tolist(), strict=True)) == theirs["per minute"]


if __name__ == "__main__":
    if sys.argv[1:2] == ["duckdb"]:
        _duckdb(Path(sys.argv[2]), *QUERIES)
    elif sys.argv[1:2] == ["minutes"]:
        _duckdb(Path(sys.argv[2]), "per minute")
    elif sys.argv[1:2] == ["ours"]:
        _minutes(Path(sys.argv[2]))
    elif sys.argv[1:2] == ["follow"]:
        _follow(Path(sys.argv[2]))
    elif sys.argv[1:2] == ["stats"]:
        _stats(Path(sys.argv[2]))
    else:
        main("--quick" in sys.argv)
