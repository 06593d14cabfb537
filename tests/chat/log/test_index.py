"""The word index: it finds what is in the history, and can always be rebuilt."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.log.index import Index
from chat.log.search import Search
from chat.record import Record
from tests.chat.log.test_search import MEANINGS

LATIN = (
    "lunch",
    "Lunch",
    "lun",
    "a",
    "é",
    "Éclair",
    "naïve",
    "straße",
    "STRASSE",
    "ß",
    "\u0130",
    "ﬁsh",
    "ｆｕｌｌ",
)
OTHERS = ("你好", "你", "好吃", "привет", "สวัสดี", "foo.bar", "foo", "x_y", "1984", ":)", "-")
TEXTS = st.lists(st.sampled_from(LATIN + OTHERS), max_size=6).map(" ".join)


def line(text: str, name: str = "alice") -> bytes:
    return Record("2026-11-21T10:15:42.123Z", "10.0.0.1", name, "message", text).encode()


def found(index: Index, history: bytes, words: str) -> list[str]:
    """The texts that the index points to and that match, newest first."""
    search = Search(words)
    texts = []
    for offset in index.candidates(search):
        name, _, text = history[offset:].partition(b"\n")[0].decode().split("\t")[2:]
        if search.matches(name, text):
            texts.append(text)
    return texts


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.txt"


def indexed(path: Path, *texts: str) -> Index:
    path.write_bytes(b"".join(map(line, texts)))
    index = Index(path.with_name("history.txt.index"), path)
    index.add(path.read_bytes()[index.end :])
    return index


@pytest.mark.parametrize(("words", "text", "matches"), MEANINGS)
def test_it_points_to_what_matches(words: str, text: str, matches: bool, path: Path) -> None:
    index = indexed(path, text)
    if Search(words).expression:
        assert found(index, path.read_bytes(), words) == [text] * matches
    index.close()


@settings(deadline=None, max_examples=40)
@given(st.lists(TEXTS, max_size=20), TEXTS)
def test_it_misses_nothing(tmp_path_factory: pytest.TempPathFactory, texts: list[str], words: str) -> None:
    search = Search(words)
    if not search.expression:
        return
    path = tmp_path_factory.mktemp("index") / "history.txt"
    index = indexed(path, *texts)
    try:
        wanted = [text for text in reversed(texts) if search.matches("alice", text)]
        assert found(index, path.read_bytes(), words) == wanted
    finally:
        index.close()


def test_indexing_continues_where_it_stopped(path: Path) -> None:
    indexed(path, "one", "two").close()
    index = Index(path.with_name("history.txt.index"), path)
    assert index.end == path.stat().st_size
    path.write_bytes(path.read_bytes() + line("three"))
    index.add(line("three"))
    assert found(index, path.read_bytes(), "three") == ["three"]
    assert found(index, path.read_bytes(), "one") == ["one"]
    index.close()


def test_an_index_of_another_history_is_rebuilt(path: Path) -> None:
    indexed(path, "one", "two").close()
    path.write_bytes(line("six") + line("two"))
    index = Index(path.with_name("history.txt.index"), path)
    assert index.end == 0
    assert not list(index.candidates(Search("one")))
    index.close()


@pytest.mark.parametrize("damage", [b"", b"not SQLite at all" * 500])
def test_a_damaged_index_is_rebuilt(path: Path, damage: bytes) -> None:
    indexed(path, "one").close()
    path.with_name("history.txt.index").write_bytes(damage)
    index = Index(path.with_name("history.txt.index"), path)
    assert index.end == 0
    index.close()


def test_a_truncated_handshake_does_no_harm(path: Path) -> None:
    indexed(path, *(f"word{number}" for number in range(3000))).close()
    file = path.with_name("history.txt.index")
    os.truncate(file, file.stat().st_size // 2)
    index = Index(file, path)
    assert index.end == 0
    index.close()


@pytest.mark.skipif(os.name == "nt", reason="few symbolic links there")
def test_a_symbolic_link_is_not_followed(path: Path) -> None:
    victim = path.with_name("victim")
    victim.write_text("mine")
    path.with_name("history.txt.index").symlink_to(victim)
    indexed(path, "one").close()
    assert victim.read_text() == "mine"
