"""The engine: real nats-servers, killed and stopped."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chat.log.consumer import Committed
from chat.log.engine import Address, Engine, EngineError
from tests.engine import Engine as Nodes
from tests.engine import engine as run_nodes
from tests.harness import DEADLINE


class Server:
    """A server's connection, and everything that was committed."""

    def __init__(self, nodes: Nodes, chat: str, follow: int = 1) -> None:
        self.arrived = threading.Event()
        self.engine = Engine(Address(tuple(nodes.urls.split(",")), chat), self.arrived.set)
        self.info = self.engine.open()
        self.engine.follow(follow)
        self.committed: list[Committed] = []

    def until(self, count: int) -> list[bytes]:
        """What was committed, once it is so many."""
        until = time.monotonic() + DEADLINE
        while len(self.committed) < count:
            assert self.arrived.wait(until - time.monotonic()), len(self.committed)
            self.arrived.clear()
            self.committed += self.engine.committed()
        return [each.data for each in self.committed]

    def leader(self, nodes: Nodes) -> int:
        """The number of the node that leads the stream."""
        until = time.monotonic() + DEADLINE
        while time.monotonic() < until:
            info = self.engine.info()
            if info and info.cluster and info.cluster.leader:
                return int(info.cluster.leader.removeprefix("n"))
        raise TimeoutError


@pytest.fixture
def connect() -> Iterator[Callable[..., Server]]:
    """Makes connections."""
    servers: list[Server] = []

    def connected(nodes: Nodes, chat: str, follow: int = 1) -> Server:
        servers.append(Server(nodes, chat, follow))
        return servers[-1]

    yield connected
    for server in servers:
        server.engine.close()


Connect = Callable[..., Server]


def test_everybody_gets_everything_in_one_order(node: Nodes, connect: Connect) -> None:
    one, two = connect(node, "order"), connect(node, "order")
    for number in range(50):
        one.engine.publish(f"one{number}", b"one %d" % number)
        two.engine.publish(f"two{number}", b"two %d" % number)
    assert one.until(100) == two.until(100)
    assert [data for data in one.until(100) if data.startswith(b"one")] == [b"one %d" % n for n in range(50)]
    assert [each.sequence for each in one.committed] == list(range(1, 101))
    assert one.committed == two.committed


def test_following_can_begin_at_any_sequence(node: Nodes, connect: Connect) -> None:
    one = connect(node, "later")
    for number in range(10):
        one.engine.publish(f"{number}", b"%d" % number)
    one.until(10)
    assert connect(node, "later", 8).until(3) == [b"7", b"8", b"9"]


def test_a_message_with_the_same_id_is_stored_once(node: Nodes, connect: Connect) -> None:
    one = connect(node, "twice")
    for message_id in ("a", "a", "b"):
        one.engine.publish(message_id, message_id.encode())
    assert one.until(2) == [b"a", b"b"]


def test_the_first_message_is_only_stored_first(node: Nodes, connect: Connect) -> None:
    one, two = connect(node, "first"), connect(node, "first")
    one.engine.publish("a", b"a", first=True)
    one.until(1)
    two.engine.publish("b", b"b", first=True)
    two.engine.publish("c", b"c")
    assert two.until(2) == [b"a", b"c"]


def test_a_slow_server_holds_the_engine_back_and_misses_nothing(node: Nodes, connect: Connect) -> None:
    one, slow = connect(node, "slow"), connect(node, "slow")
    for number in range(100):
        one.engine.publish(f"{number}", bytes([number]) * 200_000)
    one.until(100)
    assert sum(len(each.data) for each in slow.engine.committed()) < 10_000_000
    taken = 0
    until = time.monotonic() + DEADLINE
    while taken < 50 and time.monotonic() < until:
        taken += len(slow.engine.committed())
    assert taken >= 50


def test_the_death_of_the_leader_costs_nothing(three_nodes: Nodes, connect: Connect) -> None:
    one, two = connect(three_nodes, "chat"), connect(three_nodes, "chat")
    assert one.info.config.num_replicas == 3
    for number in range(60):
        one.engine.publish(f"one{number}", b"1" * 20_000)
        two.engine.publish(f"two{number}", b"2" * 20_000)
    three_nodes.nodes[one.leader(three_nodes)].kill()
    assert one.until(120) == two.until(120)
    assert [each.sequence for each in one.committed] == list(range(1, 121))


def test_without_a_quorum_everything_waits_and_is_committed_later(
    three_nodes: Nodes, connect: Connect
) -> None:
    one = connect(three_nodes, "chat")
    one.engine.publish("before", b"before")
    one.until(1)
    for dead in three_nodes.nodes[:2]:
        dead.kill()
    one.engine.publish("while", b"while")
    assert not one.engine.committed()
    for dead in three_nodes.nodes[:2]:
        dead.start()
    assert one.until(2) == [b"before", b"while"]
    one.engine.publish("after", b"after")
    assert one.until(3) == [b"before", b"while", b"after"]


def test_a_server_waits_for_the_engine_to_start(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, nodes=1)
    engine = Engine(Address(tuple(nodes.urls.split(","))))
    opened = threading.Thread(target=engine.open)
    opened.start()
    try:
        nodes.start()
        opened.join(DEADLINE)
        assert not opened.is_alive()
    finally:
        engine.close()
        nodes.close()


def test_credentials_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text("chat:secret\n")
    with run_nodes(tmp_path, 1, 'authorization { user: "chat", password: "secret" }') as nodes:
        _open(nodes, file)
        file.write_text("chat:guess\n")
        with pytest.raises(EngineError, match="does not let this server in"):
            _open(nodes, file)
        file.unlink()
        with pytest.raises(EngineError, match="can't be read"):
            _open(nodes, file)


def _open(nodes: Nodes, credentials: Path) -> None:
    engine = Engine(Address(tuple(nodes.urls.split(",")), credentials=credentials))
    try:
        engine.open()
    finally:
        engine.close()


def test_towards_the_engine_too_there_is_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=engine",
            ),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    with run_nodes(tmp_path, 1, f'tls {{ cert_file: "{certificate}", key_file: "{key}" }}') as nodes:
        url = nodes.urls.replace("nats://", "tls://")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        engine = Engine(Address((url,)))
        try:
            assert engine.open().config.name == "CHAT_chat"
        finally:
            engine.close()
