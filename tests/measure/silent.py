"""`python3 -m tests.measure.silent CONNECTIONS [http]`: what silent connections cost, and who notices.

Each opens, reads the greeting and waits to be turned away. With `http`, each begins a request and does not
end it. tests/system/test_hostile.py runs a few.
"""

from __future__ import annotations

import resource
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.harness import DEADLINE, Client, Server, serving
from tests.measure.stopped_reader import memory

WORDS = 500
HALF_OPEN = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"


def connect(server: Server, count: int, first: bytes = b"") -> list[socket.socket]:
    """This many connections, all greeted; or those that have sent these bytes."""
    silent = []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", server.port), DEADLINE)
        if first:
            connection.sendall(first)
        else:
            assert b"/hello" in connection.recv(4096)
        silent.append(connection)
    return silent


def echoes(server: Server) -> list[float]:
    """The echo times of some words, in milliseconds."""
    alice = Client(server.port, "alice", "/replay 0")
    latencies = []
    for number in range(WORDS):
        began = time.monotonic()
        alice.send(str(number))
        alice.until("message", str(number))
        latencies.append((time.monotonic() - began) * 1000)
    alice.close()
    return latencies


def main() -> int:
    """The exit code: 0 if each was told why it was refused."""
    count = int(sys.argv[1])
    first, told_by = (HALF_OPEN, b" 408 ") if sys.argv[2:] == ["http"] else (b"", b"/error")
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    options = ("--rate", "0", "--max-per-address", "0", "--max-clients", "0", "--log-level", "error")
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder) / "history.txt", *options) as server,
    ):
        before = memory(server)
        silent = connect(server, count, first)
        latencies = echoes(server)
        during = memory(server)
        told = 0
        for connection in silent:
            with connection:
                told += told_by in connection.recv(4096)
        after = memory(server)
    print(
        f"{count} silent connections took {during - before:.0f} MiB; {after - before:.0f} when they had gone."
    )
    print(f"An echo meanwhile: p50 {statistics.median(latencies):.2f} ms, ", end="")
    print(f"p99 {statistics.quantiles(latencies, n=100)[98]:.2f} ms.")
    print(f"{told} were told why they were turned away.")
    return 0 if told == count else 1


if __name__ == "__main__":
    sys.exit(main())
