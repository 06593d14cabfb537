"""A Python that is too old to understand the client shows the line that says so; 3.8 is in test_pythons."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.harness import ROOT

OLD = sorted(Path("~/.pyenv/versions").expanduser().glob("[23].[0-7].*/bin/python"))


@pytest.mark.skipif(not OLD, reason="there is no Python that is too old")
@pytest.mark.parametrize("python", OLD, ids=lambda python: python.parts[-3])
def test_a_python_that_is_too_old_is_named(python: Path) -> None:
    done = subprocess.run(
        [python, ROOT / "TCP_client.py"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "TCP_client.py needs Python 3.9 or newer" in done.stderr
    assert "Traceback" not in done.stderr
