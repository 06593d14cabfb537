"""The driver of a browser's connection: requests in, answers and event streams out.

It runs in the connection's handler thread; http.server parses. It knows HTTP and not the chat: what a
request is answered with is in routes.py.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from chat.front.lines import NEVER_ENDED, hang_up
from chat.service.budget import Account

HEAD_BYTES = 16 * 1024  # of a request line and its headers; a browser sends less than one
HEAD_SECONDS = 10  # for them to come
BODY_BYTES = 256 * 1024  # fifty full messages
BODY_SECONDS = 20  # for them to come from a phone
IDLE_SECONDS = 20  # between requests on one connection
TURN_SECONDS = 10  # to wait until the budget allows the request
READ_BYTES = 16 * 1024

TOO_MANY = "There are too many requests from your address; try again later."

# For every answer: it is what it says it is, and for this site only.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# RFC 9112 section 5: a name, a colon, and nothing before or between. Whatever is read differently elsewhere
# (a folded line, a space before the colon, a bare CR) is refused.
_HEADER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\x00]*")


class Refused(Exception):
    """A request is not done. The message is one sentence for the person: what is wrong and what to do."""

    def __init__(self, status: HTTPStatus, sentence: str, **headers: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass(frozen=True)
class Request:
    """One request, whole. Headers are asked for in any case; `query` has the last of each parameter."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Message
    body: bytes
    address: str  # of the speaker, as records have it

    def json(self) -> dict[str, Any]:
        """The body, a JSON object without anything that UTF-8 can't encode. Raises Refused."""
        try:
            found = json.loads(self.body)
            if b"\\u" in self.body:  # which may name half a surrogate pair
                found = json.loads(json.dumps(found, ensure_ascii=False).encode(errors="replace"))
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise Refused(HTTPStatus.BAD_REQUEST, "The body is not a JSON object.")
        return found


@dataclass(frozen=True)
class Response:
    """An answer."""

    status: HTTPStatus = HTTPStatus.OK
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class EventStream:
    """An answer without an end: `serve` gets the connection, and the head that it has to send first.

    It raises Refused before it has sent anything.
    """

    serve: Callable[[socket.socket, bytes], None]


Answer = Response | EventStream


def json_response(value: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """An answer in JSON, which nobody keeps."""
    body = json.dumps(value, ensure_ascii=False).encode(errors="replace")
    return Response(status, body, {"Content-Type": "application/json", "Cache-Control": "no-store"})


class HttpConnection:
    """One connection, from its first request to its end. `run` is all of it.

    `first` has been read from it already; `answer` raises Refused. Reading and answering are charged to the
    account; what the answer takes, `answer` charges itself.
    """

    def __init__(
        self,
        connection: socket.socket,
        address: str,
        account: Account,
        answer: Callable[[Request], Answer],
        first: bytes = b"",
    ) -> None:
        self._connection = connection
        self._account = account
        self._address = address
        self._answer = answer
        self._received = first

    def run(self) -> None:
        """Answer requests until one side closes. The connection may be closed then."""
        with contextlib.suppress(OSError):
            seconds = HEAD_SECONDS
            while (reply := self._next_reply(seconds)) and self._send(reply):
                seconds = IDLE_SECONDS
        hang_up(self._connection)

    def _next_reply(self, seconds: float) -> _Reply | None:
        """Read a request and have it answered; None at the end of the stream. Raises OSError."""
        head_only = keep_alive = False
        try:
            with self._charged():
                parsed = self._read_head(seconds)
                if parsed is None:
                    return None
                head_only = parsed.command == "HEAD"
                request = self._read_rest(parsed)
            if not self._account.wait(NEVER_ENDED, TURN_SECONDS):
                raise Refused(HTTPStatus.TOO_MANY_REQUESTS, TOO_MANY, Retry_After=str(TURN_SECONDS))
            keep_alive = not parsed.close_connection
            answer = self._answer(request)
        except Refused as refused:
            answer = _refusal(refused)
        return _Reply(answer, head_only, keep_alive)

    # ----- reading

    def _read_head(self, seconds: float) -> _Parsed | None:
        """The request line and the headers; None at the end of the stream. Raises Refused, OSError."""
        until = time.monotonic() + seconds
        while (end := self._received.find(b"\r\n\r\n")) < 0 and len(self._received) <= HEAD_BYTES:
            if b"\n\n" in self._received:
                raise Refused(HTTPStatus.BAD_REQUEST, "The lines of a request end in CR and LF.")
            received = self._receive(until)
            if not received:
                return None
            self._received += received
        if not 0 <= end <= HEAD_BYTES:
            raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request has too many headers.")
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        return _parse(head.lstrip(b"\r\n"))

    def _read_rest(self, parsed: _Parsed) -> Request:
        """The request, with its body. Raises Refused, OSError."""
        size = _body_size(parsed)
        if size > BODY_BYTES:
            raise Refused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body has {size} bytes; {BODY_BYTES} is the most."
            )
        if parsed.wants_continue and len(self._received) < size:
            self._connection.settimeout(BODY_SECONDS)
            self._connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        until = time.monotonic() + BODY_SECONDS
        pieces, have = [self._received], len(self._received)
        while have < size:
            received = self._receive(until)
            if not received:
                raise ConnectionError
            pieces.append(received)
            have += len(received)
        body = b"".join(pieces)
        body, self._received = body[:size], body[size:]
        try:
            url = urlsplit(parsed.path)
            query = dict(parse_qsl(url.query, keep_blank_values=True, max_num_fields=20))
        except ValueError:
            raise Refused(HTTPStatus.BAD_REQUEST, "The address of the request is none.") from None
        return Request(parsed.command, url.path, query, parsed.headers, body, self._address)

    def _receive(self, until: float) -> bytes:
        """What comes. Raises Refused where that takes too long, OSError."""
        remaining = until - time.monotonic()
        try:
            if remaining <= 0:
                raise TimeoutError
            self._connection.settimeout(remaining)
            return self._connection.recv(READ_BYTES)
        except TimeoutError:
            if self._received:
                raise Refused(HTTPStatus.REQUEST_TIMEOUT, "The request did not come in time.") from None
            return b""  # nobody asks for anything any more

    # ----- writing

    def _send(self, reply: _Reply) -> bool:
        """Send the answer; whether another request may follow. Raises OSError."""
        answer, keep_alive = reply.answer, reply.keep_alive
        if isinstance(answer, EventStream):
            try:
                answer.serve(self._connection, _head(HTTPStatus.OK, STREAM_HEADERS))
                return False
            except Refused as refused:
                answer, keep_alive = _refusal(refused), False
        self._connection.settimeout(BODY_SECONDS)
        with self._charged():
            self._connection.sendall(_bytes(answer, keep_alive=keep_alive, head_only=reply.head_only))
        return keep_alive

    @contextlib.contextmanager
    def _charged(self) -> Iterator[None]:
        """Charge the processor time of what is done meanwhile."""
        began = time.thread_time()
        try:
            yield
        finally:
            self._account.charge(work=time.thread_time() - began)


@dataclass(frozen=True)
class _Reply:
    """What a request is answered with. The request itself is not held while that is sent."""

    answer: Answer
    head_only: bool
    keep_alive: bool


STREAM_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "Connection": "close",
    "X-Accel-Buffering": "no",  # a proxy is to pass events on as they come
}


def refusal(refused: Refused) -> bytes:
    """The answer to whatever is asked on a connection that there is no room for."""
    return _bytes(_refusal(refused))


def _bytes(answer: Response, *, keep_alive: bool = False, head_only: bool = False) -> bytes:
    headers = {**answer.headers, "Connection": "keep-alive" if keep_alive else "close"}
    if answer.status != HTTPStatus.NOT_MODIFIED:
        headers["Content-Length"] = str(len(answer.body))
    return _head(answer.status, headers) + (b"" if head_only else answer.body)


def _head(status: HTTPStatus, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status.value} {status.phrase}"]
    lines += [f"{name}: {value}" for name, value in (HEADERS | dict(headers)).items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")


def _refusal(refused: Refused) -> Response:
    answer = json_response({"error": str(refused)}, refused.status)
    return Response(answer.status, answer.body, {**answer.headers, **refused.headers})


class _Parsed(BaseHTTPRequestHandler):
    """http.server's parser, without its connection."""

    protocol_version = "HTTP/1.1"

    def __init__(self, head: bytes) -> None:
        self.rfile = BytesIO(head + b"\r\n\r\n")
        self.raw_requestline = self.rfile.readline()
        self.failure: tuple[int, str] = (HTTPStatus.BAD_REQUEST, "That is no request.")
        self.wants_continue = False
        self.parsed = self.parse_request()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """The parser refuses the request."""
        self.failure = (code, message or "That is no request.")

    def handle_expect_100(self) -> bool:
        """The body comes only when it has been asked for."""
        self.wants_continue = True
        return True


def _parse(head: bytes) -> _Parsed:
    """Raises Refused."""
    for line in head.split(b"\r\n")[1:]:
        if not _HEADER.fullmatch(line):
            raise Refused(HTTPStatus.BAD_REQUEST, "One of the headers is none.")
    parsed = _Parsed(head)
    if not parsed.parsed:
        code, message = parsed.failure
        raise Refused(HTTPStatus(code), f"The request can't be read: {message}")
    if parsed.request_version not in ("HTTP/1.0", "HTTP/1.1"):
        raise Refused(HTTPStatus.BAD_REQUEST, "Only HTTP/1.1 is understood.")
    if len(parsed.headers.get_all("Host", ())) != 1:
        raise Refused(HTTPStatus.BAD_REQUEST, "A request names one host.")
    return parsed


def _body_size(parsed: _Parsed) -> int:
    """Raises Refused where there could be two opinions on where the request ends (RFC 9112 section 6)."""
    sizes = parsed.headers.get_all("Content-Length", ())
    if parsed.headers.get("Transfer-Encoding") is not None:
        raise Refused(HTTPStatus.NOT_IMPLEMENTED, "Send the body with a Content-Length, not in chunks.")
    if not sizes:
        return 0
    if len(sizes) > 1 or not re.fullmatch(r"[0-9]{1,9}", sizes[0].strip()):
        raise Refused(HTTPStatus.BAD_REQUEST, "The Content-Length is no number.")
    return int(sizes[0])
