"""Records as lines for people; who is here."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

import TCP_client
from TCP_client import (
    COLOURS,
    People,
    Record,
    Settings,
    View,
    cells,
    wrap,
)

HOME = "127.0.0.1"  # everybody's address in these tests, so that names alone must tell people apart


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is UTC."""
    with local_zone(monkeypatch, "UTC"):
        yield


@contextmanager
def local_zone(monkeypatch: pytest.MonkeyPatch, zone: str) -> Iterator[None]:
    if sys.platform == "win32":
        pytest.skip("Windows takes no time zone from its environment")
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def shown(kind: str, text: str = "", name: str = "bob", own_name: str = "") -> str:
    """A record as the line that people see."""
    record = Record("2026-11-21T10:15:42.123Z", HOME, name, kind, text)
    return View(Settings(), colours=False).line(record, own_name)


@pytest.mark.usefixtures("utc")
@pytest.mark.parametrize(
    ("kind", "text", "line"),
    [
        ("message", "hello", "10:15 bob: hello"),
        ("message", "a {text} {name}", "10:15 bob: a {text} {name}"),
        ("action", "waves", "10:15 * bob waves"),
        ("join", "", "10:15 -> bob joined"),
        ("leave", "exit", "10:15 <- bob left: exit"),
        ("leave", "", "10:15 <- bob left"),
        ("rename", "carol", "10:15 -- bob is now carol"),
        ("notice", "lunch", "10:15 !! bob: lunch"),
        ("start", "", "10:15 -- the server started"),
        ("dance", "tango", "10:15 -- bob did dance: tango"),
        ("/msg", "psst", "10:15 [private] bob: psst"),
        ("/error", "no", "10:15 !! no"),
        ("/stats", "3 a minute", "10:15 -- 3 a minute"),
        ("/users", "al 1.2.3.4 since 2001-02-03T04:05:06.007Z", "10:15 -- al 1.2.3.4 since 2001-02-03 04:05"),
    ],
)
def test_each_kind_looks_different_without_colour(kind: str, text: str, line: str) -> None:
    assert shown(kind, text) == line


def test_times_are_local(monkeypatch: pytest.MonkeyPatch) -> None:
    with local_zone(monkeypatch, "Asia/Kolkata"):
        assert shown("message", "hello") == "15:45 bob: hello"


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"])
@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/Lima"])
def test_no_time_is_too_far_away(monkeypatch: pytest.MonkeyPatch, time: str, zone: str) -> None:
    with local_zone(monkeypatch, zone):
        record = Record(time, HOME, "bob", "message", "hello")
        view = View(Settings(), colours=False)
        assert view.line(record).endswith(" bob: hello")
        assert f" {time[:4]} ---" in view.day_line(record)
        assert f"-- {time[:4]}-" in view.line(record._replace(kind="/history", text=f"{time} bob: hello"))


@pytest.mark.usefixtures("utc")
def test_a_line_tells_when_the_day_changes() -> None:
    view = View(Settings(), colours=False)
    days = ["2026-11-20T23:59:59.999Z", "2026-11-21T00:00:00.000Z", "2026-11-21T10:00:00.000Z"]
    lines = [view.day_line(Record(day, HOME, "bob", "message", "hi")) for day in days]
    assert lines[1:] == ["--- Saturday, 21 November 2026 ---", ""]


def test_what_mentions_us_is_marked() -> None:
    assert "> bob: hi Alice!" in shown("message", "hi Alice!", own_name="alice")
    assert "> bob: hi Malice" not in shown("message", "hi Malice", own_name="alice")
    assert "> " not in shown("message", "I am alice", name="alice", own_name="alice")
    view = View(Settings(highlight=["c++"]), colours=True)
    record = Record("2026-11-21T10:15:42.123Z", HOME, "bob", "message", "who knows C++?")
    assert "\x1b[1;7mC++\x1b[0m?" in view.line(record, "alice")


def test_colours_are_stable_and_readable_on_black_and_on_white() -> None:
    def luminance(number: int) -> float:
        levels = (0, 95, 135, 175, 215, 255)
        red, green, blue = (
            (level / 255 + 0.055) ** 2.4 / 1.055**2.4 if level > 10 else level / 255 / 12.92
            for level in (
                levels[(number - 16) // 36],
                levels[(number - 16) // 6 % 6],
                levels[(number - 16) % 6],
            )
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for number in COLOURS.values():
        assert (luminance(number) + 0.05) / 0.05 > 3.5, "on black"
        assert 1.05 / (luminance(number) + 0.05) > 3.5, "on white"
    view = View(Settings(color={"BOB": "red"}), colours=True)
    assert "\x1b[38;5;160mbob" in view.line(said_by("bob"))
    assert view.line(said_by("Zoé")) == view.line(said_by("ZOÉ")).replace("ZOÉ", "Zoé"), (
        "as the names are one"
    )


def said_by(name: str) -> Record:
    return Record("2026-11-21T10:15:42.123Z", HOME, name, "message", "hi")


@given(st.text(max_size=40), st.sampled_from(["message", "notice", "/msg", "odd", "/users"]))
def test_no_text_of_a_server_reaches_the_terminal_as_more_than_text(text: str, kind: str) -> None:
    record = Record("2026-11-21T10:15:42.123Z", HOME, text or "x", kind, text)
    line = View(Settings(), colours=False).line(record, "alice")
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", line)


def test_a_name_of_a_server_is_completed_as_text_only() -> None:
    people = People()
    for kind, name, text in (
        ("join", "ev\x1b[2Jil", ""),
        ("/users", "server", "b\x9b31mad 10.0.0.1 since 2026-11-21T10:15:42.123Z"),
        ("rename", "x", "w\u202eorse"),
    ):
        people.learn(Record("2026-11-21T10:15:42.123Z", HOME, name, kind, text))
    assert set(people.latest_first()) == {"ev[2Jil", "b31mad", "worse"}


def test_people_who_spoke_last_come_first() -> None:
    people = People()

    def hear(kind: str, name: str, text: str = "") -> None:
        people.learn(Record("2026-11-21T10:15:42.123Z", HOME, name, kind, text))

    for name in ("bob", "carol", "dave"):
        hear("join", name)
    hear("message", "dave")
    hear("message", "bob")
    hear("rename", "dave", "Dan")
    assert people.latest_first() == ["bob", "Dan", "carol"]
    hear("leave", "bob")
    hear("message", "eve")
    assert people.latest_first() == ["Dan", "carol"], "who has left, or was never here, is not here"
    hear("/users", "server", "eve 10.0.0.1 since 2026-11-21T10:15:42.123Z")
    assert people.latest_first()[0] == "eve"
    hear("start", "server")
    assert len(people) == 0


def test_a_name_that_looks_like_a_time_is_shown_as_it_is() -> None:
    name = "2026-99-99T99:99:99.999Z"
    view = View(Settings(), colours=False)
    shown = view.line(Record("2026-11-21T10:15:42.123Z", "-", "server", "/users", f"{name} 10.0.0.1 since x"))
    assert name in shown


WORDS = st.lists(st.text(st.sampled_from("ab李é\u0301"), min_size=1, max_size=30), max_size=12)


@given(WORDS, st.integers(1, 40), st.integers(0, 20))
def test_words_wrap_and_nothing_is_lost(words: list[str], columns: int, indent: int) -> None:
    rows = ["".join(text for _, text in row) for row in wrap([("1", " ".join(words))], columns, indent)]
    assert "".join("".join(rows).split()) == "".join(words)
    for row in rows:
        too_long = cells(row) > columns
        assert not too_long or not row.startswith(" "), (
            "a long word is left to the terminal, from its left edge"
        )


def rows_of(kind: str, text: str, columns: int, name: str = "bob") -> list[str]:
    """How a record is seen on a screen of this width."""
    record = Record("2026-11-21T10:15:42.123Z", HOME, name, kind, text)
    shown = View(Settings(), colours=False).shown(record)
    return ["".join(text for _, text in row) for row in shown.rows(columns)]


@pytest.mark.usefixtures("utc")
def test_names_end_in_a_column_and_text_hangs_behind_it() -> None:
    assert rows_of("message", "word " * 16, 80)[0].index("word") == 19
    assert rows_of("message", "x", 80, "李雷")[0] == "10:15        李雷: x"
    assert rows_of("action", "waves", 80) == ["10:15            * bob waves"]
    assert rows_of("join", "", 80) == ["10:15           -> bob joined"]
    assert rows_of("message", "x", 80, "a" * 24) == [f"10:15 {'a' * 24}: x"], "a long name is not cut"
    assert [row[:19].strip() for row in rows_of("message", "word " * 30, 80)] == [
        "10:15         bob:",
        "",
        "",
    ]


@pytest.mark.usefixtures("utc")
def test_a_narrow_screen_has_no_column() -> None:
    assert rows_of("message", "one two three four five six", 40) == [
        "10:15 bob: one two three four five six",
    ]
    assert rows_of("message", "one two three four five six seven", 40)[1] == "      seven"
    assert rows_of("message", "one two three four", 20) == ["10:15 bob: one two", " three four"]


@pytest.mark.usefixtures("utc")
def test_what_was_said_before_looks_as_it_did() -> None:
    for text, kind, said in (
        ("2026-11-20T09:00:00.000Z bob: hi: there", "message", "hi: there"),
        ("2026-11-20T09:00:00.000Z * bob waves", "action", "waves"),
    ):
        quoted = TCP_client.quoted(Record("2026-11-21T10:15:42.123Z", "-", "server", "/history", text))
        assert quoted == Record("2026-11-20T09:00:00.000Z", "-", "bob", kind, said)
    for kind, text in (
        ("/history", "Nothing has been said yet."),
        ("/users", "2026-11-20T09:00:00.000Z a: b"),
    ):
        assert TCP_client.quoted(Record("2026-11-21T10:15:42.123Z", "-", "server", kind, text)) is None


@pytest.mark.usefixtures("utc")
def test_the_times_of_bans_are_local() -> None:
    ends = "2001-02-03T04:05:06.007Z"
    assert shown("/bans", f"bob until {ends} (eve, {ends}: spam)").count("2001-02-03 04:05") == 2
    record = Record("2026-11-21T10:15:42.123Z", "-", "server", "notice", f"eve banned bob until {ends}")
    assert "until 2001-02-03 04:05" in View(Settings(), colours=False).line(record)


def test_what_a_hostile_server_claims_is_bounded() -> None:
    people = People()
    for number in range(TCP_client.PEOPLE + 100):
        for kind in ("join", "message"):
            people.learn(Record("2026-11-21T10:15:42.123Z", HOME, f"n{number}", kind, ""))
        people.learn(Record("2026-11-21T10:15:42.123Z", HOME, "x", "rename", f"m{number}"))
    people.learn(Record("2026-11-21T10:15:42.123Z", HOME, "x" * 40, "join", ""))
    assert len(people) <= TCP_client.PEOPLE
    assert "x" * 40 not in people.latest_first()
