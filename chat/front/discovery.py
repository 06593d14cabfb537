"""Answers clients that look for a server: `chat?` by UDP, answered with `chat! PORT TITLE` (R44)."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from typing import Any

DISCOVERY_PORT = 9999  # where clients ask, whatever the TCP port of the chat
QUESTION = b"chat?"
LOOPBACK = ("127.0.0.1", "localhost", "::1")

log = logging.getLogger("chat.front.discovery")


def start(answer: Callable[[], str], host: str = "") -> None:
    """Start answering, in a thread that ends with the program. If the port is taken, that is only logged.

    With a host, answer only who would reach that address of this computer: the chat is at no other.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        listener.bind(("127.0.0.1" if host in LOOPBACK else "", DISCOVERY_PORT))
    except OSError as error:
        listener.close()
        log.warning(
            "clients can't find this server by themselves: UDP port %d: %s (does another server have it?)",
            DISCOVERY_PORT,
            error.strerror,
        )
        return
    threading.Thread(target=_answer_all, args=(listener, answer, host), name="discovery", daemon=True).start()


def _answer_all(listener: socket.socket, answer: Callable[[], str], host: str) -> None:
    while True:
        try:
            question, asker = listener.recvfrom(64)
            if question.strip() == QUESTION and (not host or host in LOOPBACK or _own_side(asker) == host):
                listener.sendto(answer().encode(), asker)
        except OSError:
            continue  # an asker that can't be reached, which Windows reports at the next receive


def _own_side(asker: Any) -> str:
    """The address of this computer that the asker reaches."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(asker)  # sends nothing
        address: str = probe.getsockname()[0]
        return address
