"""Several real servers on a real engine, for the tests."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cable import Cable
from tests.engine import Engine, engine, free_ports, program
from tests.faults.server import SHIM
from tests.harness import DEADLINE, Client, Server

POLL_SECONDS = 0.02


class ClusterServer(Server):
    """A server of a cluster, on a port that it has again when it is started again."""

    def __init__(
        self, cluster: Cluster, name: str, *arguments: str, port: int, environment: Mapping[str, str]
    ) -> None:
        folder = cluster.folder / name
        folder.mkdir(exist_ok=True)
        self.name = name
        super().__init__(
            folder / "history.txt",
            *("--rate", "0", "--max-per-address", "0", "--cluster", cluster.urls(name)),
            *("--advertise", f"127.0.0.1:{port}", *arguments),
            port=port,
            environment=environment,
        )


class Cluster:
    """An engine, and servers with a folder each."""

    def __init__(self, folder: Path, engine: Engine, *, cables: bool = False) -> None:
        self.folder = folder
        self.engine = engine
        self.cables: dict[str, list[Cable]] = {}  # of each server, to each node
        self._has_cables = cables
        self._ports: dict[str, int] = {}
        self._servers: list[ClusterServer] = []
        self._clients: list[Client | Resuming] = []

    def urls(self, name: str) -> str:
        """Where a server finds the engine."""
        if not self._has_cables:
            return self.engine.urls
        if name not in self.cables:
            self.cables[name] = [Cable(node.port) for node in self.engine.nodes]
        return ",".join(f"nats://127.0.0.1:{cable.port}" for cable in self.cables[name])

    def start(self, name: str, *arguments: str, clock: int = 0) -> ClusterServer:
        """Start a server, also after its earlier process has ended; with a clock so many seconds off."""
        port = self._ports.setdefault(name, free_ports(1)[0])
        environment = {}
        if clock:
            faults = self.folder / f"{name}.faults"
            faults.write_text(str(clock))
            environment = {"PYTHONPATH": str(SHIM), "FAULTS_FILE": str(faults)}
        self._servers.append(ClusterServer(self, name, *arguments, port=port, environment=environment))
        return self._servers[-1]

    def join(self, server: Server, name: str | None, *options: str) -> Client:
        """A client of a server, until the end."""
        client = Client(server.port, name, *options)
        self._clients.append(client)
        return client

    def resuming(self, server: Server, name: str) -> Resuming:
        """A client that can go on at other servers."""
        client = Resuming(server, name)
        self._clients.append(client)
        return client

    def until_equal(self, *servers: Server) -> bytes:
        """The history, once all have the same."""
        until = time.monotonic() + DEADLINE
        while True:
            files = [server.history.read_bytes() for server in servers]
            if len(set(files)) == 1:
                return files[0]
            assert time.monotonic() < until, "the histories differ"
            time.sleep(POLL_SECONDS)

    def close(self) -> None:
        """End all of it."""
        for client in self._clients:
            client.close()
        for server in self._servers:
            server.close()
        for cable in itertools.chain(*self.cables.values()):
            cable.close()


@contextmanager
def cluster(folder: Path, nodes: int = 1, *, cables: bool = False) -> Iterator[Cluster]:
    """A cluster whose engine runs, for the length of a with statement. `cables` can be pulled."""
    if program() is None:
        pytest.skip("nats-server is not installed")
    (folder / "engine").mkdir()
    with engine(folder / "engine", nodes) as running:
        made = Cluster(folder, running, cables=cables)
        try:
            yield made
        finally:
            made.close()


class Resuming:
    """A client with a session, which can go on at another server where it was cut off."""

    def __init__(self, server: Server, name: str) -> None:
        self.name = name
        self._token, self._offset, self._time = "", 0, ""
        self.records: list[str] = []
        self.client = self._connected(server, "/session")

    def move(self, server: Server, *, wait: bool = True) -> None:
        """Go on at another server, which ends the earlier connection; wait for that, and close it."""
        self._count()
        earlier = self.client
        self.client = self._connected(server, f"/session {self._token} {self._offset} {self._time}")
        if wait:
            earlier.rest()
            earlier.close()

    def close(self) -> None:
        """Hang up."""
        self.client.close()

    def history(self) -> bytes:
        """All history records that it got, over all its connections."""
        self._count()
        return "".join(self.records).encode()

    def _connected(self, server: Server, option: str) -> Client:
        client = Client(server.port, self.name, "/replay all", option)
        session = next(found for found in client.records if found.kind == "/session")
        self._token, start, _ = session.text.split()
        assert not self._time or int(start) == self._offset, "the resume was not exact"
        self._offset = int(start)
        return client

    def _count(self) -> None:
        """Take what the connection has got into account."""
        for found in self.client.history():
            line = found.encode()
            self._offset = len(line) if found.kind == "clear" else self._offset + len(line)
            self._time = found.time
            self.records.append(line.decode())
        self.client.records.clear()
