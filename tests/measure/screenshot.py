"""The picture of the client in the README: a real session, drawn from what is on the terminal then.

    python -m tests.measure.screenshot docs/client.png [light] [COLUMNS]

Run by hand, when the client looks different. Needs the groups client, analytics (whose matplotlib brings
Pillow and a font) and test.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path

import matplotlib as mpl
import pyte.graphics
from PIL import Image, ImageDraw, ImageFont
from pyte.screens import Char

from tests.harness import Client, serving
from tests.terminal import ENTER, Terminal, client_command

SIZE = 15  # of the font, in pixels
DARK = {"fg": "#d4d4d4", "bg": "#1e1e1e", "faint": "#8a8a8a"}
LIGHT = {"fg": "#24292f", "bg": "#ffffff", "faint": "#6e7781"}

pyte.graphics.TEXT[2] = "+blink"  # pyte knows no faint text; blinking, which nothing sends, stands for it


def session(folder: Path, columns: int) -> list[list[Char]]:
    """Talk a little, and give back what is on the screen then."""
    with serving(folder / "history.txt") as server:
        command = client_command(f"127.0.0.1:{server.port}", "--name", "alice")
        with Terminal(folder, command, columns=columns, rows=18) as alice:
            alice.prompts()
            bob, zoe, lei = (Client(server.port, name) for name in ("bob", "Zoé", "李雷"))
            for somebody, said in (
                (bob, "the printer on the second floor is back"),
                (lei, "太好了, thanks!"),
                (zoe, "/me looks for the paper"),
                (bob, "alice, did you order some?"),
            ):
                somebody.send(said)
                somebody.next()
                alice.shows(said.split()[-1])
            alice.type("yes, it comes on Monday" + ENTER)
            alice.shows("alice: yes")
            zoe.send("/msg alice lunch at twelve?")
            alice.shows("twelve")
            alice.type("/r gladly!" + ENTER)
            alice.shows("to Zoé: gladly!")
            server.process.send_signal(signal.SIGSTOP)
            alice.type("who waters the plants this week?" + ENTER + "and does anybody know wh")
            alice.prompts("and does anybody know wh")
            alice.shows("1 not stored yet")
            return alice.cells


def draw(cells: list[list[Char]], theme: dict[str, str]) -> Image.Image:
    """The cells of a screen as a picture."""
    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    fonts = {
        face: ImageFont.truetype(folder / f"DejaVuSansMono{face}.ttf", SIZE)
        for face in ("", "-Bold", "-Oblique")
    }
    wide = ImageFont.truetype(_wide_font(), SIZE) if _wide_font() else fonts[""]
    width, height = round(fonts[""].getlength("m")), SIZE + 5
    picture = Image.new("RGB", (width * (len(cells[0]) + 2), height * (len(cells) + 1)), theme["bg"])
    pen = ImageDraw.Draw(picture)
    for row, line in enumerate(cells):
        for column, cell in enumerate(line):
            front = theme["faint"] if cell.blink else _colour(cell.fg, theme["fg"])
            back = _colour(cell.bg, theme["bg"])
            if cell.reverse:
                front, back = back, front
            x, y = width * (column + 1), height * row + height // 2
            if back != theme["bg"]:
                pen.rectangle((x, y, x + width - 1, y + height - 1), fill=back)
            face = "-Bold" if cell.bold else "-Oblique" if cell.italics else ""
            font = wide if ord(cell.data[:1] or " ") > 0x2E80 else fonts[face]
            pen.text((x, y), cell.data, font=font, fill=front)
    return picture


def _colour(name: str, default: str) -> str:
    return default if name == "default" else f"#{name}" if len(name) == 6 and name.isalnum() else name


def _wide_font() -> str:
    """A font that has Chinese, if this computer has one."""
    found = sorted(Path("/usr/share/fonts").glob("**/unifont*.[ot]t[fc]"))
    return str(found[0]) if found else ""


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[2:] if word.isdigit()]
    with tempfile.TemporaryDirectory() as scratch:
        screen = session(Path(scratch), numbers[0] if numbers else 80)
    draw(screen, LIGHT if "light" in sys.argv else DARK).save(sys.argv[1], optimize=True)
