"""Following a stream: its messages from a sequence on, in order and without gaps.

A consumer that the engine keeps in memory counts its deliveries. If a number is missing or the heartbeat
stops, following ends, and is to be started again from there.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, Header

HEARTBEAT_SECONDS = 1.0  # of the consumer, which is recreated after three missed ones
CONSUMER_SECONDS = 30.0  # after which the engine deletes a consumer that nobody listens to
CONTROL = "100"  # the status of heartbeats and of flow control requests


@dataclass(frozen=True, slots=True)
class Committed:
    """A message of the stream: its sequence, and the stream's time for it in milliseconds."""

    sequence: int
    time: int
    data: bytes
    message_id: str = ""


async def follow(
    client: Client,
    jetstream: JetStreamContext,
    stream: str,
    sequence: int,
    take: Callable[[Committed], Awaitable[None]],
) -> None:
    """Give `take` the stream's messages from this sequence on. Returns if one may have been missed.

    Raises nats.errors.Error, TimeoutError, OSError.
    """
    consumer = _Consumer(take)
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox, cb=consumer.on_message)
    try:
        await jetstream.add_consumer(
            stream,
            ConsumerConfig(
                deliver_subject=inbox,
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=sequence,
                ack_policy=AckPolicy.NONE,
                max_deliver=1,
                flow_control=True,
                idle_heartbeat=HEARTBEAT_SECONDS,
                inactive_threshold=CONSUMER_SECONDS,
                mem_storage=True,
                num_replicas=1,
            ),
        )
        await consumer.wait_until_missed()
    finally:
        consumer.missed.set()
        with contextlib.suppress(nats.errors.Error, OSError):
            await subscription.unsubscribe()


class _Consumer:
    """Counts what the engine delivers."""

    def __init__(self, take: Callable[[Committed], Awaitable[None]]) -> None:
        self.missed = asyncio.Event()  # something, or it is over
        self._take = take
        self._delivered = 0
        self._heard_at = time.monotonic()
        self._taking = False

    async def on_message(self, message: Msg) -> None:
        """A message of the stream, or one that controls the flow."""
        if self.missed.is_set():
            return
        self._heard_at = time.monotonic()
        status = message.headers and message.headers.get(Header.STATUS.value)
        if status:
            await self._on_control(message, status)
            return
        committed, number = parsed(message)
        if number != self._delivered + 1:
            self.missed.set()
            return
        self._delivered = number
        self._taking = True
        await self._take(committed)
        self._taking = False
        self._heard_at = time.monotonic()

    async def _on_control(self, message: Msg, status: str) -> None:
        if message.reply:
            with contextlib.suppress(nats.errors.Error, OSError):
                await message.respond(b"")
        last = message.headers.get(Header.LAST_CONSUMER.value) if message.headers else None
        if status != CONTROL or (last and int(last) != self._delivered):
            self.missed.set()

    async def wait_until_missed(self) -> None:
        """Until a number is missing, or no heartbeat has come for a while."""
        while self._taking or time.monotonic() - self._heard_at < 3 * HEARTBEAT_SECONDS:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.missed.wait(), HEARTBEAT_SECONDS)
                return


def parsed(message: Msg) -> tuple[Committed, int]:
    """The message, and the number of the consumer's deliveries up to it.

    Its reply subject: $JS.ACK.[domain.account.]stream.consumer.deliveries.sequence.number.time.pending[.…]
    """
    tokens = message.reply.split(".")
    if len(tokens) > 9:
        tokens = [*tokens[:2], *tokens[4:]]
    message_id = message.headers.get(Header.MSG_ID.value, "") if message.headers else ""
    return Committed(int(tokens[5]), int(tokens[7]) // 1_000_000, message.data, message_id), int(tokens[6])
