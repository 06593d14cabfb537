"""What analytics needs that Python does not have: finding it, and installing it.

It is in `.venv` in the checkout, which `--setup` makes (and the tests too). Whatever Python starts
`python3 -m analytics`, one that lacks something hands over to the one in there. Standard library only.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
GROUPS = ("analytics", "country", "zstd")  # of pyproject.toml: all that --setup installs
SETUP = "python3 -m analytics --setup"
INSTALL = "pipx install --force '.[analytics]'"  # not by name: an index may have another tcp-chat

NEEDED = ("jinja2", "matplotlib", "numpy", "pandas", "py3langid", "rich", "stopwordsiso", "tzlocal")
OPTIONAL = {"pyarrow": "parquet", "zstandard": "zstd", "iptocc": "country"}  # package: its group


def missing() -> list[str]:
    """What this Python lacks of NEEDED."""
    return [name for name in NEEDED if find_spec(name) is None]


def hand_over(arguments: list[str]) -> None:
    """Goes on in `.venv` if there is one and this is another Python; returns if not."""
    if not PYTHON.exists() or Path(sys.prefix).resolve() == ENVIRONMENT.resolve():
        return
    search = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    command = [str(PYTHON), "-m", "analytics", *arguments]
    surroundings = {**os.environ, "PYTHONPATH": search}
    if os.name == "nt":  # there exec returns to the shell at once
        _exit(subprocess.run(command, env=surroundings, check=False).returncode)
    sys.stdout.flush()
    try:
        os.execve(PYTHON, command, surroundings)
    except OSError:  # its Python is gone
        return


def _exit(code: int) -> NoReturn:
    raise SystemExit(code)


def how_to_install(package: str) -> str:
    """One sentence that names what is missing and the line that installs it."""
    if package in OPTIONAL:
        return (
            f"This needs {package} (group {OPTIONAL[package]}), which is not installed: "
            f"{_spelled(sys.executable)} -m pip install {package}"
        )
    if not (ROOT / "pyproject.toml").exists():
        return f"Analytics needs {package}, which is not installed. In the checkout: {INSTALL}"
    return f"Analytics needs {package}, which this Python does not have. This line installs it: {SETUP}"


def _spelled(path: str) -> str:
    return f"'{path}'" if " " in path else path


def set_up() -> int:
    """Makes `.venv` with what analytics needs, or completes the one that is there; returns the exit code."""
    if not (ROOT / "pyproject.toml").exists():
        print(f"--setup is for a checkout. For an installed chat, there: {INSTALL}", file=sys.stderr)
        return 1
    if not _works(PYTHON, "import pip"):
        print(f"Making {ENVIRONMENT} …", flush=True)
        made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=False)
        if made.returncode:
            print(
                "That could not be made: Python's venv is missing (on Debian: apt install python3-venv).",
                file=sys.stderr,
            )
            return 1
    wanted = _wanted()
    print(f"Installing {', '.join(wanted)} …", flush=True)
    command = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *wanted]
    if subprocess.run(command, check=False).returncode:
        print("That could not be installed; pip says why above. Is there a network?", file=sys.stderr)
        return 1
    print("Ready: python3 -m analytics")
    return 0


def _wanted() -> list[str]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        groups = tomllib.load(file)["project"]["optional-dependencies"]
    return [requirement for group in GROUPS for requirement in groups[group]]


def _works(python: Path, statement: str) -> bool:
    try:
        return (
            subprocess.run([str(python), "-c", statement], capture_output=True, check=False).returncode == 0
        )
    except OSError:
        return False
