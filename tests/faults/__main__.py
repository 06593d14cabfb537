"""`python3 -m tests.faults [--seed N] [--minutes M]`: run after run until the time is over or one fails."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.run import run

RUN_SECONDS = 20


def main() -> int:
    """The exit code: 0 if every promise was kept."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the first run; the next has the next one (1)")
    parser.add_argument("--minutes", type=float, default=0, help="how long; one run at least (0)")
    options = parser.parse_args()
    until = time.monotonic() + options.minutes * 60
    seed = options.seed
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"faults-{seed}-"))
        try:
            print(f"seed {seed}: {run(seed, RUN_SECONDS, folder)}", flush=True)
        except AssertionError as violation:
            print(f"seed {seed} FAILED: {violation}\nThe history is in {folder}.")
            return 1
        seed += 1
        if time.monotonic() >= until:
            return 0


if __name__ == "__main__":
    sys.exit(main())
