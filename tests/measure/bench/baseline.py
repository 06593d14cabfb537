"""The chat that this design replaces, as it is usually written: a lock and a `sendall` for each message.

`python3 -m tests.measure.bench.baseline PORT HISTORY` speaks enough of docs/protocol.md for the benchmark.
"""

from __future__ import annotations

import socket
import socketserver
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import IO


class Handler(socketserver.StreamRequestHandler):
    """One client: its first line is its name, every further one goes to everybody."""

    server: Server

    def handle(self) -> None:
        """Read lines until the client leaves."""
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        name = ""
        for line in self.rfile:
            text = line.decode().rstrip("\n")
            if name:
                self.server.broadcast(self.client_address[0], name, "message", text)
            elif not text.startswith("/"):
                name = text
                with self.server.lock:
                    self.server.clients.append(self.request)
                self.server.broadcast(self.client_address[0], name, "join", "")


class Server(socketserver.ThreadingTCPServer):
    """The lock guards the list of clients and the file, and is held for the whole of a broadcast."""

    daemon_threads = True
    request_queue_size = 4096

    def __init__(self, port: int, history: IO[bytes]) -> None:
        self.lock = threading.Lock()
        self.clients: list[socket.socket] = []
        self._history = history
        super().__init__(("127.0.0.1", port), Handler)

    def broadcast(self, address: str, name: str, kind: str, text: str) -> None:
        """Store it and send it to everybody."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        record = f"{time}\t{address}\t{name}\t{kind}\t{text}\n".encode()
        with self.lock:
            self._history.write(record)
            self._history.flush()
            for client in self.clients:
                client.sendall(record)


if __name__ == "__main__":
    threading.stack_size(512 * 1024)
    with Path(sys.argv[2]).open("ab") as kept, Server(int(sys.argv[1]), kept) as server:
        server.serve_forever()
