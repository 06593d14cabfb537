"""Statistics of the history, computed by analytics in its own process: the chat never waits for it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chat import record

PERIODS = (("the last hour", 3600), ("the last day", 86400), ("all of it", None))
SECONDS = 60  # for one whole answer: enough for about ten million records
PLOT = "messages-per-minute.png"  # one of the pictures of the report

_PROJECT = Path(__file__).parent.parent.parent


class NoStatistics(Exception):
    """There are no statistics now; the message says why and what to do, in one sentence."""


class Statistics:
    """What analytics says about a history. One process at a time; a second request meanwhile is refused."""

    def __init__(self, history: Path) -> None:
        self._history = history
        self._busy = threading.Lock()  # held while a request is answered; guards the next
        self._until = 0.0  # deadline of the answer

    def summary(self) -> list[str]:
        """A line for each of PERIODS. Raises NoStatistics."""
        with self._alone():
            return [f"{name}: {_sentence(self._numbers(seconds))}" for name, seconds in PERIODS]

    def plot(self) -> Path:
        """Write the report beside the history; the path of its first picture. Raises NoStatistics."""
        with self._alone():
            folder = self._history.with_name("history-report")
            self._run("--out", str(folder))
            return folder / PLOT

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._busy.acquire(blocking=False):
            raise NoStatistics("Statistics are already being computed; try again in a moment.")
        self._until = time.monotonic() + SECONDS
        try:
            yield
        finally:
            self._busy.release()

    def _numbers(self, seconds: int | None) -> Any:
        since = [] if seconds is None else ["--since", record.format_time(time.time() - seconds)]
        return json.loads(self._run("--json", *since))

    def _run(self, *arguments: str) -> str:
        """The output of analytics. Raises NoStatistics."""
        command = [sys.executable, "-m", "analytics", str(self._history), *arguments]
        try:
            ended = subprocess.run(
                command,
                cwd=_PROJECT,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                timeout=max(0, self._until - time.monotonic()),
            )
        except subprocess.TimeoutExpired:
            raise NoStatistics(
                f"That took more than {SECONDS} seconds; try python3 -m analytics instead."
            ) from None
        except OSError as error:
            raise NoStatistics(f"Analytics could not be started: {error.strerror}.") from None
        if ended.returncode:
            raise NoStatistics((ended.stderr.strip() or "Analytics failed.").splitlines()[-1])
        return ended.stdout


def _sentence(numbers: Any) -> str:
    messages, per_minute = numbers["messages"], numbers["messages_per_minute"]
    if not messages:
        return "no messages"
    return (
        f"{messages} messages by {numbers['people']} people, {per_minute['mean']:.1f} a minute over "
        f"{numbers['minutes']} minutes, at most {per_minute['max']} ({per_minute['busiest']})"
    )
