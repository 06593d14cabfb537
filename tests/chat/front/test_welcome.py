"""The start-up lines: what the others have to type."""

from __future__ import annotations

from pathlib import Path

import pytest

from chat.front.welcome import welcome
from chat.service.policy import Policy


@pytest.mark.parametrize(
    ("host", "port", "command"),
    [
        ("192.168.1.5", 9999, "python3 TCP_client.py 192.168.1.5\n"),
        ("192.168.1.5", 4000, "python3 TCP_client.py 192.168.1.5:4000\n"),
        ("fe80::1", 4000, "python3 TCP_client.py [fe80::1]:4000\n"),
    ],
)
def test_prints_the_exact_command(
    host: str, port: int, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    welcome(host, port, Path("history.txt"), Policy())
    assert command in capsys.readouterr().out


@pytest.mark.parametrize(
    ("host", "address"), [("192.168.1.5", "http://192.168.1.5:9999"), ("fe80::1", "http://[fe80::1]:9999")]
)
def test_prints_the_address_for_browsers(host: str, address: str, capsys: pytest.CaptureFixture[str]) -> None:
    welcome(host, 9999, Path("history.txt"), Policy())
    shown = capsys.readouterr().out
    assert f"{address}\n" in shown
    assert f"curl -O {address}/TCP_client.py" in shown
    assert "▀" not in shown  # no terminal reads it


def test_lists_the_computers_addresses_if_it_listens_on_all(capsys: pytest.CaptureFixture[str]) -> None:
    welcome("", 9999, Path("history.txt"), Policy(password="sesame"))
    shown = capsys.readouterr().out
    assert "python3 TCP_client.py " in shown
    assert "0.0.0.0" not in shown
    assert "A password is required" in shown
    assert "sesame" not in shown
