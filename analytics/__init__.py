"""What the history says: history.txt as a DataFrame, tables, pictures and a page.

from analytics import load_history
from analytics.tables import messages_per_minute

records, skipped = load_history("history.txt")
messages_per_minute(records)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analytics.load import load_history as load_history


def __getattr__(name: str) -> object:
    if name == "load_history":  # only now, since pandas takes its time and --help needs none
        from analytics.load import load_history

        return load_history
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
