"""Run as `python3 -m tests.measure.streams [COUNT]`: event streams beside as many line connections.

Prints, for each kind: memory, and the latency of messages at 20 a second; and the processor time at rest.
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
from pathlib import Path

from tests.harness import Client, Server, serving
from tests.measure.stopped_reader import memory
from tests.web import EventStream, Page

RATE = 20  # messages a second
SECONDS = 10
REST_SECONDS = 5
OPTIONS = ("--rate", "0", "--max-per-address", "0", "--max-clients", "0", "--log-level", "error")


def processor_seconds(server: Server) -> float:
    """What the server has used of a processor so far."""
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def latencies(server: Server, kinds: dict[socket.socket, str]) -> dict[str, list[float]]:
    """Milliseconds from the sending of each message to each of its arrivals, by kind of listener."""
    found: dict[str, list[float]] = {kind: [] for kind in kinds.values()}
    speaker = Client(server.port, "speaker", "/replay 0")
    began = time.monotonic()
    sent, many = 0, RATE * SECONDS
    with selectors.DefaultSelector() as ready:
        for each, kind in kinds.items():
            each.setblocking(False)
            ready.register(each, selectors.EVENT_READ, kind)
        while time.monotonic() < began + SECONDS + 2:
            if sent < many and time.monotonic() >= began + sent / RATE:
                speaker.send(f"at {time.monotonic()}")
                sent += 1
            for key, _ in ready.select(0.002):
                received = key.fileobj.recv(65536)  # type: ignore[union-attr]
                now = time.monotonic()
                for part in received.split(b"\tat ")[1:]:
                    found[key.data].append((now - float(part.split(b"\n")[0])) * 1000)
    speaker.close()
    return found


def main() -> int:
    """Returns the exit code: 0 if every message reached everybody."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "history.txt", *OPTIONS) as server:
        empty = memory(server)
        kinds: dict[socket.socket, str] = {}
        lines = [Client(server.port, f"line{n}", "/replay 0") for n in range(count)]
        with_lines = memory(server)
        pages: list[EventStream] = []
        for n in range(count):
            page = Page(server.port, f"page{n}", replay=0, browser=str(n))
            pages.append(page.listen())
        with_streams = memory(server)
        print(f"memory of {count}: lines {with_lines - empty} MB, streams {with_streams - with_lines} MB")
        time.sleep(1)  # for the last joins to have reached everybody
        before = processor_seconds(server)
        time.sleep(REST_SECONDS)
        print(f"processor time at rest: {(processor_seconds(server) - before) / REST_SECONDS:.1%}")
        for line in lines:
            kinds[line.socket] = "lines"
        for stream in pages:
            kinds[stream.socket] = "streams"
        before = processor_seconds(server)
        found = latencies(server, kinds)
        print(f"processor time at {RATE}/s: {(processor_seconds(server) - before) / SECONDS:.0%}")
        for kind, times in found.items():
            print(
                f"{kind}: {len(times)} deliveries, p50 {statistics.median(times):.1f} ms, "
                f"p99 {statistics.quantiles(times, n=100)[98]:.1f} ms"
            )
        for line in lines:
            line.close()
        for stream in pages:
            stream.close()
    return 0 if all(len(times) == count * RATE * SECONDS for times in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
