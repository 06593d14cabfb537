"""What the client remembers, and what is an address."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import TCP_client
from TCP_client import (
    INPUT_LINES,
    Address,
    InputHistory,
    Settings,
)

HOME = "127.0.0.1"  # everybody's address in these tests, so that names alone must tell people apart


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the settings are."""
    monkeypatch.setattr(TCP_client, "settings_folder", lambda: tmp_path / "new")
    return tmp_path / "new"


def test_settings_are_kept(folder: Path) -> None:
    assert Settings.load() == Settings()
    stored = Settings(
        name="李雷", bell="off", notify="all", highlight=["c++"], ignore=["bob"], color={"bob": "red"}
    )
    stored.save()
    assert Settings.load() == stored
    assert "李雷" in (folder / "settings.json").read_text("utf-8"), "for people to read"
    assert [path.name for path in folder.iterdir()] == ["settings.json"]
    assert (folder / "settings.json").stat().st_mode & 0o077 == 0


def test_settings_that_make_no_sense_are_as_new(folder: Path) -> None:
    odd = {"name": 7, "server": ["x"], "bell": "loud", "highlight": ["a", 1, ""], "ignore": [2]}
    folder.mkdir()
    (folder / "settings.json").write_text(json.dumps({**odd, "color": {"a": "puce"}, "unknown": None}))
    assert Settings.load() == Settings(highlight=["a"])


@pytest.mark.parametrize("odd", [{"name": "a b"}, {"name": "x" * 40}, {"server": "a:b:c:x"}])
def test_one_setting_that_makes_no_sense_takes_no_other_with_it(folder: Path, odd: dict[str, str]) -> None:
    folder.mkdir()
    (folder / "settings.json").write_text(json.dumps({**odd, "highlight": ["lunch"]}))
    assert Settings.load() == Settings(highlight=["lunch"])


def test_what_is_no_settings_at_all_is_refused(folder: Path) -> None:
    folder.mkdir()
    (folder / "settings.json").write_text("[]")
    with pytest.raises(ValueError, match="no settings"):
        Settings.load()


def test_input_history_has_an_end(folder: Path) -> None:
    history = InputHistory(TCP_client.input_history_path())
    history.add("  ")
    for number in range(INPUT_LINES + 10):
        history.add(f"line {number}")
    lines = [f"line {number}" for number in range(10, INPUT_LINES + 10)]
    assert InputHistory(TCP_client.input_history_path()).lines == history.lines == lines


def test_input_history_keeps_no_secret_and_its_file_nothing_private(folder: Path) -> None:
    history = InputHistory(TCP_client.input_history_path())
    for line in ("/password x1", "/Admin x2", " /admin x3", "/PASSWORD x4"):
        history.add(line)
    assert history.lines == []
    for line in ("/msg bob x5", "/R x6", "/reply x7", "/me waves"):
        history.add(line)
    assert history.lines == ["/msg bob x5", "/R x6", "/reply x7", "/me waves"]
    assert InputHistory(TCP_client.input_history_path()).lines == ["/me waves"]
    assert (folder / "input-history.txt").read_text() == "/me waves\n"


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("host", Address("host", 9999)),
        (" host:80 ", Address("host", 80)),
        ("10.0.0.1:7", Address("10.0.0.1", 7)),
        ("::1", Address("::1", 9999)),
        ("[::1]:80", Address("::1", 80)),
        ("fe80::1%eth0", Address("fe80::1%eth0", 9999)),
    ],
)
def test_reads_an_address_and_writes_it_again(typed: str, address: Address) -> None:
    assert TCP_client.parse_address(typed) == address
    assert TCP_client.parse_address(str(address)) == address


@pytest.mark.parametrize(
    "typed", ["", "a b", "host:", "host:x", "host:0", "host:65536", "[::1", "host:１", "http://x"]
)
def test_refuses_what_is_no_address(typed: str) -> None:
    with pytest.raises(ValueError, match=r"is not an? (address|port); "):
        TCP_client.parse_address(typed)


def test_counts_the_columns_of_wide_characters() -> None:
    assert TCP_client.cells("a李e\u0301") == 4
