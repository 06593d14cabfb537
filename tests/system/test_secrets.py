"""What is secret is nowhere that somebody could look for it, after everything that takes secrets was used."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from tests.certificates import TlsClient
from tests.harness import DEADLINE, Client, serving
from tests.terminal import Terminal, client_command

PASSWORD = "door-7f3a91"
ADMIN = "admin-51bc02"
CHOSEN = "chosen-9e44d7-secret"
WRONG = "wrong-a80c13-guess"
PRIVATE = "private-c2f6e8-words"
KEPT = "kept-11d0b5-words"
TYPED = "typed-6b90fa-secret"
SECRETS = [PASSWORD, ADMIN, CHOSEN, WRONG, PRIVATE, KEPT, TYPED]


def secret_file(path: Path, secret: str) -> Path:
    path.touch(0o600)
    path.write_text(secret + "\n")
    return path


def use_everything(port: int) -> str:
    """Everything that takes a secret, in plain text and over TLS; the token of a session."""
    alice = TlsClient(port, "alice", f"/password {PASSWORD}", "/session")
    token = alice.records[1].text.split()[0]
    alice.ask(f"/register {CHOSEN}", "/register")
    alice.ask(f"/admin {ADMIN}", "/admin")
    bob = Client(port, "bob", f"/password {PASSWORD}")
    for wrong in (f"/admin {WRONG}", f"/identify {WRONG}", f"/nick alice {WRONG}", f"/regster {WRONG}"):
        bob.send(wrong)
        bob.next()
    bob.ask(f"/msg alice {PRIVATE}", "/msg")
    alice.until("/msg")
    alice.send("exit")
    alice.rest()
    alice.close()
    bob.until("leave", name="alice")
    bob.ask(f"/msg alice {KEPT}", "/msg")
    guesser = Client(port, None, f"/password {PASSWORD}", f"/identify {WRONG}", "alice")
    guesser.until("/error")
    guesser.close()
    garbage = Client(port)
    garbage.send(f"/password {WRONG}", f"/session {token} x y")
    garbage.until("/error")
    garbage.close()
    bob.close()
    return token


def test_what_is_secret_stays_so(tmp_path: Path) -> None:
    """In no log, traceback, history, process list, or file that others can read."""
    server_folder, home = tmp_path / "server", tmp_path / "home"
    server_folder.mkdir()
    home.mkdir()
    door = secret_file(tmp_path / "door.txt", PASSWORD)
    admin = secret_file(tmp_path / "admin.txt", ADMIN)
    with serving(
        server_folder / "history.txt",
        *("--tls", "--log-level", "debug", "--rate", "0"),
        *("--password-file", str(door), "--admin-password-file", str(admin)),
    ) as server:
        token = use_everything(server.port)
        address = f"127.0.0.1:{server.port}"
        command = client_command(address, "--name", "carol", "--password-file", str(door))
        with Terminal(home, command) as terminal:
            terminal.shows("carol joined")
            terminal.type(f"/register {TYPED}\r")
            terminal.shows("carol is yours")
            terminal.type(f"/msg bob {PRIVATE}\r")
            terminal.shows("Nobody")
            processes = subprocess.run(
                ["ps", "axww", "-o", "args"], capture_output=True, text=True, timeout=DEADLINE, check=True
            ).stdout
            terminal.type("exit\r")
            terminal.ends()
        shown = terminal.text
        server.process.send_signal(signal.SIGTERM)
        server.wait()
        log = server.errors() + server.welcome
    hidden = [*SECRETS, token]
    for where, text in (("the log", log), ("the process list", processes), ("the screen", shown)):
        found = [secret for secret in hidden if secret in text]
        # On the screen of whoever writes it a private message may stand.
        assert [secret for secret in found if (where, secret) != ("the screen", PRIVATE)] == [], where
    for path in [*server_folder.rglob("*"), *home.rglob("*")]:
        if path.is_file():
            content = path.read_bytes()
            found = [secret for secret in hidden if secret.encode() in content]
            assert not found or path.stat().st_mode & 0o077 == 0, path
            if path.name in ("history.txt", "names.txt", "input-history.txt"):
                assert not found, path
    kept = [path for path in server_folder.rglob("*") if path.is_file() and KEPT in path.read_text()]
    assert [path.parent.name for path in kept] == ["kept-messages"]
