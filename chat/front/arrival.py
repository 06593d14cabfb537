"""The first bytes of a connection: who speaks, without anybody waiting longer than it takes to tell."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections import OrderedDict

from chat.front.detect import Front, front_of
from chat.front.login import LOGIN_SECONDS
from chat.room.delivery import DONT_WAIT

# Before the greeting: a browser sends its request at once, and a person at nc doesn't notice.
DETECT_SECONDS = 0.1  # R70
FIRST_BYTES = 16 * 1024
SPARE_SECONDS = 2  # after a request: a browser opens a spare connection within milliseconds
KNOWN_SECONDS = 24 * 3600
KNOWN_ADDRESSES = 4096


class Browsers:
    """The addresses that browsers come from.

    A browser opens connections before it needs them, and would take a greeting for the answer to the request
    that it sends minutes later. So a connection from where a browser is gets no greeting before it speaks.
    Safe to use from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the times
        self._times: OrderedDict[str, float] = OrderedDict()  # of the last request, by address

    def seen(self, address: str) -> None:
        """A request came from this address."""
        with self._lock:
            self._times[address] = time.monotonic()
            self._times.move_to_end(address)
            if len(self._times) > KNOWN_ADDRESSES:
                self._times.popitem(last=False)

    def patience(self, address: str) -> float:
        """For how many seconds a connection from there may be silent without being greeted."""
        with self._lock:
            last = self._times.get(address)
        if last is None:
            return DETECT_SECONDS
        # On the server's own computer somebody may well use a browser and nc side by side.
        known = SPARE_SECONDS if ipaddress.ip_address(address).is_loopback else KNOWN_SECONDS
        return LOGIN_SECONDS if time.monotonic() - last < known else DETECT_SECONDS


def first_bytes(
    connection: socket.socket, address: str, browsers: Browsers, until: float
) -> tuple[Front | None, bytes]:
    """Who speaks, and what has been read; nobody (None) where that is a browser's spare connection.

    Waits until this time.monotonic() at most. Raises OSError.
    """
    first = b""
    if DONT_WAIT:  # a program has sent its login by now, and with a crowd each system call counts
        try:
            first = connection.recv(FIRST_BYTES, DONT_WAIT)
        except BlockingIOError:
            pass
        else:
            if not first:
                return None, first
            if front := front_of(first):
                return front, first
    patience = browsers.patience(address)
    until = min(until, time.monotonic() + patience)
    try:
        while (remaining := until - time.monotonic()) > 0:
            connection.settimeout(remaining)
            received = connection.recv(FIRST_BYTES)
            first += received
            if front := front_of(first):
                return front, first
            if not received:
                return ("lines" if first else None), first
            until = min(until, time.monotonic() + DETECT_SECONDS)  # somebody has begun to speak
    except TimeoutError:
        pass
    finally:
        connection.settimeout(None)
    return ("lines" if first or patience == DETECT_SECONDS else None), first
