"""However a connection over TLS ends, nothing on it is in plain text: an eavesdropper listens."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import ssl
import sys
import threading
import time
from pathlib import Path

import pytest

from tests import certificates
from tests.certificates import TlsClient
from tests.harness import DEADLINE, Client, Server, children, serving
from tests.web import Page


class Eavesdropper:
    """A proxy in front of a server, which records what the server sends."""

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.heard = bytearray()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        client, _ = self._listener.accept()
        self._listener.close()
        server = socket.create_connection(("127.0.0.1", self._server_port))
        ends = {client: server, server: client}
        with client, server:
            while ends:
                for end in select.select(list(ends), [], [], DEADLINE)[0]:
                    try:
                        piece = end.recv(65536)
                    except ConnectionResetError:
                        piece = b""
                    if end is server:
                        self.heard += piece
                    other = ends[end]
                    with contextlib.suppress(OSError):
                        if piece:
                            other.sendall(piece)
                        else:
                            other.shutdown(socket.SHUT_WR)
                    if not piece:
                        del ends[end]
                        if end is client:
                            return

    def all_heard(self) -> bytes:
        """What the server sent until the connection ended."""
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()
        return bytes(self.heard)


def _left(alice: Client, secure: Server) -> None:
    alice.send("exit")


def _sent_away(secure: Server, command: str) -> None:
    admin = Client(secure.port, "root")
    admin.ask("/admin letmein", "/admin")
    admin.send(f"/{command} alice")
    admin.until("leave", name="alice")
    admin.close()


def _kicked(alice: Client, secure: Server) -> None:
    _sent_away(secure, "kick")


def _banned(alice: Client, secure: Server) -> None:
    _sent_away(secure, "ban")


def _taken_over(alice: Client, secure: Server) -> None:
    token = alice.records[1].text.split()[0]
    other = TlsClient(secure.port, "alice", f"/session {token} 0 2026-11-21T12:00:00.000Z")
    other.close()


def _server_stopped(alice: Client, secure: Server) -> None:
    secure.process.send_signal(signal.SIGTERM)


def _server_killed(alice: Client, secure: Server) -> None:
    secure.kill()


@pytest.mark.parametrize("end", [_left, _kicked, _banned, _taken_over, _server_stopped, _server_killed])
def test_nothing_is_sent_in_plain_text_however_the_connection_ends(
    history_path: Path, arguments: list[str], tmp_path: Path, end: object
) -> None:
    password = tmp_path / "admin.txt"
    password.touch(0o600)
    password.write_text("letmein\n")
    with serving(history_path, *arguments, "--admin-password-file", str(password)) as secure:
        eavesdropper = Eavesdropper(secure.port)
        alice = TlsClient(eavesdropper.port, "alice", "/session")
        alice.send("a secret word")
        alice.until("message")
        assert callable(end)
        end(alice, secure)
        alice.rest()  # raises SSLEOFError without a close_notify
        alice.close()
        heard = eavesdropper.all_heard()
    assert certificates.records(heard)  # raises ValueError for anything but TLS records
    assert b"alice" not in heard


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
def test_nothing_of_a_killed_server_keeps_running(history_path: Path, arguments: list[str]) -> None:
    with serving(history_path, *arguments) as secure:
        alice = TlsClient(secure.port, "alice")
        helpers = children(secure.pid)
        assert helpers
        secure.kill()
        alice.rest()
        alice.close()
    until = time.monotonic() + DEADLINE
    while any(Path(f"/proc/{each}").exists() for each in helpers):
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("full", [True, False])
def test_who_is_refused_is_told_inside_tls(
    history_path: Path, arguments: list[str], full: bool
) -> None:  # R35, R23
    limits = ("--max-clients", "1") if full else ()
    if not full:
        history_path.with_name("bans.txt").write_text("127.0.0.1\n")
    with serving(history_path, *arguments, *limits) as secure:
        alice = TlsClient(secure.port, "alice", source="127.0.0.2")
        eavesdropper = Eavesdropper(secure.port)
        refused = TlsClient(eavesdropper.port)
        [sentence] = refused.rest()
        assert sentence.kind == "/error"
        assert ("full" if full else "banned") in sentence.text
        refused.close()
        assert certificates.records(eavesdropper.all_heard())
        plain = Client(secure.port)
        assert plain.rest()[0].text == sentence.text
        plain.close()
        alice.close()


def test_nothing_is_sent_in_plain_text_if_the_handshake_fails(secure: Server) -> None:
    """Here because the client doesn't trust the certificate."""
    eavesdropper = Eavesdropper(secure.port)
    with (
        socket.create_connection(("127.0.0.1", eavesdropper.port), DEADLINE) as connection,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        ssl.create_default_context().wrap_socket(connection, server_hostname="localhost")
    assert certificates.records(eavesdropper.all_heard())


def test_the_kicked_get_the_reason(history_path: Path, arguments: list[str], tmp_path: Path) -> None:
    password = tmp_path / "admin.txt"
    password.touch(0o600)
    password.write_text("letmein\n")
    with serving(history_path, *arguments, "--admin-password-file", str(password)) as secure:
        alice = TlsClient(secure.port, "alice")
        _kicked(alice, secure)
        assert alice.rest()[-1].text == "kicked by root"
        alice.close()


def test_it_stops_in_ten_seconds_although_nobody_reads(history_path: Path, arguments: list[str]) -> None:
    """Docker kills what has not stopped by then."""
    with serving(history_path, *arguments) as server, contextlib.ExitStack() as stack:
        for client in (Client(server.port, "plain"), TlsClient(server.port, "encrypted")):
            stack.callback(client.close)
        stack.callback(Page(server.port, "page").listen().close)
        alice = Client(server.port, "alice")
        stack.callback(alice.close)
        alice.send(*["x" * 4000] * 3000)
        for _ in range(3000):
            alice.until("message")
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 10
