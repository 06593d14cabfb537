"""Histories that are open for the length of a test, and an engine that the tests of the log share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chat.log.history import History
from tests.engine import Engine, engine, program


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


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A running engine of one node."""
    if program() is None:
        pytest.skip("nats-server is not installed")
    with engine(tmp_path_factory.mktemp("engine"), nodes=1) as running:
        yield running


@pytest.fixture
def three_nodes(tmp_path: Path) -> Iterator[Engine]:
    """A running engine of three nodes, for this test alone."""
    if program() is None:
        pytest.skip("nats-server is not installed")
    folder = tmp_path / "engine"
    folder.mkdir()
    with engine(folder) as running:
        yield running
