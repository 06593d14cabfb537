"""Pages for the tests of what a browser speaks to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness import Server
from tests.web import MakePage, Page


@pytest.fixture
def page(server: Server) -> Iterator[MakePage]:
    """Pages of the server, as `page("alice")` makes them."""
    pages: list[Page] = []

    def joined(name: str, **more: object) -> Page:
        pages.append(Page(server.port, name, **more))
        return pages[-1]

    yield joined
    for each in pages:
        each.close()
