"""The reference client: docs/protocol.md and nothing else, for one thread that drives many of them.

What it saw is in `segments`: the bytes of history records, each segment without a gap, whatever happened to
the connection in between. A new segment begins only where the server said that the old one can't go on.
What became of each line it sent is in `stored`, `refused` and `unknown`.
"""

from __future__ import annotations

import random
import socket
import struct
from collections import deque
from dataclasses import dataclass

from chat import record
from chat.record import Record

CONNECT_SECONDS = 5  # a suspended server still has its backlog, so nobody waits longer


class Violation(AssertionError):
    """The server violated the protocol; the message says how."""


@dataclass(frozen=True)
class Line:
    """A line that was sent, and the record that answers it."""

    typed: str
    kind: str
    text: str

    @property
    def in_history(self) -> bool:
        """Whether its answer is a history record, which a replay can show."""
        return not self.kind.startswith("/")

    def answered_by(self, taken: Record) -> bool:
        """Whether the record is the answer. The text of a `clear` is up to the server."""
        return taken.kind == self.kind and (taken.text == self.text or self.kind == "clear")


class Client:
    """One person's client. `step` is called repeatedly; `cut` simulates a bad network."""

    def __init__(self, name: str, rng: random.Random) -> None:
        self.name = name
        self.segments: list[bytearray] = []
        self.stored: list[str] = []  # texts, in the order of the history
        self.refused: list[str] = []  # answered by /error
        self.unknown: list[str] = []  # sent, but the history was cleared before the answer came
        self.lines: deque[Line] = deque()  # sent and not answered yet, or to be sent again
        self.joined = False
        self.reading = True  # False: stopped, like a suspended terminal
        self.cuts = 0
        self._rng = rng
        self._socket: socket.socket | None = None
        self._received = bytearray()
        self._unsent = bytearray()
        self._token = ""
        self.offset = 0
        self._time = ""
        self._end = 0
        self._past_end = False  # past the part of the replay that may show earlier lines

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as the client knows."""
        return self._socket is not None

    # ----- the connection

    def connect(self, port: int) -> None:
        """Connect and log in, or resume the session."""
        try:
            self._socket = socket.create_connection(("127.0.0.1", port), CONNECT_SECONDS)
        except OSError:
            return  # the server is down; later
        self._socket.setblocking(False)
        self._received.clear()
        self._unsent.clear()
        self.joined = self._past_end = False
        resume = f" {self._token} {self.offset} {self._time}" if self._token and self._time else ""
        self._unsent += f"/replay all\n/session{resume}\n{self.name}\n".encode()

    def cut(self, *, reset: bool = False) -> None:
        """Lose the connection, with whatever is in flight; with a RST instead of a FIN if `reset`."""
        if self._socket is None:
            return
        if reset:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()
        self._socket = None
        self.joined = False
        self.cuts += 1

    def say(self, line: Line) -> None:
        """Send a line and keep it until it is answered."""
        self.lines.append(line)
        self._unsent += line.typed.encode() + b"\n"

    def half_say(self, typed: str) -> None:
        """Send the beginning of a line that never ends. Must be followed by `cut`."""
        self._unsent += typed.encode()
        self._send()

    def step(self) -> None:
        """Send and read what is possible without waiting. Raises Violation."""
        try:
            self._send()
            while self.reading and self._socket:
                received = self._socket.recv(self._rng.choice((1, 100, 4096, 65536)))
                if not received:
                    self.cut()
                    return
                self._received += received
                self._take_all()
        except BlockingIOError:
            pass
        except OSError:
            self.cut()

    def _send(self) -> None:
        if self._socket and self._unsent:
            del self._unsent[: self._socket.send(self._unsent)]

    # ----- what comes

    def _take_all(self) -> None:
        *lines, rest = self._received.split(b"\n")
        self._received = rest
        for line in lines:
            try:
                taken = record.parse(bytes(line))
            except record.NotARecord:
                raise Violation(f"{self.name} got what is no record: {bytes(line)!r}") from None
            if taken.direct:
                self._take_direct(taken)
            else:
                self._take_history(taken, bytes(line) + b"\n")

    def _take_direct(self, taken: Record) -> None:
        if taken.kind == "/session":
            self._begin(*taken.text.split())
        elif taken.kind == "/error" and self.joined:
            self._answered("the /error " + taken.text)
        elif taken.kind == "/error" and not taken.text.startswith("Where you left off"):  # START says it too
            self.cut()  # the login failed: the name is not free yet, the disk is full, …: try again
        elif self.joined and self.lines and self.lines[0].answered_by(taken):
            self.lines.popleft()

    def _begin(self, token: str, start: str, end: str) -> None:
        """Handle a /session record. A later one says that lines that are not records were skipped."""
        exact = bool(self._time) and int(start) == self.offset and token != ""
        if not exact:
            self.segments.append(bytearray())
            if not self.joined:
                self.unknown += [line.text for line in self.lines]
                self.lines.clear()
        self._token, self.offset, self._end = token, int(start), int(end)

    def _take_history(self, taken: Record, line: bytes) -> None:
        if not self._past_end:
            self._past_end = self.offset >= self._end or (taken.kind == "clear" and self.offset > 0)
        self.segments[-1] += line
        self.offset = len(line) if taken.kind == "clear" else self.offset + len(line)
        self._time = taken.time
        if taken.name != self.name:
            return
        if self.joined:
            if taken.kind != "leave":
                self._answered_by(taken)
        elif taken.kind == "join" and self._past_end:
            self._go_on()
        else:
            self._strike(taken)

    def _answered_by(self, taken: Record) -> None:
        """Lines are answered in order."""
        if not self.lines or not self.lines[0].answered_by(taken):
            expected = self.lines[0] if self.lines else "nothing"
            raise Violation(f"{self.name} expected {str(expected)[:200]}, not {str(taken)[:200]}")
        self._store(self.lines.popleft())

    def _answered(self, why: str) -> None:
        if not self.lines:
            raise Violation(f"{self.name} had nothing under way for {why}")
        self.refused.append(self.lines.popleft().text)

    def _strike(self, taken: Record) -> None:
        """In the replay: the line was stored before the connection was cut."""
        for line in self.lines:
            if line.answered_by(taken):
                self.lines.remove(line)
                self._store(line)
                return

    def _store(self, line: Line) -> None:
        if line.kind != "clear":
            self.stored.append(line.text)

    def _go_on(self) -> None:
        """The replay is over: send the rest again, but no commands that leave nothing in the history."""
        self.joined = True
        again = [line for line in self.lines if line.in_history]
        self.lines.clear()
        for line in again:
            self.say(line)

    @property
    def place(self) -> tuple[int, int]:
        """The number of segments, and the bytes of history seen in the last one."""
        return len(self.segments), len(self.segments[-1]) if self.segments else 0
