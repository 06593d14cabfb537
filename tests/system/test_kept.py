"""Messages kept for owners who are out: nothing acknowledged is lost, however and wherever it ends."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import certificates, web
from tests.browser import By, Open, enter, say, shown, wait
from tests.certificates import TlsClient
from tests.harness import Client, Server, reset, serving, texts

SECRET = "correct horse battery"
TEXTS = ["one", "two"]

# Put first on the server's path: it is killed as it is about to touch the mailbox for the KILL_AT-th time.
KILLER = """
import os, signal, sys

left = int(os.environ["KILL_AT"])

def step(*_):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

def watch(event, arguments):
    if event in ("open", "os.mkdir", "os.remove", "os.rename", "os.truncate"):
        if "kept-messages" in str(arguments[0]):
            step()

sync = os.fsync

def fsync(fd):
    watched = "kept-messages" in os.readlink(f"/proc/self/fd/{fd}")
    if watched:
        step()
    sync(fd)
    if watched:
        step()

os.fsync = fsync
sys.addaudithook(watch)
"""


def owner(port: int, kind: type[Client] = Client) -> Client:
    return kind(port, "alice", f"/identify {SECRET}", "/replay 0")


def registered(server: Server) -> None:
    """Alice has come, registered and left."""
    alice = Client(server.port, "alice")
    alice.ask(f"/register {SECRET}", "/register")
    leave(alice)


def leave(client: Client) -> None:
    client.send("exit")
    client.rest()
    client.close()


def send(server: Server, *kept: str) -> None:
    bob = Client(server.port, "bob")
    for text in kept:
        assert bob.ask(f"/msg alice {text}", "/msg").text == f"kept for alice: {text}"
    leave(bob)


def introduction(alice: Client) -> str:
    return "".join(texts(alice.records, "/kept"))


def kept(alice: Client) -> list[str]:
    return texts(alice.records, "/msg")


def again(alice: Client) -> bool:
    """Whether it says that they may have come before."""
    return "may have seen them before" in introduction(alice)


@pytest.fixture
def out(server: Server) -> Server:
    """A server that keeps two messages for alice."""
    registered(server)
    send(server, *TEXTS)
    return server


@pytest.fixture
def secure(history_path: Path, tmp_path: Path) -> Iterator[Server]:
    """The same, which also accepts TLS connections."""
    certificate, key = certificates.make(tmp_path)
    with serving(history_path, "--tls-cert", str(certificate), "--tls-key", str(key)) as server:
        registered(server)
        send(server, *TEXTS)
        yield server


def comes(server: Server) -> list[str]:
    """What alice gets if she comes, reads and leaves."""
    alice = owner(server.port)
    leave(alice)
    return kept(alice)


# ---------------------------------------------------------------------------------------------- kill -9


def _use(server: Server, stored: list[str], read: list[str]) -> None:
    """Everything that touches the mailbox; notes what is acknowledged and what arrives."""
    bob, alice = Client(server.port, "bob"), Client(server.port)
    with contextlib.closing(bob), contextlib.closing(alice):
        for text in TEXTS:
            bob.ask(f"/msg alice {text}", "/msg")
            stored.append(text)
        alice.send(f"/identify {SECRET}", "/replay 0", "alice")
        alice.until("join", name="alice")
        read += kept(alice)
        alice.ask("/users", "/users")


def test_a_kill_at_any_step_loses_nothing_and_marks_what_comes_twice(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(KILLER)
    steps, killed = 0, True
    while killed:
        steps += 1
        history = tmp_path / str(steps) / "history.txt"
        history.parent.mkdir()
        stored: list[str] = []
        read: list[str] = []
        server = Server(history, environment={"KILL_AT": str(steps), "PYTHONPATH": str(tmp_path)})
        try:
            registered(server)
            with contextlib.suppress(EOFError, ConnectionError):
                _use(server, stored, read)
            killed = len(read) < len(TEXTS) or server.process.poll() is not None
            if killed:
                assert server.wait() == -signal.SIGKILL
        finally:
            server.close()
        with serving(history) as restarted:
            alice = owner(restarted.port)
            assert set(stored) <= {*read, *kept(alice)}, steps
            assert again(alice) or not set(read) & set(kept(alice)), steps
            leave(alice)
            assert comes(restarted) == []
    assert steps > 10  # at least so many steps there are


# -------------------------------------------------------------------------------- all the ways to read them


@pytest.mark.parametrize("kind", [Client, TlsClient])
@pytest.mark.parametrize("last", ["exit", "hello", ""])
def test_whoever_reads_them_gets_them_once(secure: Server, kind: type[Client], last: str) -> None:
    """Also who says nothing, and only closes."""
    witness = Client(secure.port, "witness", "/replay 0")
    alice = owner(secure.port, kind)
    assert (kept(alice), again(alice)) == (TEXTS, False)
    if last:
        alice.send(last)
        alice.until("leave" if last == "exit" else "message")
    _close(alice)
    witness.until("leave", name="alice")
    assert comes(secure) == []
    witness.close()


def test_whoever_only_listens_at_nc_gets_them_once(out: Server) -> None:
    witness = Client(out.port, "witness", "/replay 0")
    with subprocess.Popen(
        ["nc", "127.0.0.1", str(out.port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as nc:
        assert nc.stdin
        assert nc.stdout
        nc.stdin.write(f"/identify {SECRET}\nalice\n")
        nc.stdin.flush()
        assert next(line for line in nc.stdout if "\t/msg\t" in line).endswith("one\n")
        assert next(line for line in nc.stdout if "\tjoin\t" in line)
        nc.send_signal(signal.SIGINT)
    witness.until("leave", name="alice")
    assert comes(out) == []
    witness.close()


def test_a_page_gets_them_once(out: Server) -> None:
    page = web.Page(out.port, "alice", secret=SECRET)
    page.until("two")
    page.post("hello")
    page.until("hello")
    page.post("exit")
    page.close()
    _until_gone(out)
    assert comes(out) == []


def test_a_browser_that_only_shows_them_gets_them_once(server: Server, chromium: Open) -> None:
    browser = chromium()
    enter(browser, server, "alice")
    say(browser, f"/register {SECRET}")
    wait(browser, lambda page: "is yours now" in page.find_element(By.ID, "log").text)
    say(browser, "exit")
    _until_gone(server)
    send(server, *TEXTS)
    enter(browser, server, "alice")
    wait(browser, lambda page: set(TEXTS) <= set(shown(page)))
    wait(browser, lambda page: not list(server.history.with_name("kept-messages").iterdir()))


def test_a_page_that_is_closed_before_it_has_them_gets_them_again(out: Server) -> None:
    web.Page(out.port, "alice", secret=SECRET).close()
    witness = Client(out.port, "witness", "/replay 0")
    witness.until("leave", name="alice")
    witness.close()
    assert comes(out) == TEXTS


@pytest.mark.parametrize("kind", [Client, TlsClient])
def test_what_was_said_before_reading_does_not_confirm_them(secure: Server, kind: type[Client]) -> None:
    """Lines that are sent together with the login are no sign that anything was read."""
    witness = Client(secure.port, "witness", "/replay 0")
    alice = kind(secure.port)
    alice.send(f"/identify {SECRET}", "alice", "hello")
    witness.until("message", "hello")
    reset(alice)
    witness.until("leave", name="alice")
    witness.close()
    alice = owner(secure.port)
    assert (kept(alice), again(alice)) == (TEXTS, True)
    alice.close()


def _close(client: Client) -> None:
    """Close, having read everything."""
    if not isinstance(client, TlsClient):  # TLS has no half
        client.half_close()
        client.rest()
    client.close()


def _until_gone(server: Server) -> None:
    """Wait until alice has left."""
    witness = Client(server.port, "witness")
    of_alice = [found.kind for found in witness.history() if found.name == "alice"]
    if of_alice[-1] != "leave":
        witness.until("leave", name="alice")
    witness.close()
