"""What --json prints, version 1: docs/analytics.md has its schema.

Times are as a record writes them; what is known to the minute ends in the minute.
"""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from analytics.export import TABLES, written
from analytics.findings import Findings
from analytics.languages import UNKNOWN
from analytics.summary import Summary, summarize

VERSION = 1
WORDS = 1000  # the most frequent ones: what comes after them was said by chance
# Those that need the texts come last: until then these are taken apart by another thread.
_LISTED = ("time_connected", "conversations", "answers", "places", "by_person", "mentions")


def document(findings: Findings) -> dict[str, Any]:
    """The object."""
    summary, series = summarize(findings), _series(findings)
    listed = {name: _rows(TABLES[name](findings)) for name in _LISTED}
    return {
        "version": VERSION,
        **_numbers(summary),
        "languages": {UNKNOWN: 0, **findings.languages.to_dict()},
        "series": series,
        "weekday_by_hour": json.loads(findings.weekday_by_hour.to_json(orient="values", double_precision=4)),
        "names": {
            person: names for person, names in findings.names.items() if person in summary.by_person.index
        },
        "words": findings.words.head(WORDS).to_dict(),
        "emoji": findings.emoji.to_dict(),
        "links": findings.links.head(WORDS).to_dict(),
        **listed,
    }


def _numbers(summary: Summary) -> dict[str, Any]:
    rate = summary.rate
    return {
        "records": summary.records,
        "skipped": summary.skipped,
        "first": _time(summary.first),
        "last": _time(summary.last),
        "messages": summary.messages,
        "people": len(summary.by_person),
        "minutes": rate.minutes,
        "messages_per_minute": {
            "mean": rate.mean,
            "median": rate.median,
            "max": rate.max,
            "busiest": _time(rate.busiest, "minutes"),
        },
        "by_name": summary.by_name.to_dict(),
        "by_address": summary.by_address.to_dict(),
        "online": {"max": summary.most_online, "at": _time(summary.most_online_at)},
    }


def _series(findings: Findings) -> dict[str, Any]:
    """What changes over time, without the bins in which nothing was said."""
    found: dict[str, Any] = {}
    for per, digits in (("minute", 16), ("hour", 13), ("day", 10)):
        table = TABLES[f"messages_per_{per}"](findings)
        times = table[per].tolist() if per == "day" else [f"{time[:digits]}Z" for time in written(table[per])]
        found[per] = dict(zip(times, table["messages"].tolist(), strict=True))
    curve = TABLES["online"](findings)
    found["online"] = list(zip(written(curve["time"]), curve["online"].tolist(), strict=True))
    return found


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    columns = {}
    for name, column in table.items():
        is_time = isinstance(column.dtype, pd.DatetimeTZDtype)
        columns[str(name)] = written(column) if is_time else column.tolist()
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _time(time: pd.Timestamp | None, exact_to: str = "milliseconds") -> str | None:
    return None if time is None else time.tz_localize(None).isoformat(timespec=exact_to) + "Z"
