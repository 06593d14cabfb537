"""`python3 -m tests.measure.stopped_reader MEGABYTES`: what a stopped reader costs the others.

So many megabytes go by without and with the stopped one, by turns; then it reads on.
tests/system/test_hostile.py runs a small one.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.faults.server import FaultyServer
from tests.harness import Client, Server, serving

LINES = ["x" * 4000] * 250  # 1 MB
PACE_SECONDS = 0.05  # 20 MB/s: latency under a sustainable load, not at the limit of this machine
PROBE_SECONDS = 0.02
PASSAGES = 3


@dataclass(frozen=True)
class Figures:
    """One passage: echo latencies in milliseconds, and the server's memory in MiB before and after."""

    p50: float
    p99: float
    before: float
    after: float


def memory(server: Server | FaultyServer) -> float:
    """The server's memory, in MiB."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def pass_by(server: Server, megabytes: int) -> Figures:
    """Send this much, while another client measures its echoes."""
    before = memory(server)
    latencies: list[float] = []
    over = threading.Event()
    prober = threading.Thread(target=_probe, args=(server, over, latencies))
    flood = Client(server.port, "flood", "/replay 0")
    prober.start()
    try:
        for number in range(megabytes):
            time.sleep(PACE_SECONDS)
            flood.send(*LINES, f"flood {number}")
            while flood.next().text != f"flood {number}":
                pass
            flood.records.clear()
            flood.received.clear()
    finally:
        over.set()
        prober.join()
        flood.close()
    return Figures(
        statistics.median(latencies), statistics.quantiles(latencies, n=100)[98], before, memory(server)
    )


def _probe(server: Server, over: threading.Event, latencies: list[float]) -> None:
    """Say a word now and then, and record the milliseconds to its echo."""
    probe = Client(server.port, "probe", "/replay 0")
    while not over.wait(PROBE_SECONDS):
        began = time.monotonic()
        probe.send(f"probe {began}")
        while probe.next().text != f"probe {began}":
            pass
        latencies.append((time.monotonic() - began) * 1000)
        probe.records.clear()
        probe.received.clear()
    probe.close()


def stop_reading(server: Server) -> tuple[Client, int]:
    """A client that reads no further than its own join, and the offset at which that ends."""
    stopped = Client(server.port, "stopped", "/replay 0")
    join = stopped.received.splitlines(keepends=True)[-1]
    with server.history.open("rb") as history:
        start = max(0, history.seek(0, 2) - len(join) - 10_000)  # earlier members may have left since
        history.seek(start)
        return stopped, start + history.read().rindex(join) + len(join)


def catch_up(stopped: Client, server: Server, offset: int) -> bool:
    """Let the stopped client read on; whether it gets every byte of the file from the offset on."""
    with server.history.open("rb") as file:
        file.seek(offset)
        for line in file:
            if stopped.next().encode() != line:
                return False
            stopped.records.clear()
            stopped.received.clear()
    return True


def main() -> int:
    """The exit code: 0 if the stopped clients lost nothing."""
    megabytes = int(sys.argv[1])
    complete = True
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder) / "history.txt", "--rate", "0") as server,
    ):
        pass_by(server, 20)  # warm
        for _ in range(PASSAGES):  # alternately, so that other load on the machine affects both
            print("without:", pass_by(server, megabytes), flush=True)
            stopped, offset = stop_reading(server)
            print("with:   ", pass_by(server, megabytes), flush=True)
            complete = catch_up(stopped, server, offset) and complete
            stopped.close()
    print("the stopped ones then got", "everything in order" if complete else "SOMETHING ELSE")
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
