from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import pytest

from chat.front import handover
from tests.harness import DEADLINE, ROOT

# Takes sockets until it gets no more, and says on each what came with it.
PROGRAM = """
from chat.front import handover
control = handover.inherited()
while True:
    try:
        sockets, data = handover.receive(control, 2)
    except EOFError:
        break
    for number, each in enumerate(sockets):
        each.sendall(b"%d " % number + data)
        each.close()
control.sendall(b"done")
"""


@pytest.fixture
def child() -> Iterator[tuple[int, socket.socket]]:
    process, control = handover.start([sys.executable, "-c", PROGRAM], ROOT)
    control.settimeout(DEADLINE)
    with control:
        yield process.pid, control
        control.shutdown(socket.SHUT_WR)
        assert control.recv(100) == b"done"
    assert process.wait(DEADLINE) == 0


def all_of(connection: socket.socket) -> bytes:
    data = b""
    while received := connection.recv(65536):
        data += received
    return data


@pytest.mark.parametrize("size", [0, 1, 16_384, 300_000])
def test_sockets_arrive_with_their_data_and_in_order(child: tuple[int, socket.socket], size: int) -> None:
    process, control = child
    data = bytes(range(251)) * (size // 251 + 1)
    for _ in range(3):
        ours, theirs = zip(*(socket.socketpair() for _ in range(2)), strict=True)
        handover.send(control, process, theirs, data[:size])
        for each in theirs:
            each.close()
        for number, each in enumerate(ours):
            with each:
                each.settimeout(DEADLINE)
                assert all_of(each) == b"%d " % number + data[:size]


def test_a_program_that_is_not_there_leaves_nothing_open() -> None:
    with pytest.raises(FileNotFoundError):
        handover.start(["./no-such-program"], ROOT)
