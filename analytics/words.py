"""What is said: words, emoji, links, in lists with the most frequent first.

All of them stand between spaces. So `tokens` counts once what stands between spaces, and the rest looks
at each different token once:

    said = tokens(records)
    words(said, ["en"]), emoji(said), links(said)
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from analytics.tables import most_first, spoken
from analytics.texts import Texts

_LINK = re.compile(r"\b(?:https?://|www\.)[^\s<>\"]+", re.IGNORECASE)
_AFTER_LINK = ".,:;!?)]}'’\"»"  # what ends the sentence, not the link
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")  # letters, with apostrophes inside
_BASE = (  # what can begin an emoji
    "[\U0001f300-\U0001f64f\U0001f680-\U0001f6ff\U0001f7e0-\U0001f7eb\U0001f900-\U0001faff"
    "\u2600-\u27bf\u2b50\u2b55]"
)
_EMOJI = re.compile(
    "[\U0001f1e6-\U0001f1ff]{2}"  # a flag is two letters
    "|[0-9#*]\ufe0f?\u20e3"  # a key cap
    f"|{_BASE}[\ufe0f\U0001f3fb-\U0001f3ff]*(?:\u200d{_BASE}[\ufe0f\U0001f3fb-\U0001f3ff]*)*"
)


def tokens(records: pd.DataFrame) -> Counter[str]:
    """How often each thing between spaces was said."""
    said = spoken(records)
    return Texts.of(said["text"]).take_apart(np.ones(len(said), bool)).tokens


def words(said: Counter[str], languages: Iterable[str] = ()) -> pd.Series[int]:
    """How often each word was said, in lower case, links aside; without the stop words of the languages.

    Where a script puts no spaces between words, what stands between two others counts as one.
    """
    import stopwordsiso  # only now: it loads the words of all languages

    counter = _found(said, _words)
    for word in stopwordsiso.stopwords([each for each in languages if stopwordsiso.has_lang(each)]):
        counter.pop(word, None)
    return _series(counter, "word")


def _words(token: str) -> list[str]:
    token = token.lower()
    if token.isalpha():  # as most are
        return [token]
    return _WORD.findall(_LINK.sub(" ", token) if "/" in token or "www." in token else token)


def emoji(said: Counter[str]) -> pd.Series[int]:
    """How often each emoji was used; a sequence that is shown as one picture is one."""
    return _series(_found(said, lambda token: [] if token.isalnum() else _EMOJI.findall(token)), "emoji")


def links(said: Counter[str]) -> pd.Series[int]:
    """How often each link was shared."""
    return _series(_found(said, _links), "link")


def _links(token: str) -> list[str]:
    if "/" not in token and "." not in token:
        return []
    return [link.rstrip(_AFTER_LINK) for link in _LINK.findall(token)]


def sites(shared: pd.Series[int]) -> pd.Series[int]:
    """The same by the links' host names."""
    hosts = [_host(link) for link in shared.index]
    return most_first(shared.groupby(hosts).sum()).rename_axis("site")


def _host(link: str) -> str:
    try:
        return urlsplit(link if "//" in link else f"//{link}").hostname or link
    except ValueError:  # people send what looks like a link
        return link


def _found(said: Counter[str], find: Callable[[str], list[str]]) -> Counter[str]:
    counter: Counter[str] = Counter()
    for token, times in said.items():
        for each in find(token):
            counter[each] += times
    return counter


def _series(counter: Counter[str], name: str) -> pd.Series[int]:
    return most_first(pd.Series(counter, dtype="int64").rename("times").rename_axis(name))
