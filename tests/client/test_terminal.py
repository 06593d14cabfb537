"""The client on a terminal, as a person sees it: real processes, a pseudo-terminal, a terminal emulator."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import Client, Server, fake_server, serving, texts
from tests.terminal import CONTROL_C, CONTROL_D, ENTER, ESCAPE, TAB, UP, Terminal, client_command

NO_TOOLKIT = ("prompt_toolkit",)
BARE = ("prompt_toolkit", "readline")

Join = Callable[..., Client]
Start = Callable[..., Terminal]


@pytest.fixture
def start(server: Server, tmp_path: Path) -> Iterator[Start]:
    """Makes clients on terminals: `start("alice")` is in the room when it returns."""
    terminals: list[Terminal] = []

    def started(
        name: str,
        *arguments: str,
        without: tuple[str, ...] = (),
        columns: int = 80,
        rows: int = 24,
        **environment: str,
    ) -> Terminal:
        command = client_command(f"127.0.0.1:{server.port}", "--name", name, *arguments, without=without)
        terminals.append(Terminal(tmp_path, command, columns=columns, rows=rows, **environment))
        terminals[-1].shows(f"{name} joined")
        terminals[-1].prompts()
        return terminals[-1]

    yield started
    for terminal in terminals:
        terminal.__exit__(None, None, None)


@pytest.fixture(params=[(), NO_TOOLKIT], ids=["prompt_toolkit", "readline"])
def screen(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The modules to be without, for each screen with a typed line that is kept whole."""
    without: tuple[str, ...] = request.param
    return without


def test_what_is_typed_stays_whole_while_500_messages_arrive(
    start: Start, join: Join, screen: tuple[str, ...]
) -> None:
    alice, bob = start("alice", without=screen), join("bob")
    alice.type("half a line, ")
    alice.prompts("half a line,")
    bob.send(*(f"message {number}" for number in range(500)))
    alice.shows("message 499")
    alice.prompts("half a line,")
    alice.type("and the other half é 李雷")
    alice.until(lambda: "half a line, and the other half" in alice.text, "both halves")
    alice.type(ENTER)
    assert bob.until("message", name="alice").text == "half a line, and the other half é 李雷"
    alice.shows("alice: half a line, and the other half")
    alice.prompts()
    assert alice.text.count("and the other half") == 1, "what was typed is seen once: as the record it became"


def test_works_without_readline_too(start: Start, join: Join) -> None:
    alice, bob = start("alice", without=BARE), join("bob")
    bob.send("hello")
    alice.shows("bob: hello")
    alice.type("hello bob" + ENTER)
    assert bob.until("message", name="alice").text == "hello bob"
    alice.type("exit" + ENTER)
    assert alice.ends() == 0


def test_what_is_not_stored_yet_is_seen_as_such(start: Start, server: Server) -> None:
    alice = start("alice")
    server.process.send_signal(signal.SIGSTOP)
    alice.type("hello" + ENTER)
    alice.shows("… hello")
    alice.shows("1 not stored yet")
    server.process.send_signal(signal.SIGCONT)
    alice.shows("alice: hello")
    alice.until(lambda: "not stored" not in alice.text and "… hello" not in alice.text, "nothing that waits")


def test_typing_goes_on_while_the_server_is_away(
    start: Start, server: Server, screen: tuple[str, ...]
) -> None:
    alice = start("alice", without=screen)
    server.kill()
    alice.shows("Can't connect to")
    alice.type("said while it was away" + ENTER)
    alice.type("and half a li")
    with serving(server.history, port=server.port) as again:
        alice.type("ne")
        alice.shows("Connected again.")
        alice.shows("alice: said while it was away")
        alice.prompts("and half a line")
        alice.type(ENTER)
        alice.shows("alice: and half a line")
        assert texts(again.records()) == ["said while it was away", "and half a line"]
        alice.type("exit" + ENTER)
        assert alice.ends() == 0


def test_the_status_tells_where_we_stand(start: Start, join: Join, server: Server) -> None:
    alice = start("alice")
    alice.shows(f"alice · connected · 1 here · 127.0.0.1:{server.port}")
    join("bob")
    alice.shows("2 here")
    alice.type("/nick carol" + ENTER)
    alice.shows("carol · connected · 2 here")
    assert "since" not in alice.text, "how the client knows is not shown"
    server.kill()
    alice.shows("reconnecting in")


@pytest.mark.parametrize("ending", ["exit" + ENTER, CONTROL_C, CONTROL_D, "/quit" + ENTER])
def test_every_way_out_leaves_in_order(
    start: Start, server: Server, screen: tuple[str, ...], ending: str
) -> None:
    alice = start("alice", without=screen)
    alice.type(ending)
    assert alice.ends(again=ending if ending == CONTROL_C and screen else "") == 0
    assert alice.restored()
    assert b"Traceback" not in alice.output
    assert [(found.kind, found.text) for found in server.records()][-1] == ("leave", "exit")


def test_control_c_first_empties_the_line(start: Start, join: Join) -> None:
    alice, bob = start("alice"), join("bob")
    alice.type("never mind")
    alice.prompts("never mind")
    alice.type(CONTROL_C)
    alice.prompts()
    alice.type("hello" + ENTER)
    assert bob.until("message").text == "hello"


def test_sigterm_restores_the_terminal(start: Start, screen: tuple[str, ...]) -> None:
    alice = start("alice", without=screen)
    alice.signal(signal.SIGTERM)
    assert alice.ends() == 0
    assert alice.restored()
    assert b"Traceback" not in alice.output


def test_a_closed_terminal_ends_the_client(start: Start, join: Join, screen: tuple[str, ...]) -> None:
    alice, bob = start("alice", without=screen), join("bob")
    alice.hang_up()
    bob.until("leave", name="alice")
    alice.process.wait(30)


@pytest.mark.parametrize("columns", [10, 1])
def test_a_narrow_terminal_is_no_reason_to_stop(
    start: Start, join: Join, screen: tuple[str, ...], columns: int
) -> None:
    alice, bob = start("alice", without=screen), join("bob")
    alice.type("typed before")
    alice.resize(columns, 6)
    bob.send("hello to a narrow terminal")
    alice.resize(80, 24)
    alice.type(" and after" + ENTER)
    assert bob.until("message", name="alice").text == "typed before and after"
    alice.type("exit" + ENTER)
    assert alice.ends() == 0
    assert b"Traceback" not in alice.output


def test_a_large_paste_asks_first(start: Start, join: Join) -> None:
    alice, bob = start("alice"), join("bob")
    alice.paste("one\ntwo\nthree\nfour\nfive\n")
    alice.shows("Send 5 pasted lines?")
    alice.type(ESCAPE)
    alice.until(lambda: "pasted" not in alice.text, "no question")
    alice.paste("\n".join(f"line {number}" for number in range(200)))
    alice.shows("Send 200 pasted lines?")
    alice.type(ENTER)
    for number in range(200):
        assert bob.until("message").text == f"line {number}"


def test_a_small_paste_is_typed(start: Start, join: Join) -> None:
    alice, bob = start("alice"), join("bob")
    alice.type("first ")
    alice.paste("one\r\ntwo\x1b\nthree")
    assert bob.until("message").text == "first one"
    assert bob.until("message").text == "two"
    alice.prompts("three")


def test_tab_completes_names_and_commands(start: Start, join: Join) -> None:
    alice, bob, carol = start("alice"), join("bob"), join("bill")
    alice.shows("3 here")
    bob.send("first")
    alice.shows("bob: first")
    carol.send("second")
    alice.shows("bill: second")
    alice.type("b" + TAB)
    alice.prompts("bill:")
    alice.type(TAB)
    alice.prompts("bob:")
    alice.type("see b" + TAB)
    alice.prompts("bob: see bill")
    alice.type(CONTROL_C + "/hi" + TAB)
    alice.prompts("/history")


def test_input_history_outlives_the_program(start: Start, screen: tuple[str, ...]) -> None:
    alice = start("alice", without=screen)
    alice.type("remember me" + ENTER)
    alice.shows("alice: remember me")
    alice.type("/admin secret" + ENTER)
    alice.shows("no admins here")
    alice.type("exit" + ENTER)
    assert alice.ends() == 0
    again = start("alice", "--replay", "0", without=screen)
    again.type(UP + UP)  # exit, and what came before it
    again.prompts("remember me")


def test_settings_are_kept_and_used(start: Start, join: Join, tmp_path: Path) -> None:
    alice, bob = start("alice"), join("bob")
    for typed, told in [
        ("/color bob teal", "bob is teal"),
        ("/color bob puce", "with one of red"),
        ("/highlight lunch", "stand out beside your name: lunch"),
        ("/bell all", "set to all"),
        ("/bell loud", "/bell off, /bell mention or /bell all"),
        ("/ignore Carol", "say: Carol"),
        ("/unignore dave", "dave is not ignored"),
        ("/connect a:b:c:x:z", "is no address"),
    ]:
        alice.type(typed + ENTER)
        alice.shows(told)
    stored = json.loads((tmp_path / "config/tcp-chat/settings.json").read_text())
    assert stored["color"] == {"bob": "teal"}
    assert (stored["name"], stored["bell"], stored["ignore"]) == ("alice", "all", ["Carol"])
    carol = join("CAROL")
    carol.send("not for alice")
    bells = alice.output.count(b"\a")
    bob.send("lunch")
    alice.shows("> bob: lunch")
    assert b"\x1b[38;5;30mbob" in alice.output
    assert "not for alice" not in alice.text
    assert alice.output.count(b"\a") == bells + 1


def test_nothing_of_a_hostile_server_acts_on_the_terminal(tmp_path: Path, screen: tuple[str, ...]) -> None:
    harm = "\x1b[5m\x1b]0;owned\x07\x1bc\x9b5m\u202e\u2028\u2066X"
    records = [
        ("-", "server", "/hello", harm),
        ("-", "server", "/session", "T 0 0"),
        ("127.0.0.1", "bot", "join", ""),
        *(
            ("127.0.0.1", f"ev{harm}", kind, harm)
            for kind in ("message", "/msg", "notice", "join", "odd", "/odd")
        ),
        ("-", "server", "/users", f"worse{harm} 10.0.0.1 since 2026-11-21T10:15:42.123Z"),
        ("127.0.0.1", "bot", "rename", f"bot{harm}"),
        ("-", "server", "notice", "the end"),
    ]

    def answer(connection: socket.socket) -> None:
        for fields in records:
            connection.sendall("\t".join(("2026-11-21T10:15:42.000Z", *fields, "")).encode()[:-1] + b"\n")
        connection.makefile().read()

    with fake_server(answer) as address:
        command = client_command(address, "--name", "bot", without=screen)
        with Terminal(tmp_path, command, columns=120) as terminal:
            terminal.shows("the end")
            terminal.prompts()
            terminal.type("wor" + TAB)
            terminal.prompts("worse[5m]0;ownedc5mX:")
            shown = terminal.output.decode()
    for sequence in ("\x1b[5m", "\x1b]0;", "\x1bc", "\x9b", "\u202e", "\u2028", "\u2066"):
        assert sequence not in shown


def test_no_colour_means_none(start: Start, join: Join, screen: tuple[str, ...]) -> None:
    alice, carol = start("alice", without=screen, NO_COLOR="1"), start("carol", "--no-color", without=screen)
    join("bob").send("hello alice and carol")
    for terminal in (alice, carol):
        terminal.shows("> bob: hello")
        assert b"\x1b[38;" not in terminal.output
        assert b"\x1b[1m" not in terminal.output


def test_goes_to_another_server(start: Start, join: Join, tmp_path: Path) -> None:
    alice, bob = start("alice"), join("bob")
    alice.shows("2 here")
    with serving(tmp_path / "other.txt") as other:
        alice.type(f"/connect 127.0.0.1:{other.port}" + ENTER)
        alice.shows(f"alice · connected · 1 here · 127.0.0.1:{other.port}")
        assert bob.until("leave", name="alice").text == "exit"
        alice.type("hello there" + ENTER)
        alice.shows("alice: hello there")
        assert texts(other.records()) == ["hello there"]


def test_connect_to_a_dead_address_stays_where_it_was(
    start: Start, join: Join, screen: tuple[str, ...]
) -> None:
    alice, bob = start("alice", without=screen), join("bob")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    alice.type(f"/connect 127.0.0.1:{port}" + ENTER)
    alice.shows("You are still here.")
    alice.type("here I am" + ENTER)
    assert bob.until("message", name="alice").text == "here I am"
    assert not [found for found in bob.records if found.kind == "leave"]


def test_connect_to_a_server_that_refuses_the_name_stays_where_it_was(
    start: Start, join: Join, tmp_path: Path
) -> None:
    alice, bob = start("alice"), join("bob")
    with serving(tmp_path / "other.txt") as other:
        namesake = Client(other.port, "alice")
        alice.type(f"/connect 127.0.0.1:{other.port}" + ENTER)
        alice.shows("The name alice is taken")
        alice.shows("You are still here.")
        alice.type("here I am" + ENTER)
        assert bob.until("message", name="alice").text == "here I am"
        namesake.close()


def test_a_password_is_for_the_server_that_it_was_given_for(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("secret\n")
    password.chmod(0o600)
    seen: list[bytes] = []

    def listen(connection: socket.socket) -> None:
        seen.append(connection.recv(1000))

    with serving(tmp_path / "history.txt", "--password-file", str(password)) as server:
        command = client_command(f"127.0.0.1:{server.port}", "--name", "a", "--password-file", str(password))
        with Terminal(tmp_path, command) as terminal, fake_server(listen) as other:
            terminal.shows("a joined")
            terminal.type(f"/connect {other}" + ENTER)
            terminal.shows("You are still here.")
    assert seen == [b"/session\na\n"]


def test_a_name_that_is_taken_is_asked_for_again(server: Server, join: Join, tmp_path: Path) -> None:
    join("alice")
    with Terminal(tmp_path, client_command(f"127.0.0.1:{server.port}", "--name", "Alice")) as terminal:
        terminal.shows("The name Alice is taken")
        terminal.shows("another name?")
        terminal.type("carol" + ENTER)
        terminal.shows("carol joined")


def test_who_is_not_in_yet_may_leave_at_once(server: Server, join: Join, tmp_path: Path) -> None:
    join("alice")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for port, state in ((server.port, "another name?"), (silent.getsockname()[1], "connecting")):
            with Terminal(tmp_path, client_command(f"127.0.0.1:{port}", "--name", "alice")) as terminal:
                terminal.prompts()
                terminal.shows(state)
                terminal.type(CONTROL_C)
                assert terminal.ends() == 0


# The person takes a minute for each line; then the server is not to be given up for its silence.
THOUGHTFUL = """
say = TCP_client.Link.say
def say_after_a_while(self, text, **options):
    self._heard_at -= 60
    say(self, text, **options)
TCP_client.Link.say = say_after_a_while
"""


def test_a_password_can_be_typed(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "password").chmod(0o600)
    with serving(tmp_path / "history.txt", "--password-file", str(tmp_path / "password")) as server:
        command = client_command(f"127.0.0.1:{server.port}", "--name", "alice", change=THOUGHTFUL)
        with Terminal(tmp_path, command) as terminal:
            terminal.shows("This room has a password: send /password SECRET, then your name.")
            terminal.type("/password wrong" + ENTER)
            terminal.shows("That is not the password")
            terminal.type("/password secret" + ENTER)
            terminal.shows("alice joined")


def test_control_c_ends_the_doctor(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        command = client_command(f"127.0.0.1:{silent.getsockname()[1]}", "--doctor")
        with Terminal(tmp_path, command) as terminal:
            terminal.shows("is open")
            terminal.type(CONTROL_C)
            assert terminal.ends(again=CONTROL_C) == 1
            assert "Traceback" not in terminal.text


def test_asks_for_server_port_and_name(server: Server, tmp_path: Path) -> None:
    with Terminal(tmp_path, client_command(), rows=40, USER="dave") as terminal:
        terminal.shows("Is the server running?")
        terminal.shows("Server [127.0.0.1]:")
        terminal.type("no such host" + ENTER)
        terminal.shows("is no address")
        terminal.type(ENTER)
        terminal.shows("Port [9999]:")
        terminal.type("99999" + ENTER)
        terminal.shows("a number from 1 to 65535")
        terminal.type(f"{server.port}" + ENTER)
        terminal.shows("Name [")
        terminal.type("al ice" + ENTER)
        terminal.shows("no space")
        terminal.type("alice" + ENTER)
        terminal.shows("alice joined")
        terminal.type("exit" + ENTER)
        assert terminal.ends() == 0
    with Terminal(tmp_path, client_command(), rows=40) as terminal:
        for default in ("Server [127.0.0.1]", f"Port [{server.port}]", "Name [alice]"):
            terminal.shows(default)
            terminal.type(ENTER)
        terminal.shows("alice · connected · 1 here")


def test_control_c_at_a_question_is_no_traceback(tmp_path: Path) -> None:
    with Terminal(tmp_path, client_command()) as terminal:
        terminal.shows("Server [")
        terminal.type(CONTROL_C)
        assert terminal.ends(again=CONTROL_C) == 0
        assert "Left before coming in." in terminal.text
        assert terminal.restored()
