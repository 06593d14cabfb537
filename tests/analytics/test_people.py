"""Who is who."""

from __future__ import annotations

from pathlib import Path

import pytest

from analytics.people import BadAliases, as_people, people, read_aliases
from tests.analytics.histories import line, records


def called(*lines: bytes, aliases: dict[str, str] | None = None) -> dict[str, str]:
    return people(records(*lines), aliases)


def test_case_and_looks_make_no_other_person() -> None:
    assert called(line("10:00", "Zoé"), line("10:01", "ZOÉ"), line("10:02", "ZOÉ")) == {
        "Zoé": "ZOÉ",
        "ZOÉ": "ZOÉ",
    }


def test_two_guests_with_other_names_later_are_two() -> None:
    found = called(
        line("10:00", "guest", "join"),
        line("10:01", "guest", "rename", "bob"),
        line("10:02", "guest", "join"),
        line("10:03", "guest", "rename", "carol"),
        line("10:04", "bob"),
        line("10:05", "carol"),
    )
    assert found["bob"] == "bob"
    assert found["carol"] == "carol"


def test_the_alias_file_knows_better() -> None:
    both = (
        line("10:00", "alice", "join"),
        line("10:00", "alice_phone", "join"),
        line("10:01", "alice_phone"),
        line("10:02", "bob", "rename", "al"),
    )
    aliases = {"alice": "alice", "alice_phone": "alice", "bob": "bob", "al": "alice"}
    found = called(*both, aliases=aliases)
    assert found == {"alice": "alice", "alice_phone": "alice", "bob": "bob", "al": "alice"}


def test_tables_of_people_follow() -> None:
    table = records(line("10:00", "al"), line("10:01", "bob"), line("10:02", "AL"))
    assert as_people(table, people(table))["name"].tolist() == ["AL", "bob", "AL"]


def test_an_alias_file(tmp_path: Path) -> None:
    path = tmp_path / "aliases.txt"
    path.write_text("# of our chat\nalice = al, Alice_Phone  # and so on\n\n李雷 = lei\n", "utf-8")
    assert read_aliases(path) == {
        "alice": "alice",
        "al": "alice",
        "alice_phone": "alice",
        "李雷": "李雷",
        "lei": "李雷",
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"alice al", "aliases.txt:1: a line is NAME = NAME, NAME"),
        (b"alice = al,\n", "is not"),
        (b"alice = al\nbob = AL\n", "aliases.txt:2: AL is alice already"),
        (b"\xff\xfe", "UTF-8"),
    ],
)
def test_what_is_no_alias_file_is_named(tmp_path: Path, text: bytes, sentence: str) -> None:
    path = tmp_path / "aliases.txt"
    path.write_bytes(text)
    with pytest.raises(BadAliases, match=sentence):
        read_aliases(path)
