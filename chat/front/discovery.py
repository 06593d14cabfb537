"""Answers clients that look for a server: `chat?` by UDP, `chat! PORT TITLE` back to whoever asked (R44)."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable

DISCOVERY_PORT = 9999  # clients ask there, whatever TCP port the chat has
QUESTION = b"chat?"

log = logging.getLogger("chat.front.discovery")


def start(answer: Callable[[], str]) -> None:
    """Answer from now on, in a thread that ends with the program. A port that is taken is only logged."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        listener.bind(("", DISCOVERY_PORT))
    except OSError as error:
        listener.close()
        log.warning(
            "clients can't find this server by themselves: UDP port %d: %s (another server has it?)",
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
