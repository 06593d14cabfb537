from __future__ import annotations

import os
from pathlib import Path

import pytest

from chat import private


@pytest.fixture
def open_umask() -> object:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_a_file_is_private_from_the_start(tmp_path: Path, open_umask: None) -> None:
    with private.create(tmp_path / "new") as file:
        assert os.fstat(file.fileno()).st_mode & 0o777 == 0o600
    private.write(tmp_path / "whole", b"secret")
    assert (tmp_path / "whole").stat().st_mode & 0o777 == 0o600


def test_an_existing_file_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("something")
    with pytest.raises(FileExistsError):
        private.create(tmp_path / "there")


def test_writing_keeps_the_files_mode_and_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    private.write(link, b"new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o640


def test_leftovers_of_a_crash_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("untouched")
    (tmp_path / "file.new").symlink_to(tmp_path / "elsewhere")
    private.write(tmp_path / "file", b"whole")
    assert (tmp_path / "file").read_text() == "whole"
    assert (tmp_path / "elsewhere").read_text() == "untouched"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_files_that_others_can_read_are_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    path.write_text("secret")
    path.chmod(mode)
    with pytest.raises(private.Exposed, match=f"chmod go-rwx {path}"):
        private.check(path)
    path.chmod(0o600)
    private.check(path)
