"""The fault harness for several servers: people talk at all of them while servers and engine nodes fail.

`python3 -m tests.faults.cluster --seed 1 --lines 9000`: what fails, and how often, is named by --fault.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.cable import Cable
from tests.clusters import Cluster, ClusterServer, cluster
from tests.engine import Node
from tests.faults.checker import check
from tests.faults.client import Client, Line, Violation

NAMES = ("a", "b", "c")
QUIET_SECONDS = 120  # for everybody to have everything acknowledged, once the faults are over
UNANSWERED = 50  # lines in flight for each person, at most
STEP_SECONDS = 0.002
TALK = 0.02  # how likely somebody says something in a step
DEFAULT = ("kill server",) * 8 + ("kill node",) * 2
FAULTS = (
    "kill server",
    "stop server",
    "freeze server",
    "kill node",
    "freeze node",
    "no quorum",
    "pull cable",
    "cut",
    "clear",
)


class ClusterRun:
    """People, three servers on three engine nodes, and faults."""

    def __init__(self, seed: int, chat: Cluster, *, people: int, lines: int, faults: Sequence[str]) -> None:
        self.rng = random.Random(seed)
        self.people = [Client(f"p{number}", random.Random(seed + number)) for number in range(people)]
        self.faults: Counter[str] = Counter()
        self.longest = 0.0  # seconds without an acknowledged line
        self._chat = chat
        self._lines = lines
        self._said = 0
        self._to_come = list(faults)
        self.rng.shuffle(self._to_come)
        self._every = lines // (len(faults) + 1)  # lines between two faults
        self._servers: dict[str, ClusterServer] = {name: chat.start(name) for name in NAMES}
        self._at = {person: index % len(NAMES) for index, person in enumerate(self.people)}
        self._back_at = dict.fromkeys(self.people, 0.0)
        self._repairs: list[tuple[float, str, object]] = []  # when, what, for whom
        self._stored = 0
        self._stored_at = time.monotonic()

    # ----- the run

    def talk(self) -> None:
        """Say all lines while things fail."""
        while self._said < self._lines or self._to_come:
            due = self._said >= self._lines - len(self._to_come) * self._every
            if self._to_come and due and not self._repairs:
                self._inject(self._to_come.pop())
            self._repair()
            for person in self.people:
                self._take_turn(person)
            self._step()

    def settle(self) -> None:
        """Repair everything, and wait until nothing is pending. Raises Violation."""
        until = time.monotonic() + QUIET_SECONDS
        while not self._is_quiet():
            if time.monotonic() > until:
                stuck = [(p.name, p.joined, len(p.lines), p.place) for p in self.people]
                sizes = [server.history.stat().st_size for server in self._servers.values()]
                raise Violation(f"no quiet after {QUIET_SECONDS} s: {stuck}, files of {sizes}")
            self._repair()
            self._step()

    def verify(self) -> str:
        """Compare views with files, and files with each other; a summary. Raises Violation."""
        histories = {name: _files(server.history.parent) for name, server in self._servers.items()}
        for name, files in histories.items():
            if files != histories["a"]:
                raise Violation(f"the files of {name} and a differ")
        for server in self._servers.values():
            if "Traceback" in server.errors():
                raise Violation(f"{server.name}'s log: {server.errors()}")
        records = check(self._servers["a"].history, self.people, ())
        if not self.faults["clear"] and any(len(person.segments) != 1 for person in self.people):
            raise Violation("a resume was not exact")
        return (
            f"{len(records)} records, {sum(len(p.stored) for p in self.people)} lines acknowledged, "
            f"{sum(len(p.refused) for p in self.people)} refused, "
            f"{sum(p.cuts for p in self.people)} connections lost and resumed, "
            f"at most {self.longest:.1f} s without a line stored; "
            + ", ".join(f"{count} x {fault}" for fault, count in sorted(self.faults.items()))
        )

    def close(self) -> None:
        """Hang up."""
        for person in self.people:
            person.cut()

    # ----- people

    def _step(self) -> None:
        now = time.monotonic()
        for person in self.people:
            if person.connected:
                person.step()
                if not person.connected:
                    self._at[person] += 1
                    self._back_at[person] = now + self.rng.uniform(0, 0.3)
            elif now >= self._back_at[person]:
                self._connect(person, now)
        stored = sum(len(person.stored) for person in self.people)
        if stored != self._stored:
            self.longest = max(self.longest, now - self._stored_at)
            self._stored, self._stored_at = stored, now
        time.sleep(STEP_SECONDS)

    def _connect(self, person: Client, now: float) -> None:
        """Go to the next server, and stay at the first one that lets them in."""
        server = self._servers[NAMES[self._at[person] % len(NAMES)]]
        person.connect(server.port)
        if not person.connected:
            self._at[person] += 1
        self._back_at[person] = now + self.rng.uniform(0, 0.3)

    def _take_turn(self, person: Client) -> None:
        so_far = self._lines - max(0, len(self._to_come) - 1) * self._every  # some are left for each fault
        if not person.joined or len(person.lines) > UNANSWERED or self._said >= so_far:
            return
        if self.rng.random() < TALK:
            self._said += 1
            text = f"{person.name}:{self._said}" + self.rng.choice(("", " é🙂", " " + "x" * 1000))
            person.say(Line(text, "message", text))

    def _is_quiet(self) -> bool:
        if self._repairs or not all(person.joined and not person.lines for person in self.people):
            return False
        sizes = {server.history.stat().st_size for server in self._servers.values()}
        return len(sizes) == 1 and all(person.offset in sizes for person in self.people)

    # ----- what befalls them

    def _inject(self, fault: str) -> None:
        self.faults[fault] += 1
        server = self._servers[self.rng.choice(NAMES)]
        node = self.rng.choice(self._chat.engine.nodes)
        if fault == "kill server":
            server.kill()
            self._later("start", server, 3)
        elif fault == "stop server":
            server.stop()
            self._later("start", server, 1)
        elif fault == "freeze server":
            server.process.send_signal(signal.SIGSTOP)
            self._later("continue", server, 20)
        elif fault == "kill node":
            node.kill()
            self._later("start node", node, 8)
        elif fault == "freeze node":
            node.freeze()
            self._later("continue node", node, 12)
        elif fault == "no quorum":
            for dead in self.rng.sample(self._chat.engine.nodes, 2):
                dead.kill()
                self._later("start node", dead, 15)
        elif fault == "pull cable":
            for cable in self._chat.cables[server.name]:
                cable.pull()
                self._later("plug", cable, 20)
        elif fault == "cut":
            for person in self.rng.sample(self.people, len(self.people) // 2):
                person.cut(reset=self.rng.random() < 0.5)
                self._at[person] += 1
        elif fault == "clear":
            person = self.rng.choice(self.people)
            if person.joined:
                person.say(Line("clear", "clear", ""))

    def _later(self, what: str, whom: object, longest: float) -> None:
        self._repairs.append((time.monotonic() + self.rng.uniform(longest / 3, longest), what, whom))

    def _repair(self) -> None:
        now = time.monotonic()
        due = [repair for repair in self._repairs if repair[0] <= now]
        self._repairs = [repair for repair in self._repairs if repair[0] > now]
        for _, what, whom in due:
            if isinstance(whom, ClusterServer):
                if what == "start":
                    self._servers[whom.name] = self._chat.start(whom.name)
                else:
                    whom.process.send_signal(signal.SIGCONT)
            elif isinstance(whom, Cable):
                whom.plug()
            elif isinstance(whom, Node):
                if what == "start node":
                    whom.start()
                    self._repairs.append((0, "healthy", whom))
                elif what == "continue node":
                    whom.go_on()
                    self._repairs.append((0, "healthy", whom))
                elif not whom.healthy():
                    self._repairs.append((0, "healthy", whom))


def _files(folder: Path) -> dict[str, bytes]:
    """The history, and the cleared ones."""
    return {path.name: path.read_bytes() for path in folder.glob("history*.txt")}


def run(
    seed: int, folder: Path, *, people: int = 12, lines: int = 9000, faults: Sequence[str] = DEFAULT
) -> str:
    """One run; a summary. Raises Violation."""
    with cluster(folder, nodes=3, cables="pull cable" in faults) as chat:
        running = ClusterRun(seed, chat, people=people, lines=lines, faults=faults)
        try:
            running.talk()
            running.settle()
            return running.verify()
        finally:
            running.close()


def main() -> int:
    """The exit code: 0 if every promise was kept."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.faults.cluster", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lines", type=int, default=9000, help="that are said in all (9000)")
    parser.add_argument("--fault", choices=FAULTS, nargs="+", default=DEFAULT, help="as often as it is named")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix=f"cluster-{options.seed}-"))
    try:
        done = run(options.seed, folder, lines=options.lines, faults=options.fault)
        print(f"seed {options.seed}: {done}", flush=True)
    except AssertionError as violation:
        print(f"seed {options.seed} FAILED: {violation}\nEverything is in {folder}.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
