"""Texts taken apart as bytes are what str.split makes of them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics import texts
from analytics.texts import Texts

piece = st.one_of(
    st.sampled_from(
        [*" \u2003\u3000\x85\xa0\u2019\x1c\x00\t\r@:,", "abcdefg", "abcdefgh", "y" * 31, "z" * 32]
    ),
    st.characters(exclude_categories=["Cs"], exclude_characters="\n"),
)
some = st.lists(st.lists(piece, max_size=9).map("".join), max_size=12)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "CHUNK", 3)
    monkeypatch.setattr(texts, "MERGED", 2)


@settings(deadline=None)
@given(some, st.integers(0, 4095))
def test_words_and_letters_and_what_is_the_same(said: list[str], chance: int) -> None:
    chosen = np.array([bool(chance >> place & 1) for place in range(len(said))], bool)
    mine = [text for text, wanted in zip(said, chosen, strict=True) if wanted]
    found = Texts.of(pd.Series(said, dtype="str")).take_apart(chosen)
    assert found.tokens == Counter(word for text in mine for word in text.split())
    assert found.words.tolist() == [len(text.split()) for text in mine]
    assert found.characters.tolist() == [len(text) for text in mine]
    addressed = set(found.addressed.tolist())
    assert addressed <= set(np.flatnonzero(chosen))
    for row in np.flatnonzero(chosen):
        first = said[row].split()[:1]
        assert (row in addressed) == ("@" in said[row] or bool(first and first[0][-1] in ":,"))


@settings(deadline=None)
@given(some)
def test_texts_by_their_rows(said: list[str]) -> None:
    kept = Texts.of(pd.Series(said, dtype="str"))
    rows = list(range(len(said)))[::-2]
    assert kept.at(rows) == [said[row] for row in rows]
    assert [text for chunk in kept.strings() for text in chunk] == said


def test_in_another_order() -> None:
    """As where several files are put together."""
    kept = Texts([b"one\n@two two\n", b"three three three\n"], [2, 1], np.array([2, 0, 1]))
    assert kept.at([0, 1, 2]) == ["three three three", "one", "@two two"]
    found = kept.take_apart(np.array([True, False, True]))
    assert found.words.tolist() == [3, 2]
    assert found.addressed.tolist() == [2]
    assert found.tokens == {"three": 3, "@two": 1, "two": 1}


def test_two_rows_with_one_hash_stay_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "_MULTIPLIERS", np.zeros(4, np.uint64))
    found = Texts.of(pd.Series(["abcdefgh abcdefgi abcdefgh"])).take_apart(np.array([True]))
    assert found.tokens == {"abcdefgh": 2, "abcdefgi": 1}


def test_a_text_of_another_table_may_have_a_line_feed() -> None:
    found = Texts.of(pd.Series(["a\nb", "c"])).take_apart(np.array([True, True]))
    assert found.words.tolist() == [2, 1]
