from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from chat.front import handover
from chat.front.certificate import Certificate
from chat.front.relay import CONNECTION
from chat.front.relay_process import RelayProcess
from tests import certificates
from tests.harness import DEADLINE, ROOT

CLIENT = certificates.client_context()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(*certificates.make(tmp_path_factory.mktemp("tls")))


class Ends:
    """What the server and a client hold of one connection."""

    def __init__(self) -> None:
        self.inside, self.pair = socket.socketpair()
        self.client, self.tcp = socket.socketpair()
        for each in (self.inside, self.client):
            each.settimeout(DEADLINE)

    def hand_over(
        self, control: socket.socket, number: int, received: bytes = b"", *, seconds: float = 30, to: int = 0
    ) -> None:
        message = CONNECTION.pack(number, seconds) + received
        handover.send(control, to or os.getpid(), (self.tcp, self.pair), message)
        self.tcp.close()
        self.pair.close()

    def close(self) -> None:
        self.inside.close()
        self.client.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    made.close()


@pytest.fixture
def control(certificate: Certificate) -> Iterator[socket.socket]:
    """The server's end of a relay that runs in a thread."""
    ours, theirs = socket.socketpair()
    ours.settimeout(DEADLINE)
    thread = threading.Thread(target=RelayProcess(theirs, certificate).run)
    thread.start()
    with ours, theirs:
        yield ours
        ours.shutdown(socket.SHUT_WR)
        thread.join(DEADLINE)
        assert not thread.is_alive()


def test_the_server_is_told_when_a_connection_is_ready_and_when_it_is_gone(
    control: socket.socket, ends: Ends
) -> None:
    ends.hand_over(control, 7)
    with CLIENT.wrap_socket(ends.client) as client:
        assert control.recv(100) == b"ready 7\n"
        client.sendall(b"hello")
        assert ends.inside.recv(100) == b"hello"
        ends.inside.close()
        assert client.recv(100) == b""
    assert control.recv(100) == b"gone 7\n"


def test_a_handshake_that_takes_too_long_is_given_up(control: socket.socket, ends: Ends) -> None:
    ends.hand_over(control, 1, b"\x16\x03\x01\x02\x00\x01", seconds=0.1)
    assert control.recv(100) == b"gone 1\n"
    assert ends.client.recv(100) == b""
    assert ends.inside.recv(100) == b""


def test_a_client_that_leaves_during_the_handshake_is_gone(control: socket.socket, ends: Ends) -> None:
    ends.hand_over(control, 1, b"\x16\x03\x01\x02\x00\x01")
    ends.client.close()
    assert control.recv(100) == b"gone 1\n"


def test_nothing_is_taken_from_the_pair_before_the_handshake_is_done(
    control: socket.socket, ends: Ends
) -> None:
    ends.inside.sendall(b"too early\n")
    ends.hand_over(control, 1)
    with CLIENT.wrap_socket(ends.client) as client:
        assert client.recv(100) == b"too early\n"


@contextlib.contextmanager
def process_of(certificate: Certificate) -> Iterator[tuple[subprocess.Popen[bytes], socket.socket]]:
    """A relay in a process, and the server's end."""
    program = [sys.executable, "-m", "chat.front.relay_process", *map(str, certificate.files), "DEBUG"]
    process, control = handover.start(program, ROOT)
    control.settimeout(DEADLINE)
    with control:
        yield process, control
        control.shutdown(socket.SHUT_WR)
        assert process.wait(DEADLINE) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="sets the limit of another process")
def test_without_files_left_a_connection_is_refused_and_the_others_live(certificate: Certificate) -> None:
    import resource

    with process_of(certificate) as (process, control), contextlib.ExitStack() as closing:
        first = closing.enter_context(contextlib.closing(Ends()))
        first.hand_over(control, 1, to=process.pid)
        client = closing.enter_context(CLIENT.wrap_socket(first.client))
        events = closing.enter_context(control.makefile("rb"))
        assert events.readline() == b"ready 1\n"
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (3, 3))
        second = closing.enter_context(contextlib.closing(Ends()))
        second.hand_over(control, 2, to=process.pid)
        assert b"no file left" in events.readline()
        assert events.readline() == b"gone 2\n"
        assert second.inside.recv(100) == b""
        client.sendall(b"unharmed")
        assert first.inside.recv(100) == b"unharmed"


def test_it_outlives_the_signals_that_stop_the_server_and_logs_through_it(certificate: Certificate) -> None:
    with process_of(certificate) as (process, control), contextlib.closing(Ends()) as ends:
        ends.hand_over(control, 1, b"\x16\x03\x01\x00\x05hello", to=process.pid)
        with control.makefile("rb") as events:
            assert events.readline().startswith(f"log {logging.DEBUG} ".encode())
            assert events.readline() == b"gone 1\n"
        for stop_signal in (signal.SIGINT, signal.SIGTERM):
            process.send_signal(stop_signal)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
