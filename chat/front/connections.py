"""The open connections, counted in total and by address, and the refusal of any beyond the limits."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections import Counter
from pathlib import Path
from typing import IO, Any

from chat import record
from chat.front.arrival import DETECT_SECONDS
from chat.front.lines import HANG_UP_SECONDS, hang_up, turn_away
from chat.front.login import TLS_HANDSHAKE
from chat.front.relay import Relay
from chat.room.delivery import DONT_WAIT
from chat.service.budget import network_of
from chat.service.moderation import refusal
from chat.service.policy import error
from chat.service.service import Service

REFUSING = 64  # connections that can be refused with a sentence at the same time
NO_FILES_SECONDS = 0.2  # between attempts to accept while the system has no files left

log = logging.getLogger("chat.front.connections")


class Connections:
    """At most `most` connections in total and `most_per_address` from one address (0 = no limit).

    With `tls`, whoever begins a handshake is refused inside it: nothing is sent to them in plain text.
    """

    def __init__(self, service: Service, tls: Relay | None, most: int, most_per_address: int) -> None:
        self._service = service
        self._tls = tls
        self._most = most
        self._most_per_address = most_per_address
        self._lock = threading.Lock()  # guards the next three
        self._count = 0
        self._count_from: Counter[str] = Counter()  # by network_of their address
        self._refusing = 0
        self._spare_file = _spare_file()  # closed for a moment to refuse a client when no files are left

    def enter(self, address: str) -> str:
        """Count a new connection; or a sentence that says why it is refused (R35, R23)."""
        network = network_of(address)
        if ban := self._service.bans.of_address(address):
            return refusal(ban)
        with self._lock:
            if self._most and self._count >= self._most:
                return f"The room is full ({self._most} connections); try again later."
            if self._most_per_address and self._count_from[network] >= self._most_per_address:
                return f"{address} has {self._most_per_address} connections already; close one of them first."
            self._count += 1
            self._count_from[network] += 1
            return ""

    def leave(self, address: str) -> None:
        """Stop counting a connection."""
        network = network_of(address)
        with self._lock:
            self._count -= 1
            self._count_from[network] -= 1
            if not self._count_from[network]:
                del self._count_from[network]

    def refuse(self, connection: socket.socket, why: str) -> None:
        """Say why, and close: in a thread, while few are being refused, so that the sentence arrives."""
        if not self._tls:
            self._send_error(connection, why)
        with self._lock:
            at_once = self._refusing >= REFUSING
            self._refusing += not at_once
        try:
            if not at_once:
                threading.Thread(
                    target=self._see_off, args=(connection, why), name="refusal", daemon=True
                ).start()
                return
        except RuntimeError:  # can't start new thread
            self._refusing_ended()
        connection.close()

    def refuse_without_files(self, listener: socket.socket) -> None:
        """Close the spare file for as long as it takes to refuse the next client; wait if that fails."""
        log.warning("a client was refused: the server has reached its limit of open files (ulimit -n)")
        try:
            self._spare_file.close()
            connection, _ = listener.accept()
            with connection:
                if not self._tls:  # which it may want to speak
                    self._send_error(connection, "The server can't take another connection; try again later.")
            self._spare_file = _spare_file()
        except OSError:
            time.sleep(NO_FILES_SECONDS)

    def close(self) -> None:
        """Stop refusing."""
        self._spare_file.close()

    def _send_error(self, connection: socket.socket, why: str) -> None:
        with contextlib.suppress(OSError):  # it is gone already
            connection.send(record.stamp(self._service.room.now(), error(why)), DONT_WAIT)

    def _see_off(self, connection: socket.socket, why: str) -> None:
        """The thread of a refusal: ends once the client has closed, or has had the time to."""
        if self._tls:
            with contextlib.suppress(OSError):  # it is gone, or begins a handshake and does not end it
                self._tell(self._tls, connection, why)
        hang_up(connection)
        connection.close()
        self._refusing_ended()

    def _tell(self, tls: Relay, connection: socket.socket, why: str) -> None:
        """Say why, in plain text or inside TLS, as the client begins. Raises OSError."""
        connection.settimeout(DETECT_SECONDS)
        first = b""
        with contextlib.suppress(TimeoutError):
            first = connection.recv(1, socket.MSG_PEEK)
        if first == TLS_HANDSHAKE:
            with tls.carry(connection, b"", time.monotonic() + HANG_UP_SECONDS) as inside:
                turn_away(inside, self._service.room.now(), why)
        else:
            self._send_error(connection, why)

    def _refusing_ended(self) -> None:
        with self._lock:
            self._refusing -= 1


def address_of(client_address: Any) -> str:
    """The IP address as in records: IPv4 as IPv4, link-local without its interface."""
    address: str = client_address[0]
    return address.removeprefix("::ffff:").partition("%")[0]


def _spare_file() -> IO[bytes]:
    return Path(os.devnull).open("rb")
