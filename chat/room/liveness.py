"""Whether the other end of a connection is still there.

A peer that is gone (unplugged, crashed, out of reach) says nothing: it has to be probed. While nothing is in
flight, TCP's keepalive does that. While something is, `state` tells how long nothing has been acknowledged.

TCP_USER_TIMEOUT would also end connections whose peer is alive but doesn't read (a stopped program, a
suspended terminal), and nobody is dropped here for being slow.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys

IDLE_SECONDS = 30  # of silence before the first probe
PROBE_SECONDS = 10  # between probes
PROBES = 3  # unanswered ones until it is gone: 60 s in total
UNACKNOWLEDGED_SECONDS = 60  # without any acknowledgement until it is gone

# Linux' struct tcp_info: its third and fourth byte are retransmits and probes, two of its 32-bit fields are
# tcpi_unacked at 24 and tcpi_last_ack_recv (milliseconds) at 56 (linux/tcp.h).
_TCP_CLOSE = 7  # in the first byte (netinet/tcp.h): reset, or ended by both sides
_TCP_INFO = struct.Struct("=2xBB20xI28xI")


def keep_alive(connection: socket.socket) -> None:
    """Have the system probe a silent peer, and end the connection if the peer is gone."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    idle = "TCP_KEEPIDLE" if hasattr(socket, "TCP_KEEPIDLE") else "TCP_KEEPALIVE"  # macOS
    for option, value in ((idle, IDLE_SECONDS), ("TCP_KEEPINTVL", PROBE_SECONDS), ("TCP_KEEPCNT", PROBES)):
        with contextlib.suppress(AttributeError, OSError):  # neither Python nor the system has to know it
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def in_flight(connection: socket.socket) -> int:
    """The bytes sent that have not arrived: not acknowledged, or, in a pair, not read.

    0 on systems that don't tell. Raises OSError, also if the connection was reset.
    """
    if sys.platform != "linux":
        return 0
    import fcntl
    import termios

    if connection.family != socket.AF_UNIX:
        (state_now,) = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
        if state_now == _TCP_CLOSE:
            raise ConnectionResetError
    (size,) = struct.unpack("=i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))
    return int(size)


def state(connection: socket.socket) -> tuple[bool, bool]:
    """(whether something sent is not acknowledged yet, whether the peer is out of reach).

    Both are False on systems that don't tell: there TCP itself gives up, after about a quarter of an hour.
    So they are for one end of a socket pair, which stays within this program.
    """
    if sys.platform != "linux" or connection.family == socket.AF_UNIX:
        return False, False
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 64)
    retransmits, probes, unacknowledged, since_ack = _TCP_INFO.unpack_from(info)
    waiting = bool(unacknowledged or retransmits or probes)
    unanswered = bool(retransmits) or probes > 1  # one probe may still be under way
    return waiting, unanswered and since_ack >= UNACKNOWLEDGED_SECONDS * 1000
