"""Which languages the messages are in.

A chat's texts are short, and for a short text many languages are nearly as likely. So only languages that
many people write in are candidates, and a text of few letters, or one on which the identifier isn't sure,
is `unknown`.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analytics import identify
from analytics.identify import UNKNOWN as UNKNOWN
from analytics.tables import most_first, spoken

LOOKED_AT = 5_000  # messages, a quarter of a second's work; of more, so many drawn by lot: right to 1.5 %


def languages(records: pd.DataFrame) -> pd.Series[int]:
    """How many messages are in each language (an ISO 639-1 code) or `unknown`, most first.

    Of more than LOOKED_AT messages this is an estimate, which still adds up to all of them.
    """
    said = spoken(records)
    texts = said["text"].iloc[sample(len(said))].tolist()
    return of_sample(identify.count(texts), len(said))


def sample(messages: int) -> NDArray[np.int64]:
    """Which of so many messages are looked at; the same ones each time."""
    if messages <= LOOKED_AT:
        return np.arange(messages)
    return np.sort(np.random.default_rng(0).choice(messages, LOOKED_AT, replace=False))


def of_sample(found: Counter[str], messages: int) -> pd.Series[int]:
    """The same from what was found in a sample of so many messages."""
    numbers = pd.Series(found, dtype="int64")
    if found.total() < messages:
        exact = numbers * (messages / found.total())
        numbers = exact.astype("int64")
        short = messages - int(numbers.sum())
        numbers[(exact - numbers).sort_values(ascending=False, kind="stable").index[:short]] += 1
    return most_first(numbers).rename_axis("language").rename("messages")
