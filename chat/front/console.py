"""The host at the server's terminal: the room live, and the command table without the slash.

The console listens like everybody else, with a cursor into the history, at the other end of a socket pair: a
terminal that is slow to print holds up nobody. Records look as they do in the client, because the client's
code shows them: TCP_client.py is always here, and imports nothing of the server.
"""

from __future__ import annotations

import io
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable

import TCP_client
from chat import record
from chat.front import session
from chat.room.broadcaster import Closed
from chat.room.delivery import Listener
from chat.service import commands
from chat.service.policy import Disconnect, HostCaller
from chat.service.service import Service

CLOSE_SECONDS = 2  # to show the last lines and restore the terminal

log = logging.getLogger("chat.front.console")


class Console(TCP_client.LineOwner):
    """A keyboard and a screen for the host. `stop` ends the server."""

    suspends = False  # a stopped server would hold up everybody

    def __init__(self, service: Service, stop: Callable[[], None]) -> None:
        self._service = service
        self._stop = stop
        colours = TCP_client.is_terminal(sys.stdout) and not os.environ.get("NO_COLOR")
        self._view = TCP_client.View(TCP_client.Settings(), colours=colours and _colours_work())
        self._screen = TCP_client.best_screen(self, self._view, TCP_client.InputHistory())
        self._standard_error = sys.stderr
        # The broadcaster writes to one end; the screen's thread reads from the other.
        self._reader, writer = socket.socketpair()
        writer.setblocking(False)  # for systems without MSG_DONTWAIT
        self._host = HostCaller(Listener(writer))
        self._threads = [
            threading.Thread(target=self._show_all, name="console reader", daemon=True),
            threading.Thread(target=self._screen.run, name="console screen", daemon=True),
        ]

    def start(self) -> None:
        """Start showing the room and taking commands."""
        for name in ("chat.service.admission", "chat.front.lines"):  # joins and leaves are shown anyway
            logging.getLogger(name).setLevel(logging.WARNING)
        sys.stderr = _AboveTheLine(self._screen)
        self._service.host = self._host
        self._service.room.subscribe(self._host.listener)
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """After the room is closed: show the last lines, and restore the terminal."""
        reader, screen = self._threads
        if reader.is_alive():
            reader.join(CLOSE_SECONDS)
        self._screen.close(0)
        if screen.is_alive() and isinstance(self._screen, TCP_client.TerminalScreen):
            screen.join(CLOSE_SECONDS)
        sys.stderr = self._standard_error

    # ----- the screen

    def _show_all(self) -> None:
        """The reader's thread: shows what happens; ends when the room is closed."""
        with self._reader.makefile("rb") as lines:
            for line in lines:
                self._show(line)

    def _show(self, line: bytes) -> None:
        found = TCP_client.parse(line)
        for shown in self._view.lines(found) if found else []:
            self._screen.show(shown)

    def status(self) -> str:
        return f"host · {len(self._service.room.members())} here · help lists the commands"

    def title(self) -> str:
        return f"TCP chat · {len(self._service.room.members())} here"

    # ----- the keyboard; in the screen's thread

    def completions(self, before: str) -> list[str]:
        word = before.rpartition(" ")[2]
        if word == before:
            names = [command.name for command in commands.TABLE if command.who != "members"]
        else:
            names = [member.name for member in self._service.room.members()]
        return [f"{name} " for name in names if name.casefold().startswith(word.casefold())]

    def leave(self) -> None:
        self._stop()

    def enter(self, text: str, *, literal: bool = False) -> None:
        """Perform what the host typed; pasted text is said literally."""
        typed = record.clean(text.encode(errors="replace")).strip(" ")
        if not typed:
            return
        request = session.command(f"say {typed}" if literal else typed.removeprefix("/"))
        try:
            for drafts in commands.perform(self._service, self._host, request):
                for line in record.stamp(self._service.room.now(), drafts).splitlines():
                    self._show(line)
        except (Disconnect, Closed):
            self._stop()
        except Exception as error:  # an error in one command must not end the console
            log.error("%s failed: %r", request.name, error, exc_info=log.isEnabledFor(logging.DEBUG))


class _AboveTheLine(io.TextIOBase):
    """Standard error while there is a screen: whole lines, above the one that is being typed."""

    def __init__(self, screen: TCP_client.Screen) -> None:
        self._screen = screen
        self._rest = ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._screen.show(TCP_client.Shown("", [], [("", TCP_client.clean(line))]))
        return len(text)


def has_keyboard() -> bool:
    """Whether the host can type."""
    return TCP_client.is_terminal(sys.stdin)


def _colours_work() -> bool:
    """Whether the terminal shows colours; in Windows' console colorama makes it."""
    if os.name != "nt":
        return True
    try:
        import colorama
    except ImportError:
        return False
    colorama.just_fix_windows_console()
    return True
