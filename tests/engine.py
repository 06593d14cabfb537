"""NATS servers with JetStream for the tests: a cluster of real processes on 127.0.0.1 that can be killed."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

DEADLINE = 30.0  # seconds for a node to be healthy; no test waits this long unless something is wrong
POLL_SECONDS = 0.02  # between two checks

CONFIGURATION = """
server_name: n{number}
listen: "127.0.0.1:{port}"
http: "127.0.0.1:{http}"
max_payload: 1MB
jetstream {{ store_dir: "{store}", max_mem: 256MB, max_file: 8GB }}
{cluster}
{more}
"""
CLUSTER = """
cluster {{
  name: engine
  listen: "127.0.0.1:{port}"
  routes: [{routes}]
  no_advertise: true
}}
"""


def program() -> str | None:
    """The path of nats-server: on the PATH, or beside this Python; None if it is not installed."""
    return shutil.which("nats-server") or shutil.which("nats-server", path=str(Path(sys.executable).parent))


class Node:
    """One nats-server. Its store outlives its processes."""

    def __init__(self, number: int, port: int, http_port: int, configuration: Path) -> None:
        self.number = number
        self.port = port
        self._http_port = http_port
        self._configuration = configuration
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The id of the running process."""
        assert self._process
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has a process."""
        return self._process is not None

    def start(self) -> None:
        """Start it, without waiting until it is healthy."""
        log = self._configuration.with_suffix(".log")
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [program() or "nats-server", "-c", str(self._configuration)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def kill(self) -> None:
        """Kill it, like a crash; also while it is frozen."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """SIGSTOP."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    def healthy(self) -> bool:
        """Whether it reports that its JetStream is up to date."""
        connection = http.client.HTTPConnection("127.0.0.1", self._http_port, timeout=1)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


class Engine:
    """A cluster of nodes, or a single one."""

    def __init__(self, folder: Path, nodes: int = 3, more: str = "") -> None:
        ports = free_ports(3 * nodes)
        clients, https, routes = ports[:nodes], ports[nodes : 2 * nodes], ports[2 * nodes :]
        self.nodes: list[Node] = []
        for number in range(nodes):
            cluster = CLUSTER.format(
                port=routes[number], routes=", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
            )
            configuration = folder / f"n{number}.conf"
            configuration.write_text(
                CONFIGURATION.format(
                    number=number,
                    port=clients[number],
                    http=https[number],
                    store=folder / f"n{number}",
                    cluster=cluster if nodes > 1 else "",
                    more=more,
                )
            )
            self.nodes.append(Node(number, clients[number], https[number], configuration))

    @property
    def urls(self) -> str:
        """The URLs of all nodes, for --cluster."""
        return ",".join(f"nats://127.0.0.1:{node.port}" for node in self.nodes)

    def start(self) -> None:
        """Start every node that isn't running, and wait until all are healthy. Raises TimeoutError."""
        for node in self.nodes:
            if not node.running:
                node.start()
        self.until_healthy(self.nodes)

    def until_healthy(self, nodes: Sequence[Node]) -> None:
        """Wait until these are healthy. Raises TimeoutError."""
        until = time.monotonic() + DEADLINE
        while not all(node.healthy() for node in nodes):
            if time.monotonic() > until:
                raise TimeoutError("the engine is not healthy")
            time.sleep(POLL_SECONDS)

    def close(self) -> None:
        """End all nodes."""
        for node in self.nodes:
            node.kill()


@contextmanager
def engine(folder: Path, nodes: int = 3, more: str = "") -> Iterator[Engine]:
    """An engine that runs during the with statement."""
    made = Engine(folder, nodes, more)
    try:
        made.start()
        yield made
    finally:
        made.close()


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in probes]
