"""TLS as seen from both ends."""

from __future__ import annotations

import contextlib
import http.client
import re
import select
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from chat.front.certificate import PIN_DIGITS, Certificate, fingerprint_of
from chat.front.relay import Relay
from TCP_server import TLS_ONLY, ChatServer
from tests import certificates
from tests.certificates import TlsClient
from tests.harness import DEADLINE, ROOT, Client, Server, serving, texts
from tests.rooms import opened, service_of
from tests.terminal import client_command, environment


def test_those_with_and_those_without_tls_talk_to_each_other(secure: Server) -> None:  # R70
    plain, encrypted = Client(secure.port, "plain"), TlsClient(secure.port, "encrypted")
    encrypted.send("over TLS")
    assert plain.until("message").text == "over TLS"
    plain.send("and without")
    encrypted.until("message", "and without")
    assert plain.until("message", "and without").address == encrypted.records[-1].address == "127.0.0.1"
    encrypted.close()
    plain.close()


def test_openssl_is_a_full_client(secure: Server) -> None:  # R70
    witness = Client(secure.port, "witness")
    with subprocess.Popen(
        ["openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{secure.port}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as client:
        assert client.stdin
        assert client.stdout
        client.stdin.write("somebody\nhello\n")
        client.stdin.flush()
        assert witness.until("message").text == "hello"
        assert next(line for line in client.stdout if "\tmessage\t" in line).endswith("hello\n")
        client.stdin.write("exit\n")
        client.stdin.flush()
        assert client.stdout.read().endswith("leave\texit\n")
    witness.close()


def test_a_session_resumes_over_tls_as_without(secure: Server) -> None:
    bob, alice = Client(secure.port, "bob"), TlsClient(secure.port, "alice", "/session")
    token, start, _ = alice.records[1].text.split()
    alice.send("before the break")
    alice.until("message")
    offset = int(start) + sum(len(found.encode()) for found in alice.history())
    alice.close()
    bob.until("leave", name="alice")
    bob.send("missed")
    bob.until("message", "missed")
    again = TlsClient(secure.port, "alice", f"/session {token} {offset} {alice.records[-1].time}")
    assert [found.kind for found in again.history()] == ["leave", "message", "join"]
    assert texts(again.records) == ["missed"]
    again.close()
    bob.close()


def test_a_flood_over_tls_is_stored_and_delivered_once(secure: Server) -> None:
    listener, speaker = TlsClient(secure.port, "listener"), TlsClient(secure.port, "speaker")
    lines = [f"line {number} " + "x" * 200 for number in range(5000)]
    for first in range(0, len(lines), 100):
        speaker.send(*lines[first : first + 100])
    listener.until("message", lines[-1])
    assert texts(listener.records) == lines
    listener.close()
    speaker.close()


def test_a_client_that_does_not_read_holds_up_nobody_and_misses_nothing(secure: Server) -> None:
    stopped = TlsClient(secure.port, "stopped")
    speaker, listener = TlsClient(secure.port, "speaker"), Client(secure.port, "listener")
    lines = [f"line {number} " + "x" * 1000 for number in range(8000)]
    for first in range(0, len(lines), 100):
        speaker.send(*lines[first : first + 100])
        listener.until("message", lines[min(first + 99, len(lines) - 1)])
    stopped.until("message", lines[-1])
    assert texts(stopped.records) == lines
    for client in (stopped, speaker, listener):
        client.close()


def test_a_slow_handshake_holds_up_nobody(secure: Server) -> None:
    with contextlib.ExitStack() as closing:
        for _ in range(20):
            dawdler = closing.enter_context(socket.create_connection(("127.0.0.1", secure.port)))
            dawdler.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01")
        client = TlsClient(secure.port, "quick")
        client.send("hello")
        assert client.until("message").text == "hello"
        client.close()


def test_handshake_and_login_share_one_time_limit(  # R19
    history_path: Path, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who dawdles over the handshake has the less time for a name: it costs what silence costs."""
    seconds = 4.0
    monkeypatch.setattr("TCP_server.LOGIN_SECONDS", seconds)
    relay = Relay(Certificate(*files))
    with opened(history_path) as room, ChatServer(("127.0.0.1", 0), service_of(room), tls=relay) as server:
        relay.start()
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", server.server_address[1]), DEADLINE) as connection:
            to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
            client = certificates.client_context().wrap_bio(to_client, to_server)
            with pytest.raises(ssl.SSLWantReadError):
                client.do_handshake()
            hello = to_server.read()
            connection.sendall(hello[:100])
            assert not select.select([connection], [], [], 0.75 * seconds)[0]
            connection.sendall(hello[100:])
            answer = b""
            while b"No name came" not in answer:
                received = connection.recv(65536)
                assert received, answer
                to_client.write(received)
                with contextlib.suppress(ssl.SSLWantReadError):
                    client.do_handshake()
                    connection.sendall(to_server.read())
                    answer += client.read(65536)
        assert seconds <= time.monotonic() - began < 1.5 * seconds
        server.shutdown()
        server.routes.streams.stop()
        relay.stop()


def test_an_invalid_handshake_costs_nobody_anything(secure: Server) -> None:
    client = TlsClient(secure.port, "alice")
    with socket.create_connection(("127.0.0.1", secure.port), DEADLINE) as raw:
        raw.sendall(b"\x16\x03\x01\x00\x05hello")
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := raw.recv(4096):
                answer += piece
    assert certificates.records(answer) == [21]  # an alert
    client.send("unharmed")
    client.until("message", "unharmed")
    client.close()
    assert "error" not in secure.errors()


def test_tls_only_tells_others_how_to_connect(history_path: Path, arguments: list[str]) -> None:  # R71
    with serving(history_path, *arguments, "--tls", "only") as server:
        plain = Client(server.port)
        plain.send("alice")
        assert plain.next().text == TLS_ONLY
        assert plain.rest() == []
        plain.close()
        encrypted = TlsClient(server.port, "alice")
        encrypted.close()
        assert f"openssl s_client -quiet -connect 127.0.0.1:{server.port}" in server.welcome


def test_the_first_start_generates_a_certificate_and_the_next_uses_it(tmp_path: Path) -> None:
    pins = set()
    for _ in range(2):
        with serving(tmp_path / "history.txt", "--tls") as server:
            client = TlsClient(server.port, "alice")
            assert isinstance(client.socket, ssl.SSLSocket)
            pin = fingerprint_of(client.socket.getpeercert(binary_form=True) or b"")[:PIN_DIGITS]
            client.close()
            assert f"python3 TCP_client.py 127.0.0.1:{server.port} --pin {pin}" in server.welcome
            pins.add(pin)
            assert server.stop() == 0
    assert len(pins) == 1


def why_not(tmp_path: Path, *arguments: str) -> str:
    """The error of a server that can't start."""
    ended = subprocess.run(
        [
            *(sys.executable, str(ROOT / "TCP_server.py"), "--host", "127.0.0.1", "--port", "0"),
            *("--history", str(tmp_path / "history.txt"), "--no-discovery", *arguments),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    return ended.stderr


def test_a_certificate_that_cannot_be_used_is_a_sentence(tmp_path: Path, files: tuple[Path, Path]) -> None:
    certificate, key = map(str, files)
    assert "can't be read" in why_not(tmp_path, "--tls-cert", "/none.pem", "--tls-key", key)
    assert "belong together" in why_not(tmp_path, "--tls-cert", certificate)
    expired, other = map(str, certificates.make(tmp_path, "other"))
    assert "is not the key of" in why_not(tmp_path, "--tls-cert", certificate, "--tls-key", other)
    subprocess.run(
        ["openssl", "x509", "-in", expired, "-signkey", other, "-days", "-1", "-out", expired],
        check=True,
        capture_output=True,
    )
    assert "has expired" in why_not(tmp_path, "--tls-cert", expired, "--tls-key", other)
    (tmp_path / "tls-cert.pem").write_text("half")
    (tmp_path / "tls-key.pem").touch(0o600)
    assert "can't be used as certificate and key" in why_not(tmp_path, "--tls")


def test_what_is_older_than_tls_1_2_is_refused(secure: Server) -> None:
    for version, accepted in (("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)):
        done = subprocess.run(
            [
                *("openssl", "s_client", "-connect", f"127.0.0.1:{secure.port}", version),
                *("-cipher", "ALL:@SECLEVEL=0", "-brief"),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert ("CONNECTION ESTABLISHED" in done.stderr) == accepted, done.stderr


@pytest.mark.skipif(not shutil.which("nmap"), reason="nmap is not installed")
def test_nmap_finds_nothing_weak(secure: Server) -> None:
    done = subprocess.run(
        ["nmap", "-Pn", "--script", "ssl-enum-ciphers", "-p", str(secure.port), "127.0.0.1"],
        capture_output=True,
        text=True,
        timeout=10 * DEADLINE,
        check=True,
    )
    assert "TLSv1.3" in done.stdout
    assert set(re.findall(r"TLSv1\.\d|SSLv\d", done.stdout)) == {"TLSv1.2", "TLSv1.3"}
    assert set(re.findall(r" - ([A-F])$", done.stdout, re.MULTILINE)) == {"A"}
    assert "least strength: A" in done.stdout
    assert "CBC" not in done.stdout
    assert "warnings" not in done.stdout


def test_a_browser_gets_the_page_over_tls_and_is_sent_there(history_path: Path, arguments: list[str]) -> None:
    with serving(history_path, *arguments, "--tls", "only") as server:
        plain = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)
        plain.request("GET", "/")
        redirect = plain.getresponse()
        assert (redirect.status, redirect.headers["Location"]) == (308, f"https://127.0.0.1:{server.port}/")
        plain.close()
        secured = http.client.HTTPSConnection(
            "127.0.0.1", server.port, timeout=DEADLINE, context=certificates.client_context()
        )
        secured.request("GET", "/")
        page = secured.getresponse()
        assert page.status == 200
        assert page.read().lower().startswith(b"<!doctype html>")
        secured.close()


@pytest.mark.skipif(not shutil.which("chromedriver"), reason="Chromium is not installed")
def test_chromium_and_the_client_talk_over_tls_to_somebody_without(secure: Server, tmp_path: Path) -> None:
    from tests.browser import enter, say, shown, start, wait  # not where there is none

    plain = Client(secure.port, "plain")
    browser = start("--ignore-certificate-errors")  # which somebody would click away
    try:
        enter(browser, secure, "browser", scheme="https")
        say(browser, "from Chromium")
        assert plain.until("message").name == "browser"
        plain.send("from nc")
        ran = subprocess.run(
            client_command(f"127.0.0.1:{secure.port}", "--name", "terminal", "--plain"),
            input="from the client\n",
            env=environment(tmp_path),
            text=True,
            capture_output=True,
            timeout=DEADLINE,
            check=True,
        )
        assert "from nc" in ran.stdout
        assert (tmp_path / "config" / "tcp-chat" / "known-servers.json").exists()  # it was over TLS
        plain.until("message", "from the client")
        wait(browser, lambda page: shown(page) == ["from Chromium", "from nc", "from the client"])
    finally:
        browser.quit()
        plain.close()
