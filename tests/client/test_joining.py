"""Joining on a terminal: servers, names, passwords and secrets, as a person is asked for them."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

from tests.harness import Client, Server, fake_server, serving, texts
from tests.terminal import CONTROL_C, ENTER, UP, Terminal, client_command

HASTY = "TCP_client.FIRST_PAUSE = TCP_client.LONGEST_PAUSE = 0.05"  # between tries to connect

Join = Callable[..., Client]
Start = Callable[..., Terminal]


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


def test_a_password_can_be_typed_on_a_narrow_screen_and_on_one_that_can_do_nothing(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "password").chmod(0o600)
    with serving(tmp_path / "history.txt", "--password-file", str(tmp_path / "password")) as server:
        command = client_command(f"127.0.0.1:{server.port}", "--name", "alice")
        with Terminal(tmp_path, command, columns=20, rows=10) as terminal:
            terminal.until(lambda: "Password:" in terminal.rows, "the question")
            terminal.type("secret" + ENTER)
            terminal.shows("alice joined")
            assert b"secret" not in terminal.output
        command = client_command(f"127.0.0.1:{server.port}", "--name", "bob")
        for typed in (ENTER, ""):  # unseen after Enter, as it says; or at once
            with Terminal(tmp_path, command, TERM="dumb") as dumb:
                dumb.shows("then type it unseen")
                if typed:
                    dumb.type(typed)
                    dumb.until(lambda: dumb.text.count("Password for 127") == 2, "the question")
                dumb.type("secret" + ENTER)
                dumb.shows("bob joined")
                dumb.type("exit" + ENTER)
                assert dumb.ends() == 0


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
        terminal.shows("is not an address")
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
        assert "Left before joining." in terminal.text
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
