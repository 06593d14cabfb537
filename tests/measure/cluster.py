"""What a cluster costs: `python3 -m tests.measure.cluster [PART ...]`: latency, growth, start, faults.

Everything runs on this machine: three engine nodes, up to three servers, the people and what measures them.
So every figure shares the machine's processors with all the rest; ratios within one run say more.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import nats

from chat import record
from chat.log.engine import Address, Engine
from tests.clusters import Cluster, ClusterServer, cluster
from tests.faults import cluster as faults
from tests.harness import ROOT, Client, Server

SAMPLES = 500
LISTENERS = 50  # at each server
FLOOD_SECONDS = 5.0
TEXT = "x" * 100
GIGABYTE = 1_000_000_000
PATIENCE = 60.0  # seconds without anything new, after which a flood counts as stuck
TICKS = os.sysconf("SC_CLK_TCK")


# ------------------------------------------------------------------------------------------------ latency


def latency() -> None:
    """From speaker to a listener at another server, beside the engine's own acknowledged publish."""
    with _started(2) as (chat, (a, b)):
        alice, bob = Client(a.port, "alice"), Client(b.port, "bob")
        publishes, messages = [], []
        for _ in range(5):  # in turn, so that both meet the same machine
            publishes += asyncio.run(_publishes(chat, SAMPLES // 5))
            messages += [_message(alice, bob, number) for number in range(SAMPLES // 5)]
        alice.close()
        bob.close()
    print("| | p50 | p99 |\n| --- | --- | --- |")
    for what, seconds in (("acknowledged publish", publishes), ("speaker to listener elsewhere", messages)):
        print(f"| {what} | {_ms(seconds, 50)} | {_ms(seconds, 99)} |")
    ratio = statistics.median(messages) / statistics.median(publishes)
    print(f"\nratio of the medians: {ratio:.2f}\n", flush=True)


async def _publishes(chat: Cluster, count: int) -> list[float]:
    client = await nats.connect(chat.engine.urls.split(","))
    try:
        jetstream = client.jetstream()
        with contextlib.suppress(nats.js.errors.BadRequestError):
            await jetstream.add_stream(name="MEASURE", subjects=["measure"], num_replicas=3)
        seconds = []
        for _ in range(count):
            begun = time.perf_counter()
            await jetstream.publish("measure", TEXT.encode())
            seconds.append(time.perf_counter() - begun)
        return seconds
    finally:
        await client.close()


def _message(speaker: Client, listener: Client, number: int) -> float:
    begun = time.perf_counter()
    speaker.send(f"{number} {TEXT}")
    listener.until("message", f"{number} {TEXT}")
    return time.perf_counter() - begun


def _ms(seconds: list[float], percent: int) -> str:
    return f"{statistics.quantiles(seconds, n=100)[percent - 1] * 1000:.2f} ms"


# ------------------------------------------------------------------------------------------------- growth


def growth() -> None:
    """Deliveries a second of one flood to the listeners at one, two and three servers."""
    print(
        "| servers | listeners | deliveries/s | processors: servers | engine | listeners "
        "| deliveries per processor-second of servers and engine |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for count in (1, 2, 3):
        with _started(count) as (chat, servers):
            print(_flood(chat, servers), flush=True)
    print()


def _flood(chat: Cluster, servers: list[ClusterServer]) -> str:
    """One row of the table: a speaker at the first server, listeners at all of them."""
    sinks = [_sink(server) for server in servers]
    for sink in sinks:
        assert sink.stdout
        sink.stdout.readline()  # all are in
    processes = [[s.pid for s in servers], [n.pid for n in chat.engine.nodes], [s.pid for s in sinks]]
    before = [_processor_seconds(pids) for pids in processes]
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", servers[0].port)) as speaker:
        speaker.sendall(b"/replay 0\nspeaker\n")
        threading.Thread(target=_drain, args=(speaker,), daemon=True).start()
        sent = 0
        lines = (TEXT + "\n").encode() * 100
        while time.monotonic() - begun < FLOOD_SECONDS:
            speaker.sendall(lines)
            sent += 100
        speaker.sendall(b"the end\n")
        counted = []
        for sink in sinks:
            assert sink.stdout
            counted.append([float(field) for field in sink.stdout.readline().split()])
    seconds = max(ended for _, ended in counted) - begun
    used = [(_processor_seconds(pids) - b) / seconds for pids, b in zip(processes, before, strict=True)]
    for sink in sinks:
        sink.wait()
        assert sink.stdout
        sink.stdout.close()
    deliveries = sum(lines for lines, _ in counted)
    if deliveries < sent * LISTENERS * len(servers):
        raise AssertionError("a message was not delivered to everybody")
    return (
        f"| {len(servers)} | {LISTENERS * len(servers)} "
        f"| {deliveries / seconds:,.0f} | "
        + " | ".join(f"{share:.2f}" for share in used)
        + f" | {deliveries / seconds / (used[0] + used[1]):,.0f} |"
    )


def _drain(connection: socket.socket) -> None:
    """Read what the speaker hears: closing with something unread would take back what it said last."""
    with contextlib.suppress(OSError):
        while connection.recv(1 << 20):
            pass


def _sink(server: Server) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.measure.cluster", "--sink", str(server.port)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def _be_a_sink(port: int) -> None:
    """Listen with LISTENERS connections; say when all are in, and how many records came, up to `the end`."""
    connections = []
    for number in range(LISTENERS):
        client = Client(port, f"l{port}-{number}", "/replay 0")
        client.socket.setblocking(False)
        connections.append(client.socket)
    print("in", flush=True)
    poll = select.epoll()
    by_fd = {each.fileno(): each for each in connections}
    for fd in by_fd:
        poll.register(fd, select.EPOLLIN)
    lines, open_, ends = 0, set(by_fd), dict.fromkeys(by_fd, b"")
    while open_:
        ready = poll.poll(PATIENCE)
        if not ready:
            break
        for fd, _ in ready:
            data = by_fd[fd].recv(1 << 18)
            lines += data.count(b"\n")
            if not data or b"\tthe end\n" in ends[fd] + data:
                poll.unregister(fd)
                open_.discard(fd)
            ends[fd] = data[-64:]
    print(lines, time.monotonic(), flush=True)


def _processor_seconds(pids: list[int]) -> float:
    """What these processes have used of the processors until now."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


# -------------------------------------------------------------------------------------------------- start


def start() -> None:
    """A chat that begins with a history of 1 GB: the first server, a new one, and one that was away."""
    with tempfile.TemporaryDirectory(prefix="cluster-") as name, cluster(Path(name), nodes=3) as chat:
        (chat.folder / "a").mkdir()
        _write_history(chat.folder / "a" / "history.txt", GIGABYTE)
        print("| 1 GB of history | seconds until the port is open |\n| --- | --- |")
        a = _timed(chat, "a", "the first server, which brings the history")
        b = _timed(chat, "b", "a new server, from the snapshot")
        chat.until_equal(a, b)
        b.stop()
        client = Client(a.port, "alice", "/replay 0")
        for number in range(1000):
            client.send(f"{number}")
        client.until("message", "999")
        client.close()
        b = _timed(chat, "b", "a server that was away for 1,000 lines")
        chat.until_equal(a, b)
        engine = Engine(Address(tuple(chat.engine.urls.split(","))))
        try:
            state = engine.open().state
            print(f"\nThe log holds {state.messages} batches, {state.bytes / 1024:.0f} KiB.\n", flush=True)
        finally:
            engine.close()


def _timed(chat: Cluster, name: str, what: str) -> ClusterServer:
    begun = time.monotonic()
    server = chat.start(name)
    print(f"| {what} | {time.monotonic() - begun:.1f} |", flush=True)
    return server


def _write_history(path: Path, size: int) -> None:
    block = record.stamp(
        "2026-11-24T10:00:00.000Z", record.draft("192.0.2.1", "alice", "message", TEXT) * 10_000
    )
    with path.open("wb") as file:
        while file.tell() < size:
            file.write(block)


# -------------------------------------------------------------------------------------------------- parts


@contextlib.contextmanager
def _started(count: int) -> Iterator[tuple[Cluster, list[ClusterServer]]]:
    with tempfile.TemporaryDirectory(prefix="cluster-") as name, cluster(Path(name), nodes=3) as chat:
        yield chat, [chat.start(server) for server in "abc"[:count]]


def _fail() -> None:
    """The fault harness: 8 servers and 2 engine nodes killed under load, 9,000 lines."""
    with tempfile.TemporaryDirectory(prefix="cluster-") as name:
        print(faults.run(1, Path(name)), flush=True)


PARTS = {"latency": latency, "growth": growth, "start": start, "faults": _fail}


def main() -> None:
    """Measure what was named."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.measure.cluster", description=__doc__)
    parser.add_argument("part", nargs="*", choices=[[], *PARTS], default=[])
    parser.add_argument("--sink", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.sink:
        _be_a_sink(options.sink)
        return
    for part in options.part or PARTS:
        PARTS[part]()


if __name__ == "__main__":
    main()
