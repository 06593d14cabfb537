"""The client and servers that turn it away, break or mean harm."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.client.program import (
    HASTY,
    IN,
    POSIX_ONLY,
    WELCOME,
    Join,
    run,
    says,
)
from tests.harness import DEADLINE, Server, fake_server, serving, texts
from tests.terminal import Terminal, client_command, environment

# -------------------------------------------------------------------------------- not let in, wrong arguments


def test_nobody_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = run(tmp_path, "hi", f"127.0.0.1:{port}", "--name", "bot")
    assert done.returncode == 1
    why = "the host is there, but nothing listens on that port."
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
        assert right.stderr.count("secrets are sent in plain text") == 1
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
        (says("SSH-2.0-OpenSSH\x1b[2J\r\n"), "is not a chat server; it said 'SSH-2.0-OpenSSH[2J'"),
        (says(b"\xff\xfe\x00" * 1000 + b"\n"), "is not a chat server"),
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
    command = client_command(without=[*POSIX_ONLY, "colorama"])
    done = run(tmp_path, "hi", f"127.0.0.1:{server.port}", command=command)
    assert (done.returncode, done.stderr) == (0, "")
    assert texts(server.records()) == ["hi"]
    doctor = run(tmp_path, "", f"127.0.0.1:{server.port}", "--doctor", command=command)
    assert doctor.returncode == 0


@pytest.mark.parametrize("kind", ["/users", "join", "message"])
def test_a_server_that_sends_without_end_does_not_fill_the_client(tmp_path: Path, kind: str) -> None:
    """Names without number, as /users or as joins: they took 1.2 GB in 9 s."""
    enough = threading.Event()

    def flood(connection: socket.socket) -> None:
        connection.sendall((WELCOME + IN).encode())
        number = 0
        while not enough.is_set():
            names = [f"n{number + each}" for each in range(1000)]
            number += 1000
            connection.sendall(
                "".join(
                    f"2026-11-21T10:15:42.000Z\t127.0.0.1\t{name}\t{kind}\t{name} 10.0.0.1\n"
                    for name in names
                ).encode()
            )
            if number >= 60_000:
                enough.set()

    with (
        fake_server(flood) as address,
        Terminal(tmp_path, client_command(address, "--name", "bot")) as terminal,
    ):
        terminal.shows("bot joined")
        terminal.drain(enough.is_set, "the end of the flood")
        status = Path(f"/proc/{terminal.process.pid}/status").read_text()
        most = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert most
        assert int(most.group(1)) < 45_000  # a Python with this program in it has 25,000
