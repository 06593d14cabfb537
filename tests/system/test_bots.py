"""Bots as people use them: a token from the console, `curl`, and servers that are stopped and killed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chat.service.tokens import Tokens
from tests.harness import DEADLINE, ROOT, serving, texts
from tests.terminal import ENTER, Terminal

pytestmark = pytest.mark.skipif(os.name == "nt" or not shutil.which("curl"), reason="a terminal, and curl")


def curl(port: int, token: str, text: str, *options: str, scheme: str = "http") -> tuple[int, str]:
    """The command of the README: the status and the body."""
    ran = subprocess.run(
        [
            *("curl", "-sS", "-w", "\n%{http_code}", "--max-time", str(DEADLINE), "-d", text, *options),
            *(f"{scheme}://127.0.0.1:{port}/say/robot", "-H", f"Authorization: Bearer {token}"),
        ],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=True,
    )
    body, _, status = ran.stdout.rpartition("\n")
    return int(status), body


def test_a_token_lasts_until_it_is_taken_back(tmp_path: Path) -> None:
    history = tmp_path / "history.txt"
    command = [
        *(sys.executable, str(ROOT / "TCP_server.py"), "--host", "127.0.0.1", "--port", "0"),
        *("--history", str(history), "--no-discovery", "--log-level", "debug"),
    ]
    with Terminal(tmp_path, command, columns=200, rows=40) as terminal:
        terminal.shows("Ctrl-C stops")
        terminal.prompts()
        terminal.type(f"token robot{ENTER}")
        terminal.shows("Authorization: Bearer TOKEN")
        made, port = (
            re.search(r"shown only now: (\S+)", terminal.text),
            re.search(r"port (\d+)", terminal.text),
        )
        assert made
        assert port
        token = made[1]
        assert curl(int(port[1]), token, "the build is green")[0] == 200
        terminal.shows("robot: the build is green")
        terminal.type(f"stop{ENTER}")
        terminal.ends()
    assert token not in history.read_text()
    assert token not in (tmp_path / "tokens.txt").read_text()

    for number in range(3):
        with serving(history, "--log-level", "debug") as server:
            assert curl(server.port, token, f'{{"text": "number {number}"}}')[0] == 200
            server.kill()  # what was answered with 200 is there
            assert texts(server.records())[-1] == f"number {number}"
            assert token not in server.errors()
    (tmp_path / "tokens.txt").write_text("# nobody\n")
    with serving(history) as server:
        assert curl(server.port, token, "hello")[0] == 401
        assert "hello" not in texts(server.records())


def test_a_bot_speaks_inside_tls(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    token = Tokens(tmp_path / "tokens.txt").make("robot", "2026-11-21T12:00:00.000Z")
    with serving(tmp_path / "history.txt", "--tls", "only") as server:
        assert curl(server.port, token, "in the clear")[0] == 308
        again = [
            curl(server.port, token, "green", "-k", "-H", "Idempotency-Key: 7", scheme="https")
            for _ in range(2)
        ]
        assert [status for status, _ in again] == [200, 200]
        assert texts(server.records()) == ["green"]
