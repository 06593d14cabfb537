"""The file: readable from anywhere, even if somebody has edited it."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chat import record
from chat.log import file as file_module
from chat.log.file import BLOCK
from chat.log.history import History
from tests.files import OLD, all_records, append, line, said, texts


def test_a_reader_anywhere_gets_the_rest(opened: Callable[..., History], history_path: Path) -> None:
    history_path.write_bytes(b"".join(line(f"old {number}") for number in range(50)))
    history = opened()
    for number in range(3):
        append(history, said(f"new {number}") * 2)
    content = history_path.read_bytes()
    for offset in range(len(content) + 1):
        data, at = b"", offset
        while at < len(content):
            start, piece = history.file.records(at, 10_000)
            assert start == at
            assert piece
            data += piece
            at += len(piece)
        assert data == content[offset:]


def test_what_is_not_a_record_is_skipped(opened: Callable[..., History], history_path: Path) -> None:
    parts = [
        line("one"),
        b"edited by hand\n",
        line("two"),
        b"\n\n",
        b"x" * (3 * BLOCK) + line("not the beginning of a line"),
        line("x" * 5000),
        line("escape \x1b[31m"),
        line("escape", name="\x1b[31malice"),
        OLD.encode() + b"\t10.0.0.1\tbob\t/msg\tnot history\n",
        line("three"),
        b"at the end\n",
    ]
    history_path.write_bytes(b"".join(parts))
    history = opened()
    append(history, said("four"))
    read, jumps = all_records(history.file)
    assert read == ["one", "two", "three", "four"]
    content = history_path.read_bytes()
    for text in ("two", "three"):
        assert content.index(line(text)) in jumps


def test_checked_records_are_not_checked_again(
    opened: Callable[..., History], history_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From wherever and however often it is read, the result is the same, and each record is checked once."""
    monkeypatch.setattr(file_module, "CHECK_BYTES", 10_000)
    monkeypatch.setattr(file_module, "RUNS", 5)
    lines = [line(f"{number} " + "x" * 100) if number % 50 else b"a note\n" for number in range(1000)]
    history_path.write_bytes(b"".join(lines))
    file = opened().file
    whole, jumps = all_records(file)
    assert len(whole) == 980
    for number in (999, 1, 500, 20, 700, 0):
        offset = sum(map(len, lines[:number]))
        rest, _ = all_records(file, offset)
        assert rest == whole[len(whole) - len(rest) :]
        assert len(rest) == sum(1 for here in range(number, 1000) if here % 50)
    assert all_records(file) == (whole, jumps)


class Counting:
    """A pattern that counts its uses."""

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self.uses = 0
        self._pattern = pattern

    def match(self, *arguments: Any) -> re.Match[bytes] | None:
        self.uses += 1
        return self._pattern.match(*arguments)


def test_a_long_run_is_checked_once(
    opened: Callable[..., History], history_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pattern = Counting(record.HISTORY_RECORDS)
    monkeypatch.setattr(record, "HISTORY_RECORDS", pattern)
    lines = [line(f"{number} " + "x" * 100) for number in range(3000)]
    history_path.write_bytes(b"".join(lines))
    file = opened().file
    all_records(file, sum(map(len, lines[:1500])))
    whole = all_records(file)
    checks = pattern.uses
    assert all_records(file) == whole
    assert pattern.uses == checks > 0


def test_the_record_before_an_offset(opened: Callable[..., History], history_path: Path) -> None:
    parts = [line("one"), line("x" * 4096, name="🦊" * 24), b"no record\n", line("two")]
    history_path.write_bytes(b"".join(parts))
    file = opened().file
    ends = [sum(map(len, parts[: number + 1])) for number in range(4)]
    found = {offset: file.record_before(offset) for offset in range(-1, ends[-1] + 2)}
    assert {offset: before.text[:3] for offset, before in found.items() if before} == {
        ends[0]: "one",
        ends[1]: "xxx",
        ends[3]: "two",
    }


def test_reads_without_pread_are_not_disturbed_by_appends(
    opened: Callable[..., History], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows an append moves the position that a read has set."""
    monkeypatch.setattr(file_module, "HAS_PREAD", False)
    history = opened()
    append(history, said("first"))
    end = history.file.end

    def write() -> None:
        for number in range(200 if sys.platform == "win32" else 5000):  # there a system call costs more
            append(history, said(str(number)))

    writer = threading.Thread(target=write)
    writer.start()
    read = {history.file.read(0, end)}
    while writer.is_alive():
        read.add(history.file.read(0, end))
    writer.join()
    assert [texts(found) for found in read] == [["first"]]
