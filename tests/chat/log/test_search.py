"""What a search means. test_index.py holds the index against the same."""

from __future__ import annotations

import pytest

from chat.log.search import Search, indexed

MEANINGS = [
    ("lunch", "Lunch at one?", True),
    ("lun", "lunch", True),
    ("unch", "lunch", False),
    ("one lunch", "Lunch at one?", True),
    ("two lunch", "Lunch at one?", False),
    ("at", "Lunch at one?", True),
    ("at", "attach it", False),
    ("ALICE", "hello", True),
    ("straße", "STRASSE", True),
    ("好", "你好吗", True),
    ("foo.bar", "see foo.bar()", True),
    ("foo.bar", "see foo bar", False),
    (":)", "fine :)", True),
    ("x", "x_y", True),
    ("c++", "C++ is C", True),
    ("[a-z]+", "no pattern", False),
]


@pytest.mark.parametrize(("words", "text", "matches"), MEANINGS)
def test_what_a_search_means(words: str, text: str, matches: bool) -> None:
    assert Search(words).matches("alice", text) == matches


def test_what_the_index_can_not_help_with() -> None:
    assert Search(":) -").expression == ""
    assert Search("lunch :)").expression == '"lunch"*'


def test_the_words_of_a_record_are_ascii() -> None:
    """SQLite knows the letters of another Unicode than Python."""
    assert indexed("alice", "Plain text") == "alice Plain text"
    assert indexed("alice", "Café").isascii()
