"""Fonts for names and texts in any script, as far as this computer has them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

# For what the first one lacks, the next ones are asked, where they are installed.
FONTS = (
    "DejaVu Sans",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans",
    "Noto Emoji",
    "Symbola",
    "Segoe UI",
    "Segoe UI Emoji",
    "Microsoft YaHei",
    "Malgun Gothic",
    "PingFang SC",
    "Hiragino Sans",
    "Arial Unicode MS",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "Droid Sans Fallback",
    "AR PL UMing CN",
    "Unifont",
)
NOTE = "#56626e"  # the colour of a note under a picture


@cache
def families() -> list[str]:
    """Those of FONTS that are installed, the preferred one first."""
    installed = set(font_manager.get_font_names())
    return [font for font in FONTS if font in installed]


@cache
def _drawn_characters() -> frozenset[int]:
    """What there is in any of the fonts."""
    paths = [font_manager.findfont(family) for family in families()]
    return frozenset(code for path in paths for code in font_manager.get_font(path).get_charmap())


NO_FONT = "□ is a character that no font of this computer has; on the page it is shown."


@contextmanager
def drawable(figure: Figure) -> Iterator[None]:
    """For as long as it is saved as pixels: what no font has is □, and a note says so."""
    changed = []
    for text in figure.findobj(Text):
        written = text.get_text()
        shown = "".join(
            each if ord(each) in _drawn_characters() or each.isspace() else "□" for each in written
        )
        if shown != written:
            changed.append((text, written))
            text.set_text(shown)
    note = figure.text(0.99, 0.0, NO_FONT, fontsize=7, color=NOTE, ha="right") if changed else None
    yield
    for text, written in changed:
        text.set_text(written)
    if note:
        note.remove()
