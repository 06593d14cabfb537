"""The open connections, counted in total and by address, and the refusal of any beyond the limits."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections import Counter
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any

from chat import record
from chat.front import http
from chat.front.arrival import FIRST_BYTES, Browsers, first_bytes
from chat.front.detect import Front, front_of
from chat.front.http import Refused
from chat.front.lines import HANG_UP_SECONDS, hang_up
from chat.front.relay import Relay
from chat.room.delivery import DONT_WAIT
from chat.service.budget import network_of
from chat.service.moderation import refusal
from chat.service.policy import error
from chat.service.service import Service

REFUSING = 64  # connections that can be refused with a sentence at the same time
RETRY_SECONDS = 30  # until a browser that was refused may find room
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

    def enter(self, address: str) -> None:
        """Count a new connection. Raises Refused where there may not be another one (R35, R23)."""
        network = network_of(address)
        if ban := self._service.bans.of_address(address):
            raise Refused(HTTPStatus.FORBIDDEN, refusal(ban))
        with self._lock:
            if self._most and self._count >= self._most:
                raise no_room(f"The room is full ({self._most} at most); try again later.")
            most = self._most_per_address
            if most and self._count_from[network] >= most:
                raise no_room(f"{address} has {most} connections already; close one of them first.")
            self._count += 1
            self._count_from[network] += 1

    def leave(self, address: str) -> None:
        """Stop counting a connection."""
        network = network_of(address)
        with self._lock:
            self._count -= 1
            self._count_from[network] -= 1
            if not self._count_from[network]:
                del self._count_from[network]

    def refuse(self, connection: socket.socket, refused: Refused) -> None:
        """Say why, and close: in a thread, while few are being refused, so that the sentence arrives."""
        with self._lock:
            at_once = self._refusing >= REFUSING
            self._refusing += not at_once
        try:
            if not at_once:
                threading.Thread(
                    target=self._see_off, args=(connection, refused), name="refusal", daemon=True
                ).start()
                return
        except RuntimeError:  # can't start new thread
            self._refusing_ended()
        self._tell_at_once(connection, refused)
        connection.close()

    def refuse_without_files(self, listener: socket.socket) -> None:
        """Close the spare file for as long as it takes to refuse the next client; wait if that fails."""
        log.warning("a client was refused: the server has reached its limit of open files (ulimit -n)")
        try:
            self._spare_file.close()
            connection, _ = listener.accept()
            with connection:
                why = "The server can't take another connection; try again later."
                self._tell_at_once(connection, no_room(why))
            self._spare_file = _spare_file()
        except OSError:
            time.sleep(NO_FILES_SECONDS)

    def close(self) -> None:
        """Stop refusing."""
        self._spare_file.close()

    def _see_off(self, connection: socket.socket, refused: Refused) -> None:
        """The thread of a refusal: ends once the client has closed, or has had the time to."""
        until = time.monotonic() + HANG_UP_SECONDS
        with contextlib.suppress(OSError):  # it is gone, or begins a handshake and does not end it
            front, first = first_bytes(connection, "", Browsers(), until)
            if front == "tls" and self._tls:
                with self._tls.carry(connection, first, until) as inside:
                    front, _ = first_bytes(inside, "", Browsers(), until)
                    self._tell(inside, front, refused)
                    hang_up(inside)
            else:
                self._tell(connection, front, refused)
        hang_up(connection)
        connection.close()
        self._refusing_ended()

    def _tell_at_once(self, connection: socket.socket, refused: Refused) -> None:
        """Say why, going by what has come already."""
        front: Front | None = None if self._tls else "lines"  # it may be about to begin a handshake
        with contextlib.suppress(OSError):  # nothing has come, or it is gone
            if DONT_WAIT:
                front = front_of(connection.recv(FIRST_BYTES, DONT_WAIT)) or front
        with contextlib.suppress(OSError):
            self._tell(connection, front, refused)

    def _tell(self, connection: socket.socket, front: Front | None, refused: Refused) -> None:
        """Say why, in the words of who speaks (R59). Raises OSError."""
        if front == "http":
            connection.send(http.refusal(refused), DONT_WAIT)
        elif front == "lines" or (front == "tls" and not self._tls):
            connection.send(record.stamp(self._service.room.now(), error(str(refused))), DONT_WAIT)

    def _refusing_ended(self) -> None:
        with self._lock:
            self._refusing -= 1


def no_room(sentence: str) -> Refused:
    """Why there can't be another connection just now."""
    return Refused(HTTPStatus.SERVICE_UNAVAILABLE, sentence, Retry_After=str(RETRY_SECONDS))


def address_of(client_address: Any) -> str:
    """The IP address as in records: IPv4 as IPv4, link-local without its interface."""
    address: str = client_address[0]
    return address.removeprefix("::ffff:").partition("%")[0]


def _spare_file() -> IO[bytes]:
    return Path(os.devnull).open("rb")
