"""The file of bans: what the host writes, what the server writes, and both at once."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from chat.service import hostfile
from chat.service.bans import HEADER, BadTarget, Bans, ban_of

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
        ("::ffff:a00:1", "bob", "10.0.0.1", True),
        ("::ffff:10.0.0.0/120", "bob", "10.0.0.7", True),
        ("::ffff:10.0.0.0/120", "bob", "10.0.1.7", False),
        ("2001:db8::7", "bob", "2001:db8::dead:beef", True),
        ("2001:db8::7", "bob", "2001:db8:0:1::7", False),
        ("2001:db8::7/128", "bob", "2001:db8::8", False),
        ("fe80::7", "bob", "fe80::8", False),
        ("name:10.0.0.*", "10.0.0.*", "10.0.0.1", True),
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


@pytest.mark.parametrize(
    "target",
    ["", "/24", "two words", "x" * 25, "name:", "10.0.0.*", "10.0.0.300", "10.0.0", "fe80::*", "fe80:*"],
)
def test_invalid_bans_are_refused(target: str) -> None:
    with pytest.raises(BadTarget):
        ban_of(target)


def test_a_temporary_ban_expires(path: Path) -> None:
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
    assert path.read_text() == HEADER + f"\nBOB until {LATER}  # second\n"


def test_the_host_may_edit_the_file(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hostfile, "LOOK_SECONDS", 0)
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


def test_the_file_is_not_checked_for_every_newcomer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostfile, "LOOK_SECONDS", 3600)
    bans = Bans(path)
    assert not bans.active()
    touch(path, "bob\n")
    assert not bans.active()
    bans.add(ban_of("eve"))
    assert [ban.target for ban in bans.active()] == ["bob", "eve"]


def test_a_file_that_cannot_be_read_leaves_the_bans_as_they_were(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hostfile, "LOOK_SECONDS", 0)
    bans = Bans(path)
    bans.add(ban_of("bob"))
    path.unlink()
    path.mkdir()
    assert bans.of_name("bob")
    assert "can't be read" in caplog.text


def test_an_unreadable_file_is_not_overwritten(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails, a mode that the host has changed: the bans in the file must outlive a `/ban`."""
    monkeypatch.setattr(hostfile, "LOOK_SECONDS", 0)
    text = "alice\nbob\n10.0.0.7\n"
    path.write_text(text)

    def fail(self: Path, *arguments: object, **options: object) -> str:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as failing:
        failing.setattr(Path, "read_text", fail)
        bans = Bans(path)
        with pytest.raises(PermissionError):
            bans.add(ban_of("eve"))
        with pytest.raises(PermissionError):
            bans.remove(ban_of("bob"))
    assert path.read_text() == text
    bans.add(ban_of("eve"))
    assert path.read_text() == text + "eve\n"


@pytest.mark.skipif(os.name == "nt", reason="Windows has other modes, and few symbolic links")
def test_the_files_mode_and_comments_are_kept(path: Path) -> None:
    elsewhere = path.with_name("elsewhere") / "shared.txt"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(b"# na\xefve\nbob\n")
    elsewhere.chmod(0o640)
    path.symlink_to(elsewhere)
    Bans(path).add(ban_of("eve"))
    assert path.is_symlink()
    assert elsewhere.read_bytes() == b"# na\xefve\nbob\neve\n"
    assert elsewhere.stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(os.name == "nt", reason="Windows has other modes, and few symbolic links")
def test_the_file_is_not_written_through_a_link(path: Path) -> None:
    victim = path.with_name("victim")
    victim.write_text("mine")
    path.with_name("bans.txt.new").symlink_to(victim)
    Bans(path).add(ban_of("eve"))
    assert victim.read_text() == "mine"
    assert "eve" in path.read_text()
    assert path.stat().st_mode & 0o077 == 0


def test_twenty_thousand_bans_are_looked_up(path: Path) -> None:
    """By the processor's clock: each costs microseconds, where looking through them took 32 ms."""
    lines = [f"10.{n // 62500}.{n // 250 % 250}.{n % 250 + 1}\n" for n in range(20_000)]
    path.write_text("".join(lines) + "192.168.0.0/16\nbob\n")
    bans = Bans(path)
    assert bans.of_address("10.0.79.250")
    began = time.process_time()
    for _ in range(1000):
        assert not bans.of_address("10.3.0.1")
        assert not bans.of_address("2001:db8::1")
        assert not bans.of_name("carol")
    assert time.process_time() - began < 0.5
    assert bans.of_address("192.168.7.7")
    assert bans.of_name("BOB")


def test_an_expired_ban_hides_no_other(path: Path) -> None:
    path.write_text(f"10.0.0.7 until {BEFORE}\n10.0.0.0/8\nbob until {BEFORE}\nBob until {LATER}\n")
    bans = Bans(path)
    assert bans.of_address("10.0.0.7") == ban_of("10.0.0.0/8")
    assert bans.of_name("bob") == ban_of("Bob", LATER)
