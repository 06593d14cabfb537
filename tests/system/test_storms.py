"""Every command of the table, by forty clients as fast as they can, half of whom read nothing.

Whatever a command does, somebody else's words come back at once and the server's memory stays where it is.
The bounds are wide, for machines that do much else; tests.measure.fairness measures how it really is.
"""

from __future__ import annotations

import contextlib
import socket
import statistics
import sys
import threading
import time
from pathlib import Path

import pytest

from chat import record
from chat.service.commands import TABLE, Command
from tests.harness import DEADLINE, Client, Server, reset, serving

CLIENTS = 40
LINES = 300  # from each of them: more than its budget has room for
WORDS = 15
ECHO_SECONDS = 0.1  # the median of the words
LONGEST_SECONDS = 2.0
MEMORY = 60_000_000

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")

# What stands for the arguments in the table.
ARGUMENTS = {
    "N": "1000",
    "COMMAND": "help",
    "NAME": "honest",
    "WORDS": "a b",
    "full": "",
    "PASSWORD": "guess",
}


def typed(command: Command) -> str:
    words = command.arguments.replace("[", "").replace("]", "").split()
    return " ".join([f"/{command.name}", *(ARGUMENTS.get(word, word) for word in words)])


def memory(server: Server) -> int:
    """Bytes that are no file's."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon"))


class Crowd:
    """Forty clients of one address; the first half of them read."""

    def __init__(self, port: int) -> None:
        self.clients = [
            Client(port, f"crowd{number}", "/replay 0", source="127.0.0.2") for number in range(CLIENTS)
        ]
        self._readers = [
            threading.Thread(target=self._read, args=(client.socket,))
            for client in self.clients[: CLIENTS // 2]
        ]
        for reader in self._readers:
            reader.start()

    def send(self, line: str) -> None:
        """Each sends the line as often as its socket takes it."""
        lines = f"{line}\n".encode() * LINES
        for client in self.clients:
            client.socket.settimeout(0.01)
            with contextlib.suppress(OSError):
                client.socket.send(lines)
            client.socket.settimeout(None)

    def close(self) -> None:
        """They are gone, with whatever they have not read."""
        for client in self.clients:
            with contextlib.suppress(OSError):
                client.socket.shutdown(socket.SHUT_RDWR)
        for reader in self._readers:
            reader.join(DEADLINE)
        for client in self.clients:
            reset(client)

    @staticmethod
    def _read(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while connection.recv(1 << 16):
                pass


@pytest.mark.parametrize("command", TABLE, ids=lambda command: command.name)
def test_a_storm_of_a_command_harms_nobody(command: Command, history_path: Path) -> None:
    said = record.draft("10.0.0.1", "old", "message", "a b " + "c" * 300)
    history_path.write_bytes(record.stamp("2026-01-01T00:00:00.000Z", said * 10_000))
    with serving(history_path, "--log-level", "error") as server:
        honest = Client(server.port, "honest", "/replay 0")
        crowd = Crowd(server.port)
        before, seconds = memory(server), []
        crowd.send(typed(command))
        for number in range(WORDS):
            began = time.monotonic()
            honest.send(f"word {number}")
            honest.until("message", f"word {number}", "honest")
            seconds.append(time.monotonic() - began)
        grown = memory(server) - before
        crowd.close()
        honest.close()
    assert statistics.median(seconds) < ECHO_SECONDS
    assert max(seconds) < LONGEST_SECONDS
    assert grown < MEMORY
