"""A search over a long history: the word index beside what a search without one costs.

    python3 -m tests.measure.search [MEGABYTES]         1,000 if unsaid: some eleven million records

Printed are what the index takes to make (seconds, of the clock and of the processor) and its size; p50 and
the longest of searches for what is there and what isn't, one after another, and from forty askers at once; of
`/stats`; and, for comparison, of `mmap.find` in the same bytes, which knows no letter case, no words and no
names, and of a look through all of them.
"""

from __future__ import annotations

import functools
import mmap
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chat.log.index import Index
from chat.service.queries import Queries, Unavailable
from chat.service.reader import SLICE_BYTES, identity
from tests.measure.fairness import MB, talk

ASKERS = 40
SEARCHES = (
    "zzqqzz",
    "nothing like it",
    "a",
    "the",
    "tan hello",
    "e t a o",
    "user7 the",
    "tho",
    ":)",
    "sha ran",
)


def main(megabytes: int) -> None:
    """Makes the history, measures, prints."""
    with tempfile.TemporaryDirectory(prefix="chat-search-") as made:
        path = Path(made, "history.txt")
        talk(path, megabytes * MB)
        print(f"history: {path.stat().st_size / MB:,.0f} MB")
        _make_index(path)
        _ask(path)
        _without(path)


def _make_index(path: Path) -> None:
    index = Index(path.with_name("history.txt.index"), path)
    began, used = time.monotonic(), time.process_time()
    with path.open("rb") as file:
        while lines := file.read(SLICE_BYTES):
            index.add(lines + file.readline())
    seconds, used = time.monotonic() - began, time.process_time() - used
    index.close()
    size = path.with_name("history.txt.index").stat().st_size
    print(f"index: {seconds:.0f} s, {used:.0f} s of a processor, {size / MB:,.0f} MB")


def _ask(path: Path) -> None:
    """The same process as the server has."""
    queries = Queries(path)
    fd = os.open(path, os.O_RDONLY)
    about = {"file": identity(fd), "end": os.fstat(fd).st_size}

    def ask(**question: Any) -> None:
        queries.ask({**question, **about})

    def search_all() -> list[float]:
        return [_timed(functools.partial(ask, ask="search", words=words, most=20)) for words in SEARCHES]

    try:
        queries.start()
        _until_it_has_read(lambda: ask(ask="stats"))
        _print("search, one asker", search_all())
        _print("/stats", [_timed(lambda: ask(ask="stats")) for _ in range(20)])
        seconds: list[float] = []
        askers = [threading.Thread(target=lambda: seconds.extend(search_all())) for _ in range(ASKERS)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        _print(f"search, {ASKERS} askers at once", seconds)
    finally:
        os.close(fd)
        queries.close()


def _without(path: Path) -> None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        _print("mmap.find", [_timed(lambda: whole.find(b"zzqqzz")) for _ in range(3)])

        def look_through() -> None:
            for start in range(0, len(whole), SLICE_BYTES):
                "zzqqzz" in whole[start : start + SLICE_BYTES].decode(errors="replace").casefold()  # noqa: B015

        _print("looked through", [_timed(look_through)])


def _until_it_has_read(ask: Callable[[], None]) -> None:
    while True:
        try:
            ask()
            return
        except Unavailable:
            time.sleep(0.5)


def _timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _print(what: str, seconds: list[float]) -> None:
    print(f"{what}: p50 {1000 * statistics.median(seconds):.1f} ms, longest {1000 * max(seconds):.1f} ms")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
