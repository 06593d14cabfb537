"""Each rule of docs/protocol.md is cited by the code that keeps it and by a test that holds it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.harness import ROOT

RULES = re.findall(r"^\*\*(R\d+)\*\* ", (ROOT / "docs" / "protocol.md").read_text("utf-8"), re.MULTILINE)
CODE = [ROOT / "TCP_server.py", ROOT / "TCP_client.py", *sorted((ROOT / "chat").rglob("*.py"))]
TESTS = sorted(path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__))


def cited(path: Path) -> set[str]:
    """The rules that a file cites one by one; a range only tells where to read."""
    return set(re.findall(r"\bR\d+\b", re.sub(r"\bR\d+ to R\d+\b", "", path.read_text("utf-8"))))


def test_rules_are_numbered_once_and_in_order() -> None:
    numbers = [int(rule[1:]) for rule in RULES]
    assert numbers[0] == 1
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("files", [CODE, TESTS], ids=["code", "tests"])
def test_each_rule_is_cited(files: list[Path]) -> None:
    assert set(RULES) - set().union(*map(cited, files)) == set()


@pytest.mark.parametrize("path", [*CODE, *TESTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_no_citation_names_a_rule_that_does_not_exist(path: Path) -> None:
    assert cited(path) <= set(RULES)
