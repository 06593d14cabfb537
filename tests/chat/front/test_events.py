"""Records as events, in any pieces, and what is sent again."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat import record
from chat.front.events import KEPT_BYTES, Events, Frames, Place, parse_place

TIME = "2026-11-21T10:15:42.123Z"
SESSION = record.stamp(TIME, record.draft("-", "server", "/session", "TOKEN 100 200"))
HELLO = record.stamp(TIME, record.draft("10.0.0.1", "alice", "message", "hello"))
SLASH = record.stamp(TIME, record.draft("10.0.0.1", "alice", "message", "/slash"))
PRIVATE = record.stamp(TIME, record.draft("10.0.0.1", "alice", "/msg", "psst"))
CLEAR = record.stamp(TIME, record.draft("10.0.0.1", "alice", "clear", "kept"))


def data_of(event: bytes) -> bytes:
    """The records in events, as a browser reads them."""
    return b"".join(line[6:] + b"\n" for line in event.split(b"\n") if line.startswith(b"data: "))


def test_what_comes_at_once_is_one_event() -> None:
    events = Events(Frames())
    events.take(SESSION)
    assert events.take(HELLO * 3) == (
        f"id: {100 + 3 * len(HELLO)} {TIME} 1\n".encode()
        + b"".join(b"data: " + HELLO for _ in range(3))
        + b"\n"
    )


def test_the_place_counts_bytes_of_history_only() -> None:
    events = Events(Frames())
    events.take(SESSION + HELLO + PRIVATE + SLASH)
    assert events.place == Place(100 + len(HELLO + SLASH), TIME, 2)
    assert (events.start, events.end) == (100, 200)


def test_a_clear_begins_anew() -> None:
    events = Events(Frames())
    events.take(SESSION + HELLO + CLEAR + HELLO)
    assert events.place.offset == len(CLEAR + HELLO)


@given(st.lists(st.integers(0, 400)))
def test_pieces_do_not_matter(cuts: list[int]) -> None:
    whole = SESSION + HELLO + PRIVATE + SLASH + CLEAR + HELLO
    bounds = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    events, one = Events(Frames()), Events(Frames())
    got = b"".join(events.take(whole[start:end]) for start, end in itertools.pairwise(bounds))
    one.take(whole)
    assert data_of(got) == whole
    assert events.place == one.place


def test_direct_records_are_sent_again_where_they_may_be_lost() -> None:
    events = Events(Frames())
    events.take(SESSION)
    before = events.place
    events.take(PRIVATE + HELLO)
    assert data_of(events.again(HELLO, before)) == HELLO + PRIVATE
    assert events.again(b"", events.place) == b""


def test_direct_records_are_kept_up_to_a_bound() -> None:
    events = Events(Frames())
    for _ in range(KEPT_BYTES // len(PRIVATE) * 3):
        events.take(PRIVATE)
    assert len(data_of(events.again(b"", Place(0, "", 0)))) <= KEPT_BYTES


@pytest.mark.parametrize("text", ["", "1", "1 2", "x t 1", "-1 t 1", "1 t ²", "1 t 1 1"])
def test_what_is_no_place(text: str) -> None:
    assert parse_place(text) is None


def test_a_place_is_written_as_it_is_read() -> None:
    assert parse_place(str(Place(7, TIME, 3))) == Place(7, TIME, 3)
    assert parse_place("7  3") == Place(7, "", 3)  # no record of history yet
