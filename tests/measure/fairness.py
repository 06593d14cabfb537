"""One person chats while others do their worst: what it costs the one, and the server.

    python3 -m tests.measure.fairness [--seconds 10] [STORM ...]

Each storm (tests/measure/storms.py) is a process of its own and goes against a server of its own with the
default limits, which has read its history. Beside it one honest person, from another address, says a word
every 90 ms and waits for its echo, and asks `/history` once a second. Printed are p50, p99 and the longest of
the echo and of the answer, in milliseconds, and of the server: the most memory (its own and its children's,
without mapped files) and the most descriptors above what it had before; files and megabytes written; the
share of a processor that it took, and the share in the three seconds after the storm had gone.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from chat import record
from tests.harness import Server
from tests.measure.storms import STORMS

WORD_SECONDS = 0.09  # 11 words a second: burst and rate allow 15 in ten seconds
ASK_SECONDS = 1.0
SAMPLE_SECONDS = 0.05
AFTER_SECONDS = 3.0
IDLE_WITHIN_SECONDS = 120.0
LATE_SECONDS = 30.0  # for the last echo to come
BLOCK_BYTES = 4_000_000
MB = 1_000_000


# ------------------------------------------------------------------------------------------- the honest one


class Honest:
    """Somebody who chats, and measures. `talk` is all of it."""

    def __init__(self, port: int, *options: str) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port), 10)
        self._connection.sendall("".join(f"{line}\n" for line in (*options, "honest")).encode())
        self._buffer = b""
        self.echoes: list[float] = []
        self.answers: list[float] = []
        self.heard = 0  # messages, of whoever
        while b"\thonest\tjoin\t" not in self._buffer:
            self._receive(10)
        self._buffer = b""

    def talk(self, seconds: float) -> None:
        """Say words at a steady pace, whether or not they are heard in time."""
        begin = time.monotonic()
        said: dict[bytes, float] = {}
        asked = 0.0
        next_word, next_question, number = begin, begin + ASK_SECONDS / 2, 0
        while True:
            now = time.monotonic()
            if now < begin + seconds:
                if now >= next_word:
                    number += 1
                    word = b"word-%d-%d" % (id(self), number)
                    self._connection.sendall(word + b"\n")
                    said[word] = now
                    next_word += WORD_SECONDS
                if now >= next_question and not asked:
                    self._connection.sendall(b"/history\n")
                    asked, next_question = now, now + ASK_SECONDS
            elif not (said or asked) or now > begin + seconds + LATE_SECONDS:
                break
            self._receive(max(0.0, min(next_word - now, 0.02)))
            asked = self._find(said, asked)
        self.echoes += [LATE_SECONDS] * len(said)  # never heard
        self.answers += [LATE_SECONDS] * bool(asked)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _receive(self, seconds: float) -> None:
        if not select.select([self._connection], [], [], seconds)[0]:
            return
        received = self._connection.recv(1 << 18)
        if not received:
            raise EOFError("the honest one was thrown out")
        self._buffer += received

    def _find(self, said: dict[bytes, float], asked: float) -> float:
        """Take whole lines; when the question was asked that is still open."""
        whole = self._buffer.rfind(b"\n") + 1
        lines, self._buffer = self._buffer[:whole], self._buffer[whole:]
        if not lines:
            return asked
        now = time.monotonic()
        self.heard += lines.count(b"\tmessage\t")
        for line in lines.split(b"\n") if b"\thonest\t" in lines or b"/history" in lines else ():
            text = line.partition(b"\thonest\tmessage\t")[2]
            if text in said:
                self.echoes.append(now - said.pop(text))
            elif asked and b"\t/history\t" in line:
                self.answers.append(now - asked)
                asked = 0.0
        return asked


# ---------------------------------------------------------------------------------------------- the server


@dataclass
class Cost:
    """What the server takes, sampled by a thread from `start` to `stop`."""

    pid: int
    folder: Path
    memory: int = 0  # bytes; the most
    descriptors: int = 0
    files: int = 0
    _ending: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Begin to look."""
        self._before = (_memory(self.pid), _descriptors(self.pid), *_folder(self.folder))
        self._cpu = _processor(self.pid)
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def stop(self) -> None:
        """Look for the last time."""
        self._ending.set()
        self._thread.join()
        self.cpu = (_processor(self.pid) - self._cpu) / (time.monotonic() - self._began)
        files, written = _folder(self.folder)
        self.files, self.written = files - self._before[2], written - self._before[3]

    def _look(self) -> None:
        """The sampler's thread; ended by `stop`."""
        while not self._ending.wait(SAMPLE_SECONDS):
            self.memory = max(self.memory, _memory(self.pid) - self._before[0])
            self.descriptors = max(self.descriptors, _descriptors(self.pid) - self._before[1])


def _family(pid: int) -> list[int]:
    """The process and all that it has started."""
    found = [pid]
    for each in found:
        for children in Path(f"/proc/{each}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += map(int, children.read_text().split())
    return found


def _memory(pid: int) -> int:
    """Bytes of memory that are no file's."""
    total = 0
    for each in _family(pid):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{each}/status").read_text().splitlines():
                if line.startswith("RssAnon"):
                    total += int(line.split()[1]) * 1024
    return total


def _descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def _processor(pid: int) -> float:
    """Seconds, with those of children that it has waited for."""
    total = 0
    for each in _family(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15] if each == pid else fields[11:13]))
    return total / os.sysconf("SC_CLK_TCK")


def _folder(folder: Path) -> tuple[int, int]:
    """(files, bytes in them)."""
    sizes = []
    for file in folder.iterdir():
        with contextlib.suppress(OSError):
            sizes.append(file.stat().st_size)
    return len(sizes), sum(sizes)


# --------------------------------------------------------------------------------------------- histories


def talk(path: Path, size: int) -> None:
    """A history of so many bytes in which people talk; the words are as frequent as words are."""
    chance = random.Random(7)
    words = ["".join(chance.choices("etaoinshrdlu", k=chance.randint(1, 9))) for _ in range(20_000)]
    weights = [1 / rank for rank in range(1, len(words) + 1)]
    flow = iter(chance.choices(words, weights, k=BLOCK_BYTES // 5))
    tails = []
    for _ in range(BLOCK_BYTES // 100):
        text = " ".join(next(flow) for _ in range(chance.randint(1, 12)))
        tails.append(f"\t192.168.1.{chance.randrange(2, 60)}\tuser{chance.randrange(60)}\tmessage\t{text}\n")
    _repeat(path, tails, size)


def joins(path: Path, size: int) -> None:
    """A history of so many bytes of joins and leaves."""
    pairs = [f"\t10.0.0.1\tuser{n}\tjoin\t\n\t10.0.0.1\tuser{n}\tleave\texit\n" for n in range(20_000)]
    _repeat(path, pairs, size)


def _repeat(path: Path, tails: list[str], size: int) -> None:
    """The records again and again, each time a quarter of an hour later."""
    drafts = "".join(tails).encode()
    now = time.time() - 900 * (size // len(drafts) + 2)
    with path.open("wb") as file:
        while file.tell() < size:
            file.write(record.stamp(record.format_time(now), drafts))
            now += 900


def many_bans(path: Path, size: int) -> None:
    """No history, but 20,000 bans."""
    del size
    lines = (f"10.{n // 250 // 250}.{n // 250 % 250}.{n % 250 + 1}\n" for n in range(20_000))
    path.with_name("bans.txt").write_text("".join(lines))


@dataclass(frozen=True)
class Stage:
    """Where a storm takes place: what is there before, and how the server is started."""

    history: Callable[[Path, int], None] | None = None
    megabytes: int = 0
    password: bool = False


STAGES = {
    "search": Stage(talk, 300),
    "search-all": Stage(talk, 300),
    "history-unread": Stage(talk, 30),
    "history-reset": Stage(talk, 30),
    "history-128": Stage(talk, 30),
    "history-joins": Stage(joins, 60),
    "replay-taken": Stage(joins, 60),
    "replay-all": Stage(talk, 100),
    "bans": Stage(many_bans),
    "guess": Stage(password=True),
    "stats": Stage(talk, 100),
}

# ---------------------------------------------------------------------------------------------- the run


@dataclass(frozen=True)
class Bound:
    """What the honest one and the server may feel of it: milliseconds, and megabytes."""

    p50: float = 10
    most: float = 300
    memory: float = 50

    def holds(self, row: Row) -> bool:
        """Whether it did."""
        p50, _, most = _three(row.honest.echoes)
        return p50 <= self.p50 and most <= self.most and row.cost.memory <= self.memory * MB


BOUNDS = {
    "takeover": Bound(memory=20),
    "history-reset": Bound(memory=20),
    "history-128": Bound(p50=5, most=100),
}


@dataclass(frozen=True)
class Row:
    """What came out. Milliseconds, bytes, shares of a processor."""

    name: str
    honest: Honest
    cost: Cost
    after: float
    note: str


def run(name: str, seconds: float) -> Row:
    """One storm ("" for none). Raises EOFError where the honest one was thrown out."""
    stage = STAGES.get(name, Stage())
    with tempfile.TemporaryDirectory(prefix="chat-fair-") as made:
        folder = Path(made)
        history = folder / "history.txt"
        if stage.history:
            stage.history(history, stage.megabytes * MB)
        secret = folder / "password"
        secret.write_text("correct horse\n")
        secret.chmod(0o600)
        arguments = ["--password-file", str(secret)] if stage.password else []
        server = Server(history, "--log-level", "error", *arguments)
        try:
            return _beside(name, server, seconds, ["/password correct horse"] if stage.password else [])
        finally:
            server.close()


def _wait_until_idle(pid: int) -> None:
    """Until the server has read its history, and made the index of its words."""
    until = time.monotonic() + IDLE_WITHIN_SECONDS
    used = -1.0
    while used != (used := _processor(pid)) and time.monotonic() < until:
        time.sleep(1)


def _beside(name: str, server: Server, seconds: float, options: list[str]) -> Row:
    _wait_until_idle(server.pid)
    honest = Honest(server.port, *options)
    Honest.talk(honest, 0.5)
    honest.echoes, honest.answers, honest.heard = [], [], 0
    cost = Cost(server.pid, server.history.parent)
    cost.start()
    storm = None
    if name:
        command = [sys.executable, "-m", "tests.measure.storms", name, str(server.port), str(seconds)]
        storm = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    honest.talk(seconds)
    note = storm.communicate(timeout=60)[0].strip() if storm else ""
    cost.stop()
    began, used = time.monotonic(), _processor(server.pid)
    time.sleep(AFTER_SECONDS)
    after = (_processor(server.pid) - used) / (time.monotonic() - began)
    honest.close()
    return Row(name or "nobody", honest, cost, after, f"{note}; heard {honest.heard}".removeprefix("; "))


def _print(row: Row) -> None:
    cost, storm = row.cost, STORMS.get(row.name)
    what = f"{storm.count} x {(storm.run.__doc__ or '').splitlines()[0]}" if storm else "Nothing."
    bound = BOUNDS.get(row.name, Bound())
    held = "" if bound.holds(row) else " **not held**"
    milliseconds = [f"{number:.1f}" for number in (*_three(row.honest.echoes), *_three(row.honest.answers))]
    print(
        f"| {row.name} | {what} | {bound.p50:g}, {bound.most:g}, {bound.memory:g}{held} "
        f"| {' | '.join(milliseconds)} "
        f"| {cost.memory / MB:.0f} | {cost.descriptors} | {cost.files} | {cost.written / MB:.1f} "
        f"| {cost.cpu:.2f} | {row.after:.2f} | {row.note} |",
        flush=True,
    )


def _three(seconds: list[float]) -> tuple[float, float, float]:
    """p50, p99 and the longest, in milliseconds."""
    if not seconds:
        return 0, 0, 0
    ordered = sorted(1000 * each for each in seconds)
    return statistics.median(ordered), ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)], ordered[-1]


def main() -> None:
    """Runs the storms, and prints a row for each."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.measure.fairness", description=__doc__)
    parser.add_argument("storms", nargs="*", metavar="STORM", help=", ".join(STORMS))
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each lasts (10)")
    options = parser.parse_args()
    print(
        "| storm | what they do | bound: p50, most, MB | echo p50, ms | p99 | most "
        "| answer p50, ms | p99 | most | memory, MB | descriptors | files | written, MB "
        "| processor | after | it did |"
    )
    print("|---|---|---|" + "--:|" * 12 + "---|")
    for name in options.storms or ["", *STORMS]:
        try:
            _print(run("" if name == "nobody" else name, options.seconds))
        except (EOFError, OSError) as failure:
            print(f"| {name} | {failure!r} |", flush=True)


if __name__ == "__main__":
    main()
