"""Telling a dead peer from a slow one."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import struct
import sys
from collections.abc import Iterator

import pytest

from chat.room import liveness
from tests.harness import DEADLINE

if sys.platform != "linux":
    pytest.skip("only Linux tells what was acknowledged", allow_module_level=True)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        there = socket.create_connection(listener.getsockname())
        here, _ = listener.accept()
    yield here, there
    here.close()
    there.close()


def test_keepalive_follows_the_limits(pair: tuple[socket.socket, socket.socket]) -> None:
    here, _ = pair
    liveness.keep_alive(here)
    assert here.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    values = [here.getsockopt(socket.IPPROTO_TCP, option) for option in (4, 5, 6)]  # idle, interval, count
    assert values == [30, 10, 3]


def test_a_peer_that_does_not_read_is_not_lost(pair: tuple[socket.socket, socket.socket]) -> None:
    here, _ = pair
    here.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            here.send(b"x" * 65536)
    assert not liveness.state(here)[1]


def test_what_is_in_flight_is_what_has_not_arrived(pair: tuple[socket.socket, socket.socket]) -> None:
    here, there = pair
    assert liveness.in_flight(here) == 0
    here.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            here.send(b"x" * 65536)
    assert liveness.in_flight(here) > 0
    there.settimeout(DEADLINE)
    while liveness.in_flight(here):
        there.recv(65536)
    there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    there.close()
    assert select.select([here], [], [], DEADLINE)[0]
    with pytest.raises(ConnectionResetError):
        liveness.in_flight(here)


def test_in_a_pair_that_is_what_was_not_read() -> None:
    here, there = socket.socketpair()
    with here, there:
        here.send(b"x")
        assert liveness.in_flight(here) > 0
        there.recv(10)
        assert liveness.in_flight(here) == 0


def test_a_system_that_lacks_an_option_gets_the_others() -> None:
    asked = []

    class Connection:
        def setsockopt(self, level: int, option: int, value: int) -> None:
            if (level, option) == (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL):
                raise OSError(errno.ENOPROTOOPT, "Protocol not available")
            asked.append(option)

    liveness.keep_alive(Connection())  # type: ignore[arg-type]
    assert asked == [socket.SO_KEEPALIVE, socket.TCP_KEEPIDLE, socket.TCP_KEEPCNT]


@pytest.mark.parametrize(
    ("retransmits", "probes", "unacknowledged", "since_ack", "state"),
    [
        (0, 0, 0, 10_000_000, (False, False)),  # silent for hours
        (0, 0, 3, 5, (True, False)),
        (4, 0, 3, 59_000, (True, False)),
        (4, 0, 3, 60_000, (True, True)),
        (0, 1, 0, 110_000, (True, False)),  # it doesn't read, and is probed every two minutes
        (0, 5, 0, 110_000, (True, True)),  # and no longer answers
    ],
)
def test_states(
    retransmits: int,
    probes: int,
    unacknowledged: int,
    since_ack: int,
    state: tuple[bool, bool],
) -> None:
    info = bytearray(104)
    info[2:4] = bytes([retransmits, probes])
    struct.pack_into("=I", info, 24, unacknowledged)
    struct.pack_into("=I", info, 56, since_ack)

    class Connection:
        family = socket.AF_INET

        def getsockopt(self, level: int, option: int, size: int) -> bytes:
            return bytes(info[:size])

    assert liveness.state(Connection()) == state  # type: ignore[arg-type]
