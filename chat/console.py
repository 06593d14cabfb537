"""The host at the server's terminal: the room as it goes on, and the command table without the slash.

The console hears the room as everybody does, with a cursor into the history and a connection of its own, so
a terminal that is slow to print holds up nobody. It shows records as the client does.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import TCP_client
from chat import commands, record
from chat.broadcaster import Closed
from chat.delivery import Listener
from chat.house import CommandError, House, Leave

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession

CLOSE_SECONDS = 2  # for the last lines to be shown, and the terminal to be as it was

log = logging.getLogger("chat.console")


class Host:
    """The host as one who gives commands."""

    name = "host"
    address = record.NOBODY
    admin = True
    member = None
    slash = ""

    def __init__(self, house: House, listener: Listener, show: Callable[[str], None]) -> None:
        self.listener = listener
        self._house = house
        self._show = show

    def answer(self, drafts: bytes) -> None:
        for line in record.stamp(self._house.room.history.now(), drafts).splitlines():
            self._show(line.decode())


class Console:
    """A keyboard and a screen for the host. `stop` ends the server."""

    def __init__(self, house: House, stop: Callable[[], None]) -> None:
        self._house = house
        self._stop = stop
        self._session = _prompt_session()
        colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self._view = TCP_client.View(TCP_client.Settings(), colours=colours and _colours_work())
        # The room speaks into one end, and is heard at the other.
        self._ear, mouth = socket.socketpair()
        mouth.setblocking(False)  # also where no single send can be told not to wait
        self._host = Host(house, Listener(mouth, "", threading.Event()), self._show)
        self._threads = [
            threading.Thread(target=self._listen, name="console ear", daemon=True),
            threading.Thread(target=self._read, name="console keyboard", daemon=True),
        ]

    def start(self) -> None:
        """Show the room from now on, and take commands."""
        logging.getLogger("chat.session").setLevel(logging.WARNING)  # who comes and goes is shown anyway
        self._house.host = self._host
        self._house.room.listen(self._host.listener)
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """When the room is closed: show its last words, and leave the terminal as it was."""
        if self._session and (loop := self._session.app.loop):
            with contextlib.suppress(RuntimeError):  # it has ended already
                loop.call_soon_threadsafe(self._end_prompt)
        for thread in self._threads if self._session else self._threads[:1]:
            if thread.is_alive():
                thread.join(CLOSE_SECONDS)

    # ----- the screen

    def _listen(self) -> None:
        """The ear's thread: shows what happens; ends when the room is closed."""
        with self._ear.makefile("rb") as lines:
            for line in lines:
                self._show(line.decode())

    def _show(self, line: str) -> None:
        shown = TCP_client.parse(line.encode())
        if shown is None:
            return
        day = self._view.day_line(shown)
        print(f"{day}\n" if day else "", self._view.line(shown), sep="", flush=True)

    # ----- the keyboard

    def _read(self) -> None:
        """The keyboard's thread: does commands until `stop`, Ctrl-C or Ctrl-D."""
        try:
            if self._session is None:
                while True:
                    self.enter(input())
            from prompt_toolkit.patch_stdout import patch_stdout

            with patch_stdout(raw=True):
                while True:
                    self.enter(self._session.prompt("> ", handle_sigint=False))
        except (EOFError, KeyboardInterrupt, Leave, Closed):
            self._stop()

    def _end_prompt(self) -> None:
        if self._session and self._session.app.is_running:
            self._session.app.exit(exception=EOFError)

    def enter(self, text: str) -> None:
        """Do what the host typed. Raises Leave, Closed."""
        typed = record.clean(text.encode(errors="replace"))
        name, _, argument = typed.strip(" ").removeprefix("/").partition(" ")
        if not name:
            return
        try:
            commands.run(self._house, self._host, name.casefold(), argument.strip(" "))
        except CommandError as error:
            self._host.answer(record.draft(record.NOBODY, "server", "/error", str(error)))
        except (Leave, Closed):
            raise
        except Exception as error:  # the host is not to lose the keyboard by it
            log.error("%s failed: %r", name, error, exc_info=log.isEnabledFor(logging.DEBUG))


def _prompt_session() -> PromptSession[str] | None:
    """A line to type on that stays whole while lines come in; None without prompt_toolkit."""
    try:
        from prompt_toolkit import PromptSession
    except ImportError:
        return None
    return PromptSession()


def _colours_work() -> bool:
    """Whether the terminal understands colours; on Windows' console colorama sees to it."""
    if os.name != "nt":
        return True
    try:
        import colorama
    except ImportError:
        return False
    colorama.just_fix_windows_console()
    return True
