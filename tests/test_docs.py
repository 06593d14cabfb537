"""What the documents refer to exists."""

from __future__ import annotations

import re

import pytest

from tests.harness import ROOT

TESTS = set(
    re.findall(
        r"^ *def (test_\w+)",
        "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py")),
        re.MULTILINE,
    )
)


@pytest.mark.parametrize("name", ["security.md", "limits.md"])
def test_each_test_that_a_document_names_exists(name: str) -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / name).read_text("utf-8")))
    assert len(named) > 5
    assert named <= TESTS
