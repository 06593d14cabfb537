"""`python3 -m tests [--quick] [PYTEST ARGUMENTS]`: style, types and all the tests, from a bare checkout.

Makes the environment .venv in the checkout with what the tests need, or uses the one that is there. With
--quick, only the tests that are done within a minute.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parent.parent
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
PROGRAMS = ["TCP_server.py", "TCP_client.py", "analytics", "chat"]
QUICK = ["-m", "not slow"]
GROUPS = "client,analytics,country,parquet,zstd,cluster,qr,test"


def main() -> int:
    """Run everything; the exit code of the first that fails."""
    if not prepare():
        return 1
    arguments = list(chain.from_iterable(QUICK if each == "--quick" else [each] for each in sys.argv[1:]))
    for name, command in (
        ("style", ["-m", "ruff", "check", "."]),
        ("format", ["-m", "ruff", "format", "--check", "--quiet", "."]),
        ("types", ["-m", "mypy"]),
        *(("types on " + system, _types_on(system)) for system in ("win32", "darwin")),
        ("tests", ["-m", "pytest", *arguments]),
    ):
        print(f"== {name}", flush=True)
        code = subprocess.run([str(PYTHON), *command], cwd=ROOT, check=False).returncode
        if code:
            print(f"{name}: failed", file=sys.stderr)
            return code
    return 0


def _types_on(system: str) -> list[str]:
    """Mypy's arguments for the programs as they are on another system, which has a cache of its own."""
    return ["-m", "mypy", "--platform", system, "--cache-dir", f".mypy_cache/{system}", *PROGRAMS]


def prepare() -> bool:
    """Have an environment with what pyproject.toml names; False, with a sentence, where it can't be made."""
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    installed = ENVIRONMENT / "installed"  # for which pyproject.toml that was done
    if installed.exists() and installed.read_text() == wanted:
        return True
    if not PYTHON.exists():
        print("== making .venv", flush=True)
        if subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], cwd=ROOT, check=False).returncode:
            print(
                "Python's venv is missing: install it (on Debian and Ubuntu: apt install python3-venv).",
                file=sys.stderr,
            )
            return False
    print("== installing what the tests need", flush=True)
    install = [
        str(PYTHON),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--editable",
        f".[{GROUPS}]",
    ]
    if subprocess.run(install, cwd=ROOT, check=False).returncode:
        print("That could not be installed; pip says why above. Is there a network?", file=sys.stderr)
        return False
    installed.write_text(wanted)
    return True


if __name__ == "__main__":
    sys.exit(main())
