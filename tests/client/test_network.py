"""The client as a program among programs: pipes, servers that break or mean harm, other Pythons."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

import TCP_client
from tests.harness import DEADLINE, Client, Server, fake_server, serving, texts
from tests.terminal import CLIENT, client_command, environment

POSIX_ONLY = ("fcntl", "termios", "pwd", "grp", "resource", "pty", "tty", "readline", "syslog", "curses")
WELCOME = "2026-11-21T10:15:42.000Z\t-\tserver\t/hello\tWelcome.\n"
IN = (
    "2026-11-21T10:15:42.000Z\t-\tserver\t/session\tT 0 0\n2026-11-21T10:15:42.000Z\t127.0.0.1\tbot\tjoin\t\n"
)

Join = Callable[..., Client]


def run(
    tmp_path: Path, said: str, *arguments: str, command: list[str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A client in a pipe, from its start to its end."""
    return subprocess.run(
        [*(command or client_command()), *arguments],
        input=said,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE,
        env=environment(tmp_path),
        check=False,
    )


def says(*pieces: str | bytes) -> Callable[[socket.socket], None]:
    """An answer that sends this and hangs up when the client does or a moment later."""

    def answer(connection: socket.socket) -> None:
        for piece in pieces:
            connection.sendall(piece.encode() if isinstance(piece, str) else piece)
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(1)
        while connection.recv(65536):
            pass

    return answer


# ----------------------------------------------------------------------------------------- in a pipe


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
        stderr=subprocess.DEVNULL,
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
        wait_for_lines(heard, number)
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


# The same client with less patience, so that the tests need less.
HASTY = """
TCP_client.FIRST_PAUSE = TCP_client.LONGEST_PAUSE = 0.05
TCP_client.SILENCE_SECONDS = 1
TCP_client.TURNED_AWAY_TRIES = 1000
"""


def wait_for_lines(lines: list[str], count: int) -> None:
    """Wait until more lines than this have come."""
    deadline = time.monotonic() + DEADLINE
    while len(lines) <= count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


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


# -------------------------------------------------------------------------------- not let in, wrong arguments


def test_nobody_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = run(tmp_path, "hi", f"127.0.0.1:{port}", "--name", "bot")
    assert done.returncode == 1
    why = "the host is there, but no server is open on that port."
    assert done.stderr.splitlines()[0] == f"TCP_client.py: Can't connect to 127.0.0.1:{port}: {why}"


def test_a_taken_name_turns_a_program_away(server: Server, join: Join, tmp_path: Path) -> None:
    join("bot")
    done = run(tmp_path, "hi", f"127.0.0.1:{server.port}", "--name", "bot")
    assert done.returncode == 1
    assert "TCP_client.py: Turned away: The name bot is taken" in done.stderr


def test_passwords(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("secret\n")
    password.chmod(0o600)
    wrong = tmp_path / "wrong"
    wrong.write_text("guess\n")
    wrong.chmod(0o600)
    with serving(tmp_path / "history.txt", "--password-file", str(password)) as server:
        address = f"127.0.0.1:{server.port}"
        right = run(tmp_path, "hi", address, "--name", "bot", "--password-file", str(password))
        assert right.returncode == 0
        assert right.stderr.count("what is secret goes there in plain text") == 1
        refused = run(tmp_path, "hi", address, "--name", "bot", "--password-file", str(wrong))
        assert refused.returncode == 1
        assert "That is not the password" in refused.stderr
        without = run(tmp_path, "hi", address, "--name", "bot")
        assert without.returncode == 1
        assert "This room has a password" in without.stderr
        assert texts(server.records()) == ["hi"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["127.0.0.1:0"],
        ["127.0.0.1:99999"],
        ["a b"],
        ["127.0.0.1", "--name", "al ice"],
        ["127.0.0.1", "--name", "x" * 25],
        ["127.0.0.1", "--name", ""],
        ["127.0.0.1", "--replay", "-1"],
        ["127.0.0.1", "--replay", "some"],
        ["127.0.0.1", "--name", "bot", "--password-file", "/nowhere/at/all"],
        ["127.0.0.1", "--unknown"],
    ],
)
def test_wrong_arguments(tmp_path: Path, arguments: list[str]) -> None:
    done = run(tmp_path, "", *arguments)
    assert done.returncode == 2
    assert "TCP_client.py: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("stored", ["{", "[]", '{"name": 7, "bell": "x", "color": {"a": "b"}}', "\xff"])
def test_settings_that_make_no_sense_are_no_obstacle(server: Server, tmp_path: Path, stored: str) -> None:
    path = tmp_path / "config/tcp-chat/settings.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(stored.encode("latin-1"))
    done = run(tmp_path, "hi", f"127.0.0.1:{server.port}", "--name", "bot")
    assert done.returncode == 0
    assert texts(server.records()) == ["hi"]


# ------------------------------------------------------------------------------------ servers that mean harm


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (says("SSH-2.0-OpenSSH\x1b[2J\r\n"), "is no chat server; it said 'SSH-2.0-OpenSSH[2J'"),
        (says(b"\xff\xfe\x00" * 1000 + b"\n"), "is no chat server"),
        (says(b"x" * 20_000_000), "closed the connection"),
        (says(WELCOME[:30]), "closed the connection"),
        (says(""), "closed the connection"),
        (says(WELCOME.replace("/hello", "/error")), "Turned away: Welcome."),
        (
            says(WELCOME.replace("/hello", "/error").replace("Welcome.", "\x1b[2JGo \x9bm\u202eaway.\x07")),
            "Turned away: [2JGo maway.",
        ),
        (lambda connection: connection.makefile().read(), "does not answer"),
    ],
    ids=["banner", "binary", "endless", "half", "nothing", "error", "escapes", "silence"],
)
def test_what_is_no_server_ends_in_a_sentence(
    tmp_path: Path, answer: Callable[[socket.socket], None], sentence: str
) -> None:
    with fake_server(answer) as address:
        done = run(tmp_path, "hi", address, "--name", "bot", command=client_command(change=HASTY))
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", done.stdout + done.stderr)


def test_nothing_in_a_record_acts_on_the_terminal(tmp_path: Path) -> None:
    harm = "\x1b]0;title\x07\x1b[2J\u202etxet\u2028\x9b31m\rX"
    record = f"2026-11-21T10:15:42.000Z\t127.0.0.1\tev\x1b[2Jil\tKIND\t{harm}\n"
    sent = "".join(
        record.replace("KIND", kind) for kind in ("message", "/msg", "notice", "odd", "/odd", "join")
    )
    goodbye = "2026-11-21T10:15:42.000Z\t127.0.0.1\tbot\tleave\texit\n"
    with fake_server(says(WELCOME + IN + "no record\n" + sent + goodbye)) as address:
        done = run(tmp_path, "", address, "--name", "bot")
    shown = done.stdout.splitlines()
    assert len(shown) == 9, "one record a line, and nothing of what is none"
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u202e]", done.stdout)
    assert done.returncode == 0


def test_a_flood_after_joining_is_skipped_where_it_is_no_record(tmp_path: Path) -> None:
    goodbye = "\n2026-11-21T10:15:42.000Z\t127.0.0.1\tbot\tleave\texit\n"
    with fake_server(says(WELCOME + IN, b"y" * 5_000_000, goodbye)) as address:
        done = run(tmp_path, "", address, "--name", "bot")
    assert done.returncode == 0
    assert "yyy" not in done.stdout


def test_being_kicked_is_no_reason_to_come_back(tmp_path: Path) -> None:
    kicked = "2026-11-21T10:15:42.000Z\t127.0.0.1\tbot\tleave\tkicked: spam\n"
    with fake_server(says(WELCOME + IN + kicked)) as address:
        client = subprocess.Popen(
            client_command(address, "--name", "bot"),
            stdin=subprocess.PIPE,  # which stays open
            stdout=subprocess.PIPE,
            text=True,
            env=environment(tmp_path),
        )
        assert client.wait(DEADLINE) == 1
        assert client.stdout
        assert client.stdin
        assert "<- bot left: kicked: spam" in client.stdout.read()
        client.stdout.close()
        client.stdin.close()


# --------------------------------------------------------------------------------------------- other systems


def test_runs_without_the_modules_that_windows_lacks(server: Server, tmp_path: Path) -> None:
    command = client_command(without=[*POSIX_ONLY, "prompt_toolkit", "colorama"])
    done = run(tmp_path, "hi", f"127.0.0.1:{server.port}", command=command)
    assert (done.returncode, done.stderr) == (0, "")
    assert texts(server.records()) == ["hi"]
    doctor = run(tmp_path, "", f"127.0.0.1:{server.port}", "--doctor", command=command)
    assert doctor.returncode == 0


# --------------------------------------------------------------------------------------- finding, the doctor


def test_the_doctor_finds_nothing_wrong(server: Server, tmp_path: Path) -> None:
    done = run(tmp_path, "", f"127.0.0.1:{server.port}", "--doctor")
    assert done.returncode == 0
    assert [line.split(":")[0].split("(")[0].split(None, 1)[0] for line in done.stdout.splitlines()[1:]] == [
        "ok"
    ] * 6


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (says("HTTP/1.1 400 Bad Request\r\n"), "a chat server is there: it says 'HTTP/1.1 400 Bad Request'"),
        (says(""), "a chat server is there: it says nothing"),
        (says(WELCOME.replace("/hello", "/error")), "it lets us in: Welcome."),
        (says(WELCOME.replace("2026", "2001")), "the clocks agree: they are"),
    ],
)
def test_the_doctor_names_what_is_wrong(
    tmp_path: Path, answer: Callable[[socket.socket], None], failure: str
) -> None:
    with fake_server(answer) as address:
        done = run(tmp_path, "", address, "--doctor")
    assert done.returncode == 1
    assert f"FAILED {failure}" in done.stdout.splitlines()[-1]


def test_the_doctor_tells_a_closed_port_from_an_open_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = run(tmp_path, "", f"127.0.0.1:{port}", "--doctor")
    assert done.returncode == 1
    assert f"FAILED port {port} is open" in done.stdout
    assert "ok     the host answers" in done.stdout


def test_finds_the_servers_that_answer_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TCP_client, "_networks", lambda: [("", "127.0.0.1")])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as answering:
        answering.bind(("127.0.0.1", 0))
        answering.settimeout(DEADLINE)

        def answer() -> None:
            question, asker = answering.recvfrom(64)
            assert question == b"chat?"
            for text in (b"chat! 7000 the \x1b[2Jroom", b"chat! 99999 no port", b"noise", b"", b"chat! 7001"):
                answering.sendto(text, asker)

        thread = threading.Thread(target=answer)
        thread.start()
        found = TCP_client.find_servers(answering.getsockname()[1])
        thread.join(DEADLINE)
    assert [(str(server.address), server.title) for server in found] == [
        ("127.0.0.1:7000", "the [2Jroom"),
        ("127.0.0.1:7001", ""),
    ]


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    """Three hosts of our own: `server` and `near` in one network; `far` in it too, behind another card."""
    if os.name != "posix" or shutil.which("ip") is None:
        pytest.skip("network namespaces need Linux and the ip command")
    hosts = Hosts()
    try:
        if not hosts.permitted():
            pytest.skip("network namespaces are not permitted here (they need root)")
        hosts.set_up()
        yield hosts
    finally:
        hosts.tear_down()


class Hosts:
    """Network namespaces joined by a bridge in a namespace of its own. Nothing gets out of them."""

    def __init__(self) -> None:
        self._prefix = f"chat{os.getpid()}"

    def name(self, host: str) -> str:
        return f"{self._prefix}{host}"

    def permitted(self) -> bool:
        made = subprocess.run(["ip", "netns", "add", self.name("hub")], capture_output=True, check=False)
        return made.returncode == 0

    def set_up(self) -> None:
        self.on("hub", "ip link add bridge type bridge")
        self.on("hub", "ip link set bridge up")
        for number, host in enumerate(("server", "near", "far"), 1):
            self._ip("netns", "add", self.name(host))
            self.on(host, "ip link set lo up")
            self.join(host, "card", f"10.77.1.{number}/24", "bridge")
        # A host with two cards, whose way to everywhere is the wrong one.
        self.join("far", "other", "10.77.9.2/24", None)
        self.on("far", "ip route add default via 10.77.9.1")

    def join(self, host: str, card: str, address: str, bridge: str | None) -> None:
        port = f"{host}{card}"[:15]
        self.on("hub", f"ip link add {port} type veth peer name {card} netns {self.name(host)}")
        self.on(host, f"ip address add {address} broadcast + dev {card}")
        self.on(host, f"ip link set {card} up")
        self.on("hub", f"ip link set {port} up" + (f" master {bridge}" if bridge else ""))

    def on(self, host: str, command: str) -> None:
        """Run a command on a host."""
        subprocess.run([*self.prefix(host), *command.split()], check=True, timeout=DEADLINE)

    def prefix(self, host: str) -> list[str]:
        """What makes a command run on a host."""
        return ["ip", "netns", "exec", self.name(host)]

    def tear_down(self) -> None:
        for host in ("hub", "server", "near", "far"):
            subprocess.run(["ip", "netns", "delete", self.name(host)], capture_output=True, check=False)

    def _ip(self, *arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, timeout=DEADLINE)


@contextmanager
def server_on(hosts: Hosts, history: Path) -> Iterator[None]:
    """A server on the host of that name, answering those who look for one."""
    server = subprocess.Popen(
        [
            *hosts.prefix("server"),
            *(
                sys.executable,
                str(CLIENT.with_name("TCP_server.py")),
                "--port",
                "7000",
                "--history",
                str(history),
            ),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout
    while "Ctrl-C" not in server.stdout.readline():
        assert server.poll() is None
    try:
        yield
    finally:
        server.terminate()
        server.wait(DEADLINE)
        server.stdout.close()


@pytest.mark.parametrize("host", ["near", "far", "server"])
def test_finds_a_server_on_another_host(hosts: Hosts, tmp_path: Path, host: str) -> None:
    history = tmp_path / "history.txt"
    with server_on(hosts, history):
        command = [*hosts.prefix(host), sys.executable, str(CLIENT)]
        done = run(tmp_path, "\n\nalice\nhello\n", command=command)
    assert "7000" in done.stderr, done.stderr
    assert done.returncode == 0
    assert texts_of(history) == ["hello"]


def test_nothing_found_says_what_to_check(hosts: Hosts, tmp_path: Path) -> None:
    done = run(tmp_path, "", command=[*hosts.prefix("near"), sys.executable, str(CLIENT)])
    assert "1. Is the server running?" in done.stderr
    assert done.returncode == 0


def test_a_link_that_goes_down_and_up_costs_nothing(hosts: Hosts, tmp_path: Path) -> None:
    history = tmp_path / "history.txt"
    with server_on(hosts, history):
        near, far = (
            subprocess.Popen(
                [*hosts.prefix(host), *client_command("10.77.1.1:7000", "--name", host, change=HASTY)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                env=environment(tmp_path),
                bufsize=1,
            )
            for host in ("near", "far")
        )
        assert near.stdin
        assert near.stdout
        assert near.stderr
        assert far.stdin
        assert far.stdout
        far.stdin.write("before\n")
        until(near.stdout, "far: before")
        near.stdin.write("heard\n")
        until(far.stdout, "near: heard")
        hosts.on("hub", "ip link set nearcard down")
        near.stdin.write("typed while the link was down\n")
        far.stdin.write("said while the link was down\n")
        until(far.stdout, "said while the link was down")
        assert "does not answer" in near.stderr.readline()
        hosts.on("hub", "ip link set nearcard up")
        heard = until(near.stdout, "near: typed while the link was down")
        near_rest, _ = near.communicate(timeout=DEADLINE)
        far_rest, _ = far.communicate(timeout=DEADLINE)
        assert (heard + near_rest).count("said while the link was down") == 1
        assert far_rest.count("typed while the link was down") == 1
        assert (near.returncode, far.returncode) == (0, 0)
    assert sorted(texts_of(history)) == sorted(
        ["before", "heard", "typed while the link was down", "said while the link was down"]
    )


def until(stream: IO[str], text: str) -> str:
    """Read lines up to the one that has the text; all of them."""
    read = ""
    for line in stream:
        read += line
        if text in line:
            return read
    raise AssertionError(f"no {text!r} in {read!r}")


def texts_of(history: Path) -> list[str]:
    """The texts of the messages in a history."""
    records = map(TCP_client.parse, history.read_bytes().splitlines(keepends=True))
    return [record.text for record in records if record and record.kind == "message"]
