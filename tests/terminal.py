"""A pseudo-terminal with the client in it, and an emulator that tells what a person sees there."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import pyte
from pyte.screens import Char

from tests.harness import DEADLINE, ROOT

if sys.platform != "win32":
    import fcntl
    import pty
    import termios

CLIENT = ROOT / "TCP_client.py"
ENTER, TAB, ESCAPE, UP = "\r", "\t", "\x1b", "\x1b[A"
CONTROL_C, CONTROL_D = "\x03", "\x04"

# Runs the client with modules made unimportable, and with what else is to be different in it. The client
# never looks for servers: what it would send goes to everybody on this computer's network.
_RUNNER = """
import sys
for name in {without!r}: sys.modules[name] = None
sys.path.insert(0, {folder!r})
sys.argv[0] = {program!r}
import TCP_client
TCP_client.find_servers = lambda: []
{change}
sys.exit(TCP_client.main(sys.argv[1:]))
"""


def client_command(
    *arguments: str, python: str = sys.executable, without: Iterable[str] = (), change: str = ""
) -> list[str]:
    """What runs the client."""
    code = _RUNNER.format(
        without=list(without), folder=str(CLIENT.parent), program=str(CLIENT), change=change
    )
    return [python, "-c", code, *arguments]


def environment(home: Path, **more: str) -> dict[str, str]:
    """An environment with its own home, and without what this terminal happens to set."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "LD_LIBRARY_PATH")}
    own = {"HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"), "APPDATA": str(home / "config")}
    return {**kept, **own, "TERM": "xterm-256color", "TZ": "UTC", "PYTHONUTF8": "1", **more}


def _take_terminal() -> None:
    """In the child: Ctrl-C is to come from this terminal, even if the tests run where it is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """The client on a terminal of its own. `output` is every byte that it wrote."""

    def __init__(
        self, home: Path, command: list[str], *, columns: int = 80, rows: int = 24, **env: str
    ) -> None:
        if sys.platform == "win32":
            import pytest  # only here: what measures runs without it

            pytest.skip("Windows has no pseudo-terminals")
        self.output = b""
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._master, slave = pty.openpty()
        self.resize(columns, rows)
        self.modes: list[Any] = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment(home, **env),
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(slave)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.hang_up()

    def hang_up(self) -> None:
        """Close the terminal, as when its window is closed."""
        if self._master >= 0:
            os.close(self._master)
        self._master = -1

    def type(self, keys: str) -> None:
        """Type; a line ends with ENTER."""
        os.write(self._master, keys.encode())

    def paste(self, text: str) -> None:
        """Paste as terminals do."""
        self.type(f"\x1b[200~{text}\x1b[201~")

    def resize(self, columns: int, rows: int) -> None:
        """Make the window another size."""
        self._screen.resize(rows, columns)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    @property
    def rows(self) -> list[str]:
        """What stands on the screen, without the space at the ends."""
        return [row.rstrip() for row in self._screen.display]

    @property
    def title(self) -> str:
        """What stands above the window."""
        return self._screen.title

    @property
    def cursor(self) -> tuple[int, int]:
        """Its row and column."""
        return self._screen.cursor.y, self._screen.cursor.x

    @property
    def text(self) -> str:
        """The same, as one text without line ends: a long line stands in it as it was written."""
        return "".join(self._screen.display)

    @property
    def cells(self) -> list[list[Char]]:
        """Every cell of the screen: its character and how it is drawn."""
        return [
            [self._screen.buffer[y][x] for x in range(self._screen.columns)]
            for y in range(self._screen.lines)
        ]

    def shows(self, text: str) -> None:
        """Wait until this text is on the screen, maybe wrapped."""
        self.until(lambda: text in self.text or text in " ".join(self.text.split()), text)

    def prompts(self, typed: str = "") -> None:
        """Wait until the line being typed is this."""
        self.until(lambda: any(row.rstrip() == f"> {typed}".rstrip() for row in self.rows), f"> {typed}")

    def until(self, true: Callable[[], bool], what: str) -> None:
        """Wait until this is true of the screen."""
        deadline = time.monotonic() + DEADLINE
        while not true():
            assert time.monotonic() < deadline, f"no {what!r} on:\n" + "\n".join(self.rows)
            self._read(0.2)

    def drain(self, true: Callable[[], bool], what: str) -> None:
        """Take what is written until this is true, and look at none of it: faster than a person reads."""
        deadline = time.monotonic() + DEADLINE
        while not true():
            assert time.monotonic() < deadline, f"no {what!r}"
            if select.select([self._master], [], [], 0.2)[0]:
                os.read(self._master, 1 << 20)

    def ends(self, again: str = "") -> int:
        """Wait for the client's end; its exit code. `again` is typed again each second.

        For Ctrl-C that is: Python may miss a signal that comes in the moment before it begins to read.
        """
        started = typed = time.monotonic()
        while self.process.poll() is None:
            assert time.monotonic() < started + DEADLINE, "it goes on:\n" + "\n".join(self.rows)
            self._read(0.05)
            if again and time.monotonic() > typed + 1:
                self.type(again)
                typed = time.monotonic()
        while self._read(0):
            pass
        return self.process.returncode

    def restored(self) -> bool:
        """Whether the terminal is in the modes in which the client found it."""
        return bool(termios.tcgetattr(self._master) == self.modes)

    def signal(self, number: signal.Signals) -> None:
        """Send the client a signal."""
        self.process.send_signal(number)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._master], [], [], seconds)[0]:
            return False
        with contextlib.suppress(OSError):  # the other side is closed
            data = os.read(self._master, 65536)
            self.output += data
            self._stream.feed(data)
            for _ in range(data.count(b"\x1b[6n")):  # where is the cursor? A terminal answers
                self.type(f"\x1b[{self._screen.cursor.y + 1};{self._screen.cursor.x + 1}R")
            return True
        return False
