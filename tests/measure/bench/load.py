"""The load generator (load.c): `Load` sends it commands and reads its counts."""

from __future__ import annotations

import functools
import json
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import TypedDict

SOURCES = Path(__file__).parent


class Connected(TypedDict):
    """The answer to `connect`."""

    clients: int
    seconds: float
    disconnected: int


class Delivered(TypedDict):
    """The answer to `flood` and `pace`. Latencies are in microseconds, 0 in a flood."""

    sent: int
    deliveries: int
    seconds: float  # from the first message to the last delivery
    busy: float  # the share of that time in which the load generator was busy
    lost: int
    duplicated: int
    out_of_order: int
    disconnected: int
    p50: float
    p99: float
    p999: float


@functools.cache
def compiled(name: str) -> Path:
    """NAME.c, compiled, in a temporary folder.

    Raises FileNotFoundError where there is no C compiler.
    """
    program = Path(_folder().name) / name
    source = SOURCES / f"{name}.c"
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-o", str(program), str(source)], check=True)
    return program


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="chat-bench-")


class Load:
    """Listeners and a speaker for one server, during a with statement."""

    def __init__(self, protocol: str, port: int) -> None:
        self._process = subprocess.Popen(
            [str(compiled("load")), protocol, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Load:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def connect(self, listeners: int) -> Connected:
        """Connect up to this many listeners in total."""
        answer: Connected = json.loads(self._ask(f"connect {listeners}"))
        return answer

    def flood(self, seconds: float) -> Delivered:
        """Speak as fast as the server accepts it."""
        answer: Delivered = json.loads(self._ask(f"flood {seconds}"))
        return answer

    def pace(self, rate: float, seconds: float) -> Delivered:
        """Speak this many times a second."""
        answer: Delivered = json.loads(self._ask(f"pace {rate} {seconds}"))
        return answer

    def _ask(self, command: str) -> str:
        """The generator's answer. Raises EOFError if it has ended, for a reason on standard error."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise EOFError(f"the load ended at {command!r}")
        return answer
