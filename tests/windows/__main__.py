"""`python3 -m tests.windows [PYTEST ARGUMENTS]`: the chat on CPython for Windows, and with Linux in one chat.

Makes Wine and the Pythons in .systems at the first time, which takes two minutes and 2 GB. Then it runs
tests/windows here, with the other side on Wine, and on Wine all the tests that Windows can run.
"""

from __future__ import annotations

import subprocess
import sys

from tests.__main__ import PYTHON, prepare
from tests.harness import ROOT
from tests.windows import wine

OLDEST, NEWEST = "3.11", "3.13"
TESTS_ON_WINDOWS = ("tests/chat", "tests/client", "tests/system")


def main() -> int:
    """0 where all of them passed."""
    if not prepare():
        return 1
    wine.make()
    failed = 0
    for name, command in (
        ("Windows and Linux", [str(PYTHON), "-m", "pytest", "tests/windows"]),
        *(
            (f"Windows, Python {version}", wine.python(version, "-m", "pytest", *TESTS_ON_WINDOWS))
            for version in (OLDEST, NEWEST)
        ),
    ):
        print(f"== {name}", flush=True)
        failed |= subprocess.run([*command, *sys.argv[1:]], cwd=ROOT, check=False).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
