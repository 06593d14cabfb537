"""The grammar: what a line from the server means, and what a typed line will be answered by."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import TCP_client
from chat.front.session import understand
from chat.record import clean_name
from chat.service.commands import TABLE
from chat.service.requests import Command, Speak
from TCP_client import (
    COMMANDS,
    LINE_BYTES,
    Answer,
    Lines,
    Record,
)
from tests.vectors import raw, vectors

HOME = "127.0.0.1"  # everybody's address in these tests, so that names alone must tell people apart


@pytest.mark.parametrize("vector", vectors("records"))
def test_reads_a_record(vector: dict[str, Any]) -> None:
    assert TCP_client.parse(raw(vector) + b"\n") == Record(*vector["record"])


@pytest.mark.parametrize("vector", vectors("not_records"))
def test_refuses_what_is_not_a_record(vector: dict[str, Any]) -> None:
    assert TCP_client.parse(raw(vector)) is None


@pytest.mark.parametrize("vector", vectors("cleaned"))
def test_cleans_as_the_server_does(vector: dict[str, Any]) -> None:
    assert TCP_client.clean_bytes(raw(vector)) == vector["text"]


@pytest.mark.parametrize("vector", [v for v in vectors("names") if v.values[0]["name"]])
def test_writes_a_name_as_the_server_does(vector: dict[str, Any]) -> None:
    assert TCP_client.written_name(vector["typed"]) == clean_name(vector["typed"])


@given(
    st.text(st.sampled_from(" /clearxismy\t"), max_size=12) | st.sampled_from(["  /", " clear ", "// a", "/"])
)
def test_takes_a_line_for_what_the_server_takes_it_for(text: str) -> None:
    text = TCP_client.clean(text)
    request = understand(text)
    answer = TCP_client.expected_answer(text)
    if isinstance(request, Speak):
        assert answer == Answer("message", request.lines.decode().removesuffix("\n"))
    elif isinstance(request, Command) and request.name.casefold() == "say":
        assert answer == Answer("message", request.argument)
    else:
        assert answer.kind != "message"


@given(st.lists(st.binary(max_size=9)), st.integers(1, 7))
def test_lines_come_whole_however_they_are_cut(lines: list[bytes], size: int) -> None:
    stream = b"".join(line.replace(b"\n", b"") + b"\n" for line in lines)
    fed = Lines()
    got = [line for at in range(0, len(stream), size) for line in fed.feed(stream[at : at + size])]
    assert b"".join(got) == stream
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in got)


def test_an_endless_line_is_skipped_and_not_held() -> None:
    fed = Lines()
    for _ in range(100):
        assert list(fed.feed(b"x" * LINE_BYTES)) == []
    assert list(fed.feed(b"x\nnext\n")) == [b"next\n"]


def test_every_command_of_the_server_is_in_the_one_table() -> None:
    for command in TABLE:
        if command.who != "host":
            known = next(found for found in COMMANDS if found.name == command.name)
            # What the client can fill in by itself need not be typed.
            assert known.arguments in (command.arguments, f"[{command.arguments}]")
            assert known.aliases == command.aliases
