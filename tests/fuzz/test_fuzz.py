"""The invariants of targets.py, with hundreds of inputs; `--hypothesis-profile=long` tries more."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.__main__ import main
from tests.fuzz.targets import SEEDS, TARGETS, TYPED, WORDS, whole_session
from tests.fuzz.world import CUT, LESS_LONG, LONG, PASSWORD, PRIVATE, SAME_SESSION

ANY = st.lists(st.sampled_from(WORDS) | st.binary(max_size=9) | st.text(max_size=9).map(str.encode)).map(
    b"".join
)

FIELDS = (
    st.sampled_from([b"2026-11-21T10:15:42.123Z", b"2024-02-29T00:00:00.000Z", b"0000-01-01T00:00:00.000Z"])
    | ANY,
    st.sampled_from([b"10.0.0.1", b"fe80::1", b"-"]) | ANY,
    st.sampled_from([b"bob", b"server", "\x1b\x9b2J\u202e".encode()]) | ANY,
    st.sampled_from([b"message", b"join", b"leave", b"rename", b"clear", b"/session", b"/error", b"odd"])
    | ANY,
    ANY,
)
RECORDS = st.lists(st.tuples(*FIELDS).map(b"\t".join) | ANY).map(b"\n".join)

ARGUMENTS = st.sampled_from(
    [b"eve", b"EVE", b"mallory", b"witness", b"server", b"7", b"-1", b"9" * 60, b"10.0.0.66", b"2h", b"all"]
)


def typed(words: list[bytes]) -> st.SearchStrategy[bytes]:
    """One of the words with arguments."""
    arguments = st.lists(ARGUMENTS | ANY, max_size=3)
    return st.builds(lambda word, rest: b" ".join([word, *rest]), st.sampled_from(words), arguments)


LINES = st.one_of(
    typed(TYPED),
    st.sampled_from([b"hello", b"clear", b"exit", b"", b"x\r", PRIVATE, f"/admin {PASSWORD}".encode()]),
    st.sampled_from([LONG * 4, LONG * 4 + b"x", LONG * 4 + LESS_LONG, LONG * 4 + LESS_LONG + b"x"]),
    ANY,
)
LOGIN = st.lists(
    typed([b"/replay", b"/session", b"/password"]) | st.sampled_from([SAME_SESSION, b"server"]) | ANY,
    max_size=3,
)
CONNECTIONS = st.builds(
    lambda login, name, lines, end: b"\n".join([*login, name, *lines]) + end,
    *(LOGIN, st.sampled_from([b"eve", b"mallory", b"Eve\r"]), st.lists(LINES), st.sampled_from([b"", b"\n"])),
)


@pytest.mark.parametrize("target", TARGETS)
@given(data=st.one_of(RECORDS, RECORDS.map(lambda data: SEEDS["client"][0] + data), ANY))
@settings(deadline=None)
def test_whatever_comes(target: str, data: bytes) -> None:
    TARGETS[target](data)


@pytest.mark.parametrize(
    ("target", "seed"), [(name, seed) for name, seeds in SEEDS.items() for seed in seeds]
)
def test_what_the_search_begins_with(target: str, seed: bytes) -> None:
    TARGETS[target](seed)


def test_without_atheris_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "atheris", None)
    assert main() == 1
    assert "pip install atheris" in capsys.readouterr().err


@given(at_once=st.binary(min_size=1, max_size=1), connections=st.lists(CONNECTIONS, min_size=1, max_size=4))
@settings(deadline=None)
def test_whatever_a_client_logs_in_with_and_says(at_once: bytes, connections: list[bytes]) -> None:
    whole_session(at_once + CUT.join(connections))
