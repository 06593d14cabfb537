"""Requests that are sent again, and must not be done again (R65).

Whoever got no answer can't know whether what they asked for was done. With the header Idempotency-Key
(draft-ietf-httpapi-idempotency-key-header) they may ask again under the same key, and get the first answer.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from chat.front.http import Refused, Response

KEY_CHARACTERS = 255  # a UUID has 36
KEYS = 10_000  # that are remembered, of all bots; the oldest go first
KEY_SECONDS = 600.0  # for which: programs give up trying again within minutes


@dataclass(slots=True)
class _Done:
    """What is done under a key. There is no response yet while it is being done."""

    digest: bytes  # of the body
    at: float  # time.monotonic()
    response: Response | None = None


class Idempotency:
    """What was done under which key. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards what is done
        self._done: OrderedDict[tuple[str, str], _Done] = OrderedDict()  # by bot and key, oldest first

    def once(self, bot: str, key: str, body: bytes, do: Callable[[], Response]) -> Response:
        """`do()`; or its response of the first time, where it was done under this key. Raises Refused.

        What raises is done the next time: it was not done, or the server has failed and forgets every key.
        """
        if len(key) > KEY_CHARACTERS:
            why = f"The Idempotency-Key has {len(key)} characters; {KEY_CHARACTERS} is the most."
            raise Refused(HTTPStatus.BAD_REQUEST, why)
        digest = hashlib.sha256(body).digest()
        mine = _Done(digest, time.monotonic())
        with self._lock:
            self._forget(mine.at)
            found = self._done.setdefault((bot, key), mine)
        if found is not mine:
            return _again(found, digest)
        try:
            mine.response = do()
        except BaseException:
            with self._lock:
                if self._done.get((bot, key)) is mine:
                    del self._done[bot, key]
            raise
        return mine.response

    def _forget(self, now: float) -> None:
        """Forget what is old, and leave room for one more. Requires holding the lock."""
        while self._done and (
            len(self._done) >= KEYS or next(iter(self._done.values())).at < now - KEY_SECONDS
        ):
            self._done.popitem(last=False)


def _again(found: _Done, digest: bytes) -> Response:
    """The response of the first time. Raises Refused."""
    if found.digest != digest:
        why = "Another text was said under this Idempotency-Key; take a new key."
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, why)
    if found.response is None:
        why = "The first request with this Idempotency-Key is still being done; ask again."
        raise Refused(HTTPStatus.CONFLICT, why, Retry_After="1")
    return found.response
