"""A history in blocks of whole lines; test_load.py holds what is read from them against the grammar."""

from __future__ import annotations

from pathlib import Path

import pytest

from analytics import blocks


@pytest.mark.parametrize("size", [16, 100, 1 << 20])
def test_blocks_are_whole_lines_in_their_order(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", size)
    lines = b"".join(b"line %d\n" % number for number in range(200))
    path = tmp_path / "history.txt"
    path.write_bytes(lines + b"no line end yet")
    read = list(blocks.each_block(path, lambda buffer, length: bytes(buffer[:length])))
    assert b"".join(read) == lines
    assert all(block.endswith(b"\n") for block in read)
