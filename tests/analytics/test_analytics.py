"""`python3 -m analytics` as a person or another program runs it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from analytics import load_history
from analytics.document import document
from analytics.tables import rate
from tests.analytics.histories import WEEK, findings, line
from tests.harness import ROOT
from tests.terminal import Terminal

SMALL = (
    line("10:00", "server", "start", address="-")
    + line("10:00:10", "alice", "join")
    + line("10:00:11", "bob", "join", address="10.0.0.2")
    + line("10:01:00", "alice", text="good morning everyone")
    + line("10:03:59.999", "bob", text="guten Morgen, wie geht es dir?", address="10.0.0.2")
    + b"somebody typed here\n"
    + line("10:03:59.999", "alice", "action", "waves")
    + line("10:04:00", "bob", "leave", "exit", address="10.0.0.2")
)


def run(
    *arguments: object, cwd: Path = ROOT, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "analytics", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **(environment or {})},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def numbers(*arguments: object) -> dict[str, Any]:
    done = run(*arguments, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def history(tmp_path: Path) -> Path:
    path = tmp_path / "history.txt"
    path.write_bytes(SMALL)
    return path


def test_json_is_what_the_contract_says(history: Path) -> None:
    expected = {
        "version": 1,
        "records": 7,
        "skipped": 1,
        "first": "2026-11-21T10:00:00.000Z",
        "last": "2026-11-21T10:04:00.000Z",
        "messages": 3,
        "people": 2,
        "minutes": 3,
        "messages_per_minute": {"mean": 1.0, "median": 1.0, "max": 2, "busiest": "2026-11-21T10:03Z"},
        "by_name": {"alice": 2, "bob": 1},
        "by_address": {"10.0.0.1": 2, "10.0.0.2": 1},
        "online": {"max": 2, "at": "2026-11-21T10:00:11.000Z"},
        "languages": {"de": 1, "en": 1, "unknown": 1},
    }
    found = numbers(history)
    assert {name: found[name] for name in expected} == expected


def test_json_writes_no_folder(history: Path) -> None:
    run(history, "--json", cwd=history.parent)
    assert [path.name for path in history.parent.iterdir()] == ["history.txt"]


def test_json_of_nothing(tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.touch()
    found = numbers(empty)
    assert found["messages_per_minute"] == {"mean": 0.0, "median": 0.0, "max": 0, "busiest": None}
    assert found["online"] == {"max": 0, "at": None}
    assert (found["records"], found["minutes"], found["first"], found["by_name"]) == (0, 0, None, {})
    assert found["languages"] == {"unknown": 0}
    assert numbers(empty, "--name", "alice", "--address", "10.0.0.1", "--since", "2026-11-21")["records"] == 0


@pytest.mark.parametrize(
    ("chosen", "messages"),
    [
        (("--since", "2026-11-21T10:02Z"), 2),
        (("--since", "2026-11-21T11:02", "--tz", "Europe/Berlin"), 2),
        (("--until", "2026-11-21T10:02Z"), 1),
        (("--since", "2026-11-21T10:03:59.999Z", "--until", "2026-11-21T10:04Z"), 2),
        (("--since", "2026-11-21T10:04Z"), 0),
        (("--name", "ALICE"), 2),
        (("--name", "alice", "bob"), 3),
        (("--address", "10.0.0.0/31"), 2),
        (("--address", "10.0.0.2", "10.0.0.1"), 3),
    ],
)
def test_what_is_chosen_holds_for_all_numbers(history: Path, chosen: tuple[str, ...], messages: int) -> None:
    found = numbers(history, *chosen)
    assert found["messages"] == messages
    assert sum(found["by_name"].values()) == sum(found["languages"].values()) == messages


def test_who_joined_before_the_time_chosen_is_connected(history: Path) -> None:
    assert numbers(history, "--since", "2026-11-21T10:03Z")["online"] == {
        "max": 2,
        "at": "2026-11-21T10:03:00.000Z",
    }


def test_cleared_histories_are_put_together(history: Path, tmp_path: Path) -> None:
    older = tmp_path / "history.cleared.txt"
    older.write_bytes(line("2026-11-20 10:00", "carol"))
    found = numbers(history, older)
    assert found["first"] == "2026-11-20T10:00:00.000Z"
    assert found["messages"] == 4


def test_the_summary_and_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "history.txt"
    path.write_bytes(WEEK + b"no record\n" + line("2026-11-22 10:00", "\x1b[31mred", text="x"))
    done = run(path, "--tz", "Asia/Tokyo", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout  # plain text where there is no terminal, whatever a name holds
    assert "505" in done.stdout
    assert "Asia/Tokyo" in done.stdout
    assert "█" in done.stdout
    assert f"{path}:505" in done.stdout
    assert "history-report/index.html" in done.stdout
    assert (tmp_path / "history-report/index.html").exists()
    assert (tmp_path / "history-report/messages-per-minute.png").read_bytes().startswith(b"\x89PNG")


HARM = "\x1b[5m\x1b]0;owned\x07\x9b5m\u202e"


def test_no_text_or_path_acts_on_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / f"{HARM}.txt"
    path.write_bytes(line("10:00", f"ev{HARM}il", text=HARM) + HARM.encode() + b"\n")
    command = [sys.executable, "-m", "analytics", str(path), "--out", str(tmp_path / "out")]
    with Terminal(tmp_path, command, columns=200, rows=60) as terminal:
        assert terminal.ends() == 0
        assert "ev\ufffd[5m" in terminal.text
        for sequence in ("\x1b[5m", "\x1b]0;", "\x9b", "\u202e"):
            assert sequence not in terminal.output.decode()
    said = run(path, "--json").stdout
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", said)
    assert list(json.loads(said)["by_name"]) == [f"ev{HARM}il"]


def test_a_folder_is_named_as_it_is(history: Path, tmp_path: Path) -> None:
    assert "[/bold]" in run(history, "--out", tmp_path / "[/bold]").stdout


def test_a_year_that_was_mistyped(tmp_path: Path) -> None:
    path = tmp_path / "history.txt"
    path.write_bytes(
        line("0001-01-01 00:00", "a") + line("2026-11-21 10:00", "b") + line("9999-12-31 23:59", "c")
    )
    done = run(path, "--out", tmp_path / "out", "--tz", "America/New_York")
    assert (done.returncode, done.stderr) == (0, "")
    assert rate(load_history(path).records).minutes > 5e9


@pytest.mark.parametrize(
    ("date", "zone"), [("0001-01-01", "America/New_York"), ("9999-12-31", "Europe/Berlin")]
)
def test_years_that_a_zone_lacks_are_in_utc(date: str, zone: str, tmp_path: Path) -> None:
    path = tmp_path / "history.txt"
    lines = line(f"{date} 00:30" if date < "1" else f"{date} 23:30", "a")
    path.write_bytes(lines)
    done = run(path, "--summary", "--tz", zone)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{date[:4]} " in done.stdout
    assert "times in UTC" in done.stdout
    assert document(findings(lines, zone=ZoneInfo(zone)))["messages_per_minute"]["busiest"][:10] == date


def test_export(history: Path, tmp_path: Path) -> None:
    table = tmp_path / "records.csv"
    history.write_bytes(SMALL + line("10:05", "NA", text='"quoted", null'))
    assert run(history, "--export", table).stdout == ""
    read = pd.read_csv(table, keep_default_na=False)
    assert read["time"].iloc[0] == "2026-11-21T10:00:00.000Z"
    assert read[["name", "text"]].iloc[-1].tolist() == ["NA", '"quoted", null']
    assert len(read) == 8


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="needs the optional group parquet")
def test_export_to_parquet(history: Path, tmp_path: Path) -> None:
    table = tmp_path / "records.parquet"
    run(history, "--export", table, "--name", "bob")
    read = pd.read_parquet(table)
    assert read["name"].tolist() == ["bob"] * 3
    assert str(read["time"].dtype) == "datetime64[ms, UTC]"


def refused(code: int, *arguments: object, **options: Any) -> str:
    done = run(*arguments, **options)
    assert done.returncode == code
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def test_bad_input_is_a_sentence(history: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 100)
    assert "no line of it is a record" in refused(1, picture)
    assert "No such file" in refused(1, tmp_path / "none.txt", "--json")
    assert "directory" in refused(1, tmp_path, "--json")
    assert "No such file" in refused(1, history, "--json", "--export", tmp_path / "none/records.csv")


def test_a_folder_that_cant_be_written(history: Path) -> None:
    done = run(history, "--out", history)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert str(history) in done.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        ("--tz", "Nowhere/Land"),
        ("--tz", "../etc/passwd"),
        ("--since", "yesterday"),
        ("--per", "second"),
        ("--address", "10.0.0"),
        ("--export", "records.xlsx"),
        ("--export", "everything.csv"),
        ("--name", "nobody"),
        ("--what",),
    ],
)
def test_wrong_arguments(history: Path, wrong: tuple[str, ...]) -> None:
    assert wrong[-1].partition(".csv")[0] in refused(2, history, *wrong)


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        (("--since", "2026-11-21T11:00", "--until", "2026-11-21T10:00"), "exchange the two"),
        (("--since", "2026-11-22", "--tz", "UTC"), "it goes from 2026-11-21T10:00:00+00:00 to"),
        (("--until", "2026-11-20"), "it goes from"),
        (("--address", "fe80::/10"), "it goes from"),
        (("--alias", __file__), "is not"),
        (("--alias", "nowhere.txt"), "No such file"),
    ],
)
def test_what_chooses_nothing_is_refused(history: Path, chosen: tuple[str, ...], sentence: str) -> None:
    assert sentence in refused(1 if "nowhere.txt" in chosen else 2, history, *chosen, "--json")


def test_a_file_where_a_name_is_expected(history: Path) -> None:
    said = refused(2, "--json", "--name", "alice", history)
    assert "is a file: histories come before --name" in said


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("{} - --json < history.txt | head -c 10", 0, ""),
        ("gzip -c history.txt | {} - --json > out.json", 0, ""),
        ("{} history.txt --json > /dev/full", 1, "standard output: No space left on device"),
        ("{} history.txt --summary > /dev/full", 1, "standard output: No space left on device"),
        ("TZ=UTC0 {} history.txt --summary", 0, ""),
        ("TZ=CET-1CEST {} history.txt --summary", 0, ""),
        ("{} history.txt history.txt ./history.txt --json | grep -q '\"messages\": 3,'", 0, ""),
        ("{} history.txt --summary; ls -d history-report", 2, "ls: "),
        ("{} . --json", 1, "Is a directory"),
        ("{} history.txt --export nowhere/words.csv", 1, "nowhere/words.csv: No such file"),
        ("{} --serve", 2, "--serve goes with --follow"),
    ],
)
def test_as_a_unix_program(history: Path, line: str, code: int, says: str) -> None:
    program = f"'{sys.executable}' -m analytics"
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        line.format(program), shell=True, cwd=history.parent, env=surroundings, capture_output=True, text=True
    )
    assert done.returncode == code
    assert says in done.stderr if says else done.stderr == ""
    assert "None" not in done.stderr
    assert done.stderr.count("\n") <= 1


def test_help_needs_nothing() -> None:
    check = (
        "import sys; from analytics.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--since" in done.stdout
    assert not {"pandas", "numpy", "rich", "matplotlib"} & set(done.stdout.split())
