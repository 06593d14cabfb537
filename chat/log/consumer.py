"""Following a stream: its messages from a sequence on, in order and without gaps.

A consumer that the engine keeps in memory counts its deliveries. If a number is missing or the heartbeat
stops, following ends, and is to be started again from there.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
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


async def consume(
    client: Client, jetstream: JetStreamContext, stream: str, sequence: int
) -> AsyncIterator[Committed]:
    """The stream's messages from this sequence on. Ends, or raises, if one may have been missed.

    Raises nats.errors.Error, TimeoutError, OSError.
    """
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox)
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
        delivered = 0
        while True:
            message = await subscription.next_msg(timeout=3 * HEARTBEAT_SECONDS)
            status = message.headers and message.headers.get(Header.STATUS.value)
            if status == CONTROL:
                if message.reply:
                    await message.respond(b"")
                last = message.headers.get(Header.LAST_CONSUMER.value) if message.headers else None
                if last and int(last) != delivered:
                    return
                continue
            if status:
                return
            committed, number = parsed(message)
            if number != delivered + 1:
                return
            delivered = number
            yield committed
    finally:
        with contextlib.suppress(nats.errors.Error, OSError):
            await subscription.unsubscribe()


def parsed(message: Msg) -> tuple[Committed, int]:
    """The message, and the number of the consumer's deliveries up to it.

    Its reply subject: $JS.ACK.[domain.account.]stream.consumer.deliveries.sequence.number.time.pending[.…]
    """
    tokens = message.reply.split(".")
    if len(tokens) > 9:
        tokens = [*tokens[:2], *tokens[4:]]
    message_id = message.headers.get(Header.MSG_ID.value, "") if message.headers else ""
    return Committed(int(tokens[5]), int(tokens[7]) // 1_000_000, message.data, message_id), int(tokens[6])
