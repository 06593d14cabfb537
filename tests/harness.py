"""Real servers and raw clients for the tests: a process and a socket each. Every wait has a deadline."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from chat import record
from chat.record import Record

ROOT = Path(__file__).parent.parent
DEADLINE = 30.0  # seconds; no test waits this long unless something is wrong


class Server:
    """A server process with its own history, on a port that the system chose."""

    def __init__(
        self,
        history: Path,
        *arguments: str,
        port: int = 0,
        preexec: Callable[[], None] | None = None,
        prefix: Sequence[str] = (),
        python: Sequence[str] = (sys.executable,),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.history = history
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - its standard error, until `close`
        self.process = subprocess.Popen(
            [
                *prefix,
                *python,
                *(str(ROOT / "TCP_server.py"), "--host", "127.0.0.1", "--port", str(port)),
                *("--history", str(history), "--no-discovery", *arguments),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            preexec_fn=preexec,
            env={**os.environ, **(environment or {})},
        )
        self.welcome = self._read_welcome()
        found = re.search(r"open on port (\d+)", self.welcome)
        assert found, f"no server: {self.welcome}{self.errors()}"
        self.port = int(found.group(1))

    def _read_welcome(self) -> str:
        assert self.process.stdout
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                break
        return "".join(lines)

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self.process.pid

    def errors(self) -> str:
        """Its standard error so far."""
        self.log.seek(0)
        return self.log.read()

    def stop(self, stop_signal: int = signal.SIGTERM) -> int:
        """Stop it in order; the exit code."""
        if sys.platform == "win32":
            import pytest  # only here: what measures runs without it

            pytest.skip("there only the keyboard stops a server in order")
        self.process.send_signal(stop_signal)
        return self.wait()

    def kill(self) -> None:
        """Kill it, like a crash."""
        self.process.kill()
        self.wait()

    def wait(self) -> int:
        """Wait for it to end; the exit code."""
        assert self.process.stdout
        code = self.process.wait(DEADLINE)
        self.process.stdout.close()
        return code

    def close(self) -> None:
        """End it, whatever its state."""
        if self.process.poll() is None:
            if sys.platform != "win32":
                self.process.send_signal(signal.SIGCONT)
            self.kill()
        self.log.close()

    def records(self) -> list[Record]:
        """The records in its history."""
        return [record.parse(line) for line in self.history.read_bytes().splitlines(keepends=True)]


@contextmanager
def serving(history: Path, *arguments: str, port: int = 0) -> Iterator[Server]:
    """A server for the length of a with statement."""
    server = Server(history, *arguments, port=port)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def fake_server(*answers: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server whose first connection gets the first answer, and so on; the last is for all that follow.

    Yields its address.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(DEADLINE)

    def serve() -> None:
        rest = list(answers)
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    # Our client tries TLS first; who says nothing, like --doctor, waits to be greeted.
                    if select.select([connection], [], [], 1)[0] and _begins_tls(connection):
                        continue
                    (rest.pop(0) if len(rest) > 1 else rest[0])(connection)
                except OSError:
                    continue

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        with suppress(OSError):  # Windows: a listener is no connection; closing it is enough there
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(DEADLINE)


def _begins_tls(connection: socket.socket) -> bool:
    return connection.recv(1, socket.MSG_PEEK) == b"\x16"


class Client:
    """A connection that speaks the protocol. `records` is what it got, `received` the bytes."""

    def __init__(
        self, port: int, name: str | None = None, *options: str, host: str = "127.0.0.1", source: str = ""
    ) -> None:
        address = (source, 0) if source else None
        self.socket = self._secured(socket.create_connection((host, port), DEADLINE, source_address=address))
        self._stream = self.socket.makefile("rb")
        self.records: list[Record] = []
        self.received = bytearray()
        for option in options:
            self.send(option)
        if name is not None:
            self.send(name)
            self.until("join", name=name)

    def _secured(self, connection: socket.socket) -> socket.socket:
        """Where a client of another kind begins with something else."""
        return connection

    def send(self, *lines: str) -> None:
        """Send lines, all in one segment."""
        self.socket.sendall("".join(line + "\n" for line in lines).encode())

    def next(self) -> Record:
        """The next record. Raises EOFError at the end of the stream, TimeoutError, NotARecord."""
        line = self._stream.readline()
        if not line.endswith(b"\n"):
            raise EOFError(f"the stream ended; {line!r} was left")
        self.received += line
        self.records.append(record.parse(line))
        return self.records[-1]

    def until(self, kind: str, text: str | None = None, name: str | None = None) -> Record:
        """Read up to the first record like this."""
        while True:
            found = self.next()
            if found.kind == kind and text in (None, found.text) and name in (None, found.name):
                return found

    def ask(self, line: str, kind: str) -> Record:
        """Send a line and read up to an answer of the kind."""
        self.send(line)
        return self.until(kind)

    def rest(self) -> list[Record]:
        """Read to the end of the stream; the records."""
        before = len(self.records)
        try:
            while True:
                self.next()
        except (EOFError, ConnectionResetError):
            return self.records[before:]

    def half_close(self) -> None:
        """Close the sending side."""
        self.socket.shutdown(socket.SHUT_WR)

    def history(self) -> list[Record]:
        """The history records that it got."""
        return [found for found in self.records if not found.direct]

    def close(self) -> None:
        """Hang up."""
        self._stream.close()
        self.socket.close()


def texts(records: list[Record], kind: str = "message") -> list[str]:
    """The texts of the records of one kind."""
    return [found.text for found in records if found.kind == kind]


def reset(client: Client) -> None:
    """End the connection with a RST, like a system that has lost its state."""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def children(process: int) -> list[int]:
    """The numbers of the processes that this one has started. Linux."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == process:
                found.append(int(folder.name))
    return found
