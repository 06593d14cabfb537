"""The host at the server's terminal: a real one, read through a terminal emulator."""

from __future__ import annotations

import re
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat import record
from chat.front.console import Console
from chat.room import delivery
from tests.harness import DEADLINE, ROOT, Client
from tests.rooms import opened, service_of
from tests.terminal import CONTROL_C, CONTROL_D, ENTER, Terminal

_BARE = """
import sys
for name in {without!r}: sys.modules[name] = None
sys.path.insert(0, {root!r})
import TCP_server, chat.room.delivery
chat.room.delivery.CHECK_SECONDS = 0  # or no test would last until the console's connection is checked
TCP_server.run()
"""


_PORT = re.compile(r"open on port (\d+)")


def _command(home: Path, *without: str) -> list[str]:
    arguments = [
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--history",
        str(home / "history.txt"),
        "--no-discovery",
    ]
    return [sys.executable, "-c", _BARE.format(without=without, root=str(ROOT)), *arguments]


@pytest.fixture(params=["xterm-256color", "dumb"])
def terminal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Terminal]:
    """A server on a terminal, and on one that can do nothing."""
    with Terminal(tmp_path, _command(tmp_path), rows=40, TERM=request.param) as terminal:
        terminal.shows("Ctrl-C stops")
        terminal.prompts()
        yield terminal


def _join(terminal: Terminal, name: str) -> Client:
    terminal.until(lambda: bool(_PORT.search(terminal.text)), "the port")
    found = _PORT.search(terminal.text)
    assert found
    client = Client(int(found.group(1)), name)
    terminal.shows(f"{name} joined")
    return client


def test_the_host_sees_and_moderates_the_room(terminal: Terminal, tmp_path: Path) -> None:
    alice = _join(terminal, "alice")
    alice.send("hello")
    terminal.shows("alice: hello")
    terminal.type("say Good morning" + ENTER)
    said = alice.until("notice")
    assert (said.name, said.address, said.text) == ("host", record.NOBODY, "Good morning")
    terminal.type("users" + ENTER)
    terminal.shows("alice 127.0.0.1 since")
    terminal.type("msg alice psst" + ENTER)
    assert alice.until("/msg").text == "psst"
    alice.send("/reply yes")
    terminal.shows("[private] alice: yes")
    terminal.type("mute alice" + ENTER)
    terminal.shows("host muted alice")
    terminal.type("ban alice 1h spam" + ENTER)
    assert alice.rest()[-1].text == "banned"
    terminal.shows("alice left: banned")
    terminal.type("bans" + ENTER)
    terminal.shows("alice until ")
    terminal.type("nonsense" + ENTER)
    terminal.shows("no command nonsense")
    terminal.type("nick me" + ENTER)
    terminal.shows("you are the host")
    terminal.type("clear" + ENTER)
    terminal.shows("host cleared the history")
    terminal.type("stop" + ENTER)
    assert terminal.ends() == 0
    assert "everything is in the history" in terminal.text
    assert [record.parse(line).kind for line in (tmp_path / "history.txt").read_bytes().splitlines()] == [
        "clear",
        "notice",
        "stop",
    ]
    alice.close()


def test_help_at_the_console_has_no_slash_and_the_hosts_commands(terminal: Terminal) -> None:
    terminal.type("help" + ENTER)
    terminal.shows("stop - stop the server")
    for command in ("say TEXT -", "plot -", "kick NAME [WHY] -", "clear -"):
        assert f"-- {command}" in terminal.text
    for nothing in ("/say", "nick NAME", "admin PASSWORD"):
        assert nothing not in terminal.text


def test_hostile_text_does_nothing_to_the_terminal(terminal: Terminal) -> None:
    alice = _join(terminal, "alice")
    alice.socket.sendall("\x1b[2J\x1b]0;owned\x07gone\x1b[31m\x9b2J\u202e\n".encode())
    terminal.shows("alice: [2J]0;ownedgone[31m2J")
    assert b"\x1b]0;" not in terminal.output
    assert b"\x1b[2Jgone" not in terminal.output
    assert not re.search("[\x80-\x9f\u202e]", terminal.output.decode())
    alice.close()


def test_the_line_being_typed_stays_whole(tmp_path: Path) -> None:
    with Terminal(tmp_path, _command(tmp_path), rows=40) as terminal:
        terminal.prompts()
        alice = _join(terminal, "alice")
        terminal.type("say half of ")
        terminal.prompts("say half of")
        alice.send(*(f"message {number}" for number in range(40)))
        terminal.shows("message 39")
        terminal.prompts("say half of")
        terminal.type("it" + ENTER)
        assert alice.until("notice").text == "half of it"
        alice.close()


@pytest.mark.parametrize("key", [CONTROL_C, CONTROL_D])
def test_the_keys_that_end_it(key: str, terminal: Terminal) -> None:
    terminal.type(key)
    assert terminal.ends() == 0
    assert "Stopped" in terminal.text
    assert "Traceback" not in terminal.text


def test_a_signal_leaves_the_terminal_as_it_was(terminal: Terminal) -> None:
    _join(terminal, "alice").close()
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.ends() == 0
    assert "Traceback" not in terminal.text


def test_a_stopped_screen_holds_up_nobody(history_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on Windows, where no call says that it does not wait, and a click into the window is enough."""
    monkeypatch.setattr(delivery, "DONT_WAIT", 0)
    with opened(history_path) as room:
        console = Console(service_of(room), lambda: None)
        room.subscribe(console._host.listener)  # and nobody shows it

        def talk() -> None:
            for _ in range(1000):
                room.say(None, record.draft(record.NOBODY, "server", "notice", "x" * 4000))
            room.flush()

        talker = threading.Thread(target=talk)
        talker.start()
        talker.join(DEADLINE)
        held_up = talker.is_alive()
        console._reader.close()
        talker.join()
    console._host.listener.connection.close()
    assert not held_up
