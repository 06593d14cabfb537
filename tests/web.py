"""Raw HTTP for the tests: requests byte by byte, and a page without a browser. Every wait has a deadline."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chat import record
from chat.record import Record
from tests.harness import DEADLINE


@dataclass(frozen=True)
class Answer:
    """A response. Names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


def connect(port: int, source: str = "") -> socket.socket:
    """A connection to the server."""
    return socket.create_connection(("127.0.0.1", port), DEADLINE, (source, 0) if source else None)


def read_answer(connection: socket.socket, *, head_only: bool = False) -> Answer:
    """The next response; of an event stream its head. Raises EOFError where there is none."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        received = connection.recv(1)
        if not received:
            raise EOFError(head)
        head += received
    status, *lines = head.decode().split("\r\n")[:-2]
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = b""
    size = 0 if head_only else int(headers.get("content-length", 0))
    while len(body) < size:
        body += connection.recv(size - len(body))
    return Answer(int(status.split()[1]), headers, body)


def request_bytes(method: str, path: str, body: bytes = b"", /, **headers: str) -> bytes:
    """A request as a browser writes it; Chat_Session="x" is a header Chat-Session."""
    lines = {"Host": "127.0.0.1", **{name.replace("_", "-"): value for name, value in headers.items()}}
    if body or method == "POST":
        lines["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def ask(port: int, method: str, path: str, body: object = None, /, **headers: str) -> Answer:
    """One request on a connection of its own."""
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    with connect(port) as connection:
        connection.sendall(request_bytes(method, path, data, **headers))
        return read_answer(connection, head_only=method == "HEAD")


@dataclass(frozen=True)
class Event:
    """One event of a stream."""

    kind: str
    data: str
    id: str


class EventStream:
    """An open event stream. Raises EOFError if the server ends it before it answers."""

    def __init__(self, port: int, session: str, at: str = "", **headers: str) -> None:
        self.socket = connect(port)
        self._stream = self.socket.makefile("rb")
        path = f"/events?session={session}&at={at.replace(' ', '%20')}"
        self.socket.sendall(request_bytes("GET", path, **headers))
        try:
            self.answer = read_answer(self.socket)
        except BaseException:
            self.close()
            raise

    def next(self) -> Event:
        """The next event. Raises EOFError at the end."""
        kind, data, id_ = "message", [], ""
        while True:
            line = self._stream.readline()
            if not line:
                raise EOFError
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "data" or name == "data:":
                data.append(value)
            elif name == "event":
                kind = value
            elif name == "id":
                id_ = value
            elif not name:
                return Event(kind, "\n".join(data), id_)

    def close(self) -> None:
        """Hang up."""
        self._stream.close()
        self.socket.close()


class Page:
    """What the page does, without a browser: it joins, listens, and says lines."""

    def __init__(self, port: int, name: str, **more: object) -> None:
        self.port, self.name = port, name
        answer = ask(port, "POST", "/join", {"name": name, **more}, Chat_Session="new")
        assert answer.status == 200, answer
        self.joined = answer.json
        self.session: str = self.joined["session"]
        self.place = ""
        self.number = 0
        self.records: list[Record] = []
        self.kinds: list[str] = []
        self.stream: EventStream | None = None

    def listen(self) -> EventStream:
        """Open the stream, where the one before it was left."""
        if self.stream:
            self.stream.close()
        self.stream = EventStream(self.port, self.session, self.place)
        return self.stream

    def until(self, text: str) -> list[Record]:
        """Read events up to a record with this text; what came with them."""
        stream = self.stream or self.listen()
        begun = len(self.records)
        deadline = time.monotonic() + DEADLINE
        while not any(found.text == text for found in self.records[begun:]):
            assert time.monotonic() < deadline, f"{text!r} did not come"
            event = stream.next()
            self.kinds.append(event.kind)
            if event.kind == "message":
                self.place = event.id
                self.records += [record.parse(line.encode()) for line in event.data.split("\n")]
        return self.records[begun:]

    def post(self, *lines: str, number: int | None = None) -> Answer:
        """Say lines."""
        wanted = self.number if number is None else number
        answer = ask(
            self.port, "POST", "/lines", {"number": wanted, "lines": lines}, Chat_Session=self.session
        )
        if answer.status == 200:
            self.number = answer.json["number"]
        return answer

    def close(self) -> None:
        """Hang up."""
        if self.stream:
            self.stream.close()


MakePage = Callable[..., Page]
