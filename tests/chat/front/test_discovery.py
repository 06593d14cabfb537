"""Finding the server by UDP."""

from __future__ import annotations

import socket

import pytest

from chat.front import discovery
from tests.harness import DEADLINE


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    """A UDP port that nothing uses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        free: int = probe.getsockname()[1]
    monkeypatch.setattr(discovery, "DISCOVERY_PORT", free)
    return free


def test_answers_the_question(port: int) -> None:  # R44
    discovery.start(lambda: "chat! 9999 kitchen")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(DEADLINE)
        for question in (b"", b"something else", b"\xff" * 1000, b"chat?"):
            asker.sendto(question, ("127.0.0.1", port))
        assert asker.recv(100) == b"chat! 9999 kitchen"


def test_a_port_that_is_taken_is_only_logged(port: int, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("", port))
        discovery.start(lambda: "")
    assert "can't find this server" in caplog.text


@pytest.mark.parametrize(("host", "answers"), [("127.0.0.1", True), ("192.0.2.1", False)])
def test_a_server_on_one_address_answers_there_only(host: str, answers: bool, port: int) -> None:
    discovery.start(lambda: "chat! 9999 kitchen", host)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(DEADLINE if answers else 0.2)
        asker.sendto(b"chat?", ("127.0.0.1", port))
        if answers:
            assert asker.recv(100) == b"chat! 9999 kitchen"
        else:
            with pytest.raises(TimeoutError):
                asker.recv(100)
