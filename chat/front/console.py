"""The host at the server's terminal: the room live, and the command table without the slash.

The console listens like everybody else, with a cursor into the history, at the other end of a socket pair: a
terminal that is slow to print holds up nobody. Records look as they do in the client, because the client's
code shows them: TCP_client.py is always here, and imports nothing of the server.
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
from chat import record
from chat.front import session
from chat.room.broadcaster import Closed
from chat.room.delivery import Listener
from chat.service import commands
from chat.service.policy import Disconnect, HostCaller
from chat.service.service import Service

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession

CLOSE_SECONDS = 2  # to show the last lines and restore the terminal

log = logging.getLogger("chat.front.console")


class Console:
    """A keyboard and a screen for the host. `stop` ends the server."""

    def __init__(self, service: Service, stop: Callable[[], None]) -> None:
        self._service = service
        self._stop = stop
        self._session = _prompt_session()
        colours = TCP_client.is_terminal(sys.stdout) and not os.environ.get("NO_COLOR")
        self._view = TCP_client.View(TCP_client.Settings(), colours=colours and _colours_work())
        # The broadcaster writes to one end; the screen's thread reads from the other.
        self._reader, writer = socket.socketpair()
        writer.setblocking(False)  # for systems without MSG_DONTWAIT
        self._host = HostCaller(Listener(writer))
        self._threads = [
            threading.Thread(target=self._show_all, name="console screen", daemon=True),
            threading.Thread(target=self._read, name="console keyboard", daemon=True),
        ]

    def start(self) -> None:
        """Start showing the room and taking commands."""
        for name in ("chat.service.admission", "chat.front.lines"):  # joins and leaves are shown anyway
            logging.getLogger(name).setLevel(logging.WARNING)
        self._service.host = self._host
        self._service.room.subscribe(self._host.listener)
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """After the room is closed: show the last lines, and restore the terminal."""
        if self._session and (loop := self._session.app.loop):
            with contextlib.suppress(RuntimeError):  # it has already ended
                loop.call_soon_threadsafe(self._end_prompt)
        for thread in self._threads if self._session else self._threads[:1]:
            if thread.is_alive():
                thread.join(CLOSE_SECONDS)

    # ----- the screen

    def _show_all(self) -> None:
        """The screen's thread: shows what happens; ends when the room is closed."""
        with contextlib.suppress(OSError), self._reader.makefile("rb") as lines:  # the terminal may be gone
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
        """The keyboard's thread: performs commands until `stop`, Ctrl-C or Ctrl-D."""
        try:
            if self._session is None:
                while True:
                    self.enter(input())
            from prompt_toolkit.patch_stdout import patch_stdout

            with patch_stdout(raw=True):
                while True:
                    self.enter(self._session.prompt("> ", handle_sigint=False))
        except (EOFError, KeyboardInterrupt, OSError, Disconnect, Closed):
            self._stop()

    def _end_prompt(self) -> None:
        if self._session and self._session.app.is_running:
            self._session.app.exit(exception=EOFError)

    def enter(self, text: str) -> None:
        """Perform what the host typed. Raises Disconnect, Closed."""
        typed = record.clean(text.encode(errors="replace")).strip(" ").removeprefix("/")
        if not typed:
            return
        request = session.command(typed)
        try:
            for drafts in commands.perform(self._service, self._host, request):
                for line in record.stamp(self._service.room.now(), drafts).splitlines():
                    self._show(line.decode())
        except (Disconnect, Closed):
            raise
        except Exception as error:  # an error in one command must not end the console
            log.error("%s failed: %r", request.name, error, exc_info=log.isEnabledFor(logging.DEBUG))


def has_keyboard() -> bool:
    """Whether the host can type."""
    return TCP_client.is_terminal(sys.stdin)


def _prompt_session() -> PromptSession[str] | None:
    """An input line that stays intact while records arrive; None without prompt_toolkit or a terminal."""
    if not TCP_client.is_terminal(sys.stdout):
        return None
    try:
        from prompt_toolkit import PromptSession
    except ImportError:
        return None
    return PromptSession()


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
