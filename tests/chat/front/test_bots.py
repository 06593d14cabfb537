"""`POST /say/NAME`: real requests to a real server."""

from __future__ import annotations

import contextlib
import errno
import threading
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path

import pytest

from chat.front import bots
from chat.front.http import Refused, Request
from chat.front.idempotency import Idempotency
from chat.service.budget import BURST_LINES
from chat.service.limits import WRONG_TRIES
from chat.service.service import Service
from chat.service.tokens import Tokens
from tests.harness import DEADLINE, Client, Server, serving, texts
from tests.rooms import opened, service_of, unstarted
from tests.web import Answer, ask

NOW = "2026-11-21T12:00:00.000Z"
Join = Callable[..., Client]


@pytest.fixture
def token(history_path: Path) -> str:
    """The token of robot. Asked for before `server`, which then knows it at once."""
    return Tokens(history_path.with_name("tokens.txt")).make("robot", NOW)


def say(server: Server, token: str, body: bytes, path: str = "/say/robot", **headers: str) -> Answer:
    return ask(server.port, "POST", path, body, Authorization=f"Bearer {token}", **headers)


def test_200_means_stored_and_everybody_hears_it(token: str, server: Server, join: Join) -> None:  # R65
    alice = join("alice")
    answer = say(server, token, b"the build is green")
    assert answer.status == 200
    stored = server.records()[-1]
    assert (stored.address, stored.name, stored.text) == ("127.0.0.1", "robot", "the build is green")
    assert stored.time == answer.json["time"]
    assert alice.until("message").name == "robot"
    assert [found.kind for found in server.records() if found.name == "robot"] == ["message"]


def test_what_is_sent_again_under_one_key_is_said_once(token: str, server: Server) -> None:  # R65
    answers = [say(server, token, b"green", Idempotency_Key="run-7") for _ in range(3)]
    assert [answer.status for answer in answers] == [200] * 3
    assert len({answer.body for answer in answers}) == 1
    assert say(server, token, b"red", Idempotency_Key="run-7").status == 422
    assert say(server, token, b"red", Idempotency_Key="run-8").status == 200
    assert texts(server.records()) == ["green", "red"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"one\r\n\r\ntwo\nthree", ["one", "two", "three"]),
        (b'{"text": "caf\\u00e9\\nlatte"}', ["caf\u00e9", "latte"]),
        (b'{"text": 5}', ['{"text": 5}']),
        (b'{"text": "half', ['{"text": "half']),
        (b"clear\n/exit\nexit", ["clear", "/exit", "exit"]),
        (b"a\tb\x1b[2J\x00c\rd", ["a b[2Jcd"]),
        (b'{"text": "\\ud800"}', ["?"]),
        (b"\xff", ["\ufffd"]),
        (b"x" * 4096, ["x" * 4096]),
        (b"[" * 100_000, None),
        (b"x" * 4097, None),
        (b"x\n" + b"y" * 4097, None),
        (b"x\n" * 51, None),
        (b"x" * 300_000, None),
    ],
)
def test_a_body_is_text_or_json(
    token: str, server: Server, body: bytes, said: list[str] | None
) -> None:  # R66
    answer = say(server, token, body, Content_Type="application/x-www-form-urlencoded")
    assert answer.status == (200 if said else 413), answer
    assert texts(server.records()) == (said or [])


@pytest.mark.parametrize("body", [b"", b"\n\r\n", b'{"text": ""}', b"\x00"])
def test_nothing_is_no_text(token: str, server: Server, body: bytes) -> None:
    assert say(server, token, body).status == 400


def test_without_a_right_token_nothing_is_said(token: str, server: Server) -> None:  # R67
    wrong = [{}, {"Authorization": token}, {"Authorization": f"Basic {token}"}, {"Authorization": "Bearer "}]
    for headers in wrong:
        answer = ask(server.port, "POST", "/say/robot", b"hello", **headers)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert say(server, token, b"hello", "/say/alice").status == 403
    assert say(server, token, b"hello", "/say/").status == 403
    assert say(server, token, b"hello", "/say/%72obot").status == 200
    assert texts(server.records()) == ["hello"]


def test_guessing_is_as_slow_as_with_passwords(token: str, server: Server) -> None:  # R67
    statuses = [say(server, f"{token}{number}", b"hello").status for number in range(WRONG_TRIES)]
    assert statuses == [401] * (WRONG_TRIES - 1) + [429]
    assert say(server, token, b"hello").status == 429
    assert texts(server.records()) == []


def test_a_banned_bot_is_silent(token: str, history_path: Path) -> None:  # R67
    history_path.with_name("bans.txt").write_text("robot\n")
    with serving(history_path) as server:
        answer = say(server, token, b"hello")
        assert answer.status == 403
        assert "banned" in answer.json["error"]
        assert texts(server.records()) == []


@pytest.mark.parametrize(
    "headers", [{"Origin": "null"}, {"Origin": "http://127.0.0.1"}, {"Sec_Fetch_Site": "same-origin"}]
)
def test_no_page_speaks_as_a_bot(token: str, server: Server, headers: dict[str, str]) -> None:  # R68
    assert say(server, token, b"hello", **headers).status == 403
    assert texts(server.records()) == []


def test_a_rebound_name_and_other_methods_are_refused(token: str, server: Server) -> None:
    assert say(server, token, b"hello", Host="evil.example").status == 421
    for method in ("GET", "HEAD", "PUT", "OPTIONS"):
        answer = ask(server.port, method, "/say/robot", Authorization=f"Bearer {token}")
        assert (answer.status, answer.headers["allow"]) == (405, "POST")


def test_the_name_of_a_bot_is_not_for_members(token: str, server: Server) -> None:  # R69
    assert token
    client = Client(server.port)
    client.send("robot")
    assert "name of a bot" in client.until("/error").text
    client.close()
    assert ask(server.port, "POST", "/join", {"name": "r0bot"}, Chat_Session="new").status == 403


# ------------------------------------------------------------------------------ without a server of its own


@pytest.fixture
def service(history_path: Path) -> Iterator[Service]:
    with opened(history_path) as room:
        service = service_of(room, rate=0.001)
        yield service
        service.close()


def answered(service: Service, token: str, body: bytes) -> int:
    """The status of the answer."""
    headers = Message()
    headers["Authorization"] = f"bearer {token}"
    try:
        return bots.answer(
            service, Request("POST", "/say/robot", {}, headers, body, "10.0.0.7"), Idempotency()
        ).status
    except Refused as refused:
        return refused.status


def test_503_means_not_stored(
    token: str, service: Service, history_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # R65
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(service.room.log.history, "append", full)
    assert answered(service, token, b"hello") == 503
    monkeypatch.undo()
    assert answered(service, token, b"again") == 200
    service.room.stop("")
    assert answered(service, token, b"hello") == 503
    assert b"again" in history_path.read_bytes()
    assert b"hello" not in history_path.read_bytes()


def test_500_means_not_known(token: str, history_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # R65
    with unstarted(history_path) as room:
        service = service_of(room)
        append = room.log.history.append

        def fails_after_writing(drafts: bytes, now: str) -> None:
            append(drafts, now)
            raise RuntimeError

        def run() -> None:
            with contextlib.suppress(RuntimeError):
                room.run()

        monkeypatch.setattr(room.log.history, "append", fails_after_writing)
        broadcaster = threading.Thread(target=run)
        broadcaster.start()
        assert answered(service, token, b"hello") == 500
        broadcaster.join(DEADLINE)
        service.close()
    assert b"hello" in history_path.read_bytes()


def test_what_is_said_is_charged_to_the_address(
    token: str, service: Service, history_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # R67
    monkeypatch.setattr(bots, "TURN_SECONDS", 0)
    statuses = [answered(service, token, b"x\n" * BURST_LINES) for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    assert history_path.read_bytes().count(b"\tx\n") == 5 * BURST_LINES
