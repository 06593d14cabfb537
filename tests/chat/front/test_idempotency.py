"""What is asked for again under one key is done once, and answered as the first time."""

from __future__ import annotations

import time
from http import HTTPStatus

import pytest

from chat.front import idempotency
from chat.front.http import Refused, Response
from chat.front.idempotency import KEY_CHARACTERS, KEY_SECONDS, Idempotency


class Saying:
    """Counts how often it is done."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> Response:
        self.times += 1
        return Response(HTTPStatus.OK, str(self.times).encode())


def test_the_same_key_is_done_once() -> None:
    once, say = Idempotency().once, Saying()
    assert [once("robot", "k", b"hello", say).body for _ in range(3)] == [b"1"] * 3
    assert once("other", "k", b"hello", say).body == b"2"
    assert once("robot", "k2", b"hello", say).body == b"3"


def test_what_was_refused_is_done_the_next_time() -> None:
    once = Idempotency().once

    def refuse() -> Response:
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "The disk is full.")

    for _ in range(2):
        with pytest.raises(Refused, match="full"):
            once("robot", "k", b"hello", refuse)
    assert once("robot", "k", b"hello", Saying()).body == b"1"


def test_another_text_needs_another_key() -> None:
    once, say = Idempotency().once, Saying()
    once("robot", "k", b"hello", say)
    with pytest.raises(Refused) as refused:
        once("robot", "k", b"bye", say)
    assert refused.value.status == 422


def test_while_it_is_done_it_is_not_begun_again() -> None:
    once = Idempotency().once

    def say() -> Response:
        with pytest.raises(Refused) as refused:
            once("robot", "k", b"hello", Saying())
        assert (refused.value.status, refused.value.headers["Retry-After"]) == (409, "1")
        return Response()

    once("robot", "k", b"hello", say)


def test_a_key_has_a_length() -> None:
    with pytest.raises(Refused):
        Idempotency().once("robot", "k" * (KEY_CHARACTERS + 1), b"", Saying())


def test_keys_are_forgotten_after_a_while_or_when_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    once, say = Idempotency().once, Saying()
    once("robot", "a", b"", say)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + KEY_SECONDS + 1)
    assert once("robot", "a", b"", say).body == b"2"
    monkeypatch.setattr(idempotency, "KEYS", 2)
    for key in "bcd":
        once("robot", key, b"", say)
    assert once("robot", "d", b"", say).body == b"5"
    assert once("robot", "a", b"", say).body == b"6"
