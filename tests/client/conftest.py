"""Clients on terminals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import Server
from tests.terminal import Terminal, client_command

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
