"""Windows and Linux in one chat, in both directions. `python3 -m tests.windows` prepares that and runs it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from chat import record
from chat.service.lookup import NEAR_BYTES
from tests.harness import DEADLINE, Client, Server
from tests.terminal import CONTROL_C, ENTER, Terminal
from tests.windows import wine

if not wine.is_made():
    pytest.skip("python3 -m tests.windows has not been run here", allow_module_level=True)

SERVER_VERSIONS = [version for version in wine.VERSIONS if int(version[2:]) >= 11]


class WindowsServer(Server):
    """A server on Windows. A signal ends it at once, as a crash would: there is no SIGTERM."""

    def __init__(self, version: str, history: Path, *arguments: str) -> None:
        python = wine.python(version, "-W", "error")
        super().__init__(history, "--rate", "0", "--max-per-address", "0", *arguments, python=python)


@contextmanager
def serving(version: str, history: Path, *arguments: str) -> Iterator[WindowsServer]:
    server = WindowsServer(version, history, *arguments)
    try:
        yield server
        assert "Traceback" not in server.errors()
    finally:
        server.close()


def run_client(command: list[str], text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, input=text, capture_output=True, encoding="utf-8", timeout=DEADLINE, check=False
    )


@pytest.mark.parametrize("version", wine.VERSIONS)
def test_a_client_on_windows_in_a_pipe(version: str, server: Server) -> None:
    with closing(Client(server.port, "listener")) as listener:
        arguments = ("-W", "error", "TCP_client.py", f"127.0.0.1:{server.port}", "--name", "bot")
        done = run_client(wine.python(version, *arguments), "grüß dich\n")
        assert (done.returncode, done.stderr) == (0, "")
        assert "grüß dich" in done.stdout
        listener.until("message", "grüß dich", "bot")


@pytest.mark.parametrize("version", SERVER_VERSIONS)
def test_a_server_on_windows(version: str, history_path: Path) -> None:
    with (
        serving(version, history_path) as server,
        closing(Client(server.port, "alice", "/session")) as alice,
        closing(Client(server.port, "bob")) as bob,
    ):
        alice.send("hello", "grüß dich 🙂")
        bob.until("message", "grüß dich 🙂")
        for command in ("/users", "/history", "/search hello", "/msg bob psst"):
            alice.ask(command, command.partition(" ")[0])
        bob.until("/msg", "psst")
        alice.ask("clear", "clear")
        alice.send("after it")
        bob.until("message", "after it")
        (kept,) = history_path.parent.glob("history.cleared-*.txt")
        assert b"\thello\n" in kept.read_bytes()
        done = run_client(
            [sys.executable, "TCP_client.py", f"127.0.0.1:{server.port}", "--name", "bot"], "hi\n"
        )
        assert (done.returncode, done.stderr) == (0, "")
        bob.until("message", "hi", "bot")
        server.kill()
    with (
        serving(version, history_path) as again,
        closing(Client(again.port, "bob", "/replay all")) as bob,  # alice's name is held for her session
    ):
        assert [found.text for found in bob.history() if found.kind == "message"] == ["after it", "hi"]
        assert b"\r" not in history_path.read_bytes()


def test_windows_on_both_sides(history_path: Path) -> None:
    with serving(SERVER_VERSIONS[0], history_path) as server:
        command = wine.python("3.13", "TCP_client.py", f"127.0.0.1:{server.port}", "--name", "bot")
        done = run_client(command, "one\ntwo\n")
        assert (done.returncode, done.stderr) == (0, "")
    assert [found.text for found in server.records() if found.kind == "message"] == ["one", "two"]


def test_a_history_is_served_once(history_path: Path) -> None:
    with serving("3.13", history_path):
        arguments = ("TCP_server.py", "--port", "0", "--history", str(history_path), "--no-discovery")
        second = run_client(wine.python("3.12", *arguments), "")
        assert second.returncode == 1
        assert "is in use by process" in second.stderr


def test_a_connection_that_the_server_ends_need_not_say_anything(history_path: Path) -> None:
    with serving("3.13", history_path) as server, closing(Client(server.port, "bob", "/session")) as bob:
        token = next(found.text for found in bob.records if found.kind == "/session").split()[0]
        resume = f"/session {token} {history_path.stat().st_size} {bob.history()[-1].time}"
        with closing(Client(server.port, "bob", resume)) as again:
            assert "reconnecting" in [found.text for found in again.history()]
            assert not bob.rest()


def test_forget_deletes_the_history(history_path: Path) -> None:
    with serving("3.13", history_path, "--forget") as server, closing(Client(server.port, "alice")) as alice:
        alice.send("secret")
        alice.ask("clear", "clear")
        alice.send("after it")
        alice.until("message", "after it")
        kept = [path.read_bytes() for path in history_path.parent.iterdir() if path.suffix == ".txt"]
        assert not [text for text in kept if b"secret" in text]


def test_bans_outlive_a_crash(history_path: Path, tmp_path: Path) -> None:
    admin = tmp_path / "admin"
    admin.write_text("boss\n")
    options = ("--admin-password-file", str(admin))
    with serving("3.13", history_path, *options) as server:
        with closing(Client(server.port, "alice")) as alice:
            alice.ask("/admin boss", "/admin")
            alice.send("/ban mallory")
            assert "mallory" in alice.ask("/bans", "/bans").text
        server.kill()
    with serving("3.13", history_path, *options) as server, closing(Client(server.port)) as mallory:
        mallory.send("mallory")
        assert "banned" in mallory.until("/error").text


@pytest.mark.parametrize("version", ["3.9", "3.13"])
def test_a_person_at_a_console(version: str, server: Server, tmp_path: Path) -> None:
    with closing(Client(server.port, "listener")) as listener:
        command = wine.python(version, "TCP_client.py", f"127.0.0.1:{server.port}", "--name", "alice")
        with Terminal(tmp_path, command) as terminal:
            listener.until("join", name="alice")
            terminal.type("hello" + ENTER)
            listener.until("message", "hello", "alice")
            terminal.type("exit" + ENTER)
            listener.until("leave", "exit", "alice")
            assert terminal.ends() == 0


@pytest.mark.parametrize("version", ["3.9", "3.13"])
def test_control_c_empties_the_line_and_leaves_from_an_empty_one(
    version: str, server: Server, tmp_path: Path
) -> None:
    with closing(Client(server.port, "listener")) as listener:
        command = wine.python(version, "TCP_client.py", f"127.0.0.1:{server.port}", "--name", "alice")
        with Terminal(tmp_path, command) as terminal:
            listener.until("join", name="alice")
            terminal.type("never said")
            terminal.prompts("never said")
            terminal.type(CONTROL_C)
            terminal.prompts()
            terminal.type("hello" + ENTER)
            listener.until("message", "hello", "alice")
            terminal.type(CONTROL_C)
            listener.until("leave", "exit", "alice")
            assert terminal.ends() == 0


def readers(folder: Path) -> set[str]:
    """The processes that answer questions about the history in this folder."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            command = (process / "cmdline").read_bytes()
            if b"chat.service.reader" in command and folder.name.encode() in command:
                found.add(process.name)
    return found


def host(history_path: Path) -> Terminal:
    """A host's terminal, with a server on Windows."""
    arguments = ("--host", "127.0.0.1", "--port", "0", "--history", str(history_path), "--no-discovery")
    return Terminal(history_path.parent, wine.python("3.13", "TCP_server.py", *arguments))


def test_control_c_at_the_hosts_console(history_path: Path) -> None:
    """With text in the line it ends nothing but that, and else the server."""
    said = "2026-11-21T10:15:42.123Z\t10.0.0.1\talice\tmessage\thello\n"
    history_path.write_text(said * (NEAR_BYTES // len(said) + 1))
    with host(history_path) as terminal:
        terminal.until(lambda: bool(readers(history_path.parent)), "process that answers questions")
        before = readers(history_path.parent)
        terminal.type("never done")
        terminal.prompts("never done")
        terminal.type(CONTROL_C)
        terminal.prompts()
        terminal.type("search hello" + ENTER)
        terminal.shows("alice: hello")
        assert readers(history_path.parent) == before
        terminal.type(CONTROL_C)
        assert terminal.ends() == 0
    assert history_path.read_bytes().endswith(b"\tstop\t\n")


def test_the_host_at_a_console(history_path: Path) -> None:
    with host(history_path) as terminal:
        terminal.shows("Ctrl-C stops")
        terminal.type("say hello" + ENTER)
        terminal.until(lambda: b"hello" in history_path.read_bytes(), "hello in the history")
        terminal.type("stop" + ENTER)
        assert terminal.ends() == 0
    kinds = [record.parse(line).kind for line in history_path.read_bytes().splitlines(keepends=True)]
    assert kinds == ["start", "notice", "notice", "stop"]
