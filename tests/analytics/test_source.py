"""Where the bytes come from."""

from __future__ import annotations

import gzip
import os
import threading
from pathlib import Path

import pytest

from analytics import load_history, source
from tests.analytics.histories import line

SAID = b"".join(line(f"10:{minute:02}", "alice", text=f"text {minute}") for minute in range(50))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "history.txt"
    path.write_bytes(SAID)
    return path


def test_a_file_counts_once_by_whatever_path(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = path.with_name("link.txt")
    link.symlink_to(path)
    monkeypatch.chdir(path.parent)
    assert (
        len(load_history(path, "history.txt", link, path.parent / ".." / path.parent.name / path.name)[0])
        == 50
    )


def test_gzip(path: Path) -> None:
    packed = path.with_suffix(".gz")
    packed.write_bytes(gzip.compress(SAID[:1000]) + gzip.compress(SAID[1000:]))
    assert len(load_history(packed)[0]) == 50
    assert source.size([packed]) is None
    assert source.size([path]) == len(SAID)


def test_zstd(path: Path) -> None:
    zstandard = pytest.importorskip("zstandard", reason="needs the optional group zstd")
    packed = path.with_suffix(".zst")
    packed.write_bytes(zstandard.compress(SAID[:1000]) + zstandard.compress(SAID[1000:]))
    assert len(load_history(packed)[0]) == 50
    packed.write_bytes(zstandard.compress(SAID)[:-20] + bytes(20))
    with pytest.raises(source.CannotRead, match="damaged"):
        load_history(packed)


@pytest.mark.parametrize("damage", [slice(0, -30), slice(0, 30)])
def test_what_is_cut_off_is_said(path: Path, damage: slice) -> None:
    path.write_bytes(gzip.compress(SAID)[damage])
    with pytest.raises(source.CannotRead, match="cut off"):
        load_history(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_that_gives_little_at_a_time(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def write() -> None:
        with pipe.open("wb", buffering=0) as file:
            for start in range(0, len(SAID), 7):
                file.write(SAID[start : start + 7])

    writer = threading.Thread(target=write)  # ends with what it has to say
    writer.start()
    assert load_history(pipe)[0]["text"].tolist() == [f"text {minute}" for minute in range(50)]
    writer.join()
