"""Whom the client trusts, and what it keeps secret: real servers, real certificates, its own files."""

from __future__ import annotations

import json
import select
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import TCP_client
from chat.front.certificate import PIN_DIGITS, Certificate
from tests import certificates
from tests.certificates import TlsClient
from tests.client.program import WELCOME, run, says
from tests.files import is_private
from tests.harness import DEADLINE, Client, Server, fake_server, serving, texts
from tests.terminal import Terminal, client_command, environment

ENTER = "\r"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return certificates.make(tmp_path)


@pytest.fixture
def secure(history_path: Path, files: tuple[Path, Path]) -> Iterator[Server]:
    with serving(history_path, "--tls-cert", str(files[0]), "--tls-key", str(files[1])) as server:
        yield server


def say(home: Path, server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A bot that says hi."""
    return run(home, "hi", f"127.0.0.1:{server.port}", "--name", "bot", *arguments)


def known(home: Path) -> Path:
    return home / "config" / "tcp-chat" / "known-servers.json"


def restarted(server: Server, *arguments: str) -> Server:
    """Another server on its port."""
    server.stop()
    return Server(server.history, *arguments, port=server.port)


def test_it_speaks_tls_by_itself_and_remembers_whom_it_met(
    secure: Server, tmp_path: Path, files: tuple[Path, Path]
) -> None:
    witness = TlsClient(secure.port, "witness")
    done = say(tmp_path, secure)
    assert (done.returncode, done.stderr) == (0, "")
    assert witness.until("message").text == "hi"
    witness.close()
    stored = json.loads(known(tmp_path).read_text())
    assert stored[f"127.0.0.1:{secure.port}"]["fingerprint"] == Certificate(*files).fingerprint
    assert is_private(known(tmp_path))


def test_a_client_that_was_too_late_for_a_handshake_tries_again(
    secure: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy computer it took a server that had greeted it for one without TLS."""
    monkeypatch.setattr(TCP_client, "settings_folder", lambda: tmp_path)
    connect, late = TCP_client.connect, [True]

    def busy(address: TCP_client.Address) -> socket.socket:
        connection = connect(address)
        if late and late.pop():
            assert select.select([connection], [], [], DEADLINE)[0]
        return connection

    monkeypatch.setattr(TCP_client, "connect", busy)
    opened, _ = TCP_client.Trust().open(TCP_client.Address("127.0.0.1", secure.port))
    opened.close()
    assert isinstance(opened, TCP_client.SecureConnection)


def test_what_it_sends_is_encrypted(history_path: Path, files: tuple[Path, Path], tmp_path: Path) -> None:
    arguments = ["--tls-cert", str(files[0]), "--tls-key", str(files[1]), "--tls", "only"]
    with serving(history_path, *arguments) as server:
        assert say(tmp_path, server).returncode == 0
        assert texts(server.records()) == ["hi"]


def test_another_certificate_is_refused_until_the_host_vouches_for_it(
    secure: Server, tmp_path: Path, files: tuple[Path, Path]
) -> None:
    assert say(tmp_path, secure).returncode == 0
    certificates.make(tmp_path)
    pin = Certificate(*files).pin
    other = restarted(secure, "--tls-cert", str(files[0]), "--tls-key", str(files[1]))
    try:
        for _ in range(2):
            refused = say(tmp_path, other)
            assert refused.returncode == 1
            assert "has a different certificate than before" in refused.stderr
            assert f"--pin {pin}" in refused.stderr
        assert texts(other.records()) == ["hi"]  # that of before
        assert say(tmp_path, other, "--pin", pin).returncode == 0
        assert say(tmp_path, other).returncode == 0
    finally:
        other.close()


def test_a_server_that_had_tls_is_not_spoken_to_without_it(secure: Server, tmp_path: Path) -> None:
    assert say(tmp_path, secure).returncode == 0
    plain = restarted(secure)
    try:
        refused = say(tmp_path, plain)
        assert refused.returncode == 1
        assert "had TLS before, and now answers without it" in refused.stderr
        address = f"127.0.0.1:{plain.port}"
        assert f"--forget-server {address}" in refused.stderr
        forgotten = run(tmp_path, "", "--forget-server", address)
        assert (forgotten.returncode, "is forgotten" in forgotten.stdout) == (0, True)
        assert say(tmp_path, plain).returncode == 0
    finally:
        plain.close()


def test_a_pin_makes_the_first_contact_safe(secure: Server, tmp_path: Path, files: tuple[Path, Path]) -> None:
    certificate = Certificate(*files)
    assert certificate.pin in secure.welcome
    wrong = say(tmp_path, secure, "--pin", "0" * PIN_DIGITS)
    assert wrong.returncode == 1
    assert f"is {certificate.pin}, not the one that you gave" in wrong.stderr
    assert texts(secure.records()) == []
    assert not known(tmp_path).exists()
    assert say(tmp_path, secure, "--pin", certificate.pin).returncode == 0
    colons = ":".join(certificate.fingerprint[at : at + 2] for at in range(0, 64, 2)).upper()
    assert say(tmp_path, secure, "--pin", f"SHA256:{colons}").returncode == 0


def test_a_pin_is_not_satisfied_by_a_server_without_tls(server: Server, tmp_path: Path) -> None:
    with fake_server(says(WELCOME)) as address:
        refused = run(tmp_path, "hi", address, "--name", "bot", "--pin", "0" * PIN_DIGITS)
    assert refused.returncode == 1
    assert "handshake" in refused.stderr
    refused = say(tmp_path, server, "--pin", "0" * PIN_DIGITS)
    assert refused.returncode == 1
    assert "answers without TLS" in refused.stderr
    assert texts(server.records()) == []


@pytest.mark.parametrize("pin", ["", "abc", "x" * 32, "0" * 65])
def test_what_is_no_fingerprint_is_named(tmp_path: Path, pin: str) -> None:
    refused = run(tmp_path, "", "127.0.0.1:9", "--pin", pin)
    assert refused.returncode == 2
    assert "is not a fingerprint" in refused.stderr


@pytest.mark.parametrize("damage", ["", "[]", "{", '{"127.0.0.1:1": 1}'])
def test_a_damaged_list_of_known_servers_is_no_empty_one(secure: Server, tmp_path: Path, damage: str) -> None:
    known(tmp_path).parent.mkdir(parents=True)
    known(tmp_path).write_text(damage)
    refused = say(tmp_path, secure)
    assert refused.returncode == 1
    assert f"{known(tmp_path)} is damaged" in refused.stderr
    assert known(tmp_path).read_text() == damage


def test_where_nothing_can_be_remembered_that_is_told_and_the_chat_goes_on(
    secure: Server, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("a file is in the way")
    done = say(tmp_path, secure)
    assert done.returncode == 0
    assert "can't be remembered" in done.stderr


def test_the_doctor_says_what_it_finds(secure: Server, tmp_path: Path, files: tuple[Path, Path]) -> None:
    address = f"127.0.0.1:{secure.port}"
    pin = Certificate(*files).pin
    first = run(tmp_path, "", address, "--doctor")
    assert first.returncode == 0
    assert f"it has TLS, fingerprint {pin}, seen for the first time" in first.stdout
    assert f"it has TLS, fingerprint {pin}, known since" in run(tmp_path, "", address, "--doctor").stdout
    certificates.make(tmp_path)
    other = restarted(secure, "--tls-cert", str(files[0]), "--tls-key", str(files[1]))
    try:
        refused = run(tmp_path, "", address, "--doctor")
        assert refused.returncode == 1
        assert "FAILED it is the same server as before" in refused.stdout
    finally:
        other.close()


def test_the_doctor_says_where_there_is_no_tls(server: Server, tmp_path: Path) -> None:
    done = run(tmp_path, "", f"127.0.0.1:{server.port}", "--doctor")
    assert "it has no TLS" in done.stdout


def test_everything_of_a_pipe_is_stored_once_though_the_connection_breaks(
    secure: Server, tmp_path: Path, history_path: Path
) -> None:
    lines = "".join(f"line {number}\n" for number in range(300))
    command = client_command(f"127.0.0.1:{secure.port}", "--name", "bot")
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment(tmp_path), text=True
    ) as client:
        assert client.stdin
        witness = Client(secure.port, "witness")
        client.stdin.write(lines[: len(lines) // 2])
        client.stdin.flush()
        witness.until("message", "line 20")
        secure.kill()
        witness.close()
        again = Server(history_path, *secure_arguments(tmp_path), port=secure.port)
        client.stdin.write(lines[len(lines) // 2 :])
        client.stdin.close()
        assert client.wait(60) == 0
    assert texts(again.records()) == lines.splitlines()
    again.close()


def secure_arguments(folder: Path) -> list[str]:
    return ["--tls-cert", str(folder / "tls-cert.pem"), "--tls-key", str(folder / "tls-key.pem")]


# ----------------------------------------------------------------------------------- names and their secrets


def secrets_of(home: Path) -> Path:
    return home / "config" / "tcp-chat" / "secrets.json"


def stored_secret(home: Path, server: Server, name: str) -> str:
    [secret] = json.loads(secrets_of(home).read_text())[f"127.0.0.1:{server.port}"][name]
    assert isinstance(secret, str)
    return secret


def test_a_name_is_registered_with_a_secret_of_the_clients_own(secure: Server, tmp_path: Path) -> None:
    address = f"127.0.0.1:{secure.port}"
    with Terminal(tmp_path, client_command(address, "--name", "alice")) as terminal:
        terminal.shows("alice joined")
        terminal.type("/register" + ENTER)
        terminal.shows("alice is yours")
        secret = stored_secret(tmp_path, secure, "alice")
        assert len(secret) >= 20
        assert secret not in terminal.text
        terminal.type("/secret" + ENTER)
        terminal.shows(f"/identify {secret}")
        terminal.type("exit" + ENTER)
        assert terminal.ends() == 0
    assert is_private(secrets_of(tmp_path))
    with Terminal(tmp_path, client_command(address, "--name", "alice")) as terminal:
        terminal.shows("> ")
        terminal.type("hello" + ENTER)
        terminal.shows("alice: hello")
        terminal.type("exit" + ENTER)
        assert terminal.ends() == 0


def test_another_device_comes_in_with_the_secret_and_remembers_it(secure: Server, tmp_path: Path) -> None:
    owner = TlsClient(secure.port, "alice")
    owner.ask("/register correct horse battery", "/register")
    owner.send("exit")
    owner.rest()
    owner.close()
    address = f"127.0.0.1:{secure.port}"
    with Terminal(tmp_path, client_command(address, "--name", "alice")) as terminal:
        terminal.shows("alice is registered")
        terminal.type("/identify" + ENTER)
        terminal.shows("Secret:")
        terminal.type("correct horse battery" + ENTER)
        terminal.shows("alice joined")
        terminal.type("exit" + ENTER)
        assert terminal.ends() == 0
        assert b"correct horse" not in terminal.output
    assert stored_secret(tmp_path, secure, "alice") == "correct horse battery"
    done = run(tmp_path, "hi", address, "--name", "alice")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_secret_that_was_being_changed_when_the_client_was_stopped_is_not_lost(
    secure: Server, tmp_path: Path
) -> None:
    owner = TlsClient(secure.port, "alice")
    owner.ask("/register the one that holds", "/register")
    owner.send("exit")
    owner.rest()
    owner.close()
    for both in (["the one that holds", "never arrived"], ["was replaced", "the one that holds"]):
        secrets_of(tmp_path).parent.mkdir(parents=True, exist_ok=True)
        secrets_of(tmp_path).touch(0o600)
        secrets_of(tmp_path).write_text(json.dumps({f"127.0.0.1:{secure.port}": {"alice": both}}))
        done = run(tmp_path, "hi", f"127.0.0.1:{secure.port}", "--name", "alice")
        assert done.returncode == 0, done.stderr


def test_secrets_that_others_can_read_are_not_used(secure: Server, tmp_path: Path) -> None:
    secrets_of(tmp_path).parent.mkdir(parents=True)
    secrets_of(tmp_path).write_text("{}")
    secrets_of(tmp_path).chmod(0o644)
    done = say(tmp_path, secure)
    assert done.returncode == 0
    assert "can be read by others on this computer: chmod 600" in done.stderr


def test_a_password_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("sesame\n")
    password.chmod(0o644)
    refused = run(tmp_path, "hi", "127.0.0.1:9", "--name", "bot", "--password-file", str(password))
    assert refused.returncode == 2
    assert "can be read by others" in refused.stderr


def test_before_a_secret_goes_out_in_plain_text_that_is_said_once(server: Server, tmp_path: Path) -> None:
    with Terminal(tmp_path, client_command(f"127.0.0.1:{server.port}", "--name", "alice")) as terminal:
        terminal.shows("alice joined")
        assert "plain text" not in terminal.text
        terminal.type("/register" + ENTER)
        terminal.shows("alice is yours")
        terminal.type("/register" + ENTER)
        terminal.type("exit" + ENTER)
        assert terminal.ends() == 0
        assert terminal.output.count(b"are sent in") == 1


def test_a_server_that_never_shakes_hands_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        change = "TCP_client.CONNECT_SECONDS = 1"
        done = run(
            tmp_path,
            "hi",
            command=client_command(f"127.0.0.1:{silent.getsockname()[1]}", "--name", "bot", change=change),
        )
    assert done.returncode == 1
    assert "it does not answer" in done.stderr
