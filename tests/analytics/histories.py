"""Small histories for the tests of analytics, read by the true loader from a true file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from analytics import load_history
from analytics.findings import Findings, Question
from analytics.load import read_history


def line(time: str, name: str, kind: str = "message", text: str = "", address: str = "10.0.0.1") -> bytes:
    """A record's line. The time is of 2026-11-21, or has a date in front; seconds may be left out."""
    date, _, clock = time.rpartition(" ")
    hours, minutes, seconds = [*clock.split(":"), "00"][:3]
    whole, _, fraction = seconds.partition(".")
    stamp = f"{date or '2026-11-21'}T{hours}:{minutes}:{whole}.{fraction or '000'}Z"
    return "\t".join((stamp, address, name, kind, text)).encode() + b"\n"


def records(*lines: bytes) -> pd.DataFrame:
    """The records of a file of these lines."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "history.txt")
        path.write_bytes(b"".join(lines))
        return load_history(path).records


def findings(*lines: bytes, skipped: int = 0, **question: Any) -> Findings:
    """What is found in a file of these lines, and of some that are no records."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "history.txt")
        path.write_bytes(b"".join(lines) + b"?\n" * skipped)
        return Findings(read_history(path), Question(**question))


def utc(time: str) -> pd.Timestamp:
    """A moment of 2026-11-21, or with a date in front."""
    return pd.Timestamp(time if " " in time else f"2026-11-21 {time}", tz="UTC")


WEEK = b"".join(
    line(
        f"2026-11-{14 + day} {9 + hour:02}:{minute:02}",
        ["alice", "bob", "_max", "李雷", "a$\\frac$", "🦊fox"][(hour + minute) % 6],
        text=["good morning everyone", "wer kommt mit zum Essen?", "see https://example.org 🎉", "@alice ok"][
            minute % 4
        ],
        address=f"192.168.{minute % 2}.{hour + 1}",
    )
    for day in range(7)
    for hour in range(8)
    for minute in range(0, 60, 7)
)
