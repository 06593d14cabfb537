from __future__ import annotations

import logging
from pathlib import Path

import pytest

from chat.service import hostfile
from chat.service.hostfile import HostFile


def number(line: str) -> int | None:
    if line.startswith("#"):
        return None
    try:
        return int(line)
    except ValueError:
        raise ValueError("a number is wanted.") from None


@pytest.fixture(autouse=True)
def _looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostfile, "LOOK_SECONDS", 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "numbers.txt"


def test_additions_are_visible_at_once(path: Path) -> None:
    file = HostFile(path, "# Numbers.", number)
    file.add("1", lambda _: False)
    file.add("2", lambda _: False)
    assert file.entries() == [1, 2]
    assert HostFile(path, "", number).entries() == [1, 2]
    assert path.read_text() == "# Numbers.\n1\n2\n"


def test_an_entry_replaces_others_and_can_be_removed(path: Path) -> None:
    file = HostFile(path, "#", number)
    file.add("1", lambda _: False)
    file.add("3", lambda entry: entry < 3)
    assert file.entries() == [3]
    assert file.remove(lambda entry: entry == 3)
    assert not file.remove(lambda entry: entry == 3)
    assert file.entries() == []


def test_the_hosts_edits_apply_and_are_kept(path: Path) -> None:
    file = HostFile(path, "#", number)
    file.add("1", lambda _: False)
    path.write_bytes(b"# mine\n7\nnonsense\n\xff\n")
    assert file.entries() == [7]
    file.add("8", lambda _: False)
    assert path.read_bytes() == b"# mine\n7\nnonsense\n\xff\n8\n"


def test_an_invalid_line_is_logged_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_text("1\nnonsense\n")
    file = HostFile(path, "#", number)
    with caplog.at_level(logging.WARNING):
        file.entries()
        file.entries()
    assert [found.getMessage() for found in caplog.records] == ["numbers.txt, line 2: a number is wanted."]


def test_a_file_that_cannot_be_read_is_not_written_over(path: Path) -> None:
    file = HostFile(path, "#", number)
    file.add("1", lambda _: False)
    path.unlink()
    path.mkdir()
    assert file.entries() == [1]
    with pytest.raises(OSError, match="directory"):
        file.add("2", lambda _: False)
    with pytest.raises(OSError, match="directory"):
        file.check()
