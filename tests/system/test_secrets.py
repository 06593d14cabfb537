"""What is secret is nowhere that somebody could look for it, after everything that takes secrets was used."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat.service.tokens import Tokens
from tests import web
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
PAGES = "page-0c7e58-secret"
SECRETS = [PASSWORD, ADMIN, CHOSEN, WRONG, PRIVATE, KEPT, TYPED, PAGES]
# What can't be encoded: an exception about it would quote the text that it is in.
SURROGATE = "\ud800"


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


def use_the_page(port: int) -> str:
    """The same over HTTP; the token of the session."""
    for password, secret in ((WRONG, ""), (WRONG + SURROGATE, ""), (PASSWORD, WRONG + SURROGATE)):
        asked = {"name": "alice", "password": password, "secret": secret}
        assert web.ask(port, "POST", "/join", asked, Chat_Session="new").status == 403
    page = web.Page(port, "dora", password=PASSWORD)
    page.listen()
    page.post(
        f"/register {PAGES}", f"/msg bob {PRIVATE}", f"/msg alice {PRIVATE}{SURROGATE}", f"/admin {WRONG}"
    )
    page.post(f"/identify {PAGES}{SURROGATE}", "/nick alice", f"/msg alice {KEPT}", "bye")
    page.until("bye")
    page.close()
    web.ask(port, "GET", f"/nothing?{WRONG}")
    web.ask(port, "POST", "/lines", f"not JSON {WRONG}".encode(), Chat_Session=page.session)
    return page.session


def use_a_bot(port: int, token: str) -> None:
    """A bot speaks, and guesses."""
    answer = web.ask(port, "POST", "/say/robot", b"hello", Authorization=f"Bearer {token}")
    assert answer.status == 200
    assert web.ask(port, "POST", "/say/robot", b"hello", Authorization=f"Bearer {WRONG}").status == 401
    assert web.ask(port, "POST", "/say/other", b"hello", Authorization=f"Bearer {token}").status == 403


@pytest.fixture
def _everything_is_readable() -> Iterator[None]:
    """Unless a program sees to it."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_everything_is_readable")
def test_what_is_secret_stays_so(tmp_path: Path) -> None:
    """In no log, traceback, history, process list, or file that others can read."""
    server_folder, home = tmp_path / "server", tmp_path / "home"
    server_folder.mkdir()
    home.mkdir()
    door = secret_file(tmp_path / "door.txt", PASSWORD)
    admin = secret_file(tmp_path / "admin.txt", ADMIN)
    bot = Tokens(server_folder / "tokens.txt").make("robot", "2026-11-21T12:00:00.000Z")
    with serving(
        server_folder / "history.txt",
        *("--tls", "--log-level", "debug", "--rate", "0"),
        *("--password-file", str(door), "--admin-password-file", str(admin)),
    ) as server:
        tokens = [use_everything(server.port), use_the_page(server.port), bot]
        use_a_bot(server.port, bot)
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
    hidden = [*SECRETS, *tokens]
    for where, text in (("the log", log), ("the process list", processes), ("the screen", shown)):
        found = [secret for secret in hidden if secret in text]
        # On the screen of whoever writes it a private message may stand.
        assert [secret for secret in found if (where, secret) != ("the screen", PRIVATE)] == [], where
    for path in [*server_folder.rglob("*"), *home.rglob("*")]:
        if path.is_file():
            content = path.read_bytes()
            found = [secret for secret in hidden if secret.encode() in content]
            assert not found or path.stat().st_mode & 0o077 == 0, path
            if path.name in ("secrets.json", "input-history.txt") or path.parent.name == "kept-messages":
                assert path.stat().st_mode & 0o077 == 0, path
            if path.name not in ("secrets.json", "settings.json") and path.parent.name != "kept-messages":
                assert not found, path
    kept = [path for path in server_folder.rglob("*") if path.is_file() and KEPT in path.read_text()]
    assert [path.parent.name for path in kept] == ["kept-messages"]
