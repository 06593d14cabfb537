"""The file of bans: what the host writes, what the server writes, and both at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chat import bans as bans_module
from chat.bans import HEADER, BadTarget, Bans, ban_of

LATER = "2999-01-01T00:00:00.000Z"
BEFORE = "2020-01-01T00:00:00.000Z"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bans.txt"


def touch(path: Path, text: str) -> None:
    """Edit the file so that its time changes, however fast the test is."""
    number = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    os.utime(path, ns=(number + 10**9, number + 10**9))


@pytest.mark.parametrize(
    ("target", "name", "address", "covers"),
    [
        ("bob", "BOB", "10.0.0.1", True),
        ("bob", "Ｂｏｂ", "10.0.0.1", True),
        ("bob", "bobby", "10.0.0.1", False),
        ("10.0.0.1", "bob", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.1", "10.0.0.2", False),
        ("name:10.0.0.1", "10.0.0.1", "10.0.0.2", True),
        ("name:10.0.0.1", "bob", "10.0.0.1", False),
        ("10.0.0.0/24", "bob", "10.0.0.77", True),
        ("10.0.0.9/24", "bob", "10.0.0.77", True),
        ("10.0.0.0/24", "bob", "10.0.1.77", False),
        ("fe80::/10", "bob", "fe80::1", True),
        ("::ffff:10.0.0.1", "bob", "10.0.0.1", True),
        ("fe80::/10", "bob", "10.0.0.1", False),
        ("::/0", "bob", "-", False),
        ("#1", "#1", "10.0.0.1", True),
        ("name:a/b", "a/b", "10.0.0.1", True),
    ],
)
def test_whom_a_ban_covers(target: str, name: str, address: str, covers: bool, path: Path) -> None:
    bans = Bans(path)
    bans.add(ban_of(target, comment="why # not"))
    for read_again in (bans, Bans(path)):
        found = read_again.of_name(name) or read_again.of_address(address)
        assert bool(found) == covers
        if found:
            assert found.comment == "why # not"
    assert bans.remove(ban_of(target))
    assert not bans.active()
    assert not bans.remove(ban_of(target))


@pytest.mark.parametrize("target", ["", "/24", "two words", "x" * 25, "name:"])
def test_what_can_not_be_banned(target: str) -> None:
    with pytest.raises(BadTarget):
        ban_of(target)


def test_a_ban_for_a_time_ends(path: Path) -> None:
    bans = Bans(path)
    bans.add(ban_of("bob", LATER))
    bans.add(ban_of("eve", BEFORE))
    assert [ban.target for ban in bans.active()] == ["bob"]
    assert not bans.of_name("eve")


def test_banning_again_replaces(path: Path) -> None:
    bans = Bans(path)
    bans.add(ban_of("bob", BEFORE, "first"))
    bans.add(ban_of("BOB", LATER, "second"))
    assert [ban.comment for ban in Bans(path).active()] == ["second"]
    assert path.read_text() == HEADER + f"BOB until {LATER}  # second\n"


def test_the_host_may_edit_the_file(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bans_module, "LOOK_SECONDS", 0)
    bans = Bans(path)
    touch(
        path,
        "# mine\n\nbob\nthis is nothing\neve until tomorrow\n10.0.0.300/8\n10.0.0.0/8  # a school\nlast",
    )
    assert [ban.target for ban in bans.active()] == ["bob", "10.0.0.0/8", "last"]
    for line in (4, 5, 6):
        assert f"bans.txt, line {line}:" in caplog.text
    bans.add(ban_of("carol"))
    bans.remove(ban_of("10.0.0.0/8"))
    edited = "# mine\n\nbob\nthis is nothing\neve until tomorrow\n10.0.0.300/8\nlast\ncarol\n"
    assert path.read_text() == edited
    touch(path, "")
    assert not bans.active()
    path.unlink()
    assert not bans.active()
    assert [found.name for found in path.parent.iterdir()] == []


def test_the_file_is_not_looked_at_for_everybody_who_comes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bans_module, "LOOK_SECONDS", 3600)
    bans = Bans(path)
    assert not bans.active()
    touch(path, "bob\n")
    assert not bans.active()
    bans.add(ban_of("eve"))
    assert [ban.target for ban in bans.active()] == ["bob", "eve"]


def test_a_file_that_can_not_be_read_leaves_the_bans_as_they_were(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bans_module, "LOOK_SECONDS", 0)
    bans = Bans(path)
    bans.add(ban_of("bob"))
    path.unlink()
    path.mkdir()
    assert bans.of_name("bob")
    assert "can't be read" in caplog.text
