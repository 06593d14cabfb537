"""The history: opening and repairing, appending all or nothing, syncing."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from chat import record
from chat.log.file import BLOCK
from chat.log.history import History, HistoryError
from chat.log.log import LocalLog
from tests.files import all_records, append, line, said, texts

SYNC = "fdatasync" if hasattr(os, "fdatasync") else "fsync"

# ------------------------------------------------------------------------------------------------ opening


def test_creates_a_missing_file(opened: Callable[..., History], history_path: Path) -> None:
    assert opened().file.end == 0
    assert history_path.read_bytes() == b""


@pytest.mark.parametrize("length", range(1, len(line("hello"))))
def test_a_torn_last_line_is_moved_aside(
    length: int, history_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torn = line("hello")[:length]
    for whole in (b"", line("before")):
        history_path.write_bytes(whole + torn)
        history = History(history_path)
        append(history, said("after"))
        history.close()
        assert texts(history_path.read_bytes()) == [*texts(whole), "after"]
        aside = history_path.with_name("history.torn.txt")
        assert aside.read_bytes() == torn + b"\n"
        aside.unlink()
        assert f"({length} bytes); it is now in history.torn.txt" in caplog.messages[-1]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no O_NOFOLLOW")
def test_a_torn_line_is_not_moved_into_a_file_that_somebody_has_linked_to(
    history_path: Path, tmp_path: Path
) -> None:
    history_path.write_bytes(line("before") + b"torn")
    (tmp_path / "profile").write_text("theirs")
    history_path.with_name("history.torn.txt").symlink_to(tmp_path / "profile")
    with pytest.raises(HistoryError):
        History(history_path)
    assert (tmp_path / "profile").read_text() == "theirs"
    assert history_path.read_bytes() == line("before") + b"torn"


def test_a_line_torn_while_running_is_moved_aside(
    opened: Callable[..., History], history_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    history = opened()
    append(history, said("before"))
    with history_path.open("ab") as file:
        file.write(b"torn")
    append(history, said("after"))
    assert history_path.with_name("history.torn.txt").read_bytes() == b"torn\n"
    assert texts(history_path.read_bytes())[-1] == "after"
    assert "(4 bytes); it is now in history.torn.txt" in caplog.messages[-1]


def test_a_long_torn_line_is_moved_whole(opened: Callable[..., History], history_path: Path) -> None:
    torn = b"x" * (3 * BLOCK)
    history_path.write_bytes(line("before") + torn)
    assert opened().file.end == len(line("before"))
    assert history_path.with_name("history.torn.txt").read_bytes() == torn + b"\n"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        line("a"),
        line("a").replace(b"\n", b"\r\n"),
        b"edited\n" + line("a"),
        line("a") + b"edited\n",
    ],
)
def test_a_whole_file_is_not_changed(
    content: bytes, opened: Callable[..., History], history_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    history_path.write_bytes(content)
    opened()
    assert history_path.read_bytes() == content
    assert not caplog.messages


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
        b"\x00" * 5000,
        os.urandom(20000) + b"\n",
        b"A letter.\n\nDear all,\n",
    ],
)
def test_what_is_not_a_history_is_refused_and_left_alone(content: bytes, history_path: Path) -> None:
    history_path.write_bytes(content)
    with pytest.raises(HistoryError, match="not a chat history"):
        History(history_path)
    assert history_path.read_bytes() == content


@pytest.mark.parametrize("name", ["a\tb.txt", "a\x1b[2J.txt", "a\nb.txt", "\udcff.txt", "\u202etxt.a"])
def test_a_path_that_no_record_can_contain_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="unprintable") as refused:
        History(tmp_path / name)
    assert str(refused.value).isprintable()
    assert not list(tmp_path.iterdir())


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="no such folder"):
        History(tmp_path / "nowhere" / "history.txt")


def test_a_folder_instead_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="not a file"):
        History(tmp_path)


def test_one_server_for_a_history(opened: Callable[..., History], history_path: Path) -> None:
    opened(holder="process 42, port 9999")
    link = history_path.with_name("link.txt")
    link.symlink_to(history_path)
    for path in (history_path, link):
        with pytest.raises(HistoryError, match="process 42, port 9999"):
            History(path)


def test_opening_costs_the_same_in_a_file_of_any_size(history_path: Path) -> None:
    """Ten gigabytes, sparse: reading them would take minutes and all the memory."""
    with history_path.open("wb") as file:
        file.write(line("first"))
        file.seek(10 * 1024**3)
        file.write(b"\n" + line("one") + line("two"))
    history = History(history_path)
    _, lines = next(history.file.blocks_back(history.file.end))
    assert texts(lines) == ["one", "two"]
    last_seen = history.file.record_before(history.file.end)
    assert last_seen
    assert last_seen.text == "two"
    history.close()


# ------------------------------------------------------------------------------------------------- writing


def test_appends_records_with_their_time(opened: Callable[..., History], history_path: Path) -> None:
    history = opened()
    append(history, said("one") + said("two"))
    assert texts(history_path.read_bytes()) == ["one", "two"]
    assert history.file.end == history_path.stat().st_size


def test_time_never_runs_backwards(opened: Callable[..., History], history_path: Path) -> None:  # R7
    history_path.write_bytes(line("from the future", "2099-01-01T00:00:00.000Z"))
    history = opened()
    append(history, said("now"))
    assert record.parse(history_path.read_bytes().splitlines()[-1]).time == "2099-01-01T00:00:00.000Z"
    assert LocalLog(history).now() == "2099-01-01T00:00:00.000Z"


def test_a_clock_that_jumps_back_is_not_followed(
    opened: Callable[..., History], history_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = opened()
    for seconds in (1_800_000_000.0, 1_700_000_000.0, 1_800_000_000.001):
        monkeypatch.setattr("chat.log.log.time.time", lambda now=seconds: now)
        append(history, said("tick"))
    times = [record.parse(found).time for found in history_path.read_bytes().splitlines()]
    assert times == ["2027-01-15T08:00:00.000Z"] * 2 + ["2027-01-15T08:00:00.001Z"]


def test_a_failed_append_leaves_nothing(opened: Callable[..., History], history_path: Path) -> None:
    resource = pytest.importorskip("resource")
    history = opened()
    append(history, said("before"))
    before = history_path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            append(history, said("too much"))
        assert history_path.read_bytes() == before
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    append(history, said("again"))
    assert texts(history_path.read_bytes()) == ["before", "again"]
    assert all_records(history.file)[0] == ["before", "again"]


def test_a_partial_append_is_removed_before_the_next_one(
    opened: Callable[..., History], history_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = opened()
    append(history, said("before"))
    write, truncate = os.write, os.ftruncate

    def broken(fd: int, end: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "ftruncate", broken)
    monkeypatch.setattr(os, "write", _failing_after(10))
    with pytest.raises(OSError, match="Input/output"):
        append(history, said("torn"))
    assert not history_path.read_bytes().endswith(b"\n")
    monkeypatch.setattr(os, "write", write)
    monkeypatch.setattr(os, "ftruncate", truncate)
    append(history, said("after"))
    assert texts(history_path.read_bytes()) == ["before", "after"]


def _failing_after(size: int) -> Callable[[int, memoryview], int]:
    """A write that accepts this many bytes and then fails."""
    write, taken = os.write, [0]

    def failing(fd: int, data: memoryview) -> int:
        if taken[0]:
            raise OSError(5, "Input/output error")
        taken[0] = write(fd, data[:size])
        return taken[0]

    return failing


@pytest.mark.parametrize(("sync", "synced"), [("always", 2), ("no", 0)])
def test_syncs_as_told(
    sync: str, synced: int, opened: Callable[..., History], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(os, SYNC, calls.append)
    history = opened(sync=sync)
    append(history, said("one"))
    append(history, said("two"))
    assert len(calls) == synced


def test_syncs_in_the_background_every_second(
    opened: Callable[..., History], monkeypatch: pytest.MonkeyPatch
) -> None:
    called = threading.Event()
    monkeypatch.setattr(os, SYNC, lambda fd: called.set())
    history = opened(sync="everysec")
    assert not called.is_set()
    append(history, said("one"))
    assert called.wait(30)


def test_what_cannot_be_synced_is_not_stored(
    opened: Callable[..., History], history_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = opened(sync="always")
    append(history, said("before"))

    def fails(fd: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, SYNC, fails)
        with pytest.raises(OSError, match="Input/output"):
            append(history, said("lost"))
    append(history, said("after"))
    assert texts(history_path.read_bytes()) == ["before", "after"]
    assert all_records(history.file)[0] == ["before", "after"]


@pytest.mark.skipif(os.name == "nt", reason="there is no such device")
def test_a_device_in_its_place_is_no_history(opened: Callable[..., History], history_path: Path) -> None:
    history = opened()
    append(history, said("one"))
    history_path.rename(history_path.with_name("aside"))
    history_path.symlink_to("/dev/zero")
    for _ in range(2):
        with pytest.raises(OSError, match="not a file"):
            append(history, said("lost"))
    history_path.unlink()
    history_path.with_name("aside").rename(history_path)
    append(history, said("two"))
    assert texts(history_path.read_bytes()) == ["one", "two"]
