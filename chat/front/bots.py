"""`POST /say/NAME`: a program speaks with a token, and is answered once what it said is stored."""

from __future__ import annotations

import json
from http import HTTPStatus
from urllib.parse import unquote

from chat import record
from chat.front.http import Refused, Request, Response, json_response
from chat.front.idempotency import Idempotency
from chat.front.lines import NEVER_ENDED
from chat.room import broadcaster
from chat.room.broadcaster import Closed
from chat.service import bots
from chat.service.budget import BURST_LINES, Account
from chat.service.limits import TOKEN
from chat.service.policy import CommandError, Disconnect
from chat.service.service import Service
from chat.service.tokens import Token

PATH = "/say/"
TURN_SECONDS = 30.0  # to wait until the budget allows it; programs that call webhooks wait about as long


def answer(service: Service, request: Request, idempotency: Idempotency) -> Response:
    """R65: say what the body says. Raises Refused."""
    if request.method != "POST":
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "That takes POST.", Allow="POST")
    if "Origin" in request.headers or "Sec-Fetch-Site" in request.headers:  # R68
        raise Refused(HTTPStatus.FORBIDDEN, "This is for programs; no page may do that.")
    account = service.budget.open(request.address)
    try:
        _charge(account, lines=1, received=len(request.body))
        token = _authorized(service, request)
        try:
            bots.check_may_speak(service, token.name, request.address)
        except CommandError as failure:
            raise Refused(HTTPStatus.FORBIDDEN, str(failure)) from None
        lines = _lines(request.body)

        def say() -> Response:
            _charge(account, lines=len(lines) - 1)
            return json_response({"time": _say(service, token, request.address, lines)})

        key = request.headers.get("Idempotency-Key", "").strip()
        return idempotency.once(token.name, key, request.body, say) if key else say()
    finally:
        account.close()


def _say(service: Service, token: Token, address: str, lines: list[bytes]) -> str:
    """R65: the time at which the lines were stored. Raises Refused."""
    try:
        return service.speak_for_bot(token.name, address, b"".join(line + b"\n" for line in lines))
    except CommandError as failure:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(failure)) from None
    except broadcaster.Refused as refused:
        known = str(refused) != broadcaster.SERVER_FAILED  # else it may have been written just before
        status = HTTPStatus.SERVICE_UNAVAILABLE if known else HTTPStatus.INTERNAL_SERVER_ERROR
        raise Refused(status, str(refused)) from None
    except Closed:
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "The server stops.") from None


def _authorized(service: Service, request: Request) -> Token:
    """R67: the token, if it is the one of the name in the path. Raises Refused."""
    scheme, _, secret = request.headers.get("Authorization", "").strip().partition(" ")
    secret = secret.strip()
    if scheme.casefold() != "bearer" or not secret:
        raise _unauthorized("The header Authorization: Bearer TOKEN is missing; the host makes tokens.")
    token = service.tokens.find(secret)
    try:
        service.throttle.attempt(
            TOKEN,
            request.address,
            lambda: token is not None,
            NEVER_ENDED,
            "That is not a token of this chat; ask the host for one.",
        )
    except CommandError as failure:
        raise _unauthorized(str(failure)) from None
    except Disconnect as disconnect:
        raise Refused(HTTPStatus.TOO_MANY_REQUESTS, str(disconnect), Retry_After="60") from None
    name = unquote(request.path.removeprefix(PATH))
    if token is None or record.name_key(token.name) != record.name_key(name):
        raise Refused(HTTPStatus.FORBIDDEN, "That token is for another name.")
    return token


def _unauthorized(sentence: str) -> Refused:
    return Refused(HTTPStatus.UNAUTHORIZED, sentence, WWW_Authenticate="Bearer")


def _charge(account: Account, *, lines: int, received: int = 0) -> None:
    """Charge for a request, and wait until it fits. Raises Refused."""
    account.charge(lines=lines, received=received)
    if not account.wait(NEVER_ENDED, TURN_SECONDS):
        raise Refused(
            HTTPStatus.TOO_MANY_REQUESTS, "Too much comes from your address; wait a minute.", Retry_After="60"
        )


def _lines(body: bytes) -> list[bytes]:
    """R66: the messages in a body, clean. Raises Refused."""
    text = body.decode(errors="replace")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict) and isinstance(found.get("text"), str):
        text = found["text"]
    texts = [record.clean_text(line) for line in text.replace("\r\n", "\n").split("\n")]
    lines = [text.encode(errors="replace") for text in texts if text]
    if not lines:
        raise Refused(HTTPStatus.BAD_REQUEST, "There is no text to say.")
    if len(lines) > BURST_LINES:
        raise Refused(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"That is {len(lines)} lines; {BURST_LINES} is the most."
        )
    return lines
