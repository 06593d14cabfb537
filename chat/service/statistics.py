"""Statistics of the history, computed by analytics in its own process: the chat never waits for it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chat.service.counters import DAY_MINUTES, HOUR_MINUTES, Period, first_minute
from chat.service.queries import OWN_GROUP

PERIODS = (("the last hour", HOUR_MINUTES), ("the last day", DAY_MINUTES), ("all of it", None))
SECONDS = 60  # for one whole answer: enough for about ten million records
AGAIN_SECONDS = 10  # between two of them: each takes a processor for as long as it takes
MEMORY_BYTES = 4 << 30  # of address space: more than ten million records need
NICE = 5  # of the process
BUSY = "Statistics are already being computed; try again in a moment."
PLOT = "messages-per-minute.png"  # one of the pictures of the report

_PROJECT = Path(__file__).parent.parent.parent


class NoStatistics(Exception):
    """There are no statistics now; the message says why and what to do, in one sentence.

    `for_guests`: it may be shown to whoever asked, not only to the host.
    """

    def __init__(self, why: str, *, for_guests: bool = True) -> None:
        super().__init__(why)
        self.for_guests = for_guests


class Statistics:
    """What analytics says about a history. One process at a time; a second request meanwhile is refused."""

    def __init__(self, history: Path) -> None:
        self._history = history
        self._busy = threading.Lock()  # held while a request is answered; guards the next
        self._until = 0.0  # deadline of the answer
        self._process: subprocess.Popen[str] | None = None
        self._closed = False
        self._start_lock = threading.Lock()  # guards when one may be started again
        self._not_before = 0.0

    def start(self, work: Callable[[], None]) -> None:
        """Do the work, which asks for one of the following, in a thread of its own. Raises NoStatistics."""
        with self._start_lock:
            if self._busy.locked():
                raise NoStatistics(BUSY)
            if (seconds := self._not_before - time.monotonic()) > 0:
                raise NoStatistics(f"That was made a moment ago; ask again in {seconds:.0f} s.")
            self._not_before = time.monotonic() + AGAIN_SECONDS
        try:
            threading.Thread(target=work, name="statistics", daemon=True).start()
        except RuntimeError:  # can't start new thread
            raise NoStatistics("The server has no thread left for that; try again later.") from None

    def close(self) -> None:
        """End the process, if there is one."""
        self._closed = True
        if process := self._process:
            process.kill()

    def summary(self) -> Iterator[str]:
        """A line for each of PERIODS. Raises NoStatistics."""
        with self._alone():
            numbers: dict[str, Any] = json.loads(self._run("--json"))
        now = time.time()
        for name, minutes in PERIODS:
            yield f"{name}: {_period(numbers, minutes, now).sentence('person', 'people')}"

    def plot(self) -> Path:
        """Write the report beside the history; the path of its first picture. Raises NoStatistics."""
        with self._alone():
            folder = self._history.with_name("history-report")
            self._run("--out", str(folder))
            return folder / PLOT

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._busy.acquire(blocking=False):
            raise NoStatistics(BUSY)
        self._until = time.monotonic() + SECONDS
        try:
            yield
        finally:
            self._not_before = time.monotonic() + AGAIN_SECONDS
            self._busy.release()

    def _run(self, *arguments: str) -> str:
        """The output of analytics. Raises NoStatistics."""
        command = [sys.executable, "-m", "analytics", str(self._history), *arguments]
        try:
            with subprocess.Popen(
                command,
                cwd=_PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                creationflags=OWN_GROUP,
            ) as process:
                self._process = process
                _limit(process.pid)
                return self._output(process)
        except OSError as error:
            raise NoStatistics(
                f"Analytics could not be started: {error.strerror}.", for_guests=False
            ) from None
        finally:
            self._process = None

    def _output(self, process: subprocess.Popen[str]) -> str:
        if self._closed:
            process.kill()
        try:
            output, errors = process.communicate(timeout=max(0, self._until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            raise NoStatistics(
                f"That took more than {SECONDS} seconds; try python3 -m analytics instead."
            ) from None
        if process.returncode:
            raise NoStatistics((errors.strip() or "Analytics failed.").splitlines()[-1], for_guests=False)
        return output


def _period(numbers: dict[str, Any], minutes: int | None, now: float) -> Period:
    """The last minutes, or all of it, counted as `Counters` does, but people instead of names."""
    if minutes is None:
        most = numbers["messages_per_minute"]
        busiest = (most["busiest"] or "").removesuffix("Z")
        return Period(numbers["messages"], numbers["people"], numbers["minutes"], most["max"], busiest)
    first = first_minute(minutes, now)
    counts = {minute: said for minute, said in numbers["series"]["minute"].items() if minute >= first}
    people = sum(person["last"] >= first for person in numbers["by_person"])
    busiest = max(counts, key=lambda minute: counts[minute], default="").removesuffix("Z")
    return Period(sum(counts.values()), people, minutes, max(counts.values(), default=0), busiest)


def _limit(pid: int) -> None:
    """Yield to those who chat, and leave them the memory, if the system has such limits."""
    if sys.platform == "win32":
        return
    import resource

    with contextlib.suppress(OSError, ValueError):
        os.setpriority(os.PRIO_PROCESS, pid, NICE)
        if sys.platform == "linux":
            resource.prlimit(pid, resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
