"""Every table by its name."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from analytics import export
from tests.analytics.histories import WEEK, findings, line

FOUND = findings(
    WEEK,
    line("2026-11-22 10:00", "eve", "join"),
    line("2026-11-22 10:01", "eve", "rename", "eva"),
    line("2026-11-22 10:02", "eva", text="=1+1"),
)


@pytest.mark.parametrize("table", export.TABLES)
def test_each_table_as_csv(table: str, tmp_path: Path) -> None:
    path = tmp_path / f"{table}.csv"
    export.write(FOUND, path)
    read = pd.read_csv(path, keep_default_na=False, parse_dates=False)
    assert len(read) == len(export.TABLES[table](FOUND)) > 0
    assert "index" not in read


@pytest.mark.parametrize("table", export.TABLES)
def test_each_table_as_parquet(table: str, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs the optional group parquet")
    path = tmp_path / f"{table}.parquet"
    export.write(FOUND, path)
    assert len(pd.read_parquet(path)) == len(export.TABLES[table](FOUND))


def test_times_are_written_as_records_have_them(tmp_path: Path) -> None:
    path = tmp_path / "connections.csv"
    export.write(FOUND, path)
    assert path.read_text("utf-8").splitlines() == [
        "name,address,joined,left",
        "eva,10.0.0.1,2026-11-22T10:00:00.000Z,",
    ]
