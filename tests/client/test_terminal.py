"""The client on a terminal, as a person sees it: real processes, a pseudo-terminal, a terminal emulator."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import TCP_client
from tests.harness import Client, Server, fake_server, serving, texts
from tests.terminal import CLIENT, CONTROL_C, CONTROL_D, ENTER, TAB, Terminal, client_command

HASTY = "TCP_client.FIRST_PAUSE = TCP_client.LONGEST_PAUSE = 0.05"  # between tries to connect

Join = Callable[..., Client]
Start = Callable[..., Terminal]


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


def _count(terminal: Terminal, begins: str) -> int:
    return sum(row.startswith(begins) for row in terminal.rows)


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
        # What was on its way in the old size is drawn over.
        alice.until(lambda: _count(alice, "> half") == _count(alice, "alice · conn") == 1, "each once")
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


@pytest.mark.parametrize(
    ("variable", "keys"), [("X", "Shift-PageUp or the mouse"), ("TMUX", "Ctrl-B and then PageUp")]
)
def test_page_up_says_how_to_scroll(start: Start, variable: str, keys: str) -> None:
    alice = start("alice", **{variable: "x"})
    alice.type("\x1b[5~")
    alice.shows(keys)


@pytest.mark.parametrize("columns", [80, 40, 20])
def test_help_lists_all_commands_and_keys_in_columns(start: Start, columns: int) -> None:
    alice = start("alice", columns=columns, rows=200)
    alice.type("/help" + ENTER)
    alice.shows("Ctrl-Z")
    alice.shows("fg brings it back")
    for command in TCP_client.COMMANDS:
        assert any(row.split()[:1] == [f"/{command.name}"] for row in alice.rows)
    if columns == 80:
        starts = {
            row.index(word) for row in alice.rows for word in ("take another", "choose when") if word in row
        }
        assert starts == {30}
    else:  # no column, and so nothing that looks like a torn one
        assert not [row for row in alice.rows if "   " in row.strip()]
    alice.type("/help HIGHLIGHT" + ENTER)
    alice.until(lambda: sum("/highlight" in row for row in alice.rows) == 2, "what it does")


def test_commands_are_one_list(start: Start, join: Join) -> None:
    alice, _ = start("alice", rows=40), join("bob")
    for typed, told in (
        ("/HIGHLIGHT lunch", "besides your name: lunch"),
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


def test_history_looks_like_the_conversation(start: Start, join: Join) -> None:
    join("bob").send("hello there", "/me waves at the printer")
    alice = start("alice", "--replay", "0")
    alice.type("/history" + ENTER)
    alice.shows("* bob waves at the printer")
    said = [row.strip() for row in alice.rows if "bob" in row]
    assert [row[5:].strip() for row in said] == ["bob: hello there", "* bob waves at the printer"]
