"""One measurement: a server is started, listeners connect, a flood, a paced load. `measure` does it all."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chat.room.delivery import COALESCING_SECONDS
from tests.measure.bench.load import Delivered, Load
from tests.measure.bench.servers import Kind, Running

DELIVERIES_PER_SECOND = 20_000  # of the paced load: 200 messages/s to 100 listeners, 20 to 1,000, 2 to 10,000


@dataclass(frozen=True)
class Span:
    """How long each part takes, in seconds."""

    flood: float = 0.5
    pace: float = 2.0
    idle: float = 0.5


@dataclass(frozen=True)
class Measured:
    """What one server did in one round. Seconds and bytes; latencies in microseconds."""

    start: float  # until it listened
    connect: float  # until all listeners were logged in
    memory: int  # with all of them connected
    idle_cpu: float  # the share of a processor used while nobody speaks
    rate: float  # deliveries per second in the flood
    load_busy: float  # the share of that time in which the load generator was busy: near 1, it was the limit
    p50: float
    p99: float
    p999: float
    cpu: float  # processor seconds per second of the paced load
    wrong: int  # deliveries lost, duplicated or out of order, and listeners cut off


def measure(
    kind: Kind, listeners: int, span: Span, prepare: Callable[[Path], None] | None = None
) -> Measured:
    """Run one server under the load; `prepare` may put a history into its folder first.

    Raises TimeoutError where it does not start, EOFError where the load gave up.
    """
    with tempfile.TemporaryDirectory(prefix="chat-bench-") as name:
        folder = Path(name)
        if prepare:
            prepare(folder)
        begun = time.monotonic()
        with Running(kind, folder) as server:
            start = time.monotonic() - begun
            with Load(kind.protocol, server.port) as load:
                return _measure(server, load, listeners, span, start)


def _measure(server: Running, load: Load, listeners: int, span: Span, start: float) -> Measured:
    connected = load.connect(listeners)
    memory = server.memory_bytes()
    time.sleep(2 * COALESCING_SECONDS)  # the last joins arrive here by then
    idle_cpu = _cpu_share(server, span.idle)
    flood = load.flood(span.flood)
    before = server.cpu_seconds()
    paced = load.pace(DELIVERIES_PER_SECOND / listeners, span.pace)
    return Measured(
        start=start,
        connect=connected["seconds"],
        memory=memory,
        idle_cpu=idle_cpu,
        rate=flood["deliveries"] / flood["seconds"],
        load_busy=flood["busy"],
        p50=paced["p50"],
        p99=paced["p99"],
        p999=paced["p999"],
        cpu=(server.cpu_seconds() - before) / paced["seconds"],
        wrong=listeners - connected["clients"] + _wrong(flood) + _wrong(paced),
    )


def _cpu_share(server: Running, seconds: float) -> float:
    before = server.cpu_seconds()
    time.sleep(seconds)
    return (server.cpu_seconds() - before) / seconds


def _wrong(delivered: Delivered) -> int:
    return delivered["lost"] + delivered["duplicated"] + delivered["out_of_order"] + delivered["disconnected"]
