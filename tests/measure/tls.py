"""What TLS costs: `python3 -m tests.measure.tls [--rounds 3]`. Needs openssl.

Latency: 200 messages/s to one server with 100 TLS listeners and 100 plain ones; p50 of each kind.
Processor: 200 messages/s to a server with 100 TLS listeners, and to one with 100 plain ones; its seconds.
Flood: as much as one TLS connection and 100 of them get, in bytes/s, beside what one core encrypts with
nothing else to do (`openssl speed -evp aes-128-gcm`, 16 KiB at a time). What comes is counted, and not
decrypted: it is the server that is measured.

Everything is measured in each round, in turn, and the ratios are those of a round: their medians are printed.
"""

from __future__ import annotations

import argparse
import re
import select
import socket
import ssl
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from tests import certificates
from tests.harness import Server, children, serving
from tests.measure.bench.servers import TICKS

LISTENERS = 100
RATE = 200
SECONDS = 4.0
FLOOD_SECONDS = 3.0
LINES = ("x" * 200 + "\n").encode() * 64


class Listener:
    """Somebody in the room who counts what comes, and decrypts it where that is wanted."""

    def __init__(self, port: int, name: str, *, tls: bool) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self._tls: ssl.SSLObject | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        if tls:
            context = certificates.client_context()
            self._tls = context.wrap_bio(self._incoming, self._outgoing)
            self._shake_hands(self._tls)
        self._rest = b""
        self._send(f"/replay 0\n{name}\n".encode())
        while f"\t{name}\tjoin\t".encode() not in self._rest:
            self._rest += self._decrypted(self.socket.recv(65536))
        self._rest = b""
        self.latencies: list[float] = []

    def _shake_hands(self, tls: ssl.SSLObject) -> None:
        while True:
            try:
                tls.do_handshake()
                self.socket.sendall(self._outgoing.read())
                return
            except ssl.SSLWantReadError:
                self.socket.sendall(self._outgoing.read())
                self._incoming.write(self.socket.recv(65536))

    def _send(self, data: bytes) -> None:
        if self._tls:
            self._tls.write(data)
            data = self._outgoing.read()
        self.socket.sendall(data)

    def _decrypted(self, data: bytes) -> bytes:
        if self._tls is None:
            return data
        self._incoming.write(data)
        pieces: list[bytes] = []
        try:
            while piece := self._tls.read(65536):
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass
        return b"".join(pieces)

    def take(self) -> None:
        """Read what has come, and how long it was on its way."""
        lines = (self._rest + self._decrypted(self.socket.recv(65536))).split(b"\n")
        self._rest = lines.pop()
        now = time.monotonic()
        self.latencies += [
            now - float(line.rpartition(b"\t")[2]) for line in lines if line.split(b"\t")[3] == b"message"
        ]


@contextmanager
def listening(port: int, *, plain: int, tls: int) -> Iterator[list[list[Listener]]]:
    """So many listeners of each kind, who are in."""
    kinds = [
        [Listener(port, f"{kind}{number}", tls=kind == "tls") for number in range(count)]
        for kind, count in (("plain", plain), ("tls", tls))
    ]
    try:
        yield kinds
    finally:
        for listener in chain(*kinds):
            listener.socket.close()


def pace(port: int, listeners: list[Listener]) -> None:
    """Say RATE messages a second for SECONDS, and let the listeners take them."""
    speaker = Listener(port, "speaker", tls=False)
    waiting = select.epoll()
    by_file = {listener.socket.fileno(): listener for listener in (*listeners, speaker)}
    for number in by_file:
        waiting.register(number, select.EPOLLIN)
    begun = time.monotonic()
    for number in range(int(RATE * SECONDS)):
        due = begun + number / RATE
        while (remaining := due - time.monotonic()) > 0:
            for file, _ in waiting.poll(remaining):
                by_file[file].take()
        speaker.socket.sendall(f"{time.monotonic()}\n".encode())
    until = time.monotonic() + 2
    while time.monotonic() < until and any(len(each.latencies) < RATE * SECONDS for each in listeners):
        for file, _ in waiting.poll(0.1):
            by_file[file].take()
    waiting.close()
    speaker.socket.close()


def cpu_seconds(server: Server) -> float:
    """What the server and its relay have used of the processors."""
    ticks = 0
    for process in (server.pid, *children(server.pid)):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS


def p50(listeners: list[Listener]) -> float:
    """Of the latencies, in seconds."""
    return statistics.median(latency for listener in listeners for latency in listener.latencies)


def latency(server: Server) -> tuple[float, float]:
    """(plain, TLS) p50, side by side."""
    with listening(server.port, plain=LISTENERS, tls=LISTENERS) as (plain, tls):
        pace(server.port, [*plain, *tls])
        return p50(plain), p50(tls)


def processor(server: Server, *, tls: bool) -> float:
    """Seconds of a processor for a second of RATE messages to LISTENERS."""
    with listening(server.port, plain=0 if tls else LISTENERS, tls=LISTENERS if tls else 0) as kinds:
        before = cpu_seconds(server)
        pace(server.port, list(chain(*kinds)))
        return (cpu_seconds(server) - before) / SECONDS


def flood(server: Server, count: int, *, tls: bool) -> float:
    """Bytes a second that so many listeners get of a flood, all together."""
    with listening(server.port, plain=0 if tls else count, tls=count if tls else 0) as kinds:
        speaker = Listener(server.port, "speaker", tls=False)
        speaker.socket.setblocking(False)
        waiting = select.epoll()
        by_file = {listener.socket.fileno(): listener.socket for listener in chain(*kinds)}
        for number in by_file:
            waiting.register(number, select.EPOLLIN)
        waiting.register(speaker.socket, select.EPOLLIN | select.EPOLLOUT)
        buffer = bytearray(1024 * 1024)
        total, rest = 0, memoryview(LINES)
        begun = time.monotonic()
        while (now := time.monotonic()) < begun + FLOOD_SECONDS:
            for file, events in waiting.poll(1):
                if file in by_file:
                    total += by_file[file].recv_into(buffer)
                    continue
                if events & select.EPOLLIN:
                    speaker.socket.recv_into(buffer)
                if events & select.EPOLLOUT:
                    sent = speaker.socket.send(rest)
                    rest = rest[sent:] or memoryview(LINES)
        speaker.socket.close()
        waiting.close()
        return total / (now - begun)


def one_core() -> float:
    """Bytes a second that one core encrypts with AES-128-GCM, as openssl says."""
    done = subprocess.run(
        ["openssl", "speed", "-elapsed", "-seconds", "1", "-bytes", "16384", "-evp", "aes-128-gcm"],
        check=True,
        capture_output=True,
        text=True,
    )
    found = re.search(r"AES-128-GCM\s+([\d.]+)k", done.stdout)
    assert found, done.stdout
    return float(found[1]) * 1000


def main() -> int:
    """Print the medians."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.measure.tls", description="What TLS costs.")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how often (3)")
    rounds: list[dict[str, float]] = []
    for _ in range(parser.parse_args().rounds):
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = certificates.make(Path(folder))
            arguments = ["--tls-cert", str(certificate), "--tls-key", str(key), "--log-level", "error"]
            arguments += ["--rate", "0", "--max-per-address", "0"]

            def fresh(number: int, folder: str = folder) -> Path:
                return Path(folder) / f"history-{number}.txt"

            with serving(fresh(1), *arguments) as server:
                plain_p50, tls_p50 = latency(server)
            with serving(fresh(2), *arguments) as server:
                plain_cpu = processor(server, tls=False)
            with serving(fresh(3), *arguments) as server:
                tls_cpu = processor(server, tls=True)
            core = one_core()
            with serving(fresh(4), *arguments) as server:
                one = flood(server, 1, tls=True)
            with serving(fresh(5), *arguments) as server:
                many = flood(server, LISTENERS, tls=True)
            with serving(fresh(6), *arguments) as server:
                many_plain = flood(server, LISTENERS, tls=False)
        rounds.append(
            {
                "p50, plain, ms": plain_p50 * 1e3,
                "p50, TLS, ms": tls_p50 * 1e3,
                "p50, TLS to plain": tls_p50 / plain_p50,
                "processor, plain": plain_cpu,
                "processor, TLS": tls_cpu,
                "processor, TLS to plain": tls_cpu / plain_cpu,
                "flood to one over TLS, MB/s": one / 1e6,
                f"flood to {LISTENERS} over TLS, MB/s": many / 1e6,
                f"flood to {LISTENERS} plain, MB/s": many_plain / 1e6,
                "one core encrypts, MB/s": core / 1e6,
                f"flood to {LISTENERS} over TLS, to one core": many / core,
            }
        )
    for name in rounds[0]:
        print(f"{name:40}{statistics.median(found[name] for found in rounds):10.2f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
