"""Clearing the history: the old file is kept or deleted, and a crash or an error in between loses nothing."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chat import record
from chat.log import file as file_module
from chat.log import history as history_module
from chat.log.file import HistoryFile
from chat.log.history import History
from chat.log.index import Index
from tests.files import OLD, all_records, append, clear, line, said, texts


def test_clearing_keeps_the_old_file(opened: Callable[..., History], history_path: Path) -> None:  # R9
    history = opened()
    append(history, said("old"))
    old = history.file
    clear(history, "10.0.0.1", "alice")
    append(history, said("new"))
    kept = list(history_path.parent.glob("history.cleared-*.txt"))
    assert len(kept) == 1
    assert texts(kept[0].read_bytes()) == ["old"]
    first, second = (record.parse(found) for found in history_path.read_bytes().splitlines())
    assert (first.kind, first.name, second.text) == ("clear", "alice", "new")
    assert kept[0].name in first.text
    assert old.next is history.file
    assert all_records(old)[0] == ["old"]


def test_two_clears_at_the_same_time_keep_both_files(
    opened: Callable[..., History], history_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chat.log.log.time.time", lambda: 1_800_000_000.0)
    history = opened()
    for _ in range(3):
        clear(history, "-", "host")
    assert len(list(history_path.parent.glob("history.cleared-*.txt"))) == 3


def test_forgetting_deletes_the_old_file(opened: Callable[..., History], history_path: Path) -> None:
    history = opened(forget=True)
    append(history, said("secret"))
    clear(history, "-", "host")
    assert not list(history_path.parent.glob("history.cleared-*.txt"))
    assert b"secret" not in history_path.read_bytes()


def test_a_clear_that_fails_changes_nothing(
    opened: Callable[..., History], history_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = opened()
    append(history, said("old"))
    rename = Path.rename

    def fails(self: Path, target: Path) -> Path:
        if target == history_path and self.suffix == ".new":
            raise OSError(5, "Input/output error")
        return rename(self, target)

    with monkeypatch.context() as broken:
        broken.setattr(Path, "rename", fails)
        with pytest.raises(OSError, match="Input/output"):
            clear(history, "-", "host")
    append(history, said("more"))
    assert texts(history_path.read_bytes()) == ["old", "more"]
    assert {path.name for path in history_path.parent.iterdir()} == {"history.txt", "history.txt.lock"}


def test_a_crash_in_the_middle_of_a_clear_is_finished(history_path: Path) -> None:
    """Between the two renames: the old file is kept, the new one not in place yet."""
    cleared = record.Record(OLD, "-", "host", "clear", "").encode()
    history_path.with_name("history.txt.new").write_bytes(cleared)
    History(history_path).close()
    assert history_path.read_bytes() == cleared
    assert not history_path.with_name("history.txt.new").exists()


def test_a_crash_before_a_clear_is_forgotten(history_path: Path) -> None:
    history_path.write_bytes(line("old"))
    history_path.with_name("history.txt.new").write_bytes(b"half")
    History(history_path).close()
    assert texts(history_path.read_bytes()) == ["old"]
    assert not history_path.with_name("history.txt.new").exists()


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pread, and with files that must be closed before they are renamed or deleted."""
    monkeypatch.setattr(file_module, "HAS_PREAD", False)
    monkeypatch.setattr(history_module, "MOVES_OPEN_FILES", False)
    monkeypatch.setattr(file_module, "MOVES_OPEN_FILES", False)
    if sys.platform == "win32":
        return
    for name in ("rename", "unlink"):
        monkeypatch.setattr(Path, name, unless_open(getattr(Path, name)))


def unless_open(change: Callable[..., Any]) -> Callable[..., Any]:
    """The change of a path, refused while this process has it open."""

    def changed(path: Path, *arguments: Any, **options: Any) -> Any:
        own = Path("/proc/self/fd")
        opened = {os.path.realpath(fd) for fd in own.iterdir()}
        if os.path.realpath(path) in opened:
            raise PermissionError(errno.EACCES, "The process cannot access the file", str(path))
        return change(path, *arguments, **options)

    return changed


def full_disk(file: HistoryFile) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.usefixtures("windows")
def test_a_clear_on_windows(history_path: Path) -> None:
    history = History(history_path)
    append(history, said("old"))
    old = history.file
    clear(history, "-", "host")
    append(history, said("new"))
    assert all_records(old)[0] == ["old"]
    assert all_records(history.file)[0][1:] == ["new"]
    assert old.read(0, 10) == line("old", record.parse(old.read(0, old.end)).time)[:10]
    history.close()


@pytest.mark.usefixtures("windows")
def test_a_clear_that_fails_on_windows_says_why(history_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history = History(history_path)
    append(history, said("old"))
    with monkeypatch.context() as failing:
        failing.setattr(HistoryFile, "sync", full_disk)
        with pytest.raises(OSError, match="No space left"):
            clear(history, "-", "host")
    append(history, said("more"))
    clear(history, "-", "host")
    history.close()


@pytest.mark.usefixtures("windows")
def test_a_forgotten_history_on_windows_is_deleted_when_its_last_reader_leaves(history_path: Path) -> None:
    history = History(history_path, forget=True)
    append(history, said("old"))
    reader = history.file
    clear(history, "-", "host")
    assert all_records(reader)[0] == ["old"]
    del reader
    history.close()
    assert not list(history_path.parent.glob("history.cleared-*"))


def test_a_file_that_is_emptied_from_outside_sends_nothing_twice(
    opened: Callable[..., History], history_path: Path
) -> None:
    """`> history.txt` while people talk: a reader that has the last append continues with what comes next."""
    history = opened()
    append(history, said("one"))
    reader, offset = history.file, history.file.end
    history_path.write_bytes(b"")
    append(history, said("two"))
    assert reader.next is history.file
    assert not reader.records(offset, 10_000)[1]
    assert all_records(history.file, history.file.resume_offset or 0)[0][-1] == "two"


@pytest.mark.skipif(os.name == "nt", reason="few symbolic links there")
def test_a_clear_writes_through_no_link(opened: Callable[..., History], history_path: Path) -> None:
    victim = history_path.with_name("victim")
    victim.write_text("mine")
    history = opened()
    history_path.with_name("history.txt.new").symlink_to(victim)
    clear(history, "10.0.0.1", "alice")
    assert victim.read_text() == "mine"
    assert not history_path.is_symlink()


def test_cleared_histories_are_kept_up_to_a_number(
    opened: Callable[..., History], history_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chat.log.history.KEPT_FILES", 2)
    history = opened()
    for _ in range(2):
        clear(history, "10.0.0.1", "alice")
    append(history, said("one"))
    with pytest.raises(OSError, match="must move some away"):
        clear(history, "10.0.0.1", "alice")
    assert texts(history_path.read_bytes())[-1] == "one"
    next(history_path.parent.glob("history.cleared-*")).unlink()
    clear(history, "10.0.0.1", "alice")


def test_what_was_cleared_is_in_no_index(opened: Callable[..., History], history_path: Path) -> None:
    history = opened(forget=True)
    append(history, said("a secret word"))
    index = Index(history_path.with_name("history.txt.index"), history_path)
    index.add(history_path.read_bytes())
    index.close()
    clear(history, "10.0.0.1", "alice")
    assert [path.name for path in history_path.parent.glob("history.txt.*")] == ["history.txt.lock"]
