"""Words, emoji and links."""

from __future__ import annotations

from collections import Counter

import pytest

from analytics import words
from tests.analytics.histories import line, records


def said(*texts: str) -> Counter[str]:
    return words.tokens(records(*(line("10:00", "a", text=text) for text in texts)))


def test_words_without_stop_words_and_links() -> None:
    found = words.words(said("The Build, the build's (build) http://the.build/x 42 don't"), ["en", "xx"])
    assert found.to_dict() == {"build": 2, "build's": 1}


def test_words_in_all_scripts() -> None:
    found = words.words(said("Привет, МИР! 你好。 café naïve"))
    assert sorted(found.index) == ["café", "naïve", "мир", "привет", "你好"]


@pytest.mark.parametrize(
    ("text", "emoji"),
    [
        ("a😀😀b", {"😀": 2}),
        ("👩🏽‍💻!", {"👩🏽‍💻": 1}),
        ("🏳️‍🌈", {"🏳️‍🌈": 1}),
        ("🇩🇪🇫🇷", {"🇩🇪": 1, "🇫🇷": 1}),
        ("1️⃣ 2", {"1️⃣": 1}),
        ("❤️", {"❤️": 1}),
        ("plain © 你好", {}),
    ],
)
def test_emoji_that_are_one_picture_are_one(text: str, emoji: dict[str, int]) -> None:
    assert words.emoji(said(text)).to_dict() == emoji


def test_links_and_sites() -> None:
    links = words.links(
        said("see https://a.org/x. (http://a.org/y) www.b.org HTTPS://A.org/z", "http://[broken")
    )
    assert links.index.tolist() == [
        "HTTPS://A.org/z", "http://[broken", "http://a.org/y", "https://a.org/x", "www.b.org",
    ]  # fmt: skip
    assert words.sites(links).to_dict() == {"a.org": 3, "http://[broken": 1, "www.b.org": 1}


def test_nothing_said() -> None:
    nothing = words.tokens(records())
    assert words.words(nothing).empty
    assert words.emoji(nothing).empty
    assert words.sites(words.links(nothing)).empty
