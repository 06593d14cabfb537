"""`python3 -m tests.measure.soak MINUTES`: a busy room for as long as you like, and what it costs the server.

People talk, half of them come and go, one reads slowly, one never. Every few seconds the server's memory,
threads and descriptors are taken down; at the end they are a table and a plot in docs/. Flat lines are good.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.faults.client import Client, Line
from tests.harness import ROOT, serving

PEOPLE = 40
LINES_PER_SECOND = 200.0
STAY_SECONDS = 20.0  # of those who join and leave, on average
SAMPLES = 60  # in all, whatever the length
RESULT = ROOT / "docs" / "soak"


@dataclass(frozen=True)
class Sample:
    """The server at one moment: seconds since the start, MiB, and so on."""

    seconds: float
    memory: float
    threads: int
    descriptors: int
    lines_per_second: float
    worst_latency: float  # milliseconds from sending a line to its echo, since the sample before


def main() -> int:
    """Run it, and write the result to docs/."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.measure.soak", description=__doc__)
    parser.add_argument("minutes", type=float)
    seconds = parser.parse_args().minutes * 60
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder) / "history.txt", "--max-per-address", "0", "--log-level", "warning") as server,
    ):
        samples = Crowd(server.port, server.process.pid).talk(seconds)
    RESULT.with_suffix(".md").write_text(_table(samples), "utf-8")
    print(_table(samples))
    _plot(samples)
    return 0


class Crowd:
    """People who talk: the reference client, without faults."""

    def __init__(self, port: int, pid: int) -> None:
        self._rng = random.Random(1)
        self._port = port
        self._pid = pid
        self._people = [Client(f"p{number}", self._rng) for number in range(PEOPLE)]
        self._answered = 0
        self._sent_at: dict[str, float] = {}
        self._worst = 0.0

    def talk(self, seconds: float) -> list[Sample]:
        """Talk for this long; samples of the server meanwhile."""
        began = last = time.monotonic()
        never, slowly, *others = self._people
        never.reading = False
        samples: list[Sample] = []
        say_at, answered = began, 0
        while (now := time.monotonic()) < began + seconds:
            slowly.reading = self._rng.random() < 0.01
            while say_at <= now:
                say_at += self._rng.expovariate(LINES_PER_SECOND)
                self._say(self._rng.choice(others), now)
            for person in self._people:
                self._step(person, now)
            if self._rng.random() < PEOPLE / 2 / STAY_SECONDS * 0.005:
                self._rng.choice(others[: PEOPLE // 2]).cut()
            time.sleep(0.005)
            if now - last >= seconds / SAMPLES:
                rate = (self._answered - answered) / (now - last)
                samples.append(self._sample(now - began, rate))
                last, answered, self._worst = now, self._answered, 0.0
        return samples

    def _say(self, person: Client, now: float) -> None:
        if person.joined and len(person.lines) < 20:
            text = f"{now} {person.name} " + "x" * self._rng.randrange(80)
            self._sent_at[text] = now
            person.say(Line(text, "message", text))

    def _step(self, person: Client, now: float) -> None:
        if not person.connected:
            person.connect(self._port)
        before = len(person.stored)
        person.step()
        for text in person.stored[before:]:
            self._worst = max(self._worst, (time.monotonic() - self._sent_at.pop(text, now)) * 1000)
            self._answered += 1
        person.stored.clear()
        if person.segments and len(person.segments[-1]) > 1_000_000:
            person.segments[-1].clear()  # this is about the server's memory

    def _sample(self, seconds: float, rate: float) -> Sample:
        status = Path(f"/proc/{self._pid}/status").read_text()
        values = dict(line.split(":", 1) for line in status.splitlines())
        return Sample(
            seconds,
            int(values["VmRSS"].split()[0]) / 1024,
            int(values["Threads"]),
            len(list(Path(f"/proc/{self._pid}/fd").iterdir())),
            rate,
            self._worst,
        )


def _table(samples: list[Sample]) -> str:
    rows = [
        "# Soak",
        "",
        f"`python3 -m tests.measure.soak {samples[-1].seconds / 60:.0f}` on {time.strftime('%Y-%m-%d')}: "
        f"{PEOPLE} people, {LINES_PER_SECOND:.0f} lines/s, "
        f"half of them coming and going every {STAY_SECONDS:.0f} s, one reading slowly, one not at all.",
        "",
        "![memory, threads and descriptors over time](soak.png)",
        "",
        "| minute | lines/s | worst echo, ms | memory, MiB | threads | descriptors |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    rows += [
        f"| {s.seconds / 60:.1f} | {s.lines_per_second:.0f} | {s.worst_latency:.0f} | {s.memory:.1f} "
        f"| {s.threads} | {s.descriptors} |"
        for s in samples[:: max(1, len(samples) // 20)]
    ]
    return "\n".join(rows) + "\n"


def _plot(samples: list[Sample]) -> None:
    """Draw docs/soak.png if matplotlib is installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("no matplotlib, no plot: pip install matplotlib")
        return
    figure = Figure(figsize=(9, 7), layout="constrained")
    minutes = [sample.seconds / 60 for sample in samples]
    curves = {
        "lines/s": [s.lines_per_second for s in samples],
        "memory, MiB": [s.memory for s in samples],
        "threads": [s.threads for s in samples],
        "descriptors": [s.descriptors for s in samples],
    }
    for axes, (what, values) in zip(figure.subplots(len(curves), sharex=True), curves.items(), strict=True):
        axes.plot(minutes, values)
        axes.set_ylabel(what)
        axes.set_ylim(0)
    axes.set_xlabel("minutes")
    figure.savefig(RESULT.with_suffix(".png"), dpi=80)


if __name__ == "__main__":
    sys.exit(main())
