"""A server whose surroundings can be made to fail while it runs, and its disk."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness import ROOT, Server

DISK_BYTES = 8 * 1024 * 1024  # a minute's talk; a run that fills it has another reason to see it full
SHIM = Path(__file__).with_name("shim")


class Disk:
    """A folder on a small disk of its own, in a mount namespace; an ordinary folder where that is forbidden.

    The server sees it as `inside`, everybody else as `outside`.
    """

    def __init__(self, folder: Path) -> None:
        self.inside = self.outside = folder
        self.prefix: tuple[str, ...] = ()  # of a command that is to see it
        mount = f"mount -t tmpfs -o size={DISK_BYTES} tmpfs '{folder}' && echo mounted && exec sleep infinity"
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", mount],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._holder.stdout
        if self._holder.stdout.readline() == "mounted\n":
            self.outside = Path(f"/proc/{self._holder.pid}/root{folder}")
            self.prefix = ("nsenter", "--mount", f"--target={self._holder.pid}", f"--wd={ROOT}")

    @property
    def can_fill_up(self) -> bool:
        """Whether it is small."""
        return bool(self.prefix)

    def fill(self, leave: int) -> None:
        """Let about so many bytes be free on it, to the page."""
        with contextlib.suppress(OSError), (self.outside / "ballast").open("wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(4096))
        free = (self.outside / "ballast").stat().st_size - leave
        os.truncate(self.outside / "ballast", max(0, free))

    def free(self) -> None:
        """Let there be room again."""
        (self.outside / "ballast").unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of it."""
        self._holder.kill()
        self._holder.wait()
        assert self._holder.stdout
        self._holder.stdout.close()


@contextmanager
def disk(folder: Path) -> Iterator[Disk]:
    """A disk for the length of a with statement."""
    made = Disk(folder)
    try:
        yield made
    finally:
        made.close()


class FaultyServer:
    """Server processes, one after another, on the same port and the same disk."""

    def __init__(self, disk: Disk, *arguments: str) -> None:
        self._disk = disk
        self._arguments = arguments
        self._faults = disk.outside / "faults"
        self._clock = 0
        self._failing: set[str] = set()
        self._write_faults()
        self._server = self._start(0)
        self.port = self._server.port
        self.logs: list[str] = []

    @property
    def pid(self) -> int:
        """Of the process that runs now."""
        return self._server.process.pid

    @property
    def history(self) -> Path:
        """The file, as it is seen from outside."""
        return self._disk.outside / "history.txt"

    # ----- its life

    def kill(self) -> None:
        """As a crash would."""
        self.go_on()
        self._server.process.kill()
        self._end()

    def stop(self) -> None:
        """In order."""
        self.go_on()
        self._server.process.send_signal(signal.SIGTERM)
        code = self._end()
        assert code == 0, f"exit {code}: {self.logs[-1]}"

    def start(self) -> None:
        """Again, after `kill` or `stop`. Faults in its surroundings last."""
        self._server = self._start(self.port)

    def close(self) -> None:
        """End it whatever its state."""
        self._server.close()

    def _start(self, port: int) -> Server:
        return Server(
            self._disk.inside / "history.txt",
            *self._arguments,
            port=port,
            prefix=self._disk.prefix,
            environment={"PYTHONPATH": str(SHIM), "FAULTS_FILE": str(self._faults)},
        )

    def _end(self) -> int:
        code = self._server.wait()
        self.logs.append(self._server.errors())
        self._server.close()
        return code

    # ----- faults

    def freeze(self) -> None:
        """SIGSTOP."""
        self._server.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        self._server.process.send_signal(signal.SIGCONT)

    def step_clock(self, seconds: int) -> None:
        """Let the wall clock be wrong by so many seconds, for this server and the ones after it."""
        self._clock = seconds
        self._write_faults()

    def fail(self, *calls: str) -> None:
        """Let calls to the system fail: "write", "sync", "thread"; none to let them work again."""
        self._failing = set(calls)
        self._write_faults()

    def limit_files(self) -> None:
        """No further file descriptors."""
        used = len(list(Path(f"/proc/{self.pid}/fd").iterdir()))
        self._limit(resource.RLIMIT_NOFILE, used)

    def limit_history(self, more: int) -> None:
        """No file may grow beyond the history's size and so many bytes."""
        self._limit(resource.RLIMIT_FSIZE, self.history.stat().st_size + more)

    def unlimit(self) -> None:
        """All the limits away."""
        for which in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE):
            self._limit(which, resource.prlimit(self.pid, which)[1])

    def _limit(self, which: int, soft: int) -> None:
        resource.prlimit(self.pid, which, (soft, resource.prlimit(self.pid, which)[1]))

    def _write_faults(self) -> None:
        words = " ".join([str(self._clock), *sorted(self._failing)])
        with self._faults.open("r+b" if self._faults.exists() else "wb") as file:
            file.write(words.ljust(100).encode())  # one write, in place: the server never sees half of it
