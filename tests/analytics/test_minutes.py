"""Messages per minute straight from the file, held against the grammar and against the slow way."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings

from analytics import blocks, load_history, source, tables
from analytics.minutes import messages_per_minute
from tests.analytics.histories import WEEK, line
from tests.analytics.near_records import FILES, HELLO, by_the_grammar


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.txt"


def slowly(*paths: Path) -> pd.Series[int]:
    return tables.messages_per_minute(load_history(*paths, texts=False).records)


@pytest.fixture(params=[25, blocks.BLOCK_BYTES])
def _block_bytes(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", request.param)
    monkeypatch.setattr(tables, "MOST_BINS", 1_000_000)


@given(FILES)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@pytest.mark.usefixtures("_block_bytes")
def test_counts_what_the_grammar_reads(path: Path, data: bytes) -> None:
    assume(not source.is_compressed(data))
    path.write_bytes(data)
    said = [each for each in by_the_grammar(data)[0] if each.kind in ("message", "action")]
    expected = Counter(each.time[:16] for each in said)
    try:
        slow = slowly(path)
    except ValueError as error:
        with pytest.raises(ValueError, match=str(error)):
            messages_per_minute(path)
        return
    fast = messages_per_minute(path)
    pd.testing.assert_series_equal(fast, slow, check_freq=True)
    minutes = np.datetime_as_string(fast.index.tz_localize(None).to_numpy("M8[m]"))
    assert {minute: count for minute, count in zip(minutes, fast, strict=True) if count} == expected


def test_a_busy_week(path: Path) -> None:
    path.write_bytes(WEEK)
    pd.testing.assert_series_equal(messages_per_minute(path), slowly(path))


def test_a_minute_across_blocks_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", len(HELLO) // 2)
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_bytes(HELLO * 7 + line("12:02", "bob"))
    two.write_bytes(HELLO * 3 + line("12:01", "bob", "join"))
    assert messages_per_minute(one, two, one).tolist() == [10, 0, 1]


def test_more_heads_than_there_are_slots(path: Path) -> None:
    lines = [line("12:00", f"user{number}", ("message", "join")[number % 2]) for number in range(10_000)]
    path.write_bytes(b"".join(lines * 3))
    assert messages_per_minute(path).tolist() == [15_000]
