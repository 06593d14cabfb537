"""Answers clients that look for a server: `chat?` by UDP, answered with `chat! PORT TITLE` (R44)."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable

DISCOVERY_PORT = 9999  # where clients ask, whatever the TCP port of the chat
QUESTION = b"chat?"

log = logging.getLogger("chat.front.discovery")


def start(answer: Callable[[], str]) -> None:
    """Start answering, in a thread that ends with the program. If the port is taken, that is only logged."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        listener.bind(("", DISCOVERY_PORT))
    except OSError as error:
        listener.close()
        log.warning(
            "clients can't find this server by themselves: UDP port %d: %s (does another server have it?)",
            DISCOVERY_PORT,
            error.strerror,
        )
        return
    threading.Thread(target=_answer_all, args=(listener, answer), name="discovery", daemon=True).start()


def _answer_all(listener: socket.socket, answer: Callable[[], str]) -> None:
    while True:
        try:
            question, asker = listener.recvfrom(64)
            if question.strip() == QUESTION:
                listener.sendto(answer().encode(), asker)
        except OSError:
            continue  # an asker that can't be reached, which Windows reports at the next receive
