"""Which languages the messages are in, by py3langid.

A chat's texts are short, and for a short text many languages are nearly as likely. So only languages that
many people write in are candidates, and a text of few letters, or one on which the identifier isn't sure,
is `unknown`.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

import pandas as pd

from analytics.tables import most_first, spoken

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

UNKNOWN = "unknown"
CANDIDATES = tuple(
    "ar bg bn ca cs da de el en es et fa fi fr he hi hr hu id it ja ko lt lv nl no pl pt ro ru sk sl sr sv "  # noqa: SIM905
    "sw ta te th tl tr uk ur vi zh".split()
)
SHORTEST = 6  # bytes of letters: six in Latin script, three in Cyrillic, two in Chinese; fewer say nothing
SURE = 0.45  # of 1: below it, guesses at short texts are wrong more often than they help
LOOKED_AT = 60_000  # different texts, about a second's work; of more, evenly chosen ones stand for all

_NO_LANGUAGE = re.compile(r"https?://\S+|www\.\S+|@\S+|[\d_\W]+")


def languages(records: pd.DataFrame) -> pd.Series[int]:
    """How many messages are in each language (an ISO 639-1 code) or `unknown`, most first.

    With more than LOOKED_AT different texts this is an estimate, which still adds up to all messages.
    """
    texts = spoken(records)["text"].value_counts(sort=False)
    chosen = texts.iloc[:: max(1, -(-len(texts) // LOOKED_AT))]
    found = chosen.groupby([_language(text) for text in chosen.index]).sum()
    if len(chosen) < len(texts):
        found = _scaled(found, int(texts.sum()))
    return most_first(found).rename_axis("language").rename("messages")


def _scaled(sample: pd.Series[int], total: int) -> pd.Series[int]:
    """Numbers in the proportions of the sample that add up to the total."""
    scaled = (sample * (total / sample.sum())).astype("int64")
    scaled[sample.idxmax()] += total - int(scaled.sum())
    return scaled


def _language(text: str) -> str:
    words = _NO_LANGUAGE.sub(" ", text)
    if len(words.replace(" ", "").encode()) < SHORTEST:
        return UNKNOWN
    language, _ = _identifier().classify(words)
    return UNKNOWN if language == "und" else str(language)


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # only now: the model takes a second to load

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True, min_confidence=SURE)
    identifier.set_languages(CANDIDATES)
    return identifier
