"""A room for fuzzing: a witness in it, and visitors that send whatever they are given."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from chat import record
from chat.front import lines as line_driver
from chat.front.login import LOGIN_SECONDS
from chat.log.history import History
from chat.log.log import LocalLog
from chat.record import Record
from chat.room.room import Room
from tests.harness import DEADLINE
from tests.rooms import service_of

ADDRESS = "10.0.0.66"  # of the fuzzing client
PASSWORD = "sesame"  # of admins
SECRET = b"psst-4711"  # occurs only in private messages
UNWANTED = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

LONG, LESS_LONG = b"\xf8", b"\xf9"  # 1,024 and 128 bytes of letters: four and one make the longest line
CUT = b"\xff"  # separates pieces: connections, or what is sent at once
PRIVATE = b"\xfe"  # a private message to somebody else in the room
SAME_SESSION = b"\xfd"  # a login line that resumes the previous connection's session


def unpacked(data: bytes) -> list[bytes]:
    """The pieces that the input stands for."""
    data = data.replace(LONG, b"x" * 1024).replace(LESS_LONG, "é".encode() * 64)
    return data.split(CUT)


class World:
    """A room with its broadcaster, a witness, and sessions of visitors."""

    def __init__(self, folder: Path) -> None:
        self.history = History(folder / "history.txt", sync="no")
        self.service = service_of(Room(LocalLog(self.history)), rate=0, admin_password=PASSWORD)
        self.failures: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._run(self.service.room.run)
        self.witness = Visitor(self, "10.0.0.1", b"/session\nwitness\n")
        self.witness.until("join")

    def visit(self, address: str, connection: socket.socket) -> None:
        """Run a session over the connection, in a thread like the server's handlers."""

        def handle() -> None:
            with connection:
                until = time.monotonic() + LOGIN_SECONDS
                line_driver.LineConnection(connection, address, self.service, until).run()

        self._run(handle)

    def _run(self, work: Callable[[], None]) -> None:
        def kept() -> None:
            try:
                work()
            except BaseException as failure:
                self.failures.append(failure)

        self._threads.append(threading.Thread(target=kept, daemon=True))
        self._threads[-1].start()

    def goes_on(self, number: int) -> None:
        """The witness gets its answer, unless an admin has removed it."""
        self.witness.send(f"/search the witness {number}\n".encode())
        if not self.witness.until("/search", f"Nothing found for the witness {number}."):
            last = self.witness.records[-1]
            assert (last.kind, last.address) == ("leave", "10.0.0.1")
            assert last.text.startswith(("kicked by ", "banned"))

    def close(self) -> None:
        """Stop in order. Raises the unexpected error of any thread."""
        self.service.room.stop("")
        self.witness.rest()
        self.witness.close()
        for thread in reversed(self._threads):
            thread.join(DEADLINE)
            assert not thread.is_alive()
        self.service.room.log.close()
        for failure in self.failures:
            raise failure


class Visitor:
    """One connection, which sends in a thread of its own, so that it can't wait for itself."""

    def __init__(self, world: World, address: str, sent: bytes) -> None:
        here, self._socket = socket.socketpair()
        self._socket.settimeout(DEADLINE)
        self._stream = self._socket.makefile("rb")
        self.records: list[Record] = []
        world.visit(address, here)
        self.send(sent)

    def send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # the server has hung up, as it may
            self._socket.sendall(data)

    def send_meanwhile(self, data: bytes) -> None:
        """Send in the background, and then close the sending side."""

        def send() -> None:
            self.send(data)
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)

        threading.Thread(target=send, daemon=True).start()

    def next(self) -> Record | None:
        """The next record, which must be whole and clean; None at the end."""
        line = self._stream.readline()
        if not line:
            return None
        assert line.endswith(b"\n")
        found = record.parse(line)
        assert found.encode() == line
        assert not UNWANTED.search(line.decode()[:-1])
        assert found.direct or record.HISTORY_RECORD.fullmatch(line)
        self.records.append(found)
        return found

    def until(self, kind: str, text: str = "") -> Record | None:
        """Read up to a record like this, or to the end."""
        while (found := self.next()) and (found.kind, found.text) != (kind, text):
            pass
        return found

    def rest(self) -> None:
        """Read to the end."""
        while self.next():
            pass

    def place(self) -> bytes:
        """The login line that resumes the session here, if there is one."""
        token, offset, at = "", 0, ""
        for found in self.records:
            if found.kind == "/session":
                token, start, _ = found.text.split()
                offset = int(start)
            elif not found.direct:
                offset = offset * (found.kind != "clear") + len(found.encode())
                at = found.time
        return f"/session {token} {offset} {at}\n".encode() if token and at else b"/session\n"

    def close(self) -> None:
        self._stream.close()
        self._socket.close()
