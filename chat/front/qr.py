"""A QR code as text for a terminal: black on white, whatever the colours of the terminal are."""

from __future__ import annotations

BORDER = 2  # modules of white around it: phones want some
_WHITE, _BLACK = "97", "30"  # of what is above in a cell; what is below is the background, 10 more


def drawn(text: str) -> str:
    """Lines of half blocks, two rows of modules each. "" if segno is not installed."""
    try:
        import segno
    except ImportError:
        return ""
    rows = [list(row) for row in segno.make(text, error="L", micro=False).matrix_iter(border=BORDER)]
    rows += [[0] * len(rows[0])] * (len(rows) % 2)
    return "\n".join(_line(rows[y], rows[y + 1]) for y in range(0, len(rows), 2))


def _line(upper: list[int], lower: list[int]) -> str:
    cells = [
        f"\x1b[{_BLACK if above else _WHITE};{int(_BLACK if below else _WHITE) + 10}m▀"
        for above, below in zip(upper, lower, strict=True)
    ]
    return "  " + "".join(cells) + "\x1b[0m"
