"""Each table by a name, for other programs: as .csv or .parquet, and as a part of what --json prints.

Columns are plain: times are UTC, spans are seconds, and what was an index is the first column.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pandas as pd

from analytics import conversations, places, tables, words
from analytics.findings import Findings
from analytics.tables import Per

FORMATS = (".csv", ".parquet")


def write(findings: Findings, path: Path) -> None:
    """Writes the table that the file is named after. Raises OSError, ModuleNotFoundError for pyarrow."""
    if path.suffix == ".parquet":
        import_module("pyarrow")  # where it is missing, that is said as of anything else
    table = TABLES[path.stem](findings)
    with path.open("wb") as file:
        if path.suffix == ".parquet":
            table.to_parquet(file, index=False)
        else:
            table.assign(**{name: written(table[name]) for name in table if _is_time(table[name])}).to_csv(
                file, index=False
            )


def written(times: pd.Series[pd.Timestamp]) -> list[str]:
    """Times as a record writes them, "" for none."""
    bare = times.dt.tz_convert(None) if times.dt.tz else times
    return [f"{time}Z" if time != "NaT" else "" for time in bare.to_numpy("M8[ms]").astype(str).tolist()]


def _is_time(column: pd.Series[object]) -> bool:
    return isinstance(column.dtype, pd.DatetimeTZDtype)


# ---------------------------------------------------------------------------------------------- the tables


def _per(per: Per) -> Callable[[Findings], pd.DataFrame]:
    def table(findings: Findings) -> pd.DataFrame:
        counts = tables.not_silent(findings.said, per, findings.zone if per == "day" else None)
        if per == "day":
            counts.index = pd.Index(counts.index.astype(str), name=per)
        return counts.reset_index()

    return table


def _plain(get: Callable[[Findings], pd.DataFrame | pd.Series[object]]) -> Callable[[Findings], pd.DataFrame]:
    """The table with its index as a column, and spans in seconds."""

    def table(findings: Findings) -> pd.DataFrame:
        found = get(findings).reset_index()
        spans = [name for name in found if pd.api.types.is_timedelta64_dtype(found[name].dtype)]
        return found.assign(**{name: found[name].dt.total_seconds() for name in spans})

    return table


def _weekday_by_hour(findings: Findings) -> pd.DataFrame:
    table = findings.weekday_by_hour.stack().rename("messages").reset_index()
    return table.dropna()


TABLES: dict[str, Callable[[Findings], pd.DataFrame]] = {
    "records": lambda found: found.complete,
    "messages_per_minute": _per("minute"),
    "messages_per_hour": _per("hour"),
    "messages_per_day": _per("day"),
    "by_person": _plain(lambda found: found.people.rename_axis("person")),
    "by_address": _plain(lambda found: found.addresses),
    "weekday_by_hour": _weekday_by_hour,
    "online": _plain(lambda found: found.online),
    "connections": lambda found: found.connected[["name", "address", "joined", "left"]],
    "time_connected": _plain(lambda found: found.time_connected),
    "conversations": lambda found: found.conversations,
    "answers": _plain(lambda found: conversations.pairs(found.answers).set_index("name")),
    "mentions": lambda found: found.mentions,
    "words": _plain(lambda found: found.words),
    "emoji": _plain(lambda found: found.emoji),
    "links": _plain(lambda found: found.links),
    "sites": _plain(lambda found: words.sites(found.links)),
    "languages": _plain(lambda found: found.languages),
    "places": _plain(lambda found: found.places),
    "networks": lambda found: places.networks(found.places),
}
