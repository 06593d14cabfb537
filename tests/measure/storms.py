"""What ill-meaning clients do. Each storm is a function that one of many threads runs until its time is up.

    python3 -m tests.measure.storms NAME PORT SECONDS       a process of its own, for tests.measure.fairness

A storm speaks the protocol and nothing else, and comes from addresses of its own. What it counted is printed.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

LONG = "x" * 4000
WAIT_SECONDS = 5.0  # for one answer, or for a socket to take more


class Attacker:
    """One thread's view: its number, where from, until when; and what it counts."""

    def __init__(self, port: int, number: int, address: str, until: float) -> None:
        self.port = port
        self.number = number
        self.address = address
        self.until = until
        self.done = 0  # whatever the storm counts

    @property
    def going(self) -> bool:
        """Whether its time is not up yet."""
        return time.monotonic() < self.until

    def connect(self, *lines: str, address: str = "", small: bool = False) -> socket.socket:
        """A connection that has sent these lines. Raises OSError."""
        connection = socket.socket()
        connection.settimeout(WAIT_SECONDS)
        if small:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.bind((address or self.address, 0))
        connection.connect(("127.0.0.1", self.port))
        if lines:
            send(connection, *lines)
        return connection

    @contextmanager
    def joined(self, *options: str, name: str = "", small: bool = False) -> Iterator[socket.socket]:
        """A connection that is in the room."""
        name = name or f"storm{self.number}-{random.randrange(10**9)}"
        connection = self.connect("/replay 0", *options, name, small=small)
        with connection:
            read_to(connection, f"\t{name}\tjoin\t".encode())
            yield connection


def send(connection: socket.socket, *lines: str) -> None:
    """Send lines. Raises OSError."""
    connection.sendall("".join(line + "\n" for line in lines).encode())


def read_to(connection: socket.socket, marker: bytes) -> bytes:
    """Receive until it came; what came. Raises OSError, EOFError."""
    received = b""
    while marker not in received:
        more = connection.recv(65536)
        if not more:
            raise EOFError
        received = received[-len(marker) :] + more
    return received


def reset(connection: socket.socket) -> None:
    """End it with a RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def push(connection: socket.socket, data: bytes, until: float) -> int:
    """Send as much as the other end takes, without reading; how much that was."""
    sent = 0
    connection.settimeout(0.2)
    while sent < len(data) and time.monotonic() < until:
        try:
            sent += connection.send(data[sent : sent + 65536])
        except TimeoutError:
            break
    return sent


# ---------------------------------------------------------------------------------------------- asking


def search_for_nothing(me: Attacker) -> None:
    """`/search` for what isn't there, again as soon as it is answered."""
    with me.joined() as connection:
        while me.going:
            send(connection, f"/search zzq{me.number}qzz{me.done}")
            read_to(connection, b"\t/search\t")
            me.done += 1


def search_for_everything(me: Attacker) -> None:
    """`/search` for what is everywhere, with twenty words."""
    with me.joined() as connection:
        while me.going:
            send(connection, "/search a e i o u n r s t l")
            read_to(connection, b"\t/search\t")
            me.done += 1


def history_unread(me: Attacker) -> None:
    """`/history 1000` as often as it goes, and nothing is read."""
    with me.joined(small=True) as connection:
        while me.going:
            me.done += push(connection, b"/history 1000\n" * 100, me.until) // 14
            wait(0.1)


def history_and_reset(me: Attacker) -> None:
    """16 KB of `/history 1000`, unread, and a RST."""
    while me.going:
        with me.joined(small=True) as connection:
            push(connection, b"/history 1000\n" * 1160, me.until)
            reset(connection)
            me.done += 1


def history(me: Attacker) -> None:
    """`/history 1000`, read."""
    with me.joined() as connection:
        while me.going:
            send(connection, "/history 1000", f"/back{me.done}")
            read_to(connection, f"/back{me.done};".encode())
            me.done += 1


def replay_taken_name(me: Attacker) -> None:
    """A replay of nearly all, and names that somebody has: each is looked at."""
    while me.going:
        with me.connect("/replay 1700000") as connection, contextlib.suppress(TimeoutError):
            for _ in range(20):
                send(connection, "honest")
                read_to(connection, b"\t/error\t")
                me.done += 1


def replay_all(me: Attacker) -> None:
    """`/replay all`, read as fast as it comes, again and again."""
    while me.going:
        with me.joined() as connection:
            pass
        with me.connect("/replay all", f"reader{me.number}-{me.done}") as connection:
            while me.going and (received := connection.recv(1 << 18)):
                me.done += len(received)


def private_to_marks(me: Attacker) -> None:
    """`/msg` to a name of 2,000 combining marks."""
    marks = "\u0301\u0327" * 1000
    with me.joined() as connection:
        while me.going:
            send(connection, f"/msg {marks} hello")
            read_to(connection, b"\t/error\t")
            me.done += 1


def stats(me: Attacker) -> None:
    """`/stats`, again as soon as it is answered."""
    with me.joined() as connection:
        connection.settimeout(60)
        while me.going:
            send(connection, "/stats")
            connection.recv(65536)
            me.done += 1


# --------------------------------------------------------------------------------------------- speaking


def reconnect_with_burst(me: Attacker) -> None:
    """Comes, says a burst of long messages, goes, comes again."""
    lines = [LONG] * 50
    while me.going:
        with me.connect("/replay 0", f"b{me.number}-{me.done}", *lines) as connection:
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
        me.done += 1


def lines_and_reset(me: Attacker) -> None:
    """8,400 lines at once, and a RST. Counts the lines that its socket took."""
    while me.going:
        with me.joined() as connection:
            me.done += push(connection, b"hi there\n" * 8400, me.until) // 9
            reset(connection)


def long_messages(me: Attacker) -> None:
    """Messages of 4,000 bytes as fast as they are taken."""
    with me.joined() as connection:
        while me.going:
            me.done += push(connection, (LONG + "\n").encode() * 20, me.until)
            with contextlib.suppress(TimeoutError):
                connection.settimeout(0.01)
                connection.recv(1 << 20)


def endless_line(me: Attacker) -> None:
    """A line that never ends. Counts megabytes."""
    with me.joined() as connection:
        sent = 0
        while me.going:
            sent += push(connection, b"x" * (1 << 20), me.until)
        me.done = sent >> 20


def long_login_lines(me: Attacker) -> None:
    """Lines that are too long for a name, one behind the other."""
    while me.going:
        with me.connect() as connection:
            me.done += push(connection, (b"x" * 5000 + b"\n") * 1000, me.until) // 5001


def clear(me: Attacker) -> None:
    """`clear`, as often as it goes."""
    with me.joined() as connection:
        while me.going:
            send(connection, "clear")
            me.done += 1
            read_to(connection, b"\tclear\t")


def private_chain(me: Attacker) -> None:
    """Each fills up with what it doesn't read, gets a private message from the one before, which is reset."""
    before: socket.socket | None = None
    while me.going:
        name = f"chain{me.number}-{me.done}"
        link = me.connect("/replay 0", name, "clear", *["/help"] * 40, small=True)
        read_to(link, f"\t{name}\tjoin\t".encode())
        if before:
            send(before, f"/msg {name} hello")
            wait(0.02)
            reset(before)
        before = link
        me.done += 1


def takeover(me: Attacker) -> None:
    """Takes over its own session while 4 MB of commands wait on the old connection."""
    name = f"taken{me.number}"
    option, old = "/session", None
    while me.going:
        connection = me.connect("/replay 0", option, name)
        token = read_to(connection, f"\t{name}\tjoin\t".encode())
        session = token.partition(b"\t/session\t")[2].partition(b"\n")[0].split()
        if old:
            old.close()
        if len(session) == 3:
            option = f"/session {session[0].decode()} {session[2].decode()} 2026-01-01T00:00:00.000Z"
        push(connection, b"/help\n" * 700_000, min(me.until, time.monotonic() + 2))
        old = connection
        me.done += 1


# ----------------------------------------------------------------------------------------------- coming


def connect_and_go(me: Attacker) -> None:
    """Connects and hangs up."""
    while me.going:
        me.connect().close()
        me.done += 1


def guess(me: Attacker) -> None:
    """Guesses the password, each try from another address. Counts those that were answered."""
    while me.going:
        address = f"127.0.{random.randrange(1, 5)}.{random.randrange(1, 100)}"
        with (
            contextlib.suppress(OSError, EOFError),
            me.connect(f"/password {random.random()}", address=address) as connection,
        ):
            read_to(connection, b"That is not the password")
            me.done += 1


@dataclass(frozen=True)
class Storm:
    """What so many do, each from `addresses` in turn."""

    run: Callable[[Attacker], None]
    count: int
    addresses: int = 1
    counts: str = "done"  # what `Attacker.done` means


STORMS = {
    "search": Storm(search_for_nothing, 40, counts="searches"),
    "search-all": Storm(search_for_everything, 40, counts="searches"),
    "history-unread": Storm(history_unread, 40, counts="asked"),
    "takeover": Storm(takeover, 1, counts="takeovers"),
    "reconnect": Storm(reconnect_with_burst, 16, counts="connections"),
    "clear": Storm(clear, 4, counts="clears"),
    "history-reset": Storm(history_and_reset, 1, counts="resets"),
    "lines-reset": Storm(lines_and_reset, 20, counts="lines"),
    "history-joins": Storm(history, 16, counts="answers"),
    "replay-taken": Storm(replay_taken_name, 16, counts="names"),
    "history-128": Storm(history_unread, 128, addresses=2, counts="asked"),
    "msg-marks": Storm(private_to_marks, 32, counts="messages"),
    "replay-all": Storm(replay_all, 64, counts="bytes"),
    "private-chain": Storm(private_chain, 1, counts="links"),
    "bans": Storm(connect_and_go, 8, counts="connections"),
    "guess": Storm(guess, 60, counts="guesses"),
    "stats": Storm(stats, 16, counts="answers"),
    "long-messages": Storm(long_messages, 16, counts="bytes"),
    "endless-line": Storm(endless_line, 16, counts="MB"),
    "long-login": Storm(long_login_lines, 16, counts="lines"),
}


def wait(seconds: float) -> None:
    """Do nothing for a while."""
    threading.Event().wait(seconds)


def main(name: str, port: int, seconds: float) -> None:
    """Runs the storm; prints what it counted."""
    storm = STORMS[name]
    until = time.monotonic() + seconds
    attackers = [
        Attacker(port, number, f"127.0.9.{number % storm.addresses + 1}", until)
        for number in range(storm.count)
    ]
    threads = [threading.Thread(target=_run, args=(storm, each), daemon=True) for each in attackers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0, until + 1 - time.monotonic()))
    print(sum(each.done for each in attackers), storm.counts)


def _run(storm: Storm, attacker: Attacker) -> None:
    """Again where the server ended it, but not at once: the storm is to last."""
    while attacker.going:
        with contextlib.suppress(OSError, EOFError):
            storm.run(attacker)
        wait(0.05)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
