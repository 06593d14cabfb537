"""The page of a history that goes on, for a browser on this computer.

It is made anew when somebody asks for it and the history has changed; the browser asks again by itself.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ADDRESS = "127.0.0.1"  # the page says who said how much: it is not for the network
AGAIN = 10  # seconds until the browser asks again
# By the page's script, which keeps the days chosen and where one reads: a refresh forgets what is behind #.
_MOVES = """<head>
<meta name="again" content="{0}">
<noscript><meta http-equiv="refresh" content="{0}"></noscript>
"""
_PROJECT = Path(__file__).resolve().parent.parent


class PageServer(ThreadingHTTPServer):
    """Serves the page at `url` from a thread of its own until it is closed."""

    daemon_threads = True

    def __init__(self, history: Path, arguments: list[str], port: int = 0) -> None:
        super().__init__((ADDRESS, port), _Handler)
        self._history = history
        self._arguments = arguments
        self._folder = tempfile.TemporaryDirectory()
        self._made_of: tuple[int, int] | None = None
        self._making = threading.Lock()  # held while the page is made: guards that it is made once
        self._thread = threading.Thread(target=self.serve_forever)  # ends with close()
        self._thread.start()

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{ADDRESS}:{self.server_port}/"

    def page(self) -> bytes:
        """The page as the history is now, made by a process of its own. Raises OSError where it can't be."""
        with self._making:
            status = self._history.stat()
            made_of = (status.st_ino, status.st_size)
            if made_of != self._made_of:
                command = [sys.executable, "-m", "analytics", *self._arguments, "--out", self._folder.name]
                done = subprocess.run(command, cwd=_PROJECT, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise OSError((done.stderr.strip() or "The page could not be made.").splitlines()[-1])
                self._made_of = made_of
            page = Path(self._folder.name, "index.html").read_bytes()
            return page.replace(b"<head>\n", _MOVES.format(AGAIN).encode(), 1)

    def close(self) -> None:
        """Ends it."""
        self.shutdown()
        self._thread.join()
        self.server_close()
        self._folder.cleanup()


class _Handler(BaseHTTPRequestHandler):
    server: PageServer

    def do_GET(self) -> None:
        host = self.headers.get("Host", "").rpartition(":")[0]
        if host not in (ADDRESS, "localhost"):  # another page that has pointed its name here
            self._answer(403, b"This page is for a browser on this computer.", "text/plain")
        elif self.path != "/":
            self._answer(404, b"There is only one page.", "text/plain")
        else:
            try:
                self._answer(200, self.server.page(), "text/html; charset=utf-8")
            except OSError as error:
                self._answer(500, str(error).encode(), "text/plain; charset=utf-8", again=True)

    def _answer(self, code: int, body: bytes, kind: str, again: bool = False) -> None:
        with suppress(ConnectionError):  # it has gone
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            if again:
                self.send_header("Refresh", str(AGAIN))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as http.server calls it
        """Says nothing: the terminal shows something else."""
