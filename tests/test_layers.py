"""Imports run downwards only, what runs alone needs nothing of the project, what has a name is there."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

from tests.harness import ROOT

LAYERS = [
    "TCP_server",
    "chat.console",
    "chat.session",
    "chat.commands",
    "chat.moderation",
    "chat.house",
    "chat.room",
    "chat.broadcaster",
    "chat.delivery",
    "chat.history",
    "chat.record",
]
# All but the last where installed.
BETTER_WITH = {"chat.console": {"prompt_toolkit", "colorama", "TCP_client"}}
OURS = {"chat", "analytics", "tests", "TCP_server", "TCP_client"}


def imports(path: Path) -> set[str]:
    """The modules that a file imports, `from chat import record` as chat.record."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            packages = {"chat", "analytics", "tests"}
            found |= (
                {f"{node.module}.{name.name}" for name in node.names}
                if node.module in packages
                else {node.module}
            )
    return found


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


SERVER_FILES = [ROOT / "TCP_server.py", *sorted((ROOT / "chat").glob("*.py"))]


@pytest.mark.parametrize("path", SERVER_FILES, ids=module)
def test_imports_run_downwards(path: Path) -> None:
    if module(path) not in LAYERS:
        assert not imports(path) & set(LAYERS[: LAYERS.index("chat.room")])
        return
    above = LAYERS[: LAYERS.index(module(path)) + 1]
    assert not imports(path) & set(above)


@pytest.mark.parametrize("path", SERVER_FILES, ids=module)
def test_the_server_needs_nothing_installed(path: Path) -> None:
    more = BETTER_WITH.get(module(path), set())
    for name in imports(path):
        assert name.partition(".")[0] in sys.stdlib_module_names | {"chat"} | more, name


@pytest.mark.parametrize("path", sorted((ROOT / "analytics").glob("*.py")), ids=module)
def test_analytics_reads_records_and_knows_nothing_else_of_the_chat(path: Path) -> None:
    allowed = {"chat.record"} if path.stem == "load" else set()
    ours = {name for name in imports(path) if name.partition(".")[0] in OURS - {"analytics"}}
    assert ours <= allowed


def test_the_client_is_one_file() -> None:
    assert not {name.partition(".")[0] for name in imports(ROOT / "TCP_client.py")} & OURS


@pytest.mark.parametrize(
    "path", [*SERVER_FILES, ROOT / "TCP_client.py", *sorted((ROOT / "analytics").glob("*.py"))], ids=module
)
def test_each_module_has_its_tests(path: Path) -> None:
    name = path.stem.removeprefix("TCP_")
    tests = ROOT / "tests" / ("analytics" if path.parent == ROOT / "analytics" else "")
    assert name.startswith("__") or (tests / f"test_{name}.py").exists() or (tests / name).is_dir()


def test_the_tests_that_documents_name_are_there() -> None:
    tests = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py"))
    for path in (ROOT / "docs").glob("*.md"):
        for name in re.findall(r"`(test_\w+)`", path.read_text("utf-8")):
            assert f"def {name}(" in tests, f"{path.name}: {name}"


def test_record_is_pure() -> None:
    assert not imports(ROOT / "chat" / "record.py") & {
        "os",
        "io",
        "socket",
        "time",
        "threading",
        "pathlib",
        "sys",
    }
