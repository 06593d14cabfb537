"""A server whose terminal, keyboard or log is gone continues, and stops in order."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chat import record
from tests.harness import DEADLINE, ROOT, Client

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a shell's redirections, and signals")


@contextmanager
def running(
    history: Path, redirections: str = "", *arguments: str, prefix: str = ""
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A server behind a shell's redirections, and its port. Its standard output and error are pipes."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = shlex.join(
        [
            *(sys.executable, str(ROOT / "TCP_server.py"), "--host", "127.0.0.1", "--port", str(port)),
            *("--history", str(history), "--no-discovery", *arguments),
        ]
    )
    process = subprocess.Popen(
        ["sh", "-c", f"{prefix} exec {command} {redirections}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process, port
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            assert pipe
            pipe.close()


def joined(port: int, name: str) -> Client:
    """A client, once the server is up."""
    until = time.monotonic() + DEADLINE
    while True:
        try:
            return Client(port, name)
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise


def last_kind(history: Path) -> str:
    return record.parse(history.read_bytes().splitlines()[-1]).kind


@pytest.mark.parametrize("redirections", ["", "<&-", ">&-", "2>&-", "<&- >&- 2>&-", "> /dev/full"])
def test_streams_that_are_closed_are_no_trouble(redirections: str, history_path: Path) -> None:
    with running(history_path, redirections) as (process, port):
        alice = joined(port, "alice")
        alice.send("hello")
        alice.until("message", "hello")
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0
        alice.close()
        assert process.stderr
        assert b"Traceback" not in process.stderr.read()
    assert last_kind(history_path) == "stop"


def test_nobody_reads_more_than_the_first_line(history_path: Path) -> None:
    """`python3 TCP_server.py | head -1`."""
    with running(history_path) as (process, port):
        assert process.stdout
        process.stdout.readline()
        process.stdout.close()
        alice = joined(port, "alice")
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0
        alice.close()
    assert last_kind(history_path) == "stop"


def test_it_stops_though_nobody_reads_its_log(history_path: Path) -> None:
    with running(history_path, "", "--rate", "0", "--log-level", "info") as (process, port):
        for number in range(1500):  # each logs two lines: more than a pipe holds
            joined(port, f"somebody-{number}").close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0
    assert last_kind(history_path) == "stop"


@pytest.fixture
def hang_ups() -> Iterator[None]:
    """SIGHUP is not ignored by what a test starts, even if the tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hang_ups")
def test_a_terminal_that_goes_away_stops_it_in_order(history_path: Path) -> None:
    with running(history_path) as (process, port):
        alice = joined(port, "alice")
        process.send_signal(signal.SIGHUP)
        assert process.wait(DEADLINE) == 0
        alice.until("stop")
        alice.close()
    assert last_kind(history_path) == "stop"


def test_with_nohup_it_goes_on(history_path: Path) -> None:
    with running(history_path, prefix="trap '' HUP;") as (process, port):
        alice = joined(port, "alice")
        process.send_signal(signal.SIGHUP)
        alice.send("still here")
        alice.until("message", "still here")
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0
        alice.close()
