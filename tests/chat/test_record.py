"""The grammar, against the vectors and against itself."""

from __future__ import annotations

import re
import time
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat import record
from chat.record import BadName, Record
from tests.vectors import raw, vectors

NOON = "2026-11-21T12:00:00.000Z"


@pytest.mark.parametrize("vector", vectors("records"))
def test_reads_a_record(vector: dict[str, Any]) -> None:  # R2, R3
    assert record.parse(raw(vector) + b"\n") == Record(*vector["record"])


@pytest.mark.parametrize("vector", [v for v in vectors("records") if "line" in v.values[0]])
def test_writes_what_it_read(vector: dict[str, Any]) -> None:
    assert record.parse(raw(vector)).encode() == raw(vector) + b"\n"


@pytest.mark.parametrize("vector", vectors("not_records"))
def test_refuses_what_is_not_a_record(vector: dict[str, Any]) -> None:  # R4
    with pytest.raises(record.NotARecord):
        record.parse(raw(vector))


@pytest.mark.parametrize("vector", vectors("cleaned"))
def test_cleans_what_people_type(vector: dict[str, Any]) -> None:  # R25
    assert record.clean(raw(vector)) == vector["text"]


@given(st.binary())
def test_cleaned_lines_are_valid_texts(line: bytes) -> None:
    text = record.clean(line)
    assert record.clean(text.encode()) == text
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", text)


@pytest.mark.parametrize("vector", vectors("names"))
def test_names(vector: dict[str, Any]) -> None:  # R13, R14
    if vector["name"] is None:
        with pytest.raises(record.BadName):
            record.clean_name(vector["typed"])
    else:
        name = record.clean_name(vector["typed"])
        assert name == vector["name"]
        assert record.name_key(name) == vector.get("key", record.name_key(name))


def test_direct_records_are_those_with_a_slash() -> None:  # R10
    assert Record(NOON, "-", "server", "/error", "").direct
    assert not Record(NOON, "-", "server", "notice", "").direct


def test_times_are_truncated_to_milliseconds() -> None:
    assert record.format_time(0) == "1970-01-01T00:00:00.000Z"
    assert record.format_time(1795256142.1239) == "2026-11-21T10:15:42.123Z"


def test_drafts_become_records_when_stamped() -> None:
    drafts = (
        record.draft("10.0.0.1", "alice", "join")
        + record.draft_lines("10.0.0.1", "alice", "message", b"one\ntwo\n")
        + record.draft("10.0.0.1", "alice", "leave", "exit")
    )
    assert len(record.stamp(NOON, drafts)) == record.stamped_size(drafts)
    lines = record.stamp(NOON, drafts).splitlines(keepends=True)
    assert [record.parse(line) for line in lines] == [
        Record(NOON, "10.0.0.1", "alice", "join", ""),
        Record(NOON, "10.0.0.1", "alice", "message", "one"),
        Record(NOON, "10.0.0.1", "alice", "message", "two"),
        Record(NOON, "10.0.0.1", "alice", "leave", "exit"),
    ]


@pytest.mark.parametrize(
    ("received", "plain"),
    [
        (b"hello\nyou\n", b"hello\nyou\n"),
        (b"hello\nyo", b"hello\n"),
        (b"hello\n/users\n", b"hello\n"),
        (b"hello\nclear\nyou\n", b"hello\n"),
        (b"hello\n exit \n", b"hello\n"),
        (b"clearly\nexits\n", b"clearly\nexits\n"),
        (b"a\n\nb\n", b"a\n"),
        (b"a\ncaf\xc3\xa9\n", b"a\n"),
        (b"a\nb\r\n", b"a\n"),
        (b"x" * 4096 + b"\n", b"x" * 4096 + b"\n"),
        (b"x" * 4097 + b"\n", b""),
        (b"/help\n", b""),
    ],
)
def test_a_run_of_plain_messages(received: bytes, plain: bytes) -> None:
    run = record.PLAIN_MESSAGES.match(received)
    assert (run.group() if run else b"") == plain


@given(
    st.lists(st.text(alphabet=st.characters(min_codepoint=9, max_codepoint=130), max_size=9)).map("\n".join)
)
def test_plain_messages_are_already_clean(text: str) -> None:
    run = record.PLAIN_MESSAGES.match(text.encode())
    for line in (run.group() if run else b"").splitlines():
        assert record.clean(line).encode() == line
        assert line.strip() not in (b"clear", b"exit")
        assert not line.startswith(b"/")


@given(st.text(), st.integers(3, 40))
def test_shortened_text_keeps_whole_characters(text: str, limit: int) -> None:
    short = record.shorten(text, limit)
    assert len(short.encode()) <= limit
    assert short == text or text.startswith(short.removesuffix("…"))


# ------------------------------------------------------------------------------------------------- names

UNICODE = Path("/usr/share/unicode")  # Debian: apt-get install unicode-data


def in_a_name(code_point: int) -> str | None:
    """What becomes of a name that has it in the middle; None if the name is refused."""
    try:
        return record.clean_name(f"al{chr(code_point)}ice")
    except BadName:
        return None


def with_property(file: str, name: str) -> list[int]:
    """The code points to which one of Unicode's files gives the property."""
    found: list[int] = []
    for line in (UNICODE / file).read_text().splitlines():
        points, _, rest = line.partition("#")[0].partition(";")
        if rest.strip() == name:
            first, _, last = points.strip().partition("..")
            found += range(int(first, 16), int(last or first, 16) + 1)
    return found


def test_no_name_contains_unassigned_private_or_invisible_characters() -> None:  # R13
    """The whole of Unicode, save where a plane is all the same: there its beginning and its end."""
    for code_point in (*range(0x33480), *range(0xDFFF0, 0xE1000), *range(0xFFFF0, 0x100010), 0x10FFFF):
        category = unicodedata.category(chr(code_point))
        if category in ("Cf", "Cs", "Cn", "Co"):
            written = in_a_name(code_point)
            assert written in (None, "alice"), hex(code_point)


@pytest.mark.skipif(not (UNICODE / "DerivedCoreProperties.txt").exists(), reason="no unicode-data here")
def test_ignorable_code_points_make_no_other_name() -> None:  # R14
    ignorable = with_property("DerivedCoreProperties.txt", "Default_Ignorable_Code_Point")
    assert len(ignorable) > 4000
    for code_point in ignorable:
        assert record.name_key(f"al{chr(code_point)}ice") == "alice", hex(code_point)


@pytest.mark.skipif(not (UNICODE / "HangulSyllableType.txt").exists(), reason="no unicode-data here")
def test_no_name_contains_old_hangul_jamo() -> None:
    for kind in ("L", "V", "T"):
        parts = with_property("HangulSyllableType.txt", kind)
        assert len(parts) > 90
        for code_point in parts:
            assert in_a_name(code_point) is None, hex(code_point)


def test_the_length_of_a_name_is_checked_first() -> None:
    """Two thousand combining marks take 10 ms to put in order; nobody is to wait for that."""
    marks = "a" + "\u0301\u0327" * 2000
    began = time.process_time()
    for _ in range(100):
        assert record.name_key(marks) == ""
        with pytest.raises(BadName):
            record.clean_name(marks)
    assert time.process_time() - began < 0.2


def test_a_decomposed_name_may_be_four_times_as_long() -> None:
    assert record.clean_name("\u1f82" * 24) == "\u1f82" * 24
    assert record.clean_name(unicodedata.normalize("NFD", "\u1f82" * 24)) == "\u1f82" * 24
