"""The lock: it has one holder, who is named to others, and doesn't outlive it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from chat.log import lock
from chat.log.lock import FileLock, Locked
from tests.harness import ROOT


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.txt.lock"


def test_others_are_told_who_holds_the_lock(path: Path) -> None:
    held = FileLock(path, "process 42, port 9999")
    for _ in range(2):  # a failed attempt changes nothing
        with pytest.raises(Locked, match=r"^process 42, port 9999$"):
            FileLock(path, "another")
    held.release()
    assert not path.exists()
    FileLock(path, "another").release()


def test_the_lock_ends_with_its_holder(path: Path) -> None:
    program = (
        "import sys, pathlib, chat.log.lock as l\n"
        "held = l.FileLock(pathlib.Path(sys.argv[1]), 'a long-winded holder'); print(flush=True); input()"
    )
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline()
        with pytest.raises(Locked, match="long-winded"):
            FileLock(path, "heir")
        holder.kill()
    heir = FileLock(path, "heir")
    assert path.read_text() == "heir\n"
    heir.release()


def test_a_lock_file_that_was_just_removed_is_not_used(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise two could hold the lock, one of them on an unlinked file."""
    holders = [FileLock(path, "first")]
    really_lock = lock.lock_file

    def lock_late(file: IO[str]) -> None:
        while holders:
            holders.pop().release()
        really_lock(file)

    monkeypatch.setattr(lock, "lock_file", lock_late)
    second = FileLock(path, "second")
    with pytest.raises(Locked, match="second"):
        FileLock(path, "third")
    second.release()


def test_a_folder_where_it_cannot_be_created(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileLock(tmp_path / "nowhere" / "history.txt.lock", "holder")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other modes, and few symbolic links")
def test_nobody_else_can_open_it_and_a_link_in_its_place_is_not_followed(path: Path) -> None:
    """Whoever can open the file can lock it: what a killed server has left, too."""
    victim = path.with_name("victim")
    victim.write_text("mine")
    path.symlink_to(victim)
    held = FileLock(path, "holder")
    assert victim.read_text() == "mine"
    assert path.stat().st_mode & 0o077 == 0
    held.release()
    path.touch(0o644)
    path.chmod(0o644)
    held = FileLock(path, "holder")
    assert path.stat().st_mode & 0o077 == 0
    held.release()
