from __future__ import annotations

import unicodedata

import pytest

from chat import lookalike
from chat.lookalike import look_alike, looks

ALIKE = [
    ("alice", "ALICE"),  # case
    ("alice", "ａｌｉｃｅ"),  # compatibility forms
    ("alice", "a\u200dlice"),  # invisible
    ("alice", "аlice"),  # a Cyrillic а
    ("alice", "АLICE"),  # and a capital one
    ("bob", "Вob"),  # its capital looks like a B, its small letter not like a b
    ("larry", "Iarry"),
    ("paypal", "paypa1"),
    ("bob", "b0b"),
    ("mary", "rnary"),
    ("Iris", "Ιrіѕꓹ".replace("ꓹ", "")),  # Greek, Latin and Cyrillic in one
    ("σοφία", "σoφία"),
]
DIFFERENT = [
    ("alice", "alicia"),
    ("ian", "lan"),
    ("Ian", "Lan"),
    ("josé", "jose"),
    ("bob", "rob"),
    ("анна", "anna"),
]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_lookalikes_are_recognized(one: str, other: str) -> None:
    assert look_alike(one, other)
    assert look_alike(other, one)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_distinct_names_are_not_lookalikes(one: str, other: str) -> None:
    assert not look_alike(one, other)


def test_the_confusables_table_is_consistent() -> None:
    table = lookalike.confusables()
    assert len(table) > 2000
    assert table["а"] == "a"
    assert table["m"] == "rn"
    for character, prototype in table.items():
        assert unicodedata.normalize("NFD", character) == character
        assert len(prototype) <= 18


def test_what_is_too_long_for_a_name_is_not_looked_at() -> None:
    assert looks("\u0301\u0327" * 1000) == ("", "")
