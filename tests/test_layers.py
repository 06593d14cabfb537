"""Imports run downwards only, standalone programs need nothing of the project, and named tests exist."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

from tests.harness import ROOT

# From the bottom up. A module imports from its own layer and from those below it.
LAYERS = [
    "chat.paths",
    "chat.private",
    "chat.record",
    "chat.lookalike",
    "chat.log",
    "chat.room",
    "chat.service",
    "chat.front",
    "TCP_server",
]
# If installed; the console shows records with the client's own code, and --cluster asks for NATS.
BETTER_WITH = {
    "chat.front.console": {"colorama", "TCP_client"},
    "chat.front.qr": {"segno"},
    "chat.front.certificate": {"cryptography"},
    "chat.log.consumer": {"nats"},
    "chat.log.engine": {"nats"},
    "chat.log.jetstream": {"nats"},
    "chat.log.publisher": {"nats"},
    "chat.log.snapshot": {"nats"},
}
PURE = [
    "chat.record",
    "chat.service.requests",
    "chat.front.session",
    "chat.front.login",
    "chat.front.detect",
    "chat.front.events",
    "chat.log.entries",
    "chat.log.search",
]
# Definitions of data, which the tests of those who use them cover.
ONLY_DATA = {"entries", "requests", "ending", "items", "policy"}
OURS = {"chat", "analytics", "tests", "TCP_server", "TCP_client"}


def imports(path: Path) -> set[str]:
    """The modules that a file imports, `from chat import record` as chat.record."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            folder = ROOT.joinpath(*node.module.split("."))
            found |= (
                {f"{node.module}.{name.name}" for name in node.names} if folder.is_dir() else {node.module}
            )
    return found


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


SERVER_FILES = [ROOT / "TCP_server.py", *sorted((ROOT / "chat").rglob("*.py"))]


def layer(name: str) -> int:
    """The layer of a module; -1 for modules outside the server."""
    found = [number for number, prefix in enumerate(LAYERS) if f"{name}.".startswith(f"{prefix}.")]
    return found[0] if found else -1


@pytest.mark.parametrize("path", SERVER_FILES, ids=module)
def test_imports_run_downwards(path: Path) -> None:
    if path.parent == ROOT / "chat" and path.stem == "__init__":
        return
    own = layer(module(path).removesuffix(".__init__"))
    assert own >= 0
    assert max(map(layer, imports(path)), default=-1) <= own


def test_no_module_imports_itself_by_way_of_others() -> None:
    needs = {module(path): {name for name in imports(path) if layer(name) >= 0} for path in SERVER_FILES}
    while needs:
        free = {name for name, needed in needs.items() if not needed & needs.keys()}
        assert free, f"a cycle in {sorted(needs)}"
        needs = {name: needed for name, needed in needs.items() if name not in free}


@pytest.mark.parametrize("path", SERVER_FILES, ids=module)
def test_the_server_needs_nothing_installed(path: Path) -> None:
    more = BETTER_WITH.get(module(path), set())
    for name in imports(path):
        assert name.partition(".")[0] in sys.stdlib_module_names | {"chat"} | more, name


@pytest.mark.parametrize("path", sorted((ROOT / "analytics").glob("*.py")), ids=module)
def test_analytics_imports_only_records_and_paths_from_the_chat(path: Path) -> None:
    allowed = {"chat.record", "chat.paths"}
    ours = {name for name in imports(path) if name.partition(".")[0] in OURS - {"analytics"}}
    assert ours <= allowed


def test_the_client_is_one_file() -> None:
    assert not {name.partition(".")[0] for name in imports(ROOT / "TCP_client.py")} & OURS


@pytest.mark.parametrize(
    "path", [*SERVER_FILES, ROOT / "TCP_client.py", *sorted((ROOT / "analytics").glob("*.py"))], ids=module
)
def test_each_module_has_its_tests(path: Path) -> None:
    if path.parent == ROOT:
        path = ROOT / {"TCP_client": "client", "TCP_server": "system/server"}[path.stem]
    tests = ROOT / "tests" / path.parent.relative_to(ROOT) / f"test_{path.stem}.py"
    assert (
        path.stem in ("__init__", "__main__")
        or path.stem in ONLY_DATA
        or tests.exists()
        or (ROOT / "tests" / path.name).is_dir()
    )


def test_the_tests_that_documents_name_are_there() -> None:
    tests = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py"))
    for path in (ROOT / "docs").glob("*.md"):
        for name in re.findall(r"`(test_\w+)`", path.read_text("utf-8")):
            assert f"def {name}(" in tests, f"{path.name}: {name}"


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_have_no_io_and_no_clock(name: str) -> None:
    path = ROOT.joinpath(*name.split(".")).with_suffix(".py")
    assert not imports(path) & {"os", "io", "socket", "time", "threading", "pathlib", "sys", "select"}
