"""Which language a text is in, by py3langid, in a process of its own: it takes a second that others can use.

    python3 -m analytics.identify     texts in, a JSON list; how many in each language out, a JSON object

The model is loaded while the one who asks still reads the history. It ends with its standard input.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

UNKNOWN = "unknown"
CANDIDATES = tuple(
    "ar bg bn ca cs da de el en es et fa fi fr he hi hr hu id it ja ko lt lv nl no pl pt ro ru sk sl sr sv "  # noqa: SIM905
    "sw ta te th tl tr uk ur vi zh".split()
)
SHORTEST = 6  # bytes of letters: six in Latin script, three in Cyrillic, two in Chinese; fewer say nothing
SURE = 0.45  # of 1: below it, guesses at short texts are wrong more often than they help

_NO_LANGUAGE = re.compile(r"https?://\S+|www\.\S+|@\S+|[\d_\W]+")


class Identifier:
    """The process, which is begun before it is needed."""

    def __init__(self) -> None:
        self._closed = False
        self._answer: Future[Counter[str]] | None = None
        self.process = subprocess.Popen(
            [sys.executable, "-m", "analytics.identify"],
            cwd=Path(__file__).parent.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def ask(self, texts: list[str]) -> Future[Counter[str]]:
        """How many of the texts are in each language; asked once. If the process fails, it is done here."""
        pool = ThreadPoolExecutor(1)
        self._answer = pool.submit(self._count, texts)
        pool.shutdown(wait=False)
        return self._answer

    def _count(self, texts: list[str]) -> Counter[str]:
        answer, _ = self.process.communicate(json.dumps(texts).encode())
        if self.process.returncode == 0:
            return Counter(json.loads(answer))
        return Counter() if self._closed else count(texts)

    def close(self) -> None:
        """Ends it where nobody needs an answer."""
        self._closed = True
        self.process.kill()
        if self._answer:
            wait([self._answer])
        else:
            self.process.communicate()


def count(texts: list[str]) -> Counter[str]:
    """How many of the texts are in each language (an ISO 639-1 code) or `unknown`; each is looked at once."""
    found: Counter[str] = Counter()
    for text, number in Counter(texts).items():
        found[_language(text)] += number
    return found


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


if __name__ == "__main__":
    _identifier()
    if asked := sys.stdin.buffer.read():
        print(json.dumps(count(json.loads(asked))))
