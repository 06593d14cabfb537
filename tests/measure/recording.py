"""A recorded session of the client, for README and docs/client.md: a real one, as the terminal showed it.

    python -m tests.measure.recording docs/client.svg

Run by hand, when the client looks different. Needs the groups client and test. The picture moves where it is
shown as a web page shows it; elsewhere its last frame is seen.
"""

from __future__ import annotations

import html
import sys
import tempfile
import time
from itertools import groupby
from pathlib import Path

import pyte.graphics
from pyte.screens import Char

from tests.harness import Client, serving
from tests.terminal import ENTER, TAB, Terminal, client_command

COLUMNS, ROWS = 80, 18
CELL_WIDTH, CELL_HEIGHT, MARGIN = 8.4, 18, 14  # pixels, of a font of 14
KEY_SECONDS, LOOK_SECONDS, LAST_SECONDS = 0.06, 1.2, 5.0
FRONT, FAINT, BACK = "#d4d4d4", "#8a8a8a", "#1e1e1e"
Row = tuple[Char, ...]

pyte.graphics.TEXT[2] = "+blink"  # pyte knows no faint text; blinking, which nothing sends, stands for it


class Recording:
    """What the terminal showed, frame by frame, with the seconds for which it did."""

    def __init__(self, terminal: Terminal) -> None:
        self.frames: list[tuple[float, list[Row]]] = []
        self._terminal = terminal

    def look(self, seconds: float = LOOK_SECONDS) -> None:
        """Add a frame of what is there now."""
        row, column = self._terminal.cursor
        cells = [list(cells) for cells in self._terminal.cells]
        cells[row][column] = cells[row][column]._replace(reverse=True)
        self.frames.append((seconds, [tuple(cells) for cells in cells]))

    def type(self, text: str, seen: str = "") -> None:
        """Type, letter by letter, and look at each; then Enter, if something is to be seen after it."""
        for at, letter in enumerate(text, 1):
            self._terminal.type(letter)
            self._terminal.prompts(text[:at])
            self.look(KEY_SECONDS)
        if seen:
            self._terminal.type(ENTER)
            self._terminal.shows(seen)
            self._terminal.prompts()
            self.look()


def session(folder: Path) -> Recording:
    """Talk a little; the server is killed, and comes back."""
    history = folder / "history.txt"
    with serving(history) as server:
        port = server.port
        change = "TCP_client.FIRST_PAUSE = TCP_client.LONGEST_PAUSE = 1.0"
        command = client_command(f"127.0.0.1:{port}", "--name", "alice", "--replay", "0", change=change)
        terminal = Terminal(folder, command, columns=COLUMNS, rows=ROWS)
        terminal.shows("1 here")
        bob, zoe, lei = (Client(port, name) for name in ("bob", "Zoé", "李雷"))
        terminal.shows("4 here")
        recording = Recording(terminal)
        recording.look()
        for somebody, said, end in (
            (bob, "the printer on the second floor is back", "back"),
            (lei, "太好了, thanks!", "thanks!"),
            (zoe, "/me looks for the paper", "paper"),
            (bob, "alice, did you order some? Otherwise I will ask the people on the third floor", "floor"),
        ):
            somebody.send(said)
            terminal.shows(end)
            recording.look()
        recording.type("yes, it comes on Monday", "alice: yes")
        zoe.send("/msg alice lunch at twelve?")
        terminal.shows("twelve")
        recording.look()
        terminal.type("/r" + TAB)
        recording.look(KEY_SECONDS)
        terminal.type("\x15")
        recording.type("/r gladly!", "to Zoé: gladly!")
        server.kill()
        terminal.shows("reconnecting in")
        recording.look()
        terminal.type("typed while the server was away" + ENTER)
        terminal.shows("1 not stored yet")
        recording.look()
        recording.type("and I go on wri")
    with terminal, serving(history, port=port):
        terminal.shows("alice: typed while the server was away")
        terminal.prompts("and I go on wri")
        recording.look(LAST_SECONDS)
    return recording


def drawn(recording: Recording) -> str:
    """The recording as a picture that moves: each row is there for as long as it looked so."""
    ends, length = [], 0.0
    for seconds, _ in recording.frames:
        length += seconds
        ends.append(length)
    styles: list[str] = []
    rows: list[str] = []
    for row in range(ROWS):
        at = 0
        for cells, frames in groupby(recording.frames, key=lambda frame: frame[1][row]):
            count = len(list(frames))
            begin, end = (ends[at - 1] if at else 0.0), ends[at + count - 1]
            at += count
            drawn_row = _row(cells, row)
            if not drawn_row:
                continue
            name, last = f"r{len(rows)}", at == len(ends)
            if not (begin == 0 and last):
                steps = f"0%{{visibility:{'visible' if begin == 0 else 'hidden'}}}"
                steps += f"{100 * begin / length:.3f}%{{visibility:visible}}" if begin else ""
                steps += "" if last else f"{100 * end / length:.3f}%,100%{{visibility:hidden}}"
                hidden = "" if last else "visibility:hidden;"
                styles.append(f"@keyframes {name}{{{steps}}}")
                styles.append(f".{name}{{{hidden}animation:{name} {length:.2f}s step-end infinite}}")
            rows.append(f'<g class="{name}">{drawn_row}</g>')
    width, height = round(COLUMNS * CELL_WIDTH + 2 * MARGIN), ROWS * CELL_HEIGHT + 2 * MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">\n'
        "<style>text{font:14px ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;white-space:pre}\n"
        + "\n".join(styles)
        + f'</style>\n<rect width="{width}" height="{height}" rx="8" fill="{BACK}"/>\n'
        + "\n".join(rows)
        + "\n</svg>\n"
    )


def _row(cells: Row, row: int) -> str:
    """The runs of one look in a row."""
    drawn, column, y = [], 0, MARGIN + row * CELL_HEIGHT
    for (_, style), run in groupby(_visible(cells), key=lambda cell: (cell[1] > 1, _style(cell[0]))):
        found = list(run)
        text, width = "".join(cell.data for cell, _ in found), sum(size for _, size in found)
        x, pixels = MARGIN + column * CELL_WIDTH, width * CELL_WIDTH
        column += width
        front, back, face = style
        if back:
            drawn.append(
                f'<rect x="{x:.1f}" y="{y}" width="{pixels:.1f}" height="{CELL_HEIGHT}" fill="{back}"/>'
            )
        if text.strip():
            drawn.append(
                f'<text x="{x:.1f}" y="{y + 13}" fill="{front}"{face} textLength="{pixels:.1f}"'
                f' lengthAdjust="spacingAndGlyphs">{html.escape(text)}</text>'
            )
    return "".join(drawn)


def _visible(cells: Row) -> list[tuple[Char, int]]:
    """The cells with the columns that they take; behind a wide one stands an empty one."""
    return [
        (cell, 2 if at + 1 < len(cells) and cells[at + 1].data == "" else 1)
        for at, cell in enumerate(cells)
        if cell.data
    ]


def _style(cell: Char) -> tuple[str, str, str]:
    front = FAINT if cell.blink else FRONT if cell.fg == "default" else f"#{cell.fg}"
    back = "" if cell.bg == "default" else f"#{cell.bg}"
    if cell.reverse:
        front, back = back or BACK, front
    return front, back, ' font-weight="bold"' if cell.bold else ""


if __name__ == "__main__":
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        picture = drawn(session(Path(scratch)))
    Path(sys.argv[1]).write_text(picture, "utf-8")
    print(f"{len(picture) / 1024:.0f} KiB in {time.monotonic() - started:.0f} s")
