"""The server's arguments."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import TCP_server
from chat.front.arguments import parser
from chat.paths import default_history
from tests.harness import DEADLINE


def test_a_visit_without_a_message() -> None:
    options = parser().parse_args([])
    assert (options.port, options.history, options.cluster) == (9999, default_history(), ())


def test_a_password_is_no_argument(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["--cluster", "nats://user:secret@a:4222"])
    told = capsys.readouterr().err
    assert "--cluster-credentials" in told
    assert "secret@" not in told


def test_the_nodes_of_a_cluster_are_a_list() -> None:
    options = parser().parse_args(["--cluster", "nats://a:4222,tls://[::1]:4222"])
    assert options.cluster == ("nats://a:4222", "tls://[::1]:4222")


@pytest.mark.parametrize("where", ["chat.example:9999", "192.0.2.1:1", "[2001:db8::1]:9999"])
def test_where_clients_find_the_server(where: str) -> None:
    assert parser().parse_args(["--advertise", where]).advertise == where


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "70000"],
        ["--rate", "-1"],
        ["--cluster", "localhost"],
        ["--cluster", "nats://a, nats://b"],
        ["--chat", "two words"],
        ["--advertise", "host"],
        ["--advertise", "2001:db8::1:9999"],
        ["--advertise", "a host:1"],
    ],
)
def test_invalid_arguments_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(arguments)
    assert re.search(r"must .*, not ", capsys.readouterr().err)


@pytest.mark.parametrize(
    "option", [["--chat", "other"], ["--advertise", "a:1"], ["--cluster-credentials", "f"]]
)
def test_options_of_a_cluster_need_one(option: list[str], tmp_path: Path) -> None:
    command = [
        sys.executable,
        TCP_server.__file__,
        "--port",
        "0",
        "--history",
        str(tmp_path / "h.txt"),
        *option,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert "go with --cluster" in done.stderr
