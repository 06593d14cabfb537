"""The benchmark runs and counts right, on a tiny load. How fast anything is, no test asks."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.measure.bench import growth
from tests.measure.bench.__main__ import table
from tests.measure.bench.load import Load
from tests.measure.bench.measure import Measured, Span, measure
from tests.measure.bench.servers import KINDS, SHAPE, THIS, Kind

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="the load generator needs a C compiler")

TINY = Span(flood=0.02, pace=0.05, idle=0.02)
HERE = [kind for kind in KINDS if not kind.needs]


@pytest.mark.parametrize("kind", HERE, ids=lambda kind: kind.name)
def test_each_server_delivers_everything_to_everybody(kind: Kind) -> None:
    measured = measure(kind, 3, TINY)
    assert measured.wrong == 0
    assert measured.rate > 0
    assert 0 < measured.p50 <= measured.p99 <= measured.p999
    assert measured.memory > 0


def test_a_table_has_a_row_for_each_server_measured() -> None:
    measured = Measured(0.1, 0.2, 3 * 10**6, 0, 4e6, 0.5, 600, 700, 800, 0.1, 0)
    rows = table({THIS.name: [measured], SHAPE.name: [measured]}, 100).splitlines()
    assert [row.split("  ")[0] for row in rows] == ["100 listeners", THIS.name, SHAPE.name]
    assert "4.00 M  1.00" in rows[1]


@pytest.mark.parametrize("size", [0, 10**6, 10**10])
def test_a_server_starts_with_the_history_that_growth_makes(size: int) -> None:
    measured = measure(THIS, 2, TINY, growth.with_history(size))
    assert measured.wrong == 0


def test_the_load_counts_what_goes_wrong() -> None:
    """Number 1 is lost, 2 comes twice, 3 comes after 4."""
    with _misdelivering([[0], [], [2, 2], [], [4, 3]]) as port, Load("chat", port) as load:
        assert load.connect(2)["clients"] == 2
        counted = load.pace(100, 0.2)
    assert counted["sent"] >= 10
    assert counted["deliveries"] == 2 * (counted["sent"] - 1)
    assert (counted["lost"], counted["duplicated"], counted["out_of_order"]) == (2, 2, 2)


def test_a_listener_that_is_cut_off_is_counted() -> None:
    with _misdelivering([[0]], cut_off=True) as port, Load("chat", port) as load:
        load.connect(1)
        assert load.flood(0.01)["disconnected"] == 1


@contextmanager
def _misdelivering(first: list[list[int]], *, cut_off: bool = False) -> Iterator[int]:
    """The port of a server: when message i comes, the messages first[i] go out; behind them, i itself."""
    listeners: list[socket.socket] = []
    messages: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines, suppress(OSError):
            lines.readline()  # /replay 0
            name = lines.readline().rstrip(b"\n")
            if name != b"speaker":
                listeners.append(connection)  # first: from its join on, the load expects all messages there
            connection.sendall(b"now\t-\t" + name + b"\tjoin\t\n")
            for text in lines:
                messages.append(text)
                i = len(messages) - 1
                for number in first[i] if i < len(first) else [i]:
                    for listener in listeners:
                        listener.sendall(b"now\t-\tspeaker\tmessage\t" + messages[number])
                if cut_off and listeners:
                    listeners.pop().shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=talk, args=(door.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as door:
        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield door.getsockname()[1]
        door.shutdown(socket.SHUT_RDWR)
        accepting.join()


def test_what_is_not_installed_is_not_there() -> None:
    absent = Kind("absent", "chat", "no-such-program-anywhere", lambda port, folder: [])
    assert not absent.available
    assert all(kind.available for kind in HERE)
