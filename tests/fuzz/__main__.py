"""`python3 -m tests.fuzz [SECONDS [TARGET ...]]`: look for inputs that break what has to hold.

Each target of targets.py for so many seconds (60), guided by which code an input reaches: by Google's
atheris, which is to be installed by hand. The corpus is kept, and the next search goes on from there. What
breaks a target is kept beside it: TARGETS[NAME](Path(FILE).read_bytes()) is the test that it becomes. A run
that is stopped (SIGSTOP) and goes on breaks the session's target, whose waits have deadlines.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

FOLDER = Path(tempfile.gettempdir()) / "tcp-chat-fuzz"
LONGEST = 4096  # bytes of one input; some of them stand for more


def main() -> int:
    """Run the targets, each in a process of its own; 1 where one of them broke."""
    try:
        atheris = importlib.import_module("atheris")
    except ImportError:
        print("This needs atheris: .venv/bin/python -m pip install atheris (Linux, macOS).", file=sys.stderr)
        return 1
    with atheris.instrument_imports(include=["chat", "TCP_client", "analytics"]):
        targets = importlib.import_module("tests.fuzz.targets")
    seconds, *names = sys.argv[1:] or ["60"]
    if len(names) == 1:
        _search(atheris, targets, names[0], seconds)
    codes = [
        subprocess.run([sys.executable, "-m", "tests.fuzz", seconds, name], check=False).returncode
        for name in names or targets.TARGETS
    ]
    return 1 if any(codes) else 0


def _search(atheris: ModuleType, targets: ModuleType, name: str, seconds: str) -> None:
    """One target; ends the process."""
    folder = FOLDER / name
    (folder / "corpus").mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(targets.SEEDS[name]):
        (folder / "corpus" / f"seed-{number}").write_bytes(seed)
    words = folder / "words"
    words.write_text("".join(f'"{_quoted(word)}"\n' for word in targets.WORDS))
    print(f"== {name}", flush=True)
    options = [
        *(f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-dict={words}"),
        *(f"-artifact_prefix={folder}/", "-timeout=600", "-rss_limit_mb=2048", "-print_final_stats=1"),
    ]
    atheris.Setup([sys.argv[0], *options, str(folder / "corpus")], targets.TARGETS[name])
    atheris.Fuzz()


def _quoted(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    sys.exit(main())
