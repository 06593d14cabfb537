"""What browsers and programs may ask for over HTTP, and who may ask.

A page from elsewhere can make a browser send nearly anything here. It can't choose the Host or the Origin of
a request, nor add a header of its own without being asked first, which is refused; so all that says or
changes something needs the header Chat-Session, or, for programs, a bot's token.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from chat import record
from chat.front import bots
from chat.front.arrival import Browsers
from chat.front.events import parse_place
from chat.front.http import Answer, EventStream, Refused, Request, Response, json_response
from chat.front.idempotency import Idempotency
from chat.front.lines import NEVER_ENDED
from chat.front.login import LOGIN_SECONDS
from chat.front.page import Document, document, page
from chat.front.session import LINE_BYTES, understand
from chat.front.stream import Stream, Unknown
from chat.front.streams import Streams
from chat.log.entries import Presence
from chat.record import BadName
from chat.room.broadcaster import Closed
from chat.room.room import Member, Resume
from chat.service import admission, commands, ownership
from chat.service.budget import JOIN_WORK
from chat.service.lookup import HISTORY_RECORDS
from chat.service.policy import CommandError, Disconnect, MemberCaller, error
from chat.service.requests import Join, TooLong
from chat.service.service import Service

REPLAY_MOST = 500  # records that a page may ask for at once; it fetches older ones as they are scrolled to
LINES_MOST = 50  # in one request, as many as may come at once before the rate holds
OLDER_BYTES = 1024 * 1024  # how far back one request for older records looks


class Routes:
    """What a server answers. `client` is where TCP_client.py lies. Safe to use from any thread."""

    def __init__(self, service: Service, client: Path) -> None:
        self._service = service
        self._room = service.room
        self.streams = Streams(service.room)
        self.browsers = Browsers()
        self._idempotency = Idempotency()
        title = socket.gethostname()
        self._names = {"localhost", title.lower(), f"{title.lower()}.local"}
        self._documents = {"/": page(title=title, password=bool(service.policy.password))}
        if client.exists():
            self._documents["/TCP_client.py"] = document(
                client.read_bytes(), {"Content-Type": "text/x-python; charset=utf-8"}
            )
        self._routes: dict[tuple[str, str], Callable[[Request], Answer]] = {
            ("POST", "/join"): self._join,
            ("GET", "/events"): self._events,
            ("POST", "/lines"): self._lines,
            ("GET", "/history"): self._history,
            ("GET", "/people"): self._people,
        }

    def answer(self, request: Request) -> Answer:
        """Answer a request. Raises Refused."""
        by_bot = request.path.startswith(bots.PATH)
        if not by_bot:
            self.browsers.seen(request.address)
        self._check_host(request)
        if by_bot:
            return bots.answer(self._service, request, self._idempotency)
        if request.path in self._documents:  # R51
            if request.method not in ("GET", "HEAD"):
                raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "That can only be read.", Allow="GET, HEAD")
            return _document(self._documents[request.path], request)
        route = self._routes.get((request.method, request.path))
        if route is None:
            allowed = ", ".join(method for method, path in self._routes if path == request.path)
            if allowed:
                raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"That takes {allowed}.", Allow=allowed)
            raise Refused(HTTPStatus.NOT_FOUND, "There is nothing here. The chat is at /.")
        _check_same_site(request)
        try:
            return route(request)
        except Unknown:
            raise _session_over() from None
        except Closed:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "The server stops.") from None

    def _check_host(self, request: Request) -> None:
        """The host that was asked for must be this one, by address or by name: else it is DNS rebinding."""
        host = request.headers["Host"].strip().lower()
        name = host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]
        try:
            ipaddress.ip_address(name.strip("[]").partition("%")[0])
        except ValueError:
            if name.removesuffix(".") not in self._names:
                raise Refused(
                    HTTPStatus.MISDIRECTED_REQUEST, "Use the server’s address, as its host told you."
                ) from None

    # ----- joining

    def _join(self, request: Request) -> Answer:
        """R53: let somebody in."""
        _require_header(request)
        asked = request.json()
        resume = _resume(str(asked.get("session", "")))
        try:
            stream = self._admit(request, asked, resume)
        except BadName as bad:
            raise Refused(HTTPStatus.BAD_REQUEST, str(bad)) from None
        except CommandError as failure:
            raise Refused(HTTPStatus.FORBIDDEN, str(failure)) from None
        except Disconnect as disconnect:
            raise Refused(HTTPStatus.TOO_MANY_REQUESTS, str(disconnect)) from None
        self.streams.add(stream)
        caller = MemberCaller(stream.member)
        can = [command for command in commands.TABLE if command.permitted(self._service, caller)]
        return json_response(
            {
                "session": stream.member.token,
                "name": caller.name,
                "address": caller.address,
                "start": stream.events.start,
                "end": stream.events.end,
                "resumed": resume is not None and resume.offset == stream.events.start,
                "commands": [[command.name, command.usage(caller), command.help] for command in can],
            }
        )

    def _admit(self, request: Request, asked: dict[str, Any], resume: Resume | None) -> Stream:
        """Raises BadName, CommandError, Disconnect, Closed, Unknown."""
        name = record.clean_name(str(asked.get("name", "")))
        replay = asked.get("replay")
        replay = max(0, min(replay, REPLAY_MOST)) if isinstance(replay, int) else HISTORY_RECORDS
        password = record.clean_text(str(asked.get("password", "")))
        if self._service.policy.password and not password:
            raise CommandError("This room has a password; ask the host for it.")
        admission.check_password(self._service, request.address, password, NEVER_ENDED)
        browser = f"{request.address} {str(asked.get('browser', ''))[:40]}"
        account = self._service.budget.open(request.address)
        streams: list[Stream] = []

        def member(presence: Presence, token: str) -> Member:
            streams.append(Stream(presence, token, browser, account, self.streams.frames, self.streams.end))
            return streams[0].member

        secret = record.clean_text(str(asked.get("secret", "")))
        try:
            account.charge(work=JOIN_WORK)
            account.wait(NEVER_ENDED, LOGIN_SECONDS)
            wanted = Join(name, replay, True, resume, secret)
            admission.admit(self._service, wanted, request.address, account, member)
        except BaseException:
            for stream in streams:
                stream.close()
            if not streams:
                account.close()
            raise
        try:
            streams[0].read_session()
        except BaseException:
            self.streams.add(streams[0])  # it is in the room, and leaves when nobody has come for it
            raise
        return streams[0]

    # ----- listening

    def _events(self, request: Request) -> Answer:
        stream = self.streams.find(request.query.get("session", ""))
        # R54: the browser's own reconnecting knows better than the address that the page once gave it.
        place = parse_place(request.headers.get("Last-Event-ID") or request.query.get("at", ""))

        def serve(connection: socket.socket, head: bytes) -> None:
            try:
                self.streams.serve(stream, connection, head, place)
            except Unknown:
                raise _session_over() from None

        return EventStream(serve)

    # ----- speaking

    def _lines(self, request: Request) -> Answer:
        """R57: take lines, as they would come on a line connection, each number once."""
        stream = self._session(request)
        asked = request.json()
        number, lines = asked.get("number"), asked.get("lines")
        if not isinstance(number, int) or not isinstance(lines, list) or len(lines) > LINES_MOST:
            raise Refused(HTTPStatus.BAD_REQUEST, f"A number is needed, and at most {LINES_MOST} lines.")
        ownership.heard_from(self._service, stream.member)
        with stream.input:
            if number > stream.number:
                raise Refused(HTTPStatus.CONFLICT, f"The next line is number {stream.number}.")
            for line in lines[stream.number - number :]:
                self._take_line(stream, str(line))
                stream.number += 1
            return json_response({"number": stream.number})

    def _take_line(self, stream: Stream, line: str) -> None:
        """Perform what the line asks for; the answers come on the stream. Raises Closed, Unknown."""
        text = record.clean_text(line)
        member, size = stream.member, len(text.encode(errors="replace"))
        request = understand(text) if size <= LINE_BYTES else TooLong()
        stream.account.charge(lines=1, received=size, work=commands.work_of(request))
        self._wait_turn(stream)
        if not text:
            return
        try:
            for drafts in commands.perform(self._service, MemberCaller(member, stream.account), request):
                self._room.answer(member, drafts)
                self._room.wait_not_full(member)
                if member.ending:
                    break  # nobody is waiting for the rest of the answer
        except Disconnect as disconnect:
            if disconnect.sentence:
                self._room.answer(member, error(disconnect.sentence))
            self._room.end(member, disconnect.ending)

    def _wait_turn(self, stream: Stream) -> None:
        """Wait until the session has nothing charged any more, and what it asked for fits. Raises Unknown."""
        if stream.account.wait(stream.member.ended):
            self._room.wait_not_full(stream.member)
        if stream.member.ending:
            raise Unknown

    # ----- looking up

    def _history(self, request: Request) -> Answer:
        """R58: the records before a place in the history, oldest first, each with where it begins."""
        stream = self._session(request)
        before, wanted = _number(request, "before"), min(_number(request, "records"), REPLAY_MOST)
        self._wait_turn(stream)
        file = self._room.log.history.file
        found: list[tuple[int, str]] = []
        end = min(before, file.end)
        blocks = file.blocks_back(end)
        while len(found) < wanted:
            with stream.account.working():
                offset, lines = next(blocks, (0, b""))
                found = _numbered(offset, lines) + found
            if not offset or offset < end - OLDER_BYTES:
                break
        return json_response({"records": found[-wanted:] if wanted else []})

    def _people(self, request: Request) -> Answer:
        """Who is here."""
        stream = self._session(request)
        self._wait_turn(stream)
        with stream.account.working():
            here = [
                {"name": other.name, "address": other.address, "since": other.since, "away": other.away}
                for other in self._room.log.roster.all()
            ]
        return json_response({"people": here})

    def _session(self, request: Request) -> Stream:
        """The session that asks. Raises Refused, Unknown."""
        return self.streams.find(_require_header(request))


def to_https(request: Request) -> Answer:
    """Redirect to the same address over TLS."""
    where = f"https://{request.headers['Host'].strip()}{request.path}"
    return Response(HTTPStatus.PERMANENT_REDIRECT, b"", {"Location": where, "Cache-Control": "no-store"})


def _numbered(offset: int, lines: bytes) -> list[tuple[int, str]]:
    """The records in lines that begin at an offset, each with its own."""
    return [
        (offset + match.start(), match.group()[:-1].decode(errors="replace"))
        for match in record.HISTORY_RECORD.finditer(lines)
    ]


def _require_header(request: Request) -> str:
    """What only the page can send: no other page may add a header of its own. Raises Refused."""
    token: str | None = request.headers.get("Chat-Session")
    if token is None:
        raise Refused(HTTPStatus.FORBIDDEN, "The header Chat-Session is missing.")
    return token


def _check_same_site(request: Request) -> None:
    """R52. Raises Refused where another page than this one makes the browser ask."""
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site", "none")
    host = request.headers["Host"].strip().lower()
    if site not in ("none", "same-origin") or (origin and origin.lower().partition("://")[2] != host):
        raise Refused(HTTPStatus.FORBIDDEN, "Only the chat’s own page may do that.")


def _session_over() -> Refused:
    return Refused(HTTPStatus.NOT_FOUND, "This session is over; join anew.")


def _resume(session: str) -> Resume | None:
    """Where a session was cut off, as the page says it: TOKEN OFFSET TIME."""
    fields = session.split(" ")
    if len(fields) != 3 or not (fields[1].isascii() and fields[1].isdigit() and len(fields[1]) < 19):
        return None
    return Resume(fields[0], int(fields[1]), fields[2])


def _number(request: Request, name: str) -> int:
    text = request.query.get(name, "")
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise Refused(HTTPStatus.BAD_REQUEST, f"{name} has to be a number.")
    return int(text)


def _document(found: Document, request: Request) -> Response:
    """The document, unless the browser has it."""
    known = request.headers.get("If-None-Match", "")
    if known.strip() == "*" or found.etag in (tag.strip() for tag in known.split(",")):
        return Response(HTTPStatus.NOT_MODIFIED, b"", found.headers)
    encodings = {
        part.partition(";")[0].strip() for part in request.headers.get("Accept-Encoding", "").split(",")
    }
    if "gzip" in encodings:
        return Response(HTTPStatus.OK, found.zipped, {**found.headers, "Content-Encoding": "gzip"})
    return Response(HTTPStatus.OK, found.body, found.headers)
