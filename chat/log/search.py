"""What a search means.

Each of its words must begin a word of the name or the text (a word of one or two letters must be a whole
word; in scripts without spaces it may be anywhere), in any case and order. The word index (index.py) has the
same words, so that it points to all records that may match, and to few others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

PREFIX = 3  # letters; a shorter prefix begins too many words
MOST_WORDS = 32  # of one search

# Scripts without spaces between words: Thai, Lao, Myanmar, Khmer, kana, Han. Each character is a word.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")
_SPACED = rf"[^\W_{_UNSPACED}]"


class Search:
    """What to look for: words that must all be there, in any case and order."""

    def __init__(self, words: str) -> None:
        self.words = words.casefold().split()
        self._patterns = [re.compile(_pattern(word)) for word in self.words]

    def matches(self, name: str, text: str) -> bool:
        """Whether a record with this name and text matches."""
        whole = f"{name} {text}".casefold()
        return all(pattern.search(whole) for pattern in self._patterns)

    @property
    def expression(self) -> str:
        """The same in FTS5's syntax; "" if the index can't help."""
        parts = dict.fromkeys(part for word in self.words for part in _parts(word))
        return " AND ".join(parts)


def _pattern(word: str) -> str:
    before = rf"(?<!{_SPACED})" if re.match(_SPACED, word) else ""
    behind = rf"(?!{_SPACED})" if re.search(rf"(?<!{_SPACED}){_SPACED}{{1,{PREFIX - 1}}}\Z", word) else ""
    return before + re.escape(word) + behind


def _parts(word: str) -> Iterator[str]:
    tokens = _TOKEN.findall(word)
    for token in tokens[:-1]:
        yield f'"{_written(token)}"'
    if tokens:
        last = tokens[-1]
        open_ended = len(last) >= PREFIX and word.endswith(last)
        yield f'"{_written(last)}"' + "*" * open_ended


def indexed(name: str, text: str) -> str:
    """The words of a record, as the index has them."""
    said = f"{name} {text}"
    return said if said.isascii() else " ".join(map(_written, _TOKEN.findall(said.casefold())))


def _written(token: str) -> str:
    """A token as stored in the index, in ASCII: SQLite's version of Unicode is not Python's."""
    return token if token.isascii() else "u" + token.encode().hex()
