"""Finding servers on the network, and the doctor."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import TCP_client
from TCP_client import Address, Found
from tests.client.program import (
    HASTY,
    WELCOME,
    run,
    says,
    texts_of,
    until,
)
from tests.harness import DEADLINE, Server, fake_server
from tests.terminal import CLIENT, client_command, environment


def test_the_doctor_finds_nothing_wrong(server: Server, tmp_path: Path) -> None:
    done = run(tmp_path, "", f"127.0.0.1:{server.port}", "--doctor")
    assert done.returncode == 0
    assert [line.split(":")[0].split("(")[0].split(None, 1)[0] for line in done.stdout.splitlines()[1:]] == [
        "ok"
    ] * 6


def test_the_doctor_is_greeted_where_a_browser_is(server: Server, tmp_path: Path) -> None:
    urllib.request.urlopen(f"http://127.0.0.1:{server.port}/", timeout=DEADLINE).close()
    done = run(tmp_path, "", f"127.0.0.1:{server.port}", "--doctor")
    assert "ok     it is a chat server" in done.stdout


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (says("HTTP/1.1 400 Bad Request\r\n"), "it is a chat server: it says 'HTTP/1.1 400 Bad Request'"),
        (says(""), "it is a chat server: it says nothing"),
        (says(WELCOME.replace("/hello", "/error")), "it lets you in: Welcome."),
        (says(WELCOME.replace("2026", "2001")), "the clocks agree: they differ by"),
    ],
)
def test_the_doctor_names_what_is_wrong(
    tmp_path: Path, answer: Callable[[socket.socket], None], failure: str
) -> None:
    with fake_server(answer) as address:
        done = run(tmp_path, "", address, "--doctor")
    assert done.returncode == 1
    assert f"FAILED {failure}" in done.stdout.splitlines()[-1]


def test_the_doctor_tells_a_closed_port_from_an_open_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = run(tmp_path, "", f"127.0.0.1:{port}", "--doctor")
    assert done.returncode == 1
    assert f"FAILED port {port} is open" in done.stdout
    assert "ok     the host answers" in done.stdout


def test_finds_the_servers_that_answer_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TCP_client, "_networks", lambda: [("", "127.0.0.1")])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as answering:
        answering.bind(("127.0.0.1", 0))
        answering.settimeout(DEADLINE)

        def answer() -> None:
            question, asker = answering.recvfrom(64)
            assert question == b"chat?"
            for text in (b"chat! 7000 the \x1b[2Jroom", b"chat! 99999 no port", b"noise", b"", b"chat! 7001"):
                answering.sendto(text, asker)

        thread = threading.Thread(target=answer)
        thread.start()
        found = TCP_client.find_servers(answering.getsockname()[1])
        thread.join(DEADLINE)
    assert [(str(server.address), server.title) for server in found] == [
        ("127.0.0.1:7000", "the [2Jroom"),
        ("127.0.0.1:7001", ""),
    ]


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    """Three hosts of our own: `server` and `near` in one network; `far` in it too, behind another card."""
    if os.name != "posix" or shutil.which("ip") is None:
        pytest.skip("network namespaces need Linux and the ip command")
    hosts = Hosts()
    try:
        if not hosts.permitted():
            pytest.skip("network namespaces are not permitted here (they need root)")
        hosts.set_up()
        yield hosts
    finally:
        hosts.tear_down()


class Hosts:
    """Network namespaces joined by a bridge in a namespace of its own. Nothing gets out of them."""

    def __init__(self) -> None:
        self._prefix = f"chat{os.getpid()}"

    def name(self, host: str) -> str:
        return f"{self._prefix}{host}"

    def permitted(self) -> bool:
        made = subprocess.run(["ip", "netns", "add", self.name("hub")], capture_output=True, check=False)
        return made.returncode == 0

    def set_up(self) -> None:
        self.on("hub", "ip link add bridge type bridge")
        self.on("hub", "ip link set bridge up")
        for number, host in enumerate(("server", "near", "far"), 1):
            self._ip("netns", "add", self.name(host))
            self.on(host, "ip link set lo up")
            self.join(host, "card", f"10.77.1.{number}/24", "bridge")
        # A host with two cards, whose way to everywhere is the wrong one.
        self.join("far", "other", "10.77.9.2/24", None)
        self.on("far", "ip route add default via 10.77.9.1")

    def join(self, host: str, card: str, address: str, bridge: str | None) -> None:
        port = f"{host}{card}"[:15]
        self.on("hub", f"ip link add {port} type veth peer name {card} netns {self.name(host)}")
        self.on(host, f"ip address add {address} broadcast + dev {card}")
        self.on(host, f"ip link set {card} up")
        self.on("hub", f"ip link set {port} up" + (f" master {bridge}" if bridge else ""))

    def on(self, host: str, command: str) -> None:
        """Run a command on a host."""
        subprocess.run([*self.prefix(host), *command.split()], check=True, timeout=DEADLINE)

    def prefix(self, host: str) -> list[str]:
        """What makes a command run on a host."""
        return ["ip", "netns", "exec", self.name(host)]

    def tear_down(self) -> None:
        for host in ("hub", "server", "near", "far"):
            subprocess.run(["ip", "netns", "delete", self.name(host)], capture_output=True, check=False)

    def _ip(self, *arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, timeout=DEADLINE)


@contextmanager
def server_on(hosts: Hosts, history: Path) -> Iterator[None]:
    """A server on the host of that name, answering those who look for one."""
    server = subprocess.Popen(
        [
            *hosts.prefix("server"),
            *(
                sys.executable,
                str(CLIENT.with_name("TCP_server.py")),
                "--port",
                "7000",
                "--history",
                str(history),
            ),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout
    while "Ctrl-C" not in server.stdout.readline():
        assert server.poll() is None
    try:
        yield
    finally:
        server.terminate()
        server.wait(DEADLINE)
        server.stdout.close()


@pytest.mark.parametrize("host", ["near", "far", "server"])
def test_finds_a_server_on_another_host(hosts: Hosts, tmp_path: Path, host: str) -> None:
    history = tmp_path / "history.txt"
    with server_on(hosts, history):
        command = [*hosts.prefix(host), sys.executable, str(CLIENT)]
        done = run(tmp_path, "\nalice\nhello\n", command=command)
    assert "7000" in done.stderr, done.stderr
    assert done.returncode == 0
    assert texts_of(history) == ["hello"]


def test_nothing_found_says_what_to_check(hosts: Hosts, tmp_path: Path) -> None:
    done = run(tmp_path, "", command=[*hosts.prefix("near"), sys.executable, str(CLIENT)])
    assert "1. Is the server running?" in done.stderr
    assert done.returncode == 0


def test_a_link_that_goes_down_and_up_costs_nothing(hosts: Hosts, tmp_path: Path) -> None:
    history = tmp_path / "history.txt"
    with server_on(hosts, history):
        near, far = (
            subprocess.Popen(
                [*hosts.prefix(host), *client_command("10.77.1.1:7000", "--name", host, change=HASTY)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                env=environment(tmp_path),
                bufsize=1,
            )
            for host in ("near", "far")
        )
        assert near.stdin
        assert near.stdout
        assert near.stderr
        assert far.stdin
        assert far.stdout
        far.stdin.write("before\n")
        until(near.stdout, "far: before")
        near.stdin.write("heard\n")
        until(far.stdout, "near: heard")
        hosts.on("hub", "ip link set nearcard down")
        near.stdin.write("typed while the link was down\n")
        far.stdin.write("said while the link was down\n")
        until(far.stdout, "said while the link was down")
        assert "does not answer" in near.stderr.readline()
        hosts.on("hub", "ip link set nearcard up")
        heard = until(near.stdout, "near: typed while the link was down")
        near_rest, _ = near.communicate(timeout=DEADLINE)
        far_rest, _ = far.communicate(timeout=DEADLINE)
        assert (heard + near_rest).count("said while the link was down") == 1
        assert far_rest.count("typed while the link was down") == 1
        assert (near.returncode, far.returncode) == (0, 0)
    assert sorted(texts_of(history)) == sorted(
        ["before", "heard", "typed while the link was down", "said while the link was down"]
    )


def test_a_server_on_this_computer_is_listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TCP_client, "_is_here", lambda host: host in ("127.0.0.1", "192.168.1.5"))
    found = [
        Found(Address("192.168.1.5", 7000), "ours"),
        Found(Address("127.0.0.1", 7000), "ours"),
        Found(Address("127.0.0.1", 7001), "another"),
        Found(Address("192.168.1.6", 7000), "theirs"),
    ]
    assert [str(server.address) for server in TCP_client._each_once(found)] == [
        "127.0.0.1:7000",
        "127.0.0.1:7001",
        "192.168.1.6:7000",
    ]


def test_this_computer_knows_its_own_addresses() -> None:
    assert TCP_client._is_here("127.0.0.1")
    assert not TCP_client._is_here("192.0.2.1"), "an address for documentation"
