"""Histories that are open for the length of a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chat.log.history import History


@pytest.fixture
def opened(history_path: Path) -> Iterator[Callable[..., History]]:
    """Opens the history, and closes it when the test ends."""
    histories: list[History] = []

    def open_(**options: object) -> History:
        histories.append(History(history_path, **options))  # type: ignore[arg-type]
        return histories[-1]

    yield open_
    for history in histories:
        history.close()
