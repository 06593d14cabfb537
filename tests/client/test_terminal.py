"""The client on a terminal, as a person sees it: real processes, a pseudo-terminal, a terminal emulator."""

from __future__ import annotations

import json
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import TCP_client
from tests.harness import Client, Server, fake_server, serving, texts
from tests.terminal import CLIENT, CONTROL_C, CONTROL_D, ENTER, ESCAPE, TAB, UP, Terminal, client_command

HASTY = "TCP_client.FIRST_PAUSE = TCP_client.LONGEST_PAUSE = 0.05"  # between tries to connect

Join = Callable[..., Client]
Start = Callable[..., Terminal]


@pytest.fixture
def start(server: Server, tmp_path: Path) -> Iterator[Start]:
    """Makes clients on terminals: `start("alice")` is in the room when it returns."""
    terminals: list[Terminal] = []

    def started(
        name: str,
        *arguments: str,
        columns: int = 80,
        rows: int = 24,
        **environment: str,
    ) -> Terminal:
        command = client_command(f"127.0.0.1:{server.port}", "--name", name, *arguments)
        terminals.append(Terminal(tmp_path, command, columns=columns, rows=rows, **environment))
        terminals[-1].shows(f"{name} joined")
        terminals[-1].prompts()
        return terminals[-1]

    yield started
    for terminal in terminals:
        terminal.__exit__(None, None, None)


def test_what_is_typed_stays_whole_while_500_messages_arrive(start: Start, join: Join) -> None:
    alice, bob = start("alice"), join("bob")
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


@pytest.mark.parametrize("columns", [80, 40, 20])
def test_the_cursor_stays_where_it_was_in_a_line_that_wraps(start: Start, join: Join, columns: int) -> None:
    alice, bob = start("alice", columns=columns), join("bob")
    typed = " ".join(f"word{number}" for number in range(columns // 4))
    alice.type(typed + "\x1b[D" * 5)
    alice.until(lambda: typed.split()[-1] in alice.text, "what was typed")
    bob.send(*(f"message {number}" for number in range(50)))
    alice.shows("message 49")
    alice.type("X")
    bob.send("after")
    alice.shows("after")
    expected = typed[:-5] + "X" + typed[-5:]
    alice.until(lambda: expected.replace(" ", "") in alice.text.replace(" ", ""), expected)
    row, column = alice.cursor
    assert alice.cells[row][column].data == typed[-5]
    alice.type(ENTER)
    assert bob.until("message", name="alice").text == expected


@pytest.mark.parametrize("columns", [80, 40, 20])
def test_resizing_leaves_no_ghosts(start: Start, join: Join, columns: int) -> None:
    alice, bob = start("alice", columns=columns), join("bob")
    bob.send(*(f"message {number} that is long enough to be wrapped" for number in range(5)))
    alice.shows("message 4 that is long enough to be wrapped")
    alice.type("half a line")
    alice.prompts("half a line")
    for size in (60, 30, 15, 100, columns):
        alice.resize(size, 24)
        bob.send(f"now {size}")
        alice.shows(f"bob: now {size}")
        alice.prompts("half a line")
        assert sum(row.startswith("> half") for row in alice.rows) == 1
        assert sum(row.startswith("alice · conn") for row in alice.rows) == 1
    for number in range(5):
        assert " ".join(alice.text.split()).count(f"message {number} that is long enough to be wrapped") == 1


def test_what_came_while_nobody_looked_stands_below_a_line(start: Start, join: Join) -> None:
    alice, bob = start("alice"), join("bob")
    bob.send("seen")
    alice.shows("bob: seen")
    alice.type("\x1b[O")
    alice.type("/bell off" + ENTER)
    alice.shows("set to off")
    bob.send("one", "two")
    alice.shows("bob: two")
    shown = [row.strip() for row in alice.rows]
    assert (
        shown.index("--- new since you were away ---")
        == next(number for number, row in enumerate(shown) if row.endswith("bob: one")) - 1
    )
    assert sum("new since" in row for row in shown) == 1
    alice.until(lambda: alice.title.startswith("(2) alice"), "the count of unread in the title")
    alice.type("\x1b[I")
    alice.until(lambda: alice.title.startswith("alice"), "nothing unread")
    bob.send("three")
    alice.shows("bob: three")
    assert alice.title.startswith("alice")


def test_what_came_while_the_connection_was_lost_stands_below_a_line(server: Server, tmp_path: Path) -> None:
    command = client_command(f"127.0.0.1:{server.port}", "--name", "alice", change=HASTY)
    with Terminal(tmp_path, command) as alice:
        alice.shows("alice joined")
        server.kill()
        alice.shows("Can't connect")
        alice.signal(signal.SIGSTOP)
        with serving(server.history, port=server.port) as again:
            bob = Client(again.port, "bob")
            bob.send("missed")
            bob.until("message")
            alice.signal(signal.SIGCONT)
            alice.shows("bob: missed")
            alice.shows("new since you were away")
            bob.close()


def test_notifications_are_shown_where_they_are_wanted(start: Start, join: Join) -> None:
    alice, bob = start("alice"), join("bob")
    alice.type("/notify MENTION" + ENTER)
    alice.shows("set to mention")
    bob.send("nothing", "hello alice; \x1b]0;x\x07 here")
    alice.shows("hello alice")
    assert b"\x1b]9;chat: bob: hello alice, ]0,x here\x1b\\" in alice.output
    assert alice.output.count(b"\x1b]9;") == 1


def test_control_z_suspends_and_comes_back(server: Server, join: Join, tmp_path: Path) -> None:
    bob = join("bob")
    with Terminal(tmp_path, ["bash", "--norc", "-i"]) as alice:
        alice.type(f"PS1='$ '; {sys.executable} {CLIENT} 127.0.0.1:{server.port} --name alice" + ENTER)
        alice.shows("alice joined")
        alice.type("half a line")
        alice.prompts("half a line")
        alice.type("\x1a")
        alice.shows("Stopped")
        alice.type("echo the shell" + ENTER)
        alice.until(lambda: "the shell" in alice.rows, "the shell")
        bob.send("meanwhile")
        alice.type("fg" + ENTER)
        alice.shows("bob: meanwhile")
        alice.prompts("half a line")
        alice.type(" goes on" + ENTER)
        assert bob.until("message", name="alice").text == "half a line goes on"


def test_what_is_not_bound_neither_ends_the_program_nor_says_anything(start: Start, join: Join) -> None:
    alice, bob = start("alice"), join("bob")
    alice.type("half")
    for sequence in ("\x1b\r", "\x0f", "\x1b#", "\x18\x05", "\x11x", "\x1b[1;5A", "\x1c", "\x00", "\x1bOP"):
        alice.type(sequence)
    alice.type(" a line")
    alice.until(lambda: any(row.startswith("> half") and "a line" in row for row in alice.rows), "the line")
    alice.type("\x12" + CONTROL_C)
    alice.prompts()
    alice.type("done" + ENTER)
    assert bob.until("message").text == "done"


def test_page_up_says_how_to_scroll(start: Start) -> None:
    alice = start("alice")
    alice.type("\x1b[5~")
    alice.shows("Shift-PageUp or the mouse wheel")


@pytest.mark.parametrize("columns", [80, 40, 20])
def test_help_lists_all_commands_and_keys_in_columns(start: Start, columns: int) -> None:
    alice = start("alice", columns=columns, rows=200)
    alice.type("/help" + ENTER)
    alice.shows("Ctrl-Z")
    alice.shows("fg comes back")
    for command in TCP_client.COMMANDS:
        assert any(row.split()[:1] == [f"/{command.name}"] for row in alice.rows)
    if columns == 80:
        starts = {
            row.index(word) for row in alice.rows for word in ("take another", "choose when") if word in row
        }
        assert starts == {30}
    alice.type("/help HIGHLIGHT" + ENTER)
    alice.until(lambda: sum("/highlight" in row for row in alice.rows) == 2, "what it does")


def test_commands_are_one_list(start: Start, join: Join) -> None:
    alice, _ = start("alice", rows=40), join("bob")
    for typed, told in (
        ("/HIGHLIGHT lunch", "stand out beside your name: lunch"),
        ("/Colour bob TEAL", "bob is teal"),
        ("/hilight", "did you mean /highlight?"),
        ("/USERS", "bob 127.0.0.1 since"),
        ("/cls", "There is no command /cls; /help lists them"),
        ("/cleer", "There is no command /cleer;"),
        ("/exot", "There is no command /exot; /help lists them"),
    ):
        alice.type(typed + ENTER)
        alice.shows(told)
    assert "mean /clear" not in " ".join(alice.text.split())


def test_tab_completes_arguments_in_any_case(start: Start, join: Join) -> None:
    alice, bob = start("alice"), join("bob")
    alice.shows("2 here")
    for typed, completed in (
        ("/HI" + TAB, "/history"),
        ("/bell m" + TAB, "/bell mention"),
        ("/color bob TE" + TAB, "/color bob teal"),
        ("/msg B" + TAB, "/msg bob"),
        ("see @B" + TAB, "see @bob"),
        ("@b" + TAB, "@bob"),
        ("/help colo" + TAB, "/help color"),
    ):
        alice.type(typed)
        alice.prompts(completed)
        alice.type(CONTROL_C)
        alice.prompts()
    bob.close()


def test_works_on_a_terminal_that_can_do_nothing(start: Start, join: Join) -> None:
    alice, bob = start("alice", TERM="dumb"), join("bob")
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


def test_typing_goes_on_while_the_server_is_away(start: Start, server: Server) -> None:
    alice = start("alice")
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
def test_every_way_out_leaves_in_order(start: Start, server: Server, ending: str) -> None:
    alice = start("alice")
    alice.type(ending)
    assert alice.ends() == 0
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


def test_sigterm_restores_the_terminal(start: Start) -> None:
    alice = start("alice")
    alice.signal(signal.SIGTERM)
    assert alice.ends() == 0
    assert alice.restored()
    assert b"Traceback" not in alice.output


def test_a_closed_terminal_ends_the_client(start: Start, join: Join) -> None:
    alice, bob = start("alice"), join("bob")
    alice.hang_up()
    bob.until("leave", name="alice")
    alice.process.wait(30)


@pytest.mark.parametrize("columns", [10, 1])
def test_a_narrow_terminal_is_no_reason_to_stop(start: Start, join: Join, columns: int) -> None:
    alice, bob = start("alice"), join("bob")
    alice.type("typed before")
    alice.resize(columns, 6)
    bob.send("hello to a narrow terminal")
    alice.resize(80, 24)
    alice.type(" and after" + ENTER)
    assert bob.until("message", name="alice").text == "typed before and after"
    alice.type("exit" + ENTER)
    assert alice.ends() == 0
    assert b"Traceback" not in alice.output


def test_pasted_lines_are_asked_for_and_then_said_as_they_stand(start: Start, join: Join) -> None:
    alice, bob = start("alice"), join("bob")
    alice.paste("one\nclear\nthree\n")
    alice.shows("Send 3 pasted lines?")
    alice.shows("| clear")
    alice.type(ESCAPE)
    alice.until(lambda: "pasted" not in alice.text, "no question")
    alice.paste("one\r\nclear\r\n\r\n/* a \x1bcomment */\r\n/nick eve\r\nexit\r\nlast")
    alice.shows("Send 6 pasted lines?")
    alice.type(ENTER)
    for text in ("one", "clear", "/* a comment */", "/nick eve", "exit", "last"):
        assert bob.until("message").text == text
    alice.paste("\n".join(f"line {number}" for number in range(200)))
    alice.shows("Send 200 pasted lines?")
    alice.type(ENTER)
    for number in range(200):
        assert bob.until("message").text == f"line {number}"


def test_one_pasted_line_is_typed_and_is_text(start: Start, join: Join) -> None:
    alice, bob = start("alice"), join("bob")
    alice.paste("/* one\ttab */\n")
    alice.prompts("/* one tab */")
    alice.shows("said as it stands")
    alice.type(" and more" + ENTER)
    assert bob.until("message").text == "/* one tab */ and more"
    alice.type("say ")
    alice.paste("this")
    alice.type(ENTER)
    assert bob.until("message").text == "say this"


def test_what_is_pasted_behind_a_command_belongs_to_it(start: Start, join: Join) -> None:
    alice, bob, carol = start("alice"), join("bob"), join("carol")
    alice.shows("3 here")
    alice.type("/msg bob ")
    alice.paste("two\nlines")
    alice.prompts("/msg bob two lines")
    alice.type(ENTER)
    assert bob.until("/msg").text == "two lines"
    carol.send("x")
    carol.until("message")
    assert not [found for found in carol.records if "two" in found.text]


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


def test_input_history_outlives_the_program(start: Start) -> None:
    alice = start("alice")
    alice.type("remember me" + ENTER)
    alice.shows("alice: remember me")
    alice.type("/admin secret" + ENTER)
    alice.shows("no admins here")
    alice.type("exit" + ENTER)
    assert alice.ends() == 0
    again = start("alice", "--replay", "0")
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


def test_nothing_of_a_hostile_server_acts_on_the_terminal(tmp_path: Path) -> None:
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
        command = client_command(address, "--name", "bot")
        with Terminal(tmp_path, command, columns=120) as terminal:
            terminal.shows("the end")
            terminal.prompts()
            terminal.type("wor" + TAB)
            terminal.prompts("worse[5m]0;ownedc5mX:")
            shown = terminal.output.decode()
    for sequence in ("\x1b[5m", "\x1b]0;", "\x1bc", "\x9b", "\u202e", "\u2028", "\u2066"):
        assert sequence not in shown


def test_no_colour_means_none(start: Start, join: Join) -> None:
    alice, carol = start("alice", NO_COLOR="1"), start("carol", "--no-color")
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


def test_connect_to_a_dead_address_stays_where_it_was(start: Start, join: Join) -> None:
    alice, bob = start("alice"), join("bob")
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


def test_a_password_can_be_typed(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "password").chmod(0o600)
    with serving(tmp_path / "history.txt", "--password-file", str(tmp_path / "password")) as server:
        command = client_command(f"127.0.0.1:{server.port}", "--name", "alice")
        with Terminal(tmp_path, command) as terminal:
            terminal.shows("Password for 127.0.0.1")
            terminal.type("wrong" + ENTER)
            terminal.shows("That is not the password")
            terminal.shows("Password for 127.0.0.1")
            terminal.type("secret" + ENTER)
            terminal.shows("alice joined")
            assert b"wrong" not in terminal.output
            assert b"secret" not in terminal.output


def test_a_room_that_gains_a_password_asks_for_it_and_loses_nothing(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("sesame\n")
    password.chmod(0o600)
    history = tmp_path / "history.txt"
    with serving(history) as open_server:
        port = open_server.port
        command = client_command(f"127.0.0.1:{port}", "--name", "alice", change=HASTY)
        terminal = Terminal(tmp_path, command)
        terminal.shows("alice joined")
    with terminal, serving(history, "--password-file", str(password), port=port) as server:
        terminal.shows("Password for 127.0.0.1")
        terminal.type("sesame" + ENTER)
        terminal.shows("Connected again.")
        terminal.type("hello" + ENTER)
        terminal.shows("alice: hello")
        assert texts(server.records()) == ["hello"]
        assert b"sesame" not in terminal.output


def test_another_name_may_take_longer_than_the_server_waits(tmp_path: Path) -> None:
    sessions: list[list[bytes]] = []

    def refuse(connection: socket.socket) -> None:
        """As a server does that has waited for 30 s."""
        connection.recv(1000)
        for text in ("The name alice is taken; send another.", "No name came within 30 seconds."):
            connection.sendall(f"2026-11-21T10:15:42.000Z\t-\tserver\t/error\t{text}\n".encode())

    def admit(connection: socket.socket) -> None:
        sessions.append(connection.recv(1000).split(b"\n"))
        connection.sendall(b"2026-11-21T10:15:42.000Z\t-\tserver\t/session\tT 0 0\n")
        connection.sendall(b"2026-11-21T10:15:42.000Z\t127.0.0.1\tcarol\tjoin\t\n")
        connection.makefile().read()

    with (
        fake_server(refuse, admit) as address,
        Terminal(tmp_path, client_command(address, "--name", "alice")) as terminal,
    ):
        terminal.shows("No name came within 30 seconds.")
        terminal.shows("another name?")
        terminal.type("carol" + ENTER)
        terminal.shows("carol joined")
    assert sessions[0][-2] == b"carol"


def test_secrets_are_asked_for_and_typed_unseen(tmp_path: Path) -> None:
    admins = tmp_path / "admins"
    admins.write_text("sesame\n")
    admins.chmod(0o600)
    with serving(tmp_path / "history.txt", "--admin-password-file", str(admins)) as server:
        command = client_command(f"127.0.0.1:{server.port}", "--name", "alice")
        with Terminal(tmp_path, command) as terminal:
            terminal.shows("alice joined")
            terminal.type("/admin" + ENTER)
            terminal.shows("Password:")
            terminal.type("sesame" + ENTER)
            terminal.shows("You are an admin now")
            terminal.type(" /Admin sesame")
            terminal.shows(" /Admin ******")
            terminal.type(ENTER)
            terminal.shows("You are already an admin")
            terminal.type(UP)
            terminal.type("exit" + ENTER)
            assert terminal.ends() == 0
        assert b"sesame" not in terminal.output
        assert not [found for found in server.records() if "sesame" in found.text]
    kept = [path.read_text() for path in (tmp_path / "config").rglob("*.*")]
    assert not [text for text in kept if "sesame" in text]


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


def test_enter_takes_the_server_that_was_found_with_its_port(server: Server, tmp_path: Path) -> None:
    found = f"TCP_client.Found(TCP_client.Address('127.0.0.1', {server.port}), 'the room')"
    with Terminal(
        tmp_path, client_command(change=f"TCP_client.find_servers = lambda: [{found}]")
    ) as terminal:
        terminal.shows(f"1  the room, 127.0.0.1:{server.port}")
        terminal.shows(f"Server [127.0.0.1:{server.port}]:")
        terminal.type(ENTER)
        terminal.shows("Name [")
        terminal.type("alice" + ENTER)
        terminal.shows("alice joined")
        assert "Port" not in terminal.text


def test_history_looks_like_the_conversation(start: Start, join: Join) -> None:
    join("bob").send("hello there", "/me waves at the printer")
    alice = start("alice", "--replay", "0")
    alice.type("/history" + ENTER)
    alice.shows("* bob waves at the printer")
    said = [row.strip() for row in alice.rows if "bob" in row]
    assert [row[5:].strip() for row in said] == ["bob: hello there", "* bob waves at the printer"]
