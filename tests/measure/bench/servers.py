"""The servers that are compared: how to start each without limits on floods and queues, and its resources.

What is not installed is not compared: `available` says so.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType

from tests.measure.bench.load import compiled

ROOT = Path(__file__).parent.parent.parent.parent
START_SECONDS = 10.0  # for a server to listen
TICKS = os.sysconf("SC_CLK_TCK")

NATS_CONFIGURATION = """
max_connections: 65536
max_pending: 8GB
write_deadline: "60s"
"""

NGIRCD_CONFIGURATION = """
[Global]
Name = irc.example.net
Info = benchmark
MotdPhrase = welcome
Listen = 127.0.0.1
Ports = {port}
[Limits]
MaxConnections = 0
MaxConnectionsIP = 0
MaxJoins = 0
MaxNickLength = 16
MaxPenaltyTime = 0
[Options]
DNS = no
Ident = no
PAM = no
"""


@dataclass(frozen=True)
class Kind:
    """A server: `command` makes the command line for a port and for files in a folder of its own."""

    name: str
    protocol: str  # as the load generator calls it
    needs: str  # a program; "" for our own
    command: Callable[[int, Path], list[str]]
    most_listeners: int = 20_000  # that it can handle

    @property
    def available(self) -> bool:
        """Whether it is installed."""
        return not self.needs or _program(self.needs) is not None


def _chat(port: int, folder: Path, checkout: Path = ROOT) -> list[str]:
    return [
        *(sys.executable, str(checkout / "TCP_server.py"), "--host", "127.0.0.1", "--port", str(port)),
        *("--history", str(folder / "history.txt"), "--no-discovery", "--log-level", "error"),
        *("--rate", "0", "--max-clients", "0", "--max-per-address", "0"),
    ]


def _shape(port: int, folder: Path) -> list[str]:
    return [str(compiled("shape")), str(port)]


def _nats(port: int, folder: Path) -> list[str]:
    configuration = folder / "nats.conf"
    configuration.write_text(NATS_CONFIGURATION)
    return ["nats-server", "-c", str(configuration), "-a", "127.0.0.1", "-p", str(port)]


def _redis(port: int, folder: Path) -> list[str]:
    return [
        *("redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)),
        *("--save", "", "--appendonly", "no", "--maxclients", "19000", "--tcp-backlog", "4096"),
        *("--client-output-buffer-limit", "pubsub 0 0 0"),
    ]


def _ngircd(port: int, folder: Path) -> list[str]:
    configuration = folder / "ngircd.conf"
    configuration.write_text(NGIRCD_CONFIGURATION.format(port=port))
    return ["ngircd", "--nodaemon", "--config", str(configuration)]


def _miniircd(port: int, folder: Path) -> list[str]:
    user = ["--setuid", "root"] if os.getuid() == 0 else []  # it asks root to say so
    return [_program("miniircd") or "", *user, "--listen", "127.0.0.1", "--ports", str(port)]


def _baseline(port: int, folder: Path) -> list[str]:
    return [sys.executable, "-m", "tests.measure.bench.baseline", str(port), str(folder / "history.txt")]


THIS = Kind("this chat", "chat", "", _chat)
SHAPE = Kind("C, same shape, stores nothing", "chat", "", _shape)
KINDS = (
    THIS,
    SHAPE,
    Kind("nats-server", "nats", "nats-server", _nats),
    Kind("redis-server", "redis", "redis-server", _redis),
    Kind("ngircd", "irc", "ngircd", _ngircd, most_listeners=1000),
    Kind("miniircd", "irc", "miniircd", _miniircd, most_listeners=100),
    Kind("lock and sendall", "chat", "", _baseline, most_listeners=100),
)


def beside(checkout: Path) -> tuple[Kind, ...]:
    """This chat again, for the noise between two runs of the same code, and the chat of another checkout."""
    return (
        Kind("the same again", "chat", "", _chat),
        Kind(f"checkout {checkout.name}", "chat", "", partial(_chat, checkout=checkout.resolve())),
    )


def _program(name: str) -> str | None:
    """Its path: on the PATH, or beside this Python, where packages install their programs."""
    return shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))


class Running:
    """A server process during a with statement. Raises TimeoutError if it does not start."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        self.port = _free_port()
        self._log = (folder / "log").open("wb")
        program, *arguments = kind.command(self.port, folder)
        self._process = subprocess.Popen(
            [_program(program) or program, *arguments],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )

    def __enter__(self) -> Running:
        begun = time.monotonic()
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return self
            except ConnectionRefusedError:
                if time.monotonic() - begun > START_SECONDS or self._process.poll() is not None:
                    self._end()
                    raise TimeoutError(f"{self._process.args!r} does not listen") from None
                time.sleep(0.005)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()

    def cpu_seconds(self) -> float:
        """Processor seconds used so far, in all its threads."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_bytes(self) -> int:
        """Resident memory, in bytes."""
        pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
