"""The client in a pipe, for programs: what goes in is stored, what comes out is records."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import threading
from pathlib import Path

from tests.client.program import (
    HASTY,
    IN,
    WELCOME,
    Join,
    run,
    until,
    wait_for_lines,
)
from tests.harness import DEADLINE, Server, fake_server, texts
from tests.terminal import client_command, environment


def test_a_line_from_a_pipe_is_stored_when_the_client_has_ended(server: Server, tmp_path: Path) -> None:
    done = run(tmp_path, "hi", f"127.0.0.1:{server.port}", "--name", "bot")
    assert (done.returncode, done.stderr) == (0, "")
    assert texts(server.records()) == ["hi"]
    assert re.search(r"^\d\d:\d\d bot: hi$", done.stdout, re.MULTILINE)
    assert all(re.match(r"\d\d:\d\d ", line) for line in done.stdout.splitlines()), "one record a line"


def test_plain_output_has_no_escape_on_a_terminal_or_off_it(server: Server, tmp_path: Path) -> None:
    done = run(tmp_path, "hi\n/users\n", f"127.0.0.1:{server.port}", "--name", "bot", "--plain")
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout


def test_the_answers_to_commands_arrive_before_the_end(server: Server, tmp_path: Path) -> None:
    address = f"127.0.0.1:{server.port}"
    done = run(
        tmp_path, "/users\n/users\n/me waves\n", address, "--name", "bot", "--replay", "0", "--commands"
    )
    assert len(re.findall(r"-- bot 127\.0\.0\.1 since \d\d:\d\d\n", done.stdout)) == 2
    assert "!!" not in done.stdout, "what the client asks for itself is not shown"
    assert (done.returncode, done.stderr) == (0, "")


def test_text_from_a_pipe_is_said_whatever_it_looks_like(server: Server, tmp_path: Path) -> None:
    said = ["before", "clear", "/nick eve", "//x", "/* a comment */", " clear", "/say clear", "exit", "after"]
    done = run(tmp_path, "\n".join(said), f"127.0.0.1:{server.port}", "--name", "bot")
    assert (done.returncode, done.stderr) == (0, "")
    assert texts(server.records()) == [text.strip() for text in said]


def test_commands_from_a_pipe_are_done_when_asked_for(server: Server, tmp_path: Path) -> None:
    said = "before\nclear\nafter\nexit\nnever"
    done = run(tmp_path, said, f"127.0.0.1:{server.port}", "--name", "bot", "--commands")
    assert done.returncode == 0
    assert texts(server.records()) == ["after"]


def test_a_refused_line_shows_in_the_exit_code(server: Server, tmp_path: Path) -> None:
    done = run(tmp_path, f"one\n{'x' * 5000}\ntwo", f"127.0.0.1:{server.port}", "--name", "bot")
    assert done.returncode == 3
    assert "TCP_client.py: Refused: xxx" in done.stderr
    assert texts(server.records()) == ["one", "two"]


def test_a_line_that_is_not_known_to_be_stored_shows_in_the_exit_code(tmp_path: Path) -> None:
    kicked = "2026-11-21T10:15:42.000Z\t127.0.0.1\tbot\tleave\tkicked by eve\n"

    def kick(connection: socket.socket) -> None:
        connection.sendall((WELCOME + IN).encode())
        received = b""
        while b"hi\n" not in received:
            received += connection.recv(1000)
        connection.sendall(kicked.encode())

    with fake_server(kick) as address:
        done = run(tmp_path, "hi", address, "--name", "bot")
    assert done.returncode == 3
    assert "Not known to be stored: hi" in done.stderr


def test_robots_that_come_one_after_the_other_are_not_each_other(server: Server, tmp_path: Path) -> None:
    address = f"127.0.0.1:{server.port}"
    run(tmp_path, "clear", address, "--name", "carol", "--commands")
    for number in range(3):
        done = run(tmp_path, f"X{number}", address, "--name", "robot")
        assert (done.returncode, done.stderr) == (0, "")
    assert texts(server.records()) == ["X0", "X1", "X2"]


def test_json_is_a_record_a_line_with_its_full_time(server: Server, tmp_path: Path) -> None:
    done = run(
        tmp_path, 'say "hi" 李', f"127.0.0.1:{server.port}", "--name", "bot", "--json", "--replay", "0"
    )
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    assert [found["kind"] for found in objects] == ["/hello", "join", "message", "leave"]
    assert "Send your name" not in objects[0]["text"]
    stored = next(found for found in server.records() if found.kind == "message")
    assert objects[2] == {
        "time": stored.time,
        "address": "127.0.0.1",
        "name": "bot",
        "kind": "message",
        "text": 'say "hi" 李',
    }


def test_plain_times_can_have_date_and_zone(server: Server, tmp_path: Path) -> None:
    done = run(tmp_path, "hi", f"127.0.0.1:{server.port}", "--name", "bot", "--time", "iso")
    stored = next(found for found in server.records() if found.kind == "message")
    assert f"{stored.time.replace('Z', '+00:00')} bot: hi\n" in done.stdout


def test_without_a_host_the_answers_are_lines_of_the_input(server: Server, tmp_path: Path) -> None:
    done = run(tmp_path, f"127.0.0.1\n{server.port}\nbot\nhello\n")
    assert done.returncode == 0
    assert texts(server.records()) == ["hello"]


def test_all_lines_are_stored_once_however_often_the_server_is_killed(tmp_path: Path) -> None:
    history = tmp_path / "history.txt"
    server = Server(history, "--rate", "0", "--max-per-address", "0")
    said = [f"line {number}" for number in range(2000)]
    client = subprocess.Popen(
        client_command(f"127.0.0.1:{server.port}", "--name", "bot", "--replay", "all", change=HASTY),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env=environment(tmp_path),
    )
    assert client.stdin
    assert client.stdout
    heard: list[str] = []
    reader = threading.Thread(target=lambda: heard.extend(client.stdout or ()))
    reader.start()
    for number in range(0, 2000, 250):
        client.stdin.write("".join(line + "\n" for line in said[number : number + 250]))
        client.stdin.flush()
        wait_for_lines(heard, max(number, 2))  # it has joined
        server.kill()
        server.close()
        server = Server(history, "--rate", "0", "--max-per-address", "0", port=server.port)
    client.stdin.close()
    assert client.wait(DEADLINE) == 0
    reader.join(DEADLINE)
    client.stdout.close()
    assert texts(server.records()) == said, "each line is in the history once, in order"
    shown = [line[6:].rstrip("\n") for line in heard]
    assert [line for line in shown if line.startswith("bot: ")] == [f"bot: {line}" for line in said]
    server.close()


def test_a_reader_that_goes_away_is_no_error(server: Server, join: Join, tmp_path: Path) -> None:
    command = client_command(f"127.0.0.1:{server.port}", "--name", "bot")
    client = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(tmp_path),
    )
    assert client.stdout
    assert client.stdin
    assert client.stderr
    client.stdout.readline()
    client.stdout.close()
    join("bob").send("hello")
    assert client.wait(DEADLINE) == 0
    assert client.stderr.read() == ""
    client.stdin.close()
    client.stderr.close()


def test_a_server_that_hangs_is_asked_again(server: Server, tmp_path: Path) -> None:
    command = client_command(f"127.0.0.1:{server.port}", "--name", "bot", "--replay", "0", change=HASTY)
    client = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(tmp_path),
    )
    assert client.stderr
    assert client.stdout
    until(client.stdout, "bot joined")
    server.process.send_signal(signal.SIGSTOP)
    assert client.stdin
    client.stdin.write("hello\n")
    client.stdin.flush()
    assert "does not answer" in client.stderr.readline()
    server.process.send_signal(signal.SIGCONT)
    output, errors = client.communicate(timeout=DEADLINE)
    assert client.returncode == 0, output + errors
    assert texts(server.records()) == ["hello"]
    assert output.count("bot: hello") == 1


def test_a_client_that_is_stopped_for_a_while_misses_nothing(
    server: Server, join: Join, tmp_path: Path
) -> None:
    command = client_command(f"127.0.0.1:{server.port}", "--name", "watch", "--replay", "0")
    client = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(tmp_path)
    )
    assert client.stdin
    assert client.stdout
    until(client.stdout, "watch joined")
    client.send_signal(signal.SIGSTOP)
    bob = join("bob", "/replay 0")
    said = [f"{number} " + "x" * 4000 for number in range(4000)]  # more than sockets hold
    for line in said:
        bob.send(line)
    bob.until("message", said[-1])
    client.send_signal(signal.SIGCONT)
    heard = until(client.stdout, said[-1])
    assert [line.partition("bob: ")[2] for line in heard.splitlines() if "bob: " in line] == said
    client.communicate(timeout=DEADLINE)
    assert client.returncode == 0
