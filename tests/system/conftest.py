"""Browsers for the tests of the page, and clusters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

    from tests.browser import Open
    from tests.clusters import Cluster


@pytest.fixture(scope="module")
def browsers() -> Iterator[list[Chrome]]:
    """Those that the tests of a file have started."""
    started: list[Chrome] = []
    yield started
    for driver in started:
        driver.quit()


@pytest.fixture
def chromium(browsers: list[Chrome]) -> Open:
    """Gives browsers, each another person's."""
    from tests.browser import new_window, start  # not where there is none

    rest = list(browsers)

    def opened() -> Chrome:
        if rest:
            return new_window(rest.pop(0))
        browsers.append(start())
        return browsers[-1]

    return opened


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster on an engine of one node."""
    from tests.clusters import cluster  # not on Windows

    with cluster(tmp_path) as made:
        yield made
