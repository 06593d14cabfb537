"""Loading, line by line against the grammar itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings

from analytics import blocks, load_history, source
from chat.record import Record
from tests.analytics.near_records import FILES, HELLO, by_the_grammar
from tests.vectors import raw, vectors


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.txt"


def rows(records: pd.DataFrame) -> list[Record]:
    times = np.datetime_as_string(records["time"].dt.tz_localize(None).to_numpy(), unit="ms")
    fields = (records[field].tolist() for field in ("address", "name", "kind", "text"))
    return [Record(f"{time}Z", *rest) for time, *rest in zip(times, *fields, strict=True)]


def check(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    records, skipped = load_history(path)
    expected, expected_skipped = by_the_grammar(data)
    assert rows(records) == sorted(expected, key=lambda each: each.time)
    assert skipped["line"].tolist() == expected_skipped


@pytest.mark.parametrize("vector", vectors("records") + vectors("not_records"))
def test_vectors(vector: dict[str, str], path: Path) -> None:
    check(path, HELLO + raw(vector) + b"\n" + HELLO)


@given(FILES)
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_reads_what_the_grammar_reads(path: Path, data: bytes) -> None:
    assume(not source.is_compressed(data))
    check(path, data)


@given(FILES)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@pytest.mark.usefixtures("_small_blocks")
def test_reads_the_same_in_small_blocks(path: Path, data: bytes) -> None:
    assume(not source.is_compressed(data))
    check(path, data)


@pytest.fixture
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 100)


@pytest.mark.usefixtures("_small_blocks")
def test_every_line_has_its_number_across_blocks(path: Path) -> None:
    check(path, (HELLO + b"no record\n" + HELLO * 3) * 50)


def test_two_heads_with_one_hash_stay_two(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_MULTIPLIERS", np.zeros_like(blocks._MULTIPLIERS))
    check(path, HELLO + HELLO.replace(b"alice", b"carol") + HELLO)


@pytest.mark.parametrize(
    "text",
    [
        '"never closed',
        '"closed"',
        "a\rb",
        "a\0b",
        "a\u2028b",
        "a\fb\vc\x1cd\x85e",
        "null",
        "",
        "  spaces  ",
        "x" * 5_000_000,
        "😀" * 1000,
    ],
    ids=lambda text: ascii(text[:10]),
)
def test_texts_that_other_readers_stumble_over(path: Path, text: str) -> None:
    path.write_bytes(HELLO + HELLO.replace(b"hello", text.encode()) + HELLO)
    records, skipped = load_history(path)
    assert records["text"].tolist() == ["hello", text, "hello"]
    assert skipped.empty


@pytest.mark.parametrize("name", ["null", "NA", "nan", "None", "007", "1e5", "_x", "-", "TRUE", "#N/A", '"'])
def test_names_stay_what_they_are(path: Path, name: str) -> None:
    path.write_bytes(HELLO.replace(b"alice", name.encode()))
    records, _ = load_history(path)
    assert records["name"].tolist() == [name]
    assert records["name"].notna().all()


@pytest.mark.parametrize(
    "line",
    [
        HELLO.replace(b"hello", b"a\tb"),
        HELLO.replace(b"\thello", b""),
        HELLO.replace(b"12:00:00", b"12:00"),
        HELLO.replace(b"11-21", b"02-30"),
        HELLO.replace(b"12:00:00", b"24:00:00"),
        HELLO.replace(b"12:00:00", b"12:00:60"),
        HELLO.replace(b"message", b"/msg"),
        HELLO.replace(b"message", b"message\0"),
        b"\n",
        b"x" * 5_000_000 + b"\n",
    ],
    ids=lambda line: ascii(line[:30]),
)
def test_a_line_that_is_no_record_spoils_no_other(path: Path, line: bytes) -> None:
    path.write_bytes(HELLO + line + HELLO)
    records, skipped = load_history(path)
    assert records["time"].tolist() == [pd.Timestamp("2026-11-21 12:00", tz="UTC")] * 2
    assert skipped.to_dict("records") == [{"file": str(path), "line": 2}]


@pytest.mark.parametrize("torn", [b"2026-11", HELLO[:-1], b"\xf0\x9f"])
def test_a_torn_last_line_does_not_count(path: Path, torn: bytes) -> None:
    path.write_bytes(HELLO + torn)
    records, skipped = load_history(path)
    assert len(records) == 1
    assert skipped.empty


@pytest.mark.parametrize("data", [b"", b"torn"])
def test_nothing_has_all_columns(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    records, skipped = load_history(path)
    assert records.columns.tolist() == ["time", "address", "name", "kind", "text"]
    assert str(records["time"].dtype) == "datetime64[ms, UTC]"
    assert records.empty
    assert skipped.columns.tolist() == ["file", "line"]


def test_times_that_run_back_are_sorted_stably(path: Path) -> None:
    earlier = HELLO.replace(b"12:00", b"11:00")
    path.write_bytes(HELLO + earlier.replace(b"hello", b"one") + earlier.replace(b"hello", b"two"))
    records, _ = load_history(path)
    assert records["text"].tolist() == ["one", "two", "hello"]


def test_several_files_are_put_together(tmp_path: Path) -> None:
    new, old = tmp_path / "history.txt", tmp_path / "history.cleared.txt"
    new.write_bytes(HELLO)
    old.write_bytes(b"junk\n" + HELLO.replace(b"2026", b"2025").replace(b"alice", b"bob"))
    records, skipped = load_history(new, old)
    assert records["name"].tolist() == ["bob", "alice"]
    assert skipped.to_dict("records") == [{"file": str(old), "line": 1}]


def test_without_texts(path: Path) -> None:
    path.write_bytes(HELLO)
    assert load_history(path, texts=False).records.columns.tolist() == ["time", "address", "name", "kind"]


def test_progress_adds_up_to_the_size(path: Path) -> None:
    path.write_bytes(HELLO * 1000)
    told: list[int] = []
    load_history(path, progress=told.append)
    assert sum(told) == len(HELLO) * 1000


@pytest.fixture
def _growing(path: Path) -> Iterator[None]:
    path.write_bytes(HELLO * 10_000)
    stop = threading.Event()

    def append() -> None:
        with path.open("ab") as file:
            while not stop.is_set():
                file.write(HELLO[:30])
                file.flush()
                file.write(HELLO[30:])
                file.flush()

    writer = threading.Thread(target=append)
    writer.start()
    yield
    stop.set()
    writer.join()


@pytest.mark.usefixtures("_growing")
def test_a_file_that_grows_meanwhile(path: Path) -> None:
    for _ in range(20):
        records, skipped = load_history(path)
        assert len(records) >= 10_000
        assert skipped.empty


def test_a_file_that_is_cut_short_meanwhile(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(HELLO * 1000)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", len(HELLO) * 100)
    cut = [False]

    def progress(_: int) -> None:
        if not cut[0]:
            cut[0] = True
            path.write_bytes(b"")

    records, skipped = load_history(path, progress=progress)
    assert 100 <= len(records) < 1000
    assert skipped.empty


def test_a_file_that_cant_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_history(tmp_path / "none.txt")
    with pytest.raises(OSError, match="directory"):
        load_history(tmp_path)
