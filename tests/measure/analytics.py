"""Messages per minute from file to table, side by side with duckdb and polars; and the whole report.

    python3 -m pip install duckdb polars
    python3 -m tests.measure.analytics [RECORDS ...]        0.1, 1 and 10 million if unsaid

Each measurement is a process of its own, since memory that was taken once is not seen to be given back. They
take turns, so that a busy moment of the machine hits all. Seconds are from the file to the table, by the
clock and, of all cores together, by the processor; what each imports is counted apart. The quickest of ROUNDS
is shown, and the most memory. All must find the same table.

Not quite the same work: analytics holds every line against the whole grammar and keeps time, address, name
and kind of all records. The others look at the columns they need; "unchecked" does not even read the time as
a time, but cuts the minute off as text.
"""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROUNDS = 3
REPORTED = 1_000_000  # the whole report is made of that many records at most
CHUNK = 100_000
KINDS = ("join", "leave", "action", "notice")  # of every fiftieth record; the others are messages

Table = list[tuple[str, int]]  # minute, as 2026-11-21T10:15, and how much was said; without the silent ones
Rows = Callable[[], Table]  # what was found, as rows that can be compared; not timed
Work = Callable[[], Rows]  # from file to table; timed


def main(sizes: list[int]) -> None:
    """Measures and prints a table for each size."""
    with tempfile.TemporaryDirectory() as folder:
        for records in sizes:
            path = Path(folder, f"{records}.txt")
            write_history(path, records)
            print(f"\n{records:,} records, {path.stat().st_size / 1e6:,.0f} MB")
            _print(_measured(path, PER_MINUTE))
            if records <= REPORTED:
                _print(_measured(path, {"analytics, the whole report": whole_report}))
            path.unlink()


def write_history(path: Path, records: int) -> None:
    """A busy room: some forty messages a minute by 43 people."""
    chance = random.Random(4)
    names = [f"user{number}" for number in range(40)] + ["李雷", "_bob", "007"]
    heads = [f"192.168.1.{number + 2}\t{name}" for number, name in enumerate(names)]
    words = "the hello what is going on lunch today build fails again café привет 你好 danke".split()  # noqa: SIM905
    texts = [" ".join(chance.choices(words, k=chance.randint(1, 16))) for _ in range(200_000)]
    now = datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for start in range(0, records, CHUNK):
            lines = []
            for number in range(start, min(start + CHUNK, records)):
                now += chance.randint(0, 3000)
                stamp = datetime.fromtimestamp(int(now) / 1000, UTC).isoformat(timespec="milliseconds")[:23]
                head = heads[int(chance.random() ** 2 * len(heads))]
                kind = KINDS[number // 50 % len(KINDS)] if number % 50 == 0 else "message"
                lines.append(f"{stamp}Z\t{head}\t{kind}\t{texts[int(chance.random() * len(texts))]}\n")
            file.writelines(lines)


# ----------------------------------------------------------------------------------- who does it, and how


def analytics(path: Path, texts: bool = False) -> Work:
    """This project's: load_history and messages_per_minute."""
    from analytics import load_history
    from analytics.tables import messages_per_minute

    def run() -> Rows:
        counts = messages_per_minute(load_history(path, texts=texts).records)
        said = counts[counts > 0]
        return lambda: list(zip(said.index.strftime("%Y-%m-%dT%H:%M"), said.tolist(), strict=True))

    return run


def without_pyarrow(path: Path) -> Work:
    """The same where pyarrow is not installed."""
    sys.modules["pyarrow"] = None  # type: ignore[assignment]
    return analytics(path)


def with_texts(path: Path) -> Work:
    """The same with all texts loaded, as everything but counting needs them."""
    return analytics(path, texts=True)


def with_texts_without_pyarrow(path: Path) -> Work:
    """Both."""
    sys.modules["pyarrow"] = None  # type: ignore[assignment]
    return analytics(path, texts=True)


def duckdb(path: Path) -> Work:
    """Duckdb's CSV reader with everything told, and SQL."""
    import duckdb

    query = f"""
        select date_trunc('minute', t) as minute, count(*)
        from read_csv('{path}', delim = '\t', header = false, quote = '', escape = '', auto_detect = false,
            ignore_errors = true,
            columns = {{'t': 'TIMESTAMP', 'a': 'VARCHAR', 'n': 'VARCHAR', 'k': 'VARCHAR', 'x': 'VARCHAR'}})
        where k in ('message', 'action') group by minute order by minute"""

    def run() -> Rows:
        table = duckdb.connect().sql(query)
        assert table is not None
        minutes, counts = table.fetchnumpy().values()
        return lambda: list(zip(minutes.astype("M8[m]").astype(str), counts.tolist(), strict=True))

    return run


def polars(path: Path) -> Work:
    """Polars' lazy CSV reader, with the times read as times."""
    import polars as pl

    minute = pl.col("t").str.to_datetime("%Y-%m-%dT%H:%M:%S%.3fZ", time_unit="ms", strict=False)
    return _polars(path, minute.dt.truncate("1m"))


def polars_unchecked(path: Path) -> Work:
    """The same with the minute cut off the time as text."""
    import polars as pl

    return _polars(path, pl.col("t").str.slice(0, 16))


def _polars(path: Path, minute: Any) -> Work:
    import polars as pl

    fields = ["t", "a", "n", "k", "x"]

    def run() -> Rows:
        table = pl.scan_csv(
            path,
            separator="\t",
            has_header=False,
            quote_char=None,
            new_columns=fields,
            schema_overrides=[pl.String] * len(fields),
        )
        said = table.filter(pl.col("k").is_in(["message", "action"]))
        counts = said.group_by(minute.alias("minute")).len().sort("minute").collect(engine="streaming")
        return lambda: [(str(time).replace(" ", "T")[:16], number) for time, number in counts.rows()]

    return run


def whole_report(path: Path) -> Work:
    """python3 -m analytics, with the page and all pictures."""
    from analytics.__main__ import main as program

    def run() -> Rows:
        with tempfile.TemporaryDirectory() as folder:
            code = program([str(path), "--out", folder])
        return lambda: [("exit code", code)]

    return run


PER_MINUTE = {
    "analytics": analytics,
    "analytics, no pyarrow": without_pyarrow,
    "analytics, texts": with_texts,
    "analytics, texts, no pyarrow": with_texts_without_pyarrow,
    "duckdb": duckdb,
    "polars": polars,
    "polars, unchecked": polars_unchecked,
}
ALL = {**PER_MINUTE, "analytics, the whole report": whole_report}


# ------------------------------------------------------------------------------------------- the measuring


def _measured(path: Path, programs: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in programs}
    for _ in range(ROUNDS):
        for name in programs:
            done = subprocess.run(
                [sys.executable, "-m", "tests.measure.analytics", "--one", name, str(path)],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            results[name].append(json.loads(done.stdout.splitlines()[-1]))
    assert len({each["table"] for found in results.values() for each in found}) == 1, results
    return results


def _one(name: str, path: Path) -> None:
    """One measurement, in this process."""
    import resource

    begin = time.perf_counter()
    run = ALL[name](path)
    ready = time.perf_counter()
    used_before = time.process_time()
    rows = run()
    done, used = time.perf_counter(), time.process_time()
    found = {
        "imports": ready - begin,
        "seconds": done - ready,
        "processor": used - used_before,
        "MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "table": hashlib.sha256(json.dumps(rows()).encode()).hexdigest(),
    }
    print(json.dumps(found))


def _print(results: dict[str, list[dict[str, Any]]]) -> None:
    print(f"{'':30}{'seconds':>9}{'processor':>11}{'imports':>9}{'MB':>7}")
    for name, found in results.items():
        least = min(found, key=lambda each: float(each["seconds"]))
        most = max(each["MB"] for each in found)
        print(
            f"{name:30}{least['seconds']:9.2f}{least['processor']:11.2f}{least['imports']:9.2f}{most:7,.0f}"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        _one(sys.argv[2], Path(sys.argv[3]))
    else:
        main([int(float(size)) for size in sys.argv[1:]] or [100_000, 1_000_000, 10_000_000])
