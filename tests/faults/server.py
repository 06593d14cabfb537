"""A server whose environment can be made to fail while it runs, and its disk."""

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

DISK_BYTES = 8 * 1024 * 1024  # a minute's messages, so that long runs fill it as well
SHIM = Path(__file__).with_name("shim")


class Disk:
    """A folder on a small disk of its own, in a mount namespace; an ordinary folder if that is forbidden.

    The server sees it as `inside`, everybody else as `outside`.
    """

    def __init__(self, folder: Path) -> None:
        self.inside = self.outside = folder
        self.prefix: tuple[str, ...] = ()  # of a command that should see it
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
        """Leave about this many bytes free, to the page."""
        with contextlib.suppress(OSError), (self.outside / "ballast").open("wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(4096))
        free = (self.outside / "ballast").stat().st_size - leave
        os.truncate(self.outside / "ballast", max(0, free))

    def free(self) -> None:
        """Free the space."""
        (self.outside / "ballast").unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount it."""
        self._holder.kill()
        self._holder.wait()
        assert self._holder.stdout
        self._holder.stdout.close()


@contextmanager
def disk(folder: Path) -> Iterator[Disk]:
    """A disk during the with statement."""
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
        """The id of the running process."""
        return self._server.process.pid

    @property
    def history(self) -> Path:
        """The history file, as seen from outside."""
        return self._disk.outside / "history.txt"

    # ----- its life

    def kill(self) -> None:
        """Kill it, like a crash."""
        self.go_on()
        self._server.process.kill()
        self._end()

    def stop(self) -> None:
        """Stop it in order."""
        self.go_on()
        self._server.process.send_signal(signal.SIGTERM)
        code = self._end()
        assert code == 0, f"exit {code}: {self.logs[-1]}"

    def start(self) -> None:
        """Start it again, after `kill` or `stop`. Faults persist."""
        self._server = self._start(self.port)

    def close(self) -> None:
        """End it, whatever its state."""
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
        """Set the wall clock off by this many seconds, for this server and the next ones."""
        self._clock = seconds
        self._write_faults()

    def fail(self, *calls: str) -> None:
        """Make system calls fail: "write", "sync", "thread"; no argument: none."""
        self._failing = set(calls)
        self._write_faults()

    def limit_files(self) -> None:
        """Allow no more file descriptors."""
        used = len(list(Path(f"/proc/{self.pid}/fd").iterdir()))
        self._limit(resource.RLIMIT_NOFILE, used)

    def limit_history(self, more: int) -> None:
        """Let no file grow beyond the history's size plus this many bytes."""
        self._limit(resource.RLIMIT_FSIZE, self.history.stat().st_size + more)

    def unlimit(self) -> None:
        """Remove all limits."""
        for which in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE):
            self._limit(which, resource.prlimit(self.pid, which)[1])

    def _limit(self, which: int, soft: int) -> None:
        resource.prlimit(self.pid, which, (soft, resource.prlimit(self.pid, which)[1]))

    def _write_faults(self) -> None:
        words = " ".join([str(self._clock), *sorted(self._failing)])
        with self._faults.open("r+b" if self._faults.exists() else "wb") as file:
            file.write(words.ljust(100).encode())  # one write, in place: the server never sees half of it
