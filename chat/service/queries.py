"""Questions about a long history, answered by a separate process: nobody waits for another's search.

    Queries.ask  --one line of JSON-->  python -m chat.service.reader PATH
                 <--one line of JSON--

The questions are described in reader.py. If the process dies, `ask` raises Unavailable until it has been
restarted, and the caller has to make do without.
"""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

READY_SECONDS = 0.05  # for a process that has just started; until it answers, callers make do without
ANSWER_SECONDS = 5.0  # an answer takes milliseconds; a process that has not answered by then is killed
# At the host's console Ctrl-C may only empty the line, and Windows gives it to each process of the group.
OWN_GROUP: int = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
AGAIN_SECONDS = 10.0  # between two starts of a process that dies

log = logging.getLogger("chat.service.queries")

_PROJECT = Path(__file__).parent.parent.parent


class Unavailable(Exception):
    """There is no answer at the moment."""


class Queries:
    """The process. Thread-safe; one question at a time."""

    def __init__(self, history: Path) -> None:
        self._history = history
        self._turn = threading.Lock()  # guards the process; held while a question is answered
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.Queue[bytes] = queue.Queue()
        self._ready = False  # it has said its first word
        self._not_before = 0.0
        self._closed = False

    def start(self) -> None:
        """Start reading the history, so that the first question need not wait."""
        with self._turn, contextlib.suppress(Unavailable):
            self._running()

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """The answer. Raises Unavailable."""
        with self._turn:
            process = self._running()
            assert process.stdin
            self._wait_until_ready()
            try:
                process.stdin.write(json.dumps(question).encode() + b"\n")
                process.stdin.flush()
                answer = self._answers.get(timeout=ANSWER_SECONDS)
            except (OSError, queue.Empty):
                answer = b""
            if not answer:
                log.error(
                    "the process that answers questions about the history has failed, and will be restarted"
                )
                self._end()
                raise Unavailable
        found: dict[str, Any] = json.loads(answer)
        if "failed" in found:
            raise Unavailable(found["failed"])
        return found

    def close(self) -> None:
        """End the process."""
        self._closed = True
        if process := self._process:
            process.kill()  # whoever is asking gets Unavailable
        with self._turn:
            self._end()

    # ----- requires holding the turn

    def _running(self) -> subprocess.Popen[bytes]:
        """The process, started if it isn't running. Raises Unavailable."""
        if self._process and self._process.poll() is None:
            return self._process
        self._end()
        if self._closed or time.monotonic() < self._not_before:
            raise Unavailable
        self._not_before = time.monotonic() + AGAIN_SECONDS
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "chat.service.reader", str(self._history)],
                cwd=_PROJECT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                creationflags=OWN_GROUP,
            )
            self._answers, self._ready = queue.Queue(), False
            threading.Thread(
                target=_collect, args=(self._process.stdout, self._answers), name="queries", daemon=True
            ).start()
        except (OSError, RuntimeError) as error:  # RuntimeError: can't start new thread
            self._end()
            raise Unavailable from error
        return self._process

    def _wait_until_ready(self) -> None:
        """Raises Unavailable."""
        with contextlib.suppress(queue.Empty):
            self._ready = self._ready or bool(self._answers.get(timeout=READY_SECONDS))
        if not self._ready:
            raise Unavailable

    def _end(self) -> None:
        process, self._process = self._process, None
        if process:
            process.kill()
            process.wait()
            assert process.stdin
            with contextlib.suppress(OSError):
                process.stdin.close()


def _collect(output: IO[bytes], answers: queue.Queue[bytes]) -> None:
    """The thread that receives answers; ends with the process."""
    with output:
        for line in output:
            answers.put(line)
    answers.put(b"")
