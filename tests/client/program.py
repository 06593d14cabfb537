"""The client as a program: started, fed and read by tests."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import TCP_client
from tests.harness import DEADLINE, Client
from tests.terminal import client_command, environment

POSIX_ONLY = ("fcntl", "termios", "pwd", "grp", "resource", "pty", "tty", "readline", "syslog", "curses")
WELCOME = "2026-11-21T10:15:42.000Z\t-\tserver\t/hello\tWelcome.\n"
IN = (
    "2026-11-21T10:15:42.000Z\t-\tserver\t/session\tT 0 0\n2026-11-21T10:15:42.000Z\t127.0.0.1\tbot\tjoin\t\n"
)

Join = Callable[..., Client]


def run(
    tmp_path: Path, said: str, *arguments: str, command: list[str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A client in a pipe, from its start to its end."""
    return subprocess.run(
        [*(command or client_command()), *arguments],
        input=said,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE,
        env=environment(tmp_path),
        check=False,
    )


def says(*pieces: str | bytes) -> Callable[[socket.socket], None]:
    """An answer that sends this and hangs up when the client does or a moment later."""

    def answer(connection: socket.socket) -> None:
        for piece in pieces:
            connection.sendall(piece.encode() if isinstance(piece, str) else piece)
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(1)
        while connection.recv(65536):
            pass

    return answer


# The same client with less patience, so that the tests need less.
HASTY = """
TCP_client.FIRST_PAUSE = TCP_client.LONGEST_PAUSE = 0.05
TCP_client.SILENCE_SECONDS = 1
TCP_client.TURNED_AWAY_TRIES = 1000
"""


def wait_for_lines(lines: list[str], count: int) -> None:
    """Wait until more lines than this have come."""
    deadline = time.monotonic() + DEADLINE
    while len(lines) <= count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def until(stream: IO[str], text: str) -> str:
    """Read lines up to the one that has the text; all of them."""
    read = ""
    for line in stream:
        read += line
        if text in line:
            return read
    raise AssertionError(f"no {text!r} in {read!r}")


def texts_of(history: Path) -> list[str]:
    """The texts of the messages in a history."""
    records = map(TCP_client.parse, history.read_bytes().splitlines(keepends=True))
    return [record.text for record in records if record and record.kind == "message"]
