"""Following a stream: what each message says of itself."""

from __future__ import annotations

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from chat.log.consumer import Committed, parsed


@pytest.mark.parametrize(
    "reply",
    [
        "$JS.ACK.CHAT_chat.abc.1.17.5.1795528219302123456.0",
        "$JS.ACK.hub.account.CHAT_chat.abc.1.17.5.1795528219302123456.0.token",
    ],
)
def test_a_message_has_its_sequence_and_time(reply: str) -> None:
    message = Msg(Client(), subject="chat.chat.log", reply=reply, data=b"x")
    assert parsed(message) == (Committed(17, 1795528219302, b"x"), 5)
