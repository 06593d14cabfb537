"""Publishing to a real stream, in a loop of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import nats
from nats.aio.client import Client

from chat.log.publisher import Publisher
from tests.engine import Engine as Nodes
from tests.harness import DEADLINE

Body = Callable[[Client, Publisher], Awaitable[None]]


def run(nodes: Nodes, stream: str, body: Body) -> list[bytes]:
    """Run the body with a publisher; what is in the stream then, once everything is stored."""

    async def main() -> list[bytes]:
        client = await nats.connect(nodes.urls)
        jetstream = client.jetstream()
        await jetstream.add_stream(name=stream, subjects=[f"test.{stream}"])
        publisher = Publisher(client, stream, f"test.{stream}")
        await publisher.open()
        await body(client, publisher)
        while not publisher.idle:
            await asyncio.sleep(0.001)
        count = (await jetstream.stream_info(stream)).state.messages
        stored = [await jetstream.get_msg(stream, seq=number + 1) for number in range(count)]
        publisher.close()
        await client.close()
        return [message.data or b"" for message in stored]

    return asyncio.run(asyncio.wait_for(main(), DEADLINE))


def test_messages_are_stored_one_after_another(node: Nodes) -> None:
    async def body(client: Client, publisher: Publisher) -> None:
        for number in range(20):
            publisher.publish(f"id{number}", b"%d" % number, first=False)
        assert not publisher.idle
        assert publisher.waits_since < float("inf")

    assert run(node, "PUBLISHER-ORDER", body) == [b"%d" % number for number in range(20)]


def test_what_was_seen_in_the_stream_is_stored_whatever_was_answered(node: Nodes) -> None:
    async def body(client: Client, publisher: Publisher) -> None:
        publisher.publish("a", b"a", first=False)
        publisher.publish("b", b"b", first=False)
        publisher.seen("something else")
        publisher.seen("a")  # its answer comes later, and is not taken for that to b

    assert run(node, "PUBLISHER-SEEN", body) == [b"a", b"b"]


def test_a_first_message_that_comes_too_late_holds_up_nothing(node: Nodes) -> None:
    async def body(client: Client, publisher: Publisher) -> None:
        for message_id in ("a", "b"):
            publisher.publish(message_id, message_id.encode(), first=True)
        publisher.publish("c", b"c", first=False)

    assert run(node, "PUBLISHER-FIRST", body) == [b"a", b"c"]
