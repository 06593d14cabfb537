"""Snapshots in a real object store."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat.log.engine import Address, Engine
from chat.log.file import HistoryFile
from chat.log.snapshot import SEGMENT_BYTES, Snapshot, Snapshots
from tests.engine import Engine as Nodes


@pytest.fixture
def engine(node: Nodes, request: pytest.FixtureRequest) -> Iterator[Engine]:
    connected = Engine(Address((node.urls,), re.sub(r"\W", "", request.node.name)))
    connected.open()
    yield connected
    connected.close()


def history(folder: Path, size: int) -> HistoryFile:
    """A file of so many bytes that has no two segments alike."""
    file = HistoryFile(folder / "history.txt", 0)
    file.append(b"".join(b"%015d\n" % number for number in range(size // 16)))
    return file


def test_without_a_snapshot_there_is_none(engine: Engine) -> None:
    assert Snapshots(engine, 1).latest() is None


@pytest.mark.parametrize("size", [0, 160, SEGMENT_BYTES, SEGMENT_BYTES * 2 + 320])
def test_a_snapshot_can_be_restored(engine: Engine, tmp_path: Path, size: int) -> None:
    file = history(tmp_path, size)
    taken = Snapshot(7, 1, size, {"some": "Zoë"})
    Snapshots(engine, 1).take(taken, file)
    other = Snapshots(engine, 1)
    found = other.latest()
    assert found
    assert found[0] == taken
    for offset in {0, size // 2, size}:
        assert b"".join(other.pieces(*found, offset)) == file.read(offset, size)


def test_the_next_snapshot_stores_only_what_is_new(engine: Engine, tmp_path: Path) -> None:
    file = history(tmp_path, SEGMENT_BYTES * 3)
    snapshots = Snapshots(engine, 1)
    snapshots.take(Snapshot(1, 0, SEGMENT_BYTES * 3 - 16, {}), file)
    before = engine.run(engine.jetstream.stream_info(f"OBJ_{engine.address.stream}")).state
    snapshots.take(Snapshot(2, 0, SEGMENT_BYTES * 3, {}), file)
    after = engine.run(engine.jetstream.stream_info(f"OBJ_{engine.address.stream}")).state
    assert after.last_seq - before.last_seq < 2 * SEGMENT_BYTES // (256 * 1024)
    assert after.bytes < SEGMENT_BYTES * 3.2


def test_what_was_cleared_is_removed(engine: Engine, tmp_path: Path) -> None:
    file = history(tmp_path, SEGMENT_BYTES * 2)
    snapshots = Snapshots(engine, 1)
    snapshots.take(Snapshot(1, 0, SEGMENT_BYTES * 2, {}), file)
    snapshots.take(Snapshot(2, 1, 160, {}), file)
    state = engine.run(engine.jetstream.stream_info(f"OBJ_{engine.address.stream}")).state
    assert state.bytes < 10_000
    found = snapshots.latest()
    assert found
    assert b"".join(snapshots.pieces(*found, 0)) == file.read(0, 160)
