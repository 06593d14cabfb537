from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import ssl
import struct
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chat.front import handover
from chat.front import relay as relay_module
from chat.front.certificate import Certificate
from chat.front.relay import Relay
from tests import certificates
from tests.harness import DEADLINE, children

CLIENT = certificates.client_context()
MEGABYTE = bytes(range(256)) * 4096


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(*certificates.make(tmp_path_factory.mktemp("tls")))


@pytest.fixture
def relay(certificate: Certificate) -> Iterator[Relay]:
    running = Relay(certificate)
    running.start()
    yield running
    running.stop()


class Handler(threading.Thread):
    """Accepts one TLS connection, and runs the given handler with the plain socket."""

    def __init__(self, relay: Relay, handle: Callable[[socket.socket], None]) -> None:
        super().__init__()
        self._relay = relay
        self._serve = handle
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.start()

    def run(self) -> None:
        tcp, _ = self._listener.accept()
        self._listener.close()
        with tcp, self._relay.carry(tcp, b"", time.monotonic() + DEADLINE) as inside:
            self._serve(inside)

    def connect(self) -> ssl.SSLSocket:
        tcp = socket.create_connection(("127.0.0.1", self.port), DEADLINE)
        return CLIENT.wrap_socket(tcp, suppress_ragged_eofs=False)


def echo(inside: socket.socket) -> None:
    while piece := inside.recv(65536):
        inside.sendall(piece)
    inside.shutdown(socket.SHUT_WR)


def read_all(client: ssl.SSLSocket) -> bytes:
    """Read up to the close_notify. Raises ssl.SSLEOFError if there is none."""
    pieces = []
    while piece := client.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def test_bytes_flow_both_ways_and_the_end_is_clean(relay: Relay) -> None:
    handler = Handler(relay, echo)
    with handler.connect() as client:
        client.sendall(b"hello\n")
        assert client.recv(100) == b"hello\n"
        for number in range(64):
            piece = bytes([number]) * 40_000  # more than one record of TLS
            client.sendall(piece)
            got = b""
            while len(got) < len(piece):
                got += client.recv(65536)
            assert got == piece
    handler.join(DEADLINE)
    assert not handler.is_alive()


def test_the_last_output_arrives_before_the_close_notify(relay: Relay) -> None:
    def handle(inside: socket.socket) -> None:
        inside.sendall(MEGABYTE)
        inside.shutdown(socket.SHUT_WR)

    handler = Handler(relay, handle)
    with handler.connect() as client:
        assert read_all(client) == MEGABYTE


def test_a_client_that_does_not_read_costs_its_buffers_and_holds_up_nobody(relay: Relay) -> None:
    filled = threading.Event()
    go_on = threading.Event()
    taken = 0

    def fill(inside: socket.socket) -> None:
        nonlocal taken
        inside.setblocking(False)
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < 0.5:
            with contextlib.suppress(BlockingIOError):
                taken += inside.send(MEGABYTE[taken % len(MEGABYTE) :])
                quiet_since = time.monotonic()
        filled.set()
        go_on.wait(DEADLINE)
        inside.shutdown(socket.SHUT_WR)

    stopped = Handler(relay, fill)
    with stopped.connect() as client:
        assert filled.wait(DEADLINE)
        assert taken < 16 * len(MEGABYTE)  # the capacity of the system's buffers
        other = Handler(relay, echo)
        with other.connect() as reading:
            reading.sendall(b"still quick\n")
            assert reading.recv(100) == b"still quick\n"
        go_on.set()
        assert read_all(client) == (MEGABYTE * 16)[:taken]


def test_a_client_whose_input_is_not_read_is_the_only_one_held_up(relay: Relay) -> None:
    go_on = threading.Event()
    heard = []

    def handle(inside: socket.socket) -> None:
        go_on.wait(DEADLINE)
        while piece := inside.recv(65536):
            heard.append(piece)

    handler = Handler(relay, handle)
    with handler.connect() as client:
        client.settimeout(0.5)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 64 * len(MEGABYTE):
                sent += client.send(MEGABYTE[sent % len(MEGABYTE) :])
        assert 0 < sent < 32 * len(MEGABYTE)
        go_on.set()
    handler.join(DEADLINE)
    got = b"".join(heard)
    assert len(got) >= sent
    assert got == (MEGABYTE * 33)[: len(got)]


def test_the_clients_close_notify_ends_the_handlers_input(relay: Relay) -> None:
    heard: list[bytes] = []

    def handle(inside: socket.socket) -> None:
        while piece := inside.recv(65536):
            heard.append(piece)

    handler = Handler(relay, handle)
    with handler.connect() as client:
        client.sendall(b"the last line\n")
        with contextlib.suppress(OSError):
            client.unwrap()
        handler.join(DEADLINE)
    assert heard == [b"the last line\n"]


def test_a_connection_that_is_reset_ends_for_its_handler(relay: Relay) -> None:
    ended = threading.Event()

    def handle(inside: socket.socket) -> None:
        inside.sendall(b"welcome\n")
        with contextlib.suppress(OSError):
            while inside.recv(65536):
                pass
        ended.set()

    handler = Handler(relay, handle)
    client = handler.connect()
    assert client.recv(100) == b"welcome\n"
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    assert ended.wait(DEADLINE)


def test_an_invalid_tls_record_ends_only_its_connection(relay: Relay) -> None:
    other = Handler(relay, echo)
    broken = Handler(relay, echo)
    with other.connect() as reading, broken.connect() as client:
        raw = socket.socket(fileno=client.detach())
        with raw:
            raw.settimeout(DEADLINE)
            raw.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                while piece := raw.recv(4096):
                    answer += piece
        assert set(certificates.records(answer)) <= {certificates.APPLICATION_DATA}  # an encrypted alert
        broken.join(DEADLINE)
        reading.sendall(b"unharmed\n")
        assert reading.recv(100) == b"unharmed\n"


def test_when_the_server_stops_everybody_gets_the_rest_and_a_clean_end(certificate: Certificate) -> None:
    relay = Relay(certificate)
    relay.start()
    sent = threading.Event()
    go_on = threading.Event()

    def handle(inside: socket.socket) -> None:
        inside.sendall(b"The server stops.\n")
        sent.set()
        go_on.wait(DEADLINE)

    handler = Handler(relay, handle)
    with handler.connect() as client:
        assert sent.wait(DEADLINE)
        relay.stop()
        assert read_all(client) == b"The server stops.\n"
    go_on.set()
    handler.join(DEADLINE)
    assert not handler.is_alive()


def test_a_connection_that_comes_when_the_relay_has_ended_leaves_nothing_open(
    certificate: Certificate,
) -> None:
    relay = Relay(certificate)
    relay.start()
    relay.stop()
    here, there = socket.socketpair()
    with here, there, pytest.raises(OSError), relay.carry(here, b"", time.monotonic() + DEADLINE):  # noqa: PT011
        pass
    with warnings.catch_warnings(record=True) as left_open:
        warnings.simplefilter("always")
        gc.collect()
    assert [str(each.message) for each in left_open if each.category is ResourceWarning] == []


def test_a_client_that_never_reads_the_rest_is_dropped(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "LINGER_SECONDS", 0.3)

    def handle(inside: socket.socket) -> None:
        inside.setblocking(False)
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < 0.3:
            with contextlib.suppress(BlockingIOError):
                inside.send(MEGABYTE)
                quiet_since = time.monotonic()

    handler = Handler(relay, handle)
    with handler.connect():
        handler.join(DEADLINE)
        assert not handler.is_alive()


def handshake_of(sent: bytes, relay: Relay, seconds: float) -> tuple[BaseException, bytes]:
    """How a handshake ends, and what is answered, if the client sends this and then nothing."""
    here, there = socket.socketpair()
    with here, there:
        until = time.monotonic() + seconds
        with pytest.raises(OSError) as failure, relay.carry(here, sent, until):  # noqa: PT011
            pass
        here.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := there.recv(4096):
            answer += piece
        return failure.value, answer


def test_a_handshake_that_never_ends_has_a_time_limit(relay: Relay) -> None:
    failure, _ = handshake_of(b"\x16\x03\x01\x02\x00\x01", relay, 0.2)
    assert isinstance(failure, OSError)


def test_an_invalid_handshake_is_answered_by_an_alert(relay: Relay) -> None:
    failure, answer = handshake_of(b"\x16\x03\x01\x00\x05hello", relay, DEADLINE)
    assert isinstance(failure, ConnectionResetError)
    assert certificates.records(answer) == [21]


@pytest.mark.skipif(sys.platform != "linux", reason="finds the process in /proc")
def test_if_the_relay_fails_its_connections_end_and_another_one_takes_its_place(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "RESTART_SECONDS", 0.01)
    before = children(os.getpid())
    relay = Relay(certificate)
    relay.start()
    ended = threading.Event()

    def handle(inside: socket.socket) -> None:
        with contextlib.suppress(OSError):
            echo(inside)
        ended.set()

    with Handler(relay, handle).connect() as client:
        client.sendall(b"hello\n")
        assert client.recv(100) == b"hello\n"
        [process] = set(children(os.getpid())) - set(before)
        os.kill(process, signal.SIGKILL)
        assert ended.wait(DEADLINE)
        with pytest.raises(OSError, match=r"EOF occurred|reset"):
            client.recv(100)
    with Handler(relay, echo).connect() as client:
        client.sendall(b"hello again\n")
        assert client.recv(100) == b"hello again\n"
    relay.stop()
    assert not set(children(os.getpid())) - set(before)


@contextlib.contextmanager
def stuck(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The relay's process is stopped, and a handler waits for it to take a connection; its number."""
    before = children(os.getpid())
    relay.start()
    [process] = set(children(os.getpid())) - set(before)
    os.kill(process, signal.SIGSTOP)
    sending = threading.Event()
    send = handover.send

    def send_and_tell(*what: Any) -> None:
        sending.set()
        send(*what)

    def carry() -> None:
        ours, theirs = socket.socketpair()
        with (
            ours,
            theirs,
            contextlib.suppress(OSError),
            relay.carry(theirs, MEGABYTE, time.monotonic() + DEADLINE),
        ):
            pass

    monkeypatch.setattr(handover, "send", send_and_tell)
    handler = threading.Thread(target=carry)
    handler.start()
    assert sending.wait(DEADLINE)
    yield process
    handler.join(DEADLINE)
    assert not handler.is_alive()
    assert not set(children(os.getpid())) - set(before)


def try_in_vain(relay: Relay, *, seconds: float) -> None:
    """Come as a client that has so much time left."""
    here, there = socket.socketpair()
    with here, there, pytest.raises(TimeoutError), relay.carry(here, b"", time.monotonic() + seconds):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="finds the process in /proc")
def test_a_relay_that_is_stuck_does_not_keep_the_server_from_stopping(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "STOP_SECONDS", 0.1)
    relay = Relay(certificate)
    with stuck(relay, monkeypatch):
        relay.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="finds the process in /proc")
def test_a_relay_that_is_stuck_is_replaced(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(relay_module, "STUCK_SECONDS", 0.01)
    relay = Relay(certificate)
    with stuck(relay, monkeypatch):
        waiting = socket.create_connection(("127.0.0.1", Handler(relay, echo).port), DEADLINE)
        try_in_vain(relay, seconds=0.2)
        with CLIENT.wrap_socket(waiting) as client:  # it waited for the next one, and was not ended with this
            client.sendall(b"hello\n")
            assert client.recv(100) == b"hello\n"
        relay.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="finds the process in /proc")
def test_who_is_out_of_time_does_not_end_the_relay_of_the_others(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = Relay(certificate)
    with stuck(relay, monkeypatch) as process:
        try_in_vain(relay, seconds=0)
        os.kill(process, signal.SIGCONT)
        with Handler(relay, echo).connect() as client:
            client.sendall(b"hello\n")
            assert client.recv(100) == b"hello\n"
        assert process in children(os.getpid())
        relay.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="finds the process in /proc")
def test_ctrl_c_is_for_the_server_alone(certificate: Certificate) -> None:
    before = children(os.getpid())
    relay = Relay(certificate)
    relay.start()
    [process] = set(children(os.getpid())) - set(before)
    assert os.getpgid(process) != os.getpgid(0)
    relay.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="finds the process in /proc")
def test_where_its_certificate_is_gone_it_says_so_in_a_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    own = Certificate(*certificates.make(tmp_path))
    relay = Relay(own)
    own.files[1].unlink()
    relay.start()
    relay.stop()
    assert capfd.readouterr().err == f"{own.files[1]} can't be read: No such file or directory.\n"
