from __future__ import annotations

import logging
from pathlib import Path

import pytest

from chat.service import hostfile
from chat.service.tokens import Tokens
from tests.files import is_private

NOW = "2026-11-21T12:00:00.000Z"


@pytest.fixture(autouse=True)
def _looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostfile, "LOOK_SECONDS", 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.txt"


def test_a_token_is_known_after_a_restart_and_is_not_in_the_file(path: Path) -> None:
    secret = Tokens(path).make("robot", NOW)
    found = Tokens(path).find(secret)
    assert found
    assert (found.name, found.since) == ("robot", NOW)
    assert secret not in path.read_text()
    assert is_private(path)


@pytest.mark.parametrize("wrong", ["", "x", "é", "\udc80"])
def test_another_token_is_nobodys(path: Path, wrong: str) -> None:
    tokens = Tokens(path)
    secret = tokens.make("robot", NOW)
    for guess in (wrong, secret + wrong + "x", secret[:-1], secret.swapcase(), tokens.all()[0].hash):
        assert tokens.find(guess) is None


def test_each_token_is_of_its_own_name(path: Path) -> None:
    tokens = Tokens(path)
    secrets = {name: tokens.make(name, NOW) for name in ("robot", "builder")}
    for name, secret in secrets.items():
        found = tokens.find(secret)
        assert found
        assert found.name == name


def test_a_new_token_replaces_the_old_one(path: Path) -> None:
    tokens = Tokens(path)
    old, new = tokens.make("robot", NOW), tokens.make("Robot", NOW)
    assert tokens.find(old) is None
    assert tokens.find(new)
    assert [token.name for token in tokens.all()] == ["Robot"]


def test_a_token_that_is_taken_back_opens_nothing(path: Path) -> None:
    tokens = Tokens(path)
    secret = tokens.make("robot", NOW)
    assert tokens.remove("robot")
    assert not tokens.remove("robot")
    assert tokens.find(secret) is None
    assert tokens.reserves("robot") is None


def test_names_that_look_like_a_bots_are_reserved(path: Path) -> None:
    tokens = Tokens(path)
    tokens.make("alice", NOW)
    for name in ("alice", "Alice", "аlice", "a1ice"):
        assert tokens.reserves(name), name
    assert tokens.reserves("malice") is None


@pytest.mark.parametrize(
    "line",
    ["robot", f"robot\t{NOW}", f"robot\t{NOW}\tsha256:", f"a b\t{NOW}\tsha256:{'0' * 64}", "robot\t\t"],
)
def test_a_damaged_line_is_logged_and_the_others_apply(
    path: Path, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = Tokens(path).make("builder", NOW)
    path.write_text(f"{line}\n{path.read_text()}")
    with caplog.at_level(logging.WARNING):
        assert Tokens(path).find(secret)
    assert (
        caplog.records[0].getMessage() == "tokens.txt, line 1: expected a bot: name TAB time TAB sha256:HASH."
    )


def test_an_unreadable_file_is_not_taken_for_an_empty_one(path: Path) -> None:
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        Tokens(path)
