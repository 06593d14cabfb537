"""The server's log: a stopped standard error holds up nobody."""

from __future__ import annotations

import subprocess
import sys

from tests.harness import DEADLINE, ROOT

_PROGRAM = """
import logging
from chat.front.logs import LOG_LINES, log_to_standard_error
finish = log_to_standard_error("INFO")
for number in range(20 * LOG_LINES):
    logging.getLogger("chat").info("%d %s", number, "x" * 1000)
print("went on", flush=True)
input()
finish()
"""


def test_a_stopped_terminal_holds_up_nobody() -> None:
    command = [sys.executable, "-c", _PROGRAM]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, cwd=ROOT, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == b"went on\n"  # though nobody reads its standard error
        _, logged = process.communicate(b"\n", DEADLINE)
        assert b" 0 x" in logged
