"""`python3 -m tests.pythons [PYTEST ARGUMENTS]`: client and server on every CPython, without a warning.

Puts Debian's newest Python into a folder of the checkout, and runs tests/system/test_pythons.py, which takes
those of this machine besides.
"""

from __future__ import annotations

import subprocess
import sys

from tests import debian
from tests.__main__ import PYTHON, prepare
from tests.harness import ROOT

NEWEST = "python3.14"


def main() -> int:
    """The exit code of pytest."""
    if not prepare():
        return 1
    debian.make(NEWEST, "sid", NEWEST)
    command = [str(PYTHON), "-m", "pytest", "tests/system/test_pythons.py", "-v", *sys.argv[1:]]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
