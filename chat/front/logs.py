"""The server's own log, on standard error."""

from __future__ import annotations

import contextlib
import functools
import logging
import logging.handlers
import queue
import sys
import threading
from collections.abc import Callable
from typing import TextIO

LOG_LINES = 1000  # that can wait to be written
FINISH_SECONDS = 1.0  # for the last lines to be written


def log_to_standard_error(level: str) -> Callable[[], None]:
    """Log from a thread of its own: a stopped terminal holds up nobody, but loses lines.

    Returns what writes the last lines.
    """
    logging.raiseExceptions = False
    lines: queue.Queue[logging.LogRecord | None] = queue.Queue(LOG_LINES)
    output = _StandardError()
    output.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    logging.getLogger().setLevel(level)
    logging.getLogger().addHandler(logging.handlers.QueueHandler(lines))
    writer = threading.Thread(target=_write, args=(lines, output), name="log", daemon=True)
    writer.start()
    return functools.partial(_finish, lines, writer)


def _write(lines: queue.Queue[logging.LogRecord | None], output: logging.Handler) -> None:
    """The thread that writes the log; ends with the program, or as soon as nobody can read it."""
    while line := lines.get():
        output.handle(line)


def _finish(lines: queue.Queue[logging.LogRecord | None], writer: threading.Thread) -> None:
    """Write what is left, if somebody reads it: the server ends even if nobody does."""
    with contextlib.suppress(queue.Full):
        lines.put_nowait(None)
    writer.join(FINISH_SECONDS)


class _StandardError(logging.StreamHandler[TextIO]):
    """Logs to the current sys.stderr: the console redirects it above the line that is being typed."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        pass
