"""The default path of the history."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from chat import paths
from tests.harness import ROOT


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of a user who has installed the chat."""
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "lib" / "site-packages" / "chat" / "paths.py"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    return tmp_path


def test_in_a_checkout_the_history_is_beside_the_programs() -> None:
    assert paths.default_history() == ROOT / "history.txt"


@pytest.mark.parametrize(
    ("platform", "folder"),
    [
        ("linux", ".local/share"),
        ("darwin", "Library/Application Support"),
        ("win32", "AppData/Local"),
    ],
)
def test_installed_the_history_is_in_the_users_data_folder(
    installed: Path, monkeypatch: pytest.MonkeyPatch, platform: str, folder: str
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert paths.default_history() == installed / folder / "tcp-chat" / "history.txt"


@pytest.mark.parametrize(("platform", "variable"), [("linux", "XDG_DATA_HOME"), ("win32", "LOCALAPPDATA")])
def test_xdg_data_home_is_respected(
    installed: Path, monkeypatch: pytest.MonkeyPatch, platform: str, variable: str
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv(variable, str(installed / "elsewhere"))
    assert paths.default_history() == installed / "elsewhere" / "tcp-chat" / "history.txt"


def test_a_relative_folder_is_ignored(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert paths.default_history() == installed / ".local" / "share" / "tcp-chat" / "history.txt"
