"""Run as `python3 -m tests.measure.streams [COUNT]`: event streams beside as many line connections.

One server, in turn: COUNT line connections alone; as many event streams beside them; the lines alone again.
Each time 20 messages a second are timed, and then a flood is sent to everybody. Prints a table.

The listeners are all in this one process. So only some of each kind are read and timed as messages come; the
others take them into their sockets' buffers, and are read afterwards: each has to have got all of it.
"""

from __future__ import annotations

import os
import resource
import selectors
import socket
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.harness import DEADLINE, Client, Server, serving
from tests.measure.stopped_reader import memory
from tests.web import Page

RATE = 20  # messages a second
SECONDS = 10
REST_SECONDS = 20  # longer than between two signs of life
TIMED = 50  # listeners of each kind
FLOOD = 10_000  # messages
AT_ONCE = 64  # that connect at the same time
OPTIONS = ("--rate", "0", "--max-per-address", "0", "--max-clients", "0", "--log-level", "error")

Listeners = dict[str, list[socket.socket]]  # by kind


def processor_seconds(server: Server) -> float:
    """What the server has used of a processor so far."""
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def latencies(speaker: Client, timed: Listeners) -> dict[str, list[float]]:
    """Milliseconds from the sending of each message to its arrivals, by kind of listener."""
    found: dict[str, list[float]] = {kind: [] for kind in timed}
    began = time.monotonic()
    sent = 0
    with selectors.DefaultSelector() as ready:
        for kind, sockets in timed.items():
            for each in sockets:
                ready.register(each, selectors.EVENT_READ, kind)
        while time.monotonic() < began + SECONDS + 1:
            if sent < RATE * SECONDS and time.monotonic() >= began + sent / RATE:
                speaker.send(f"at {time.monotonic()}")
                sent += 1
            for key, _ in ready.select(0.002):
                received = key.fileobj.recv(65536)  # type: ignore[union-attr]
                now = time.monotonic()
                for part in received.split(b"\tat ")[1:]:
                    found[key.data].append((now - float(part.split(b"\n")[0])) * 1000)
    return found


def read_to(mark: bytes, listeners: Listeners) -> dict[str, float]:
    """Read until everybody has got the mark; when the last one of each kind had."""
    last: dict[str, float] = {}
    waiting = {kind: len(sockets) for kind, sockets in listeners.items()}
    tails: dict[socket.socket, bytes] = {}
    until = time.monotonic() + 4 * DEADLINE
    with selectors.DefaultSelector() as ready:
        for kind, sockets in listeners.items():
            for each in sockets:
                ready.register(each, selectors.EVENT_READ, kind)
        while any(waiting.values()):
            assert time.monotonic() < until, f"{waiting} did not get everything"
            for key, _ in ready.select(1):
                connection: socket.socket = key.fileobj  # type: ignore[assignment]
                received = connection.recv(1 << 18)
                assert received, f"one of the {key.data} was lost"
                tails[connection] = tails.get(connection, b"")[-100:] + received[-200:]
                if mark in tails[connection]:
                    ready.unregister(connection)
                    waiting[key.data] -= 1
                    last[key.data] = time.monotonic()
    return last


def measure(server: Server, what: str, listeners: Listeners) -> None:
    """Print what messages at RATE, and a flood, do to these listeners."""
    speaker = Client(server.port, "speaker", "/replay 0")
    speaker.send(f"begin {what}.")
    read_to(f"begin {what}.".encode(), listeners)
    before = processor_seconds(server)
    found = latencies(speaker, {kind: sockets[:TIMED] for kind, sockets in listeners.items()})
    used = (processor_seconds(server) - before) / (SECONDS + 1)
    speaker.send(f"flood {what}.")
    read_to(f"flood {what}.".encode(), listeners)
    flood = memoryview("".join(f"{n:032}\n" for n in range(FLOOD)).encode() + f"end {what}.\n".encode())
    began = time.monotonic()
    with ThreadPoolExecutor(1) as sender:
        sender.submit(speaker.socket.sendall, flood)
        ends = read_to(f"end {what}.".encode(), listeners | {"speaker": [speaker.socket]})
    for kind, times in found.items():
        assert len(times) == TIMED * RATE * SECONDS, f"{len(times)} messages arrived at {TIMED} {kind}"
        p50, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
        deliveries = FLOOD * len(listeners[kind]) / (ends[kind] - began)
        print(f"{what:14} {kind:8} {p50:7.1f} {p99:7.1f} {used:8.0%} {deliveries / 1e6:10.2f} M")
    speaker.close()


def main() -> int:
    """Returns the exit code: 0 if every message reached everybody."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder) / "history.txt", *OPTIONS) as server,
        ThreadPoolExecutor(AT_ONCE) as crowd,
    ):

        def line(number: int) -> Client:
            return Client(server.port, f"line{number}", "/replay 0")

        def page(number: int) -> Page:
            page = Page(server.port, f"page{number}", replay=0, browser=str(number))
            page.listen()
            return page

        empty, began = memory(server), time.monotonic()
        lines = list(crowd.map(line, range(count)))
        connected, with_lines = time.monotonic() - began, memory(server)
        print(f"{count} lines:   {with_lines - empty:5.1f} MB, connected within {connected:.1f} s")
        sockets = {"lines": [each.socket for each in lines]}
        print(f"{'':24}p50 ms  p99 ms     CPU  deliveries/s")
        measure(server, "lines alone", sockets)

        before, began = memory(server), time.monotonic()
        pages = list(crowd.map(page, range(count)))
        connected, with_streams = time.monotonic() - began, memory(server)
        sockets["streams"] = [each.stream.socket for each in pages if each.stream]
        measure(server, "both", sockets)
        used = processor_seconds(server)
        time.sleep(REST_SECONDS)
        used = (processor_seconds(server) - used) / REST_SECONDS

        for each in pages:
            each.close()
        del sockets["streams"]
        measure(server, "lines again", sockets)
        print(
            f"{count} streams: {with_streams - before:5.1f} MB,"
            f" {(with_streams - before) / (with_lines - empty):.2f} x; connected within {connected:.1f} s"
        )
        print(f"processor time of all at rest: {used:.1%}")
        for client in lines:
            client.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
