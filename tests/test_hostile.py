"""Clients and people who mean harm, or just do what nobody thought of."""

from __future__ import annotations

import socket
import threading
import unicodedata
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chat import record, session
from chat.bans import Bans
from chat.history import History
from chat.house import House, Rules
from chat.record import BadName, NotARecord, Record
from chat.room import Room

# ----------------------------------------------------------------------------------------------- the grammar

CORNERS = st.sampled_from(
    "\0\t\n\v\f\r\x1b\x7f\x85\x9b\xa0\xad\u0301\u034f\u061c\u115f\u180e\u200b\u200d\u200e\u2028\u2029\u202e"
    "\u2066\u2800\u3000\u3164\ufe0f\ufeff\ufff9\ufffd\uffff\U0001f600\U000e0001\U000e0100/ſßİıéＡａk\u212a"
)
NAUGHTY = st.text(st.one_of(CORNERS, st.characters(exclude_categories=["Cs"])), max_size=30)
FIELDS = st.one_of(st.binary(max_size=20), NAUGHTY.map(str.encode), st.sampled_from([b"", b"-", b"server"]))
TIMES = st.builds(
    "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z".format,
    *(st.one_of(st.sampled_from([0, 1900, 2000, 2024, 2025]), st.integers(0, 9999)), st.integers(0, 13)),
    *(st.integers(0, 32), st.integers(0, 25), st.integers(0, 61), st.integers(0, 61), st.integers(0, 999)),
)
ALMOST_RECORDS = st.builds(
    lambda time, *fields: b"\t".join((time.encode(), *fields)), TIMES, FIELDS, FIELDS, FIELDS, FIELDS
)


def parses(line: bytes) -> Record | None:
    try:
        return record.parse(line)
    except NotARecord:
        return None


@given(st.one_of(ALMOST_RECORDS, TIMES.map(lambda time: f"{time}\t-\thost\tnotice\tx".encode())))
@example(b"2025-02-29T10:00:00.000Z\t-\thost\tnotice\tx")
@example(b"0000-01-01T10:00:00.000Z\t-\thost\tnotice\tx")
def test_what_goes_out_as_a_record_of_history_is_one(line: bytes) -> None:
    if record.HISTORY_RECORD.fullmatch(line + b"\n"):
        found = record.parse(line)
        assert not found.direct
        datetime.fromisoformat(found.time)


@given(TIMES)
def test_a_time_is_one_that_there_is(time: str) -> None:
    try:
        datetime.fromisoformat(time)
        there_is = True
    except ValueError:
        there_is = False
    assert (parses(f"{time}\t-\thost\tnotice\tx".encode()) is not None) == there_is


def test_every_day_of_eight_hundred_years_and_no_other() -> None:
    day = date(1999, 1, 1)
    there_are = set()
    while day.year < 2801:
        there_are.add(day.isoformat())
        day += timedelta(1)
    for year in range(1999, 2801):
        for month in (2, 4, 12):
            for number in (28, 29, 30, 31, 32):
                text = f"{year}-{month:02}-{number}"
                line = f"{text}T00:00:00.000Z\t-\thost\tnotice\t".encode()
                assert (parses(line) is not None) == (text in there_are)


@given(
    NAUGHTY, st.text("\u034f\u115f\u180b\u2800\u3164\ufe0f\uffa0\U000e0100", max_size=3), st.integers(0, 30)
)
@example("á", "\u034f", 1)
def test_what_nobody_sees_makes_no_other_name(text: str, invisible: str, at: int) -> None:
    try:
        name = record.clean_name(text)
        apart = unicodedata.normalize("NFD", name)
        disguised = record.clean_name(apart[:at] + invisible + apart[at:])
    except BadName:
        return
    assert record.name_key(disguised) == record.name_key(name)


@given(NAUGHTY)
def test_a_name_is_fit_to_be_a_field(text: str) -> None:
    try:
        name = record.clean_name(text)
    except BadName:
        return
    assert record.clean_name(name) == name
    assert record.name_key(record.name_key(name)) == record.name_key(name)
    now = record.format_time(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    line = record.stamp(now, record.draft("-", name, "message", "x"))
    assert record.HISTORY_RECORD.fullmatch(line)
    assert record.parse(line).name == name
    for compatible in (name.casefold(), unicodedata.normalize("NFKC", name)):
        assert record.name_key(compatible) == record.name_key(name)


# ----------------------------------------------------------------------------------------------- the login


def test_a_login_takes_so_long_at_the_most_however_much_came_at_once(
    monkeypatch: pytest.MonkeyPatch, history_path: Path
) -> None:
    """A loris in a single packet: lines enough for two hours at the rate that they are taken."""
    monkeypatch.setattr(session, "LOGIN_SECONDS", 0.2)
    here, there = socket.socketpair()
    there.sendall(b"/replay 1\n" * 6000)
    history = History(history_path)
    house = House(Room(history), Rules(), Bans(history_path.with_name("bans.txt")))
    handler = threading.Thread(target=session.Session(here, "10.0.0.1", house).run, daemon=True)
    handler.start()
    handler.join(10)
    still_there = handler.is_alive()
    here.close()
    there.close()
    house.room._close()
    history.close()
    assert not still_there
