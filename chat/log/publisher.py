"""Publishing to a stream: one message in flight, sent again until it is known to be stored.

It is known from the engine's acknowledgement, or because it was seen in the stream. All of this runs in the
engine's loop.
"""

from __future__ import annotations

import asyncio
import collections
import json
import logging
import time
from dataclasses import dataclass

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import Header

PUBLISH_SECONDS = 2.0  # for an acknowledgement, before it is sent again
RETRY_SECONDS = 0.1  # between two attempts while the engine has no leader
REFUSED_SECONDS = 1.0  # the same while the engine refuses, because its disk is full for instance

WRONG_LAST_SEQUENCE = 10071  # the engine's code: what was to be the first message is not

log = logging.getLogger("chat.log.publisher")


@dataclass(slots=True)
class _Flight:
    """A message on its way into the stream."""

    message_id: str
    data: bytes
    headers: dict[str, str]
    since: float = 0.0


class Publisher:
    """The messages that wait to be stored, in their order."""

    def __init__(self, client: Client, stream: str, subject: str) -> None:
        self._client = client
        self._stream = stream
        self._subject = subject
        self._outbox: collections.deque[_Flight] = collections.deque()
        self._flight: _Flight | None = None
        self._acknowledgements = ""  # the subject that the engine answers to
        self._attempts = 0
        self._timer: asyncio.TimerHandle | None = None
        self._sending: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Be ready to hear acknowledgements. Raises nats.errors.Error."""
        self._acknowledgements = self._client.new_inbox()
        await self._client.subscribe(f"{self._acknowledgements}.*", cb=self._on_answer)

    def publish(self, message_id: str, data: bytes, *, first: bool) -> None:
        """Have it stored, after those before it. `first`: only if the stream is still empty."""
        headers = {Header.MSG_ID.value: message_id, Header.EXPECTED_STREAM.value: self._stream}
        if first:
            headers[Header.EXPECTED_LAST_SEQUENCE.value] = "0"
        self._outbox.append(_Flight(message_id, data, headers))
        if self._flight is None:
            self._next()

    def seen(self, message_id: str) -> None:
        """This message is in the stream."""
        if self._flight and self._flight.message_id == message_id:
            self._next()

    @property
    def idle(self) -> bool:
        """Whether everything is stored."""
        return self._flight is None and not self._outbox

    @property
    def waits_since(self) -> float:
        """The time (monotonic) since which a message waits to be stored; infinity if none does."""
        flight = self._flight
        return flight.since if flight else float("inf")

    def close(self) -> None:
        """Send nothing more."""
        if self._timer:
            self._timer.cancel()

    # ----- parts

    def _next(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._flight = self._outbox.popleft() if self._outbox else None
        if self._flight:
            self._flight.since = time.monotonic()
            self._attempt()

    def _attempt(self) -> None:
        """Send what is in flight, and again if no answer comes."""
        if self._flight is None:
            return
        if not self._client.is_connected:
            self._attempt_in(RETRY_SECONDS)
            return
        self._attempt_in(PUBLISH_SECONDS)
        self._attempts += 1
        task = asyncio.get_running_loop().create_task(self._send(self._flight, self._attempts))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    def _attempt_in(self, seconds: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._attempt)

    async def _send(self, flight: _Flight, attempt: int) -> None:
        reply = f"{self._acknowledgements}.{attempt}"
        try:
            await self._client.publish(self._subject, flight.data, reply=reply, headers=dict(flight.headers))
        except (nats.errors.Error, OSError) as error:
            log.debug("not sent: %s", error)
            self._attempt_in(RETRY_SECONDS)

    async def _on_answer(self, message: Msg) -> None:
        if self._flight is None or message.subject.rpartition(".")[2] != str(self._attempts):
            return  # to an earlier attempt
        if message.headers and message.headers.get(Header.STATUS.value):  # nobody leads the stream
            self._attempt_in(RETRY_SECONDS)
            return
        error = json.loads(message.data).get("error")
        if error is None or self._came_too_late(error):
            self._next()
            return
        log.warning("the engine doesn't store messages: %s; trying again", error.get("description"))
        self._attempt_in(REFUSED_SECONDS)

    def _came_too_late(self, error: dict[str, object]) -> bool:
        """Whether the message was to be the first one, and isn't."""
        assert self._flight
        wanted_first = Header.EXPECTED_LAST_SEQUENCE.value in self._flight.headers
        return wanted_first and error.get("err_code") == WRONG_LAST_SEQUENCE
