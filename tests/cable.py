"""A cable to a server that can be pulled: nothing passes, and nothing is closed."""

from __future__ import annotations

import contextlib
import socket
import threading


class Cable:
    """Forwards connections from a port of its own to another one, both on 127.0.0.1."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._plugged = threading.Event()
        self._plugged.set()
        self._closed = False
        self._lost: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = [self._listener]
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def pull(self) -> None:
        """From now on nothing passes."""
        self._plugged.clear()

    def plug(self) -> None:
        """What was held up passes now."""
        self._plugged.set()

    def lose(self) -> None:
        """Whatever is connected now gets nothing any more, and is not told; new connections are fine."""
        self._lost.update(self._sockets)

    def close(self) -> None:
        """End all connections."""
        self._closed = True
        self.plug()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join()

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        """Ends with `close`."""
        while not self._closed:
            try:
                near, _ = self._listener.accept()
                self._plugged.wait()
                far = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                continue  # the node is not there; whoever connects tries again
            self._sockets += [near, far]
            self._start(self._forward, near, far)
            self._start(self._forward, far, near)

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        """Ends with either of the connections."""
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self._plugged.wait()
                if source not in self._lost:
                    target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
