"""One run: a crowd talks for a while, a fault comes every now and then, and then all is checked.

The seed decides who says what, which faults come and when; what the machine makes of it is its own.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.faults.checker import check
from tests.faults.client import Client, Line, Violation
from tests.faults.server import Disk, FaultyServer, disk
from tests.harness import ROOT

PEOPLE = 8
QUIET_SECONDS = 90  # for everything to be delivered and acknowledged, once the faults are over
TALK_SECONDS = 0.05  # between two turns of a person, on average
FAULT_SECONDS = 0.7  # between two faults, on average
STORM_SECONDS = 3.0
# Of tests.measure.storms: those that don't just fill the small disk, which is a fault of its own.
STORMS = (
    *(
        "search",
        "history-unread",
        "history-reset",
        "history-joins",
        "history-128",
        "replay-taken",
        "replay-all",
    ),
    *("takeover", "private-chain", "msg-marks", "stats", "bans", "endless-line", "long-login", "lines-reset"),
)
UNANSWERED = 300  # lines in flight for each person, at most


class Run:
    """A crowd, a server and the faults. `talk`, then `settle`, then `verify`."""

    def __init__(self, seed: int, folder: Disk) -> None:
        self.rng = random.Random(seed)
        self.faults: Counter[str] = Counter()
        self._disk = folder
        self._server = FaultyServer(
            folder,
            *(
                "--rate",
                self.rng.choice(("0", "500", "50")),
                "--max-per-address",
                "0",
                "--log-level",
                "warning",
            ),
            *("--sync", self.rng.choice(("always", "everysec", "no"))),
        )
        self.people = [Client(f"p{number}", random.Random(seed + number)) for number in range(PEOPLE)]
        self._back_at = dict.fromkeys(self.people, 0.0)
        self._turn_at = dict.fromkeys(self.people, 0.0)
        self._said = 0
        self._secrets: list[str] = []
        self._repairs: list[tuple[float, Callable[[], None]]] = []  # when to undo a fault, and how

    # ----- the run

    def talk(self, seconds: float) -> None:
        """Talk while things fail."""
        until = time.monotonic() + seconds
        fault_at = time.monotonic() + 0.5
        while (now := time.monotonic()) < until:
            if now >= fault_at:
                self._inject()
                fault_at = now + self.rng.expovariate(1 / FAULT_SECONDS)
            self._repair(now)
            for person in self.people:
                if now >= self._turn_at[person]:
                    self._turn_at[person] = now + self.rng.expovariate(1 / TALK_SECONDS)
                    self._take_turn(person)
            self._step(now)

    def settle(self) -> None:
        """Repair everything, and wait until nothing is pending. Raises Violation."""
        self._repair(float("inf"))
        for person in self.people:
            person.reading = True
        until = time.monotonic() + QUIET_SECONDS
        while not self._is_quiet():
            if time.monotonic() > until:
                stuck = [(p.name, p.joined, len(p.lines), p.place) for p in self.people]
                raise Violation(f"no quiet after {QUIET_SECONDS} s: {stuck}")
            self._step(time.monotonic())
        self._stop_in_order()

    def verify(self) -> str:
        """Check everything; a summary in one line. Raises Violation."""
        for log in self._server.logs:
            if (
                "Traceback" in log
                or "ended in an error" in log
                or any(secret in log for secret in self._secrets)
            ):
                raise Violation(f"the server's log: {log}")
        records = check(self._server.history, self.people, self._secrets)
        return (
            f"{len(records)} records, {sum(len(p.stored) for p in self.people)} lines acknowledged, "
            f"{sum(len(p.refused) for p in self.people)} refused, "
            f"{sum(len(p.unknown) for p in self.people)} unknown after a clear, "
            f"{sum(p.cuts for p in self.people)} connections lost; faults: "
            + ", ".join(f"{count} {name}" for name, count in sorted(self.faults.items()))
        )

    def close(self) -> None:
        """End the server and the clients."""
        for person in self.people:
            person.cut()
        self._server.close()

    def _step(self, now: float) -> None:
        for person in self.people:
            if person.connected:
                person.step()
                if not person.connected:
                    self._back_at[person] = now + self.rng.uniform(0, 0.3)
            elif now >= self._back_at[person]:
                person.connect(self._server.port)
                self._back_at[person] = now + self.rng.uniform(0, 0.3)
        time.sleep(0.002)  # leave the other processor to the server

    def _is_quiet(self) -> bool:
        size = self._server.history.stat().st_size
        everybody_is_here = all(p.joined and not p.lines for p in self.people)
        return everybody_is_here and all(p.offset == size for p in self.people)

    def _stop_in_order(self) -> None:
        """Stop the server; everybody gets the notice."""
        self._server.stop()
        until = time.monotonic() + QUIET_SECONDS
        while any(person.connected for person in self.people):
            if time.monotonic() > until:
                raise Violation("the server has stopped, and a connection is still there")
            for person in self.people:
                person.step()

    # ----- what people do

    def _take_turn(self, person: Client) -> None:
        """Say something, once in a while a lot."""
        if not person.joined or len(person.lines) > UNANSWERED:
            return
        for _ in range(self.rng.choice((1, 1, 1, 2, 40))):
            person.say(self._line(person))

    def _line(self, person: Client) -> Line:
        self._said += 1
        text = f"{person.name}:{self._said}" + self.rng.choice(("", " hello", " é🙂", " " + "x" * 1000))
        kind = self.rng.random()
        if kind < 0.05:
            return Line(f"/me {text}", "action", text)
        if kind < 0.1:
            return Line(f"//{text}", "message", f"/{text}")
        if kind < 0.13:
            self._secrets.append(f"secret {text}")
            return Line(
                f"/msg {person.name} {self._secrets[-1]}", "/msg", f"to {person.name}: {self._secrets[-1]}"
            )
        return Line(text, "message", text)

    # ----- what befalls them

    def _inject(self) -> None:
        faults: list[Callable[[], None]] = [
            *(self._kill, self._kill, self._restart, self._freeze, self._cut, self._cut, self._stall),
            *(
                self._limit_history,
                self._limit_files,
                self._fail_writes,
                self._fail_syncs,
                self._fail_threads,
            ),
            *(self._step_clock, self._clear, self._storm, self._storm),
        ]
        if self._disk.can_fill_up:
            faults += [self._fill_disk, self._fill_disk]
        fault = self.rng.choice(faults)
        self.faults[fault.__name__.strip("_").replace("_", " ")] += 1
        fault()

    def _repair(self, now: float) -> None:
        due = [repair for at, repair in self._repairs if at <= now]
        self._repairs = [(at, repair) for at, repair in self._repairs if at > now]
        for repair in due:
            repair()

    def _later(self, repair: Callable[[], None], longest: float = 1.5) -> None:
        self._repairs.append((time.monotonic() + self.rng.uniform(0.05, longest), repair))

    def _kill(self) -> None:
        self._server.kill()
        self._start()

    def _restart(self) -> None:
        self._server.fail()
        self._server.stop()
        self._start()

    def _start(self) -> None:
        """A lasting fault would prevent the start, as it should; so it is repaired first."""
        self._disk.free()
        self._server.fail()
        self._server.start()

    def _freeze(self) -> None:
        self._server.freeze()
        self._later(self._server.go_on)

    def _cut(self) -> None:
        for person in self.rng.sample(self.people, self.rng.randint(1, PEOPLE)):
            if person.joined and self.rng.random() < 0.3:
                person.half_say("this line has no e")
            person.cut(reset=self.rng.random() < 0.5)

    def _stall(self) -> None:
        person = self.rng.choice(self.people)
        person.reading = False
        self._later(lambda: setattr(person, "reading", True), 4)

    def _fill_disk(self) -> None:
        self._disk.fill(self.rng.choice((0, 4096, 16384)))
        self._later(self._disk.free)

    def _limit_history(self) -> None:
        self._server.limit_history(self.rng.randrange(3000))
        self._later(self._server.unlimit)

    def _limit_files(self) -> None:
        self._server.limit_files()
        self._later(self._server.unlimit)
        self._cut()

    def _fail_writes(self) -> None:
        self._server.fail("write")
        self._later(self._server.fail)

    def _fail_syncs(self) -> None:
        self._server.fail("sync")
        self._later(self._server.fail)

    def _fail_threads(self) -> None:
        self._server.fail("thread")
        self._later(self._server.fail)
        self._cut()

    def _step_clock(self) -> None:
        self._server.step_clock(self.rng.choice((-86400, -3600, -2, 0, 3)))

    def _clear(self) -> None:
        person = self.rng.choice(self.people)
        if person.joined:
            person.say(Line(self.rng.choice(("clear", "/clear")), "clear", ""))

    def _storm(self) -> None:
        """Ill-meaning clients, for a while; whatever they do, nobody else loses anything by it."""
        name = self.rng.choice(STORMS)
        self.faults[f"storm: {name}"] += 1
        command = [
            sys.executable,
            "-m",
            "tests.measure.storms",
            name,
            str(self._server.port),
            str(STORM_SECONDS),
        ]
        storm = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def end() -> None:
            storm.kill()
            storm.wait()

        self._later(end, STORM_SECONDS)


def run(seed: int, seconds: float, folder: Path) -> str:
    """One run; a summary. Raises Violation, and then leaves the history in the folder."""
    with disk(folder) as small:
        running = Run(seed, small)
        try:
            running.talk(seconds)
            running.settle()
            return running.verify()
        except AssertionError:
            _keep(small, folder)
            raise
        finally:
            running.close()


def _keep(small: Disk, folder: Path) -> None:
    """Copy what is on the disk, which goes away with its namespace."""
    if small.outside != folder:
        for file in small.outside.iterdir():
            if file.name != "ballast":
                (folder / file.name).write_bytes(file.read_bytes())
