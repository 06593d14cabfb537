"""From a bare Python to the page: what is missing is named, installed by one line, and found by itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from analytics import environment
from tests.analytics.histories import line
from tests.harness import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of its own, with a history and without .venv."""
    folder = tmp_path / "a checkout"
    for package in ("analytics", "chat"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "history.txt").write_bytes(line("10:00", "alice", text="hello"))
    return folder


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A Python without packages."""
    python = tmp_path / "python3"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    python.chmod(0o700)
    return python


def run(python: Path, checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [python, "-m", "analytics", *arguments],
        cwd=checkout,
        env=surroundings,
        capture_output=True,
        text=True,
    )


pytestmark = pytest.mark.skipif(os.name == "nt", reason="the bare Python is a shell script")


def test_a_bare_python_names_the_line_that_is_missing(checkout: Path, bare: Path) -> None:
    done = run(bare, checkout, "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith("python3 -m analytics --setup\n")


def test_what_setup_made_is_found_by_any_python(checkout: Path, bare: Path) -> None:
    """The .venv is this one: to install it anew would take minutes and a network."""
    (checkout / ".venv").symlink_to(Path(sys.prefix))
    done = run(bare, checkout, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert '"messages": 1' in done.stdout


def test_setup_installs_what_pyproject_names(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With a Python in .venv that shows what it is asked for."""
    monkeypatch.setattr(environment, "ROOT", checkout)
    monkeypatch.setattr(environment, "ENVIRONMENT", checkout / ".venv")
    monkeypatch.setattr(environment, "PYTHON", checkout / ".venv/bin/python")
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python").write_text('#!/bin/sh\necho "$@"\n')
    (checkout / ".venv/bin/python").chmod(0o700)
    assert environment.set_up() == 0
    said = capfd.readouterr().out
    assert "-m pip install" in said
    assert "pandas>=3" in said
    assert "iptocc" in said
    assert said.endswith("Ready: python3 -m analytics\n")
    (checkout / ".venv/bin/python").write_text('#!/bin/sh\n[ "$1" = -c ]\n')
    assert environment.set_up() == 1
    assert "could not be installed" in capfd.readouterr().err


@pytest.mark.parametrize(("package", "says"), [("pyarrow", "group parquet"), ("pandas", "--setup")])
def test_a_missing_package_names_what_has_it(package: str, says: str) -> None:
    assert says in environment.how_to_install(package)
