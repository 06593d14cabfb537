"""Names that look alike: the skeleton of Unicode's UTS 39.

confusables.txt beside this module is the table: for each character that looks like others, the characters
that represent them all. `python3 -m tests.make_confusables` generates it.
"""

from __future__ import annotations

import functools
import unicodedata
from pathlib import Path

from chat import record

_TABLE = Path(__file__).with_name("confusables.txt")


def looks(name: str) -> tuple[str, str]:
    """What the name looks like: as written, and regardless of case.

    Two names look alike if either of these is equal. What is too long for a name looks like none: "".
    """
    if not record.name_key(name):
        return "", ""
    seen = unicodedata.normalize("NFKC", record.visible(name))
    # Letters of other scripts first, then the case: a Cyrillic В looks like a B, a в like no letter of ours.
    folded = _skeleton(seen, ascii_too=False).casefold()
    return _skeleton(seen), _skeleton(folded).casefold()


def look_alike(one: str, other: str) -> bool:
    """Whether one name can be mistaken for the other."""
    return any(a == b for a, b in zip(looks(one), looks(other), strict=True))


def _skeleton(text: str, *, ascii_too: bool = True) -> str:
    """UTS 39, 4: the text in NFD, with each character replaced by the one that represents its look."""
    prototypes = confusables()
    replaced = [
        character if character.isascii() and not ascii_too else prototypes.get(character, character)
        for character in unicodedata.normalize("NFD", text)
    ]
    return unicodedata.normalize("NFD", "".join(replaced))


@functools.cache
def confusables() -> dict[str, str]:
    """The table: for each character that looks like others, the characters that represent them."""
    table: dict[str, str] = {}
    for line in _TABLE.read_text("ascii").splitlines():
        if not line.startswith("#"):
            prototype, _, characters = line.partition(" <- ")
            table |= dict.fromkeys(
                map(_character, characters.split()), "".join(map(_character, prototype.split()))
            )
    return table


def _character(code_point: str) -> str:
    return chr(int(code_point, 16))
