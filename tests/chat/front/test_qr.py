"""The QR code: a phone's reader finds the address in what a terminal shows, whatever its colours."""

from __future__ import annotations

import sys

import numpy as np
import pyte
import pytest
import zxingcpp
from numpy.typing import NDArray

from chat.front import qr

ADDRESS = "http://192.168.123.205:9999"
SCALE = 8  # pixels a module


def photographed(text: str) -> NDArray[np.uint8]:
    """What a camera sees of the terminal: each cell is two modules, one above the other."""
    screen = pyte.Screen(80, 24)
    pyte.Stream(screen).feed(text.replace("\n", "\r\n"))
    rows = []
    for y in range(24):
        cells = [screen.buffer[y][x] for x in range(80)]
        rows.append([0 if cell.data == "▀" and cell.fg == "black" else 255 for cell in cells])
        rows.append([0 if cell.data == "▀" and cell.bg == "black" else 255 for cell in cells])
    return np.kron(np.array(rows), np.ones((SCALE, SCALE))).astype(np.uint8)


def test_a_reader_finds_the_address() -> None:
    found = zxingcpp.read_barcodes(photographed(qr.drawn(ADDRESS)))
    assert [code.text for code in found] == [ADDRESS]


def test_it_leaves_room_for_the_other_lines_on_a_screen() -> None:
    lines = qr.drawn(ADDRESS).split("\n")
    assert len(lines) <= 16


def test_every_cell_has_its_own_colours() -> None:
    for line in qr.drawn(ADDRESS).split("\n"):
        assert line.count("▀") == line.count("\x1b[") - 1


def test_without_segno_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segno", None)
    assert qr.drawn(ADDRESS) == ""
