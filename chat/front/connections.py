"""The connections that there are, counted in all and by address; and how one too many is turned away."""

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
from chat.front.lines import hang_up
from chat.room.delivery import DONT_WAIT
from chat.service.moderation import refusal
from chat.service.policy import error
from chat.service.service import Service

REFUSING = 64  # connections that may be told at the same time why they are refused
NO_FILES_SECONDS = 0.2  # between tries to accept while the system has no files left

log = logging.getLogger("chat.front.connections")


class Connections:
    """Up to `most` connections in all and `most_per_address` from one address (0 = any number)."""

    def __init__(self, service: Service, most: int, most_per_address: int) -> None:
        self._service = service
        self._most = most
        self._most_per_address = most_per_address
        self._lock = threading.Lock()  # guards the next three
        self._count = 0
        self._count_from: Counter[str] = Counter()  # by address
        self._refusing = 0
        self._spare_file = _spare_file()  # given up for a moment to refuse a client when there are no files

    def enter(self, address: str) -> str:
        """Count a new connection in; or a sentence that says why it is refused (R35, R23)."""
        if ban := self._service.bans.of_address(address):
            return refusal(ban)
        with self._lock:
            if self._most and self._count >= self._most:
                return f"The room is full ({self._most} connections); try again later."
            if self._most_per_address and self._count_from[address] >= self._most_per_address:
                return f"{address} has {self._most_per_address} connections already; close one of them first."
            self._count += 1
            self._count_from[address] += 1
            return ""

    def leave(self, address: str) -> None:
        """Count a connection out that was counted in."""
        with self._lock:
            self._count -= 1
            self._count_from[address] -= 1
            if not self._count_from[address]:
                del self._count_from[address]

    def refuse(self, connection: socket.socket, why: str) -> None:
        """Say why, and close: in a thread while few are being refused, so that the sentence arrives."""
        self._send_error(connection, why)
        with self._lock:
            at_once = self._refusing >= REFUSING
            self._refusing += not at_once
        try:
            if not at_once:
                threading.Thread(
                    target=self._see_off, args=(connection,), name="refusal", daemon=True
                ).start()
                return
        except RuntimeError:  # can't start new thread
            self._refusing_ended()
        connection.close()

    def refuse_without_files(self, listener: socket.socket) -> None:
        """Give up the spare file for as long as it takes to tell the next client; wait if that fails."""
        log.warning("a client is refused: this system has no more open files for the server (ulimit -n)")
        try:
            self._spare_file.close()
            connection, _ = listener.accept()
            with connection:
                self._send_error(
                    connection, "The server has no room for one more connection; try again later."
                )
            self._spare_file = _spare_file()
        except OSError:
            time.sleep(NO_FILES_SECONDS)

    def close(self) -> None:
        """Nothing more is refused."""
        self._spare_file.close()

    def _send_error(self, connection: socket.socket, why: str) -> None:
        with contextlib.suppress(OSError):  # it has gone already
            connection.send(record.stamp(self._service.room.now(), error(why)), DONT_WAIT)

    def _see_off(self, connection: socket.socket) -> None:
        """The thread of a refusal: ends once the client has closed, or has had time to."""
        hang_up(connection)
        connection.close()
        self._refusing_ended()

    def _refusing_ended(self) -> None:
        with self._lock:
            self._refusing -= 1


def address_of(client_address: Any) -> str:
    """The IP address as records have it: an IPv4 one as IPv4, a link-local one without its interface."""
    address: str = client_address[0]
    return address.removeprefix("::ffff:").partition("%")[0]


def _spare_file() -> IO[bytes]:
    return Path(os.devnull).open("rb")
