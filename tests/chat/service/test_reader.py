"""The reader of a long history: its answers, compared with a slow search of the whole file."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

from chat import record
from chat.record import Record
from chat.service import reader as module
from chat.service.reader import Reader, identity

KINDS = ("message", "join", "leave", "action", "notice", "start")
SAID = ("message", "action", "notice")
WORDS = ("lunch", "budget", "hello", "of", "你好", "café", "a")


def write(path: Path, records: int, seed: int = 1, kinds: tuple[str, ...] = KINDS) -> None:
    chance = random.Random(seed)
    with path.open("wb") as file:
        for _ in range(records):
            text = " ".join(chance.choices(WORDS, k=chance.randint(0, 4)))
            file.write(Record("2026-11-21T10:15:42.123Z", "-", "al", chance.choice(kinds), text).encode())
            if chance.random() < 0.01:
                file.write(b"a note of the host's\n")


def slowly(path: Path) -> list[tuple[int, Record]]:
    """Every record and its offset, newest first."""
    found, offset = [], 0
    for line in path.read_bytes().splitlines(keepends=True):
        if record.HISTORY_RECORD.fullmatch(line):
            found.append((offset, record.parse(line)))
        offset += len(line)
    return found[::-1]


def question(path: Path, **asked: Any) -> dict[str, Any]:
    fd = os.open(path, os.O_RDONLY)
    try:
        return {**asked, "file": identity(fd), "end": os.fstat(fd).st_size}
    finally:
        os.close(fd)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.txt"


@pytest.mark.parametrize("indexed", [0, 1, 3])
@pytest.mark.parametrize("words", ["lunch", "budget lunch", "你", "of", "al", "nothing", "a of hello"])
def test_a_search_finds_everything_however_much_is_indexed(
    path: Path, words: str, indexed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FOLLOW_BYTES", 1)
    monkeypatch.setattr(module, "SLICE_BYTES", 40_000)
    monkeypatch.setattr(module, "SEARCH_SECONDS", 60)
    monkeypatch.setattr(module, "CATCH_UP_SECONDS", 60)
    write(path, 2000)
    reader = Reader(path)
    assert reader.catch_up(path.stat().st_size)
    for _ in range(indexed):
        reader.step()
    wanted = [
        offset
        for offset, said in slowly(path)
        if said.kind in SAID
        and all(
            word in f"{said.name} {said.text}".split() or (word == "你" and "你" in said.text)
            for word in words.split()
        )
    ]
    for most in (3, 20, 10**6):
        assert reader.answer(question(path, ask="search", words=words, most=most))["offsets"] == wanted[:most]
    reader.close()


def test_the_last_messages_and_where_the_last_records_begin(path: Path) -> None:
    write(path, 3000, kinds=(*("join", "leave") * 30, "message"))
    everything = slowly(path)
    said = [offset for offset, found in everything if found.kind in SAID]
    reader = Reader(path)
    for most in (1, 20, 1000):
        assert reader.answer(question(path, ask="said", most=most))["offsets"] == said[:most]
    for count in (1, 20, 1000, 3000):
        assert reader.answer(question(path, ask="last", count=count))["offset"] == everything[count - 1][0]
    assert reader.answer(question(path, ask="last", count=10**6))["offset"] == 0
    reader.close()


def test_an_earlier_end_is_respected(path: Path) -> None:
    """If more is said between question and answer, the answer still refers to the asker's end."""
    write(path, 500)
    asked = question(path, ask="said", most=5)
    last = question(path, ask="last", count=5)
    wanted = [offset for offset, found in slowly(path) if found.kind in SAID][:5]
    start = slowly(path)[4][0]
    with path.open("ab") as file:
        file.write(b"".join(found.encode() for _, found in slowly(path)))
    reader = Reader(path)
    assert reader.answer(asked)["offsets"] == wanted
    assert reader.answer(last)["offset"] == start
    reader.close()
