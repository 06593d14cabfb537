"""Browsers for the tests of the page, clusters, and servers with TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import certificates
from tests.harness import Server, serving

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


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate and its key."""
    return certificates.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def arguments(files: tuple[Path, Path]) -> list[str]:
    """Of a server that takes TLS, and limits nobody."""
    return ["--tls-cert", str(files[0]), "--tls-key", str(files[1]), "--rate", "0", "--max-per-address", "0"]


@pytest.fixture
def secure(history_path: Path, arguments: list[str]) -> Iterator[Server]:
    """A server that accepts TLS connections and plain ones."""
    with serving(history_path, *arguments) as server:
        yield server
