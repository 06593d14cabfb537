"""The page of a history that goes on, over HTTP."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from pathlib import Path

import pytest

from analytics.serve import PageServer
from tests.analytics.histories import line


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "history.txt"
    path.write_bytes(line("10:00", "alice", text="hello"))
    return path


@pytest.fixture
def server(path: Path) -> Iterator[PageServer]:
    server = PageServer(path, [str(path)])
    yield server
    server.close()


def get(server: PageServer, path: str = "/", host: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.request("GET", path, headers={"Host": host or f"127.0.0.1:{server.server_port}"})
    answer = connection.getresponse()
    found = answer.status, answer.read().decode()
    connection.close()
    return found


def test_the_page_moves(server: PageServer, path: Path) -> None:
    code, page = get(server)
    assert code == 200
    assert 'content="10"' in page
    assert "alice" in page
    assert "bob" not in page
    with path.open("ab") as file:
        file.write(line("10:01", "bob", text="hello"))
    assert "bob" in get(server)[1]


def test_only_for_this_computer_and_only_the_page(server: PageServer) -> None:
    assert get(server, host="evil.example:80")[0] == 403
    assert get(server, "/history.txt")[0] == 404


def test_what_cant_be_made_is_said(server: PageServer, path: Path) -> None:
    path.write_bytes(b"no history\n")
    code, said = get(server)
    assert code == 500
    assert "no line of it is a record" in said
