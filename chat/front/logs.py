"""The server's own log, on standard error."""

from __future__ import annotations

import atexit
import logging
import logging.handlers
import queue
import sys
from typing import TextIO

LOG_LINES = 1000  # that can wait to be written


def log_to_standard_error(level: str) -> None:
    """Log from a thread of its own: a stopped terminal holds up nobody, but loses lines."""
    logging.raiseExceptions = False
    lines: queue.Queue[logging.LogRecord] = queue.Queue(LOG_LINES)
    output = _StandardError()
    output.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    logging.getLogger().setLevel(level)
    logging.getLogger().addHandler(logging.handlers.QueueHandler(lines))
    listener = logging.handlers.QueueListener(lines, output)
    listener.start()
    atexit.register(listener.stop)


class _StandardError(logging.StreamHandler[TextIO]):
    """Logs to the current sys.stderr: the console redirects it above the line that is being typed."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        pass
