"""The relay: one process that encrypts and forwards the bytes of all TLS connections, in both directions.

    client ==TCP, encrypted== relay ==socket pair, plain== handler (reads), broadcaster (writes)

So everything in the server deals with a plain socket, and whatever happens to a connection (a kick, a
takeover, the server's stop), nothing reaches the client unencrypted.

It is a process: a thread would compete with the others for the interpreter at each of the six system calls
and encryptions that 64 KiB need, and forwarded a fifth as much (measured with `tests.measure.tls`). It is one
for all, and not each connection's handler: with 100 listeners every message would wake 100 threads, and a
delivery took 36 to 60 microseconds of processor time that way, instead of 6 in plain text.

Here is the server's side; chat/front/relay_process.py is what runs in the process.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from chat.front import handover
from chat.front.certificate import Certificate

LINGER_SECONDS = 30  # for a client to read the rest, once its handler is done
# To send the last bytes when the server stops: the broadcaster and the streams have had six before.
STOP_SECONDS = 2
RESTART_SECONDS = 1.0  # before another process is started in place of one that failed
STUCK_SECONDS = 5.0  # to take a connection, which takes microseconds
RETRY_SECONDS = 10.0  # where that one had only just been started: the cause may last

# To the process, with the client's socket and the relay's end of the pair: the connection's number, the
# seconds that are left for its handshake; then what was read of it already.
# From the process, lines: "ready NUMBER", "gone NUMBER", "log LEVEL SENTENCE".
CONNECTION = struct.Struct("!Id")

NEVER = float("inf")

log = logging.getLogger("chat.front.relay")


class _Carried:
    """A connection that the process has."""

    __slots__ = ("gone", "ready", "settled")

    def __init__(self) -> None:
        self.ready = False  # its handshake is done
        self.settled = threading.Event()  # it is ready, or gone
        self.gone = threading.Event()  # the process no longer has its sockets


class Relay:
    """The process and its connections, from `start` to `stop`. If it fails, another one takes its place.

    `required`: all who don't speak TLS are to be refused.
    """

    def __init__(self, certificate: Certificate, *, required: bool = False) -> None:
        self.certificate = certificate
        self.required = required
        # Guards the next four, and sending to the process. While one waits for it to take a connection, the
        # other lets the thread take what it reports: else each could wait for the other.
        self._sending = threading.Lock()
        self._process: subprocess.Popen[bytes]
        self._control: socket.socket
        self._launched = 0.0  # time.monotonic()
        self._sends_since = NEVER  # time.monotonic() since when a handler hands a connection over
        self._lock = threading.Lock()  # guards the next two
        self._carried: dict[int, _Carried] = {}  # by number
        self._number = 0  # of the last one
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="relay", daemon=True)

    def start(self) -> None:
        """Start the process. Raises OSError."""
        self._launch()
        self._thread.start()

    def stop(self) -> None:
        """Send everybody the rest, close in order, and end the process, if it was started."""
        self._stopping.set()
        if not self._thread.ident:
            return
        if self._sending.acquire(timeout=STOP_SECONDS):  # else the process is stuck, and a handler with it
            with contextlib.suppress(OSError):  # it has failed just now
                self._control.shutdown(socket.SHUT_WR)
            self._sending.release()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS + 1)
        self._process.kill()  # unless it has ended
        self._thread.join()
        self._process.wait()

    @contextlib.contextmanager
    def carry(self, tcp: socket.socket, received: bytes, until: float) -> Iterator[socket.socket]:
        """The plain socket that stands for a connection, after the handshake.

        `received` has been read from it already. After the with statement the client has got everything, or
        has had the time to; then its own socket must be closed.
        Waits for the client until this time.monotonic(). Raises TimeoutError, OSError.
        """
        inside, pair = socket.socketpair()
        with inside:
            with pair:
                carried = self._hand_over(tcp, pair, received, until)
            try:
                if not carried.settled.wait(max(0, until - time.monotonic())):
                    raise TimeoutError
                if not carried.ready:
                    raise ConnectionResetError("no TLS handshake")
                yield inside
            finally:
                inside.close()
                if not carried.gone.wait(LINGER_SECONDS):
                    with contextlib.suppress(OSError):  # it is gone by now
                        tcp.shutdown(socket.SHUT_RDWR)
                    carried.gone.wait(LINGER_SECONDS)

    def _hand_over(self, tcp: socket.socket, pair: socket.socket, received: bytes, until: float) -> _Carried:
        """Give the process the connection, or the next one if it has just failed. Raises OSError."""
        while True:
            try:
                return self._send(tcp, pair, received, until)
            except TimeoutError:
                raise
            except OSError:
                pause = min(RESTART_SECONDS, until - time.monotonic())
                if pause <= 0 or self._stopping.wait(pause):
                    raise

    def _send(self, tcp: socket.socket, pair: socket.socket, received: bytes, until: float) -> _Carried:
        carried = _Carried()
        if not self._sending.acquire(timeout=max(0, until - time.monotonic())):
            if time.monotonic() - self._sends_since > STUCK_SECONDS:
                self._process.kill()  # it is stuck, and a handler with it; `_watch` starts another one
            raise TimeoutError("the relay takes no connection")
        self._sends_since = time.monotonic()
        try:  # only now is it this process's, and ends with it
            with self._lock:
                self._number = number = (self._number + 1) % 2**32
                self._carried[number] = carried
            try:
                message = CONNECTION.pack(number, until - time.monotonic()) + received
                handover.send(self._control, self._process.pid, (tcp, pair), message)
            except OSError:
                with self._lock:
                    self._carried.pop(number, None)
                raise
        finally:
            self._sends_since = NEVER
            self._sending.release()
        return carried

    # ----- the process

    def _launch(self) -> None:
        """Requires holding `_sending`, once the thread runs. Raises OSError."""
        files = [str(path.absolute()) for path in self.certificate.files]
        level = logging.getLevelName(log.getEffectiveLevel())
        command = [sys.executable, "-m", "chat.front.relay_process", *files, level]
        self._process, self._control = handover.start(command, Path(__file__).parents[2])
        self._launched = time.monotonic()

    def _watch(self) -> None:
        """The thread: takes what the process reports, and starts it anew if it fails. Ends after `stop`."""
        while True:
            with contextlib.suppress(OSError), self._control.makefile("rb") as events:
                for event in events:
                    self._take(event)
            with self._sending:
                self._control.close()
                self._end_all()
                if not self._stopping.is_set():
                    log.error("the relay failed, and all TLS connections with it; another one is started")
                    self._relaunch()
                if self._stopping.is_set():
                    return

    def _end_all(self) -> None:
        with self._lock:
            carried, self._carried = self._carried, {}
        for each in carried.values():
            each.settled.set()
            each.gone.set()

    def _relaunch(self) -> None:
        """Newcomers wait meanwhile. Requires holding `_sending`."""
        self._process.wait()
        just_launched = time.monotonic() < self._launched + RETRY_SECONDS
        while not self._stopping.wait(RETRY_SECONDS if just_launched else RESTART_SECONDS):
            try:
                self._launch()
            except OSError as error:
                log.error("the relay can't be started: %s", error)
            else:
                return

    def _take(self, event: bytes) -> None:
        if not event.endswith(b"\n"):
            return  # it failed while it wrote this
        kind, argument, *rest = event.decode(errors="replace").rstrip("\n").split(" ", 2)
        if kind == "log":
            log.log(int(argument), "%s", *rest)
            return
        with self._lock:
            carried = self._carried.get(int(argument))
            if kind == "gone":
                self._carried.pop(int(argument), None)
        if carried is None:
            return  # its handler could not send all of it
        if kind == "ready":
            carried.ready = True
        else:
            carried.gone.set()
        carried.settled.set()
