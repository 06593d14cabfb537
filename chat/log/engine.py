"""The engine: the chat's stream in NATS JetStream, published to and followed from a thread of its own.

    publish(id, data)  -->  [one in flight, retried until it is stored]  -->  stream
    committed()        <--  [in order, without gaps, from a sequence on] <--  stream

This module doesn't know what the messages mean.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, StreamInfo

from chat.log.consumer import Committed, follow
from chat.log.publisher import RETRY_SECONDS, Publisher

REPLICAS = 3  # survive the loss of one node; five would survive two, but slow down every line
CONNECT_SECONDS = 2
PING_SECONDS = 1  # after two unanswered pings a node is abandoned: it may be frozen
ANSWER_SECONDS = 5.0  # for any other request to the engine
UNAPPLIED_BYTES = 4 * 1024 * 1024  # committed and not fetched yet; beyond it the engine holds back the rest
TROUBLE_SECONDS = 3.0  # without an acknowledgement, before people are told that their lines wait

ENGINE_ERRORS = (nats.errors.Error, OSError, TimeoutError, asyncio.TimeoutError)

T = TypeVar("T")
log = logging.getLogger("chat.log.engine")


class EngineError(Exception):
    """The engine can't be used; the message says why and what to do, in one sentence."""


@dataclass(frozen=True)
class Address:
    """Where the engine is, the credentials for it, and the name of the chat."""

    servers: tuple[str, ...]
    chat: str = "chat"
    credentials: Path | None = None  # a file: NATS' own kind, or USER:PASSWORD, or a token

    @property
    def stream(self) -> str:
        """The name of the chat's stream."""
        return f"CHAT_{self.chat}"

    @property
    def subject(self) -> str:
        """The subject of its messages."""
        return f"chat.{self.chat}.log"


class Engine:
    """A connection to the engine, and its thread. Raises EngineError.

    The thread runs an asyncio loop and ends with `close`. It calls `wake` when something was committed. All
    public methods are for other threads.
    """

    def __init__(self, address: Address, wake: Callable[[], None] = lambda: None) -> None:
        self.address = address
        self.wake = wake
        self._lock = threading.Lock()  # guards the next two
        self._committed: collections.deque[Committed] = collections.deque()
        self._committed_bytes = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="engine", daemon=True)
        self._thread.start()

        # Used by the loop alone.
        self._client = Client()
        self._jetstream: JetStreamContext
        self._error = ""  # the last one of the connection
        self._tasks: set[asyncio.Task[None]] = set()
        self._publisher: Publisher
        self._room = asyncio.Event()  # there is room for more committed messages
        self._room.set()

    # ----- for other threads

    def open(self) -> StreamInfo:
        """Connect, and open or create the stream. Retries until it answers; permanent errors raise."""
        return self.run(self._open(), None)

    def follow(self, sequence: int) -> None:
        """Start following the stream, from this sequence on."""
        self._start(self._follow(sequence))

    def publish(self, message_id: str, data: bytes, *, first: bool = False) -> None:
        """Have the message stored once. `first`: only if the stream is still empty."""
        publisher = self._publisher
        self._loop.call_soon_threadsafe(lambda: publisher.publish(message_id, data, first=first))

    def committed(self) -> list[Committed]:
        """The messages committed since the last call, in order."""
        with self._lock:
            taken = list(self._committed)
            self._committed.clear()
            was_full = self._committed_bytes > UNAPPLIED_BYTES
            self._committed_bytes = 0
        if was_full:
            self._loop.call_soon_threadsafe(self._room.set)
        return taken

    def every(self, seconds: float, call: Callable[[], None]) -> None:
        """Call this repeatedly, in the loop's thread."""

        async def tick() -> None:
            while True:
                await asyncio.sleep(seconds)
                call()

        self._start(tick())

    @property
    def waits_since(self) -> float:
        """The time.monotonic() since which a message has been waiting to be stored; infinity if none is."""
        return self._publisher.waits_since

    @property
    def idle(self) -> bool:
        """Whether everything published is stored."""
        return self._publisher.idle

    @property
    def connected(self) -> bool:
        """Whether there is a connection to a node."""
        return bool(self._client.is_connected)

    def info(self) -> StreamInfo | None:
        """The engine's information about the stream; None if there is no answer."""
        try:
            return self.run(self._jetstream.stream_info(self.address.stream))
        except ENGINE_ERRORS:
            return None

    def purge(self, sequence: int) -> None:
        """Delete what is before this sequence."""
        self.run(self._jetstream.purge_stream(self.address.stream, seq=sequence))

    def run(self, work: Coroutine[Any, Any, T], timeout: float | None = ANSWER_SECONDS) -> T:
        """Run a coroutine in the loop; its result. Raises what it raises, TimeoutError."""
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout)
        except BaseException:
            future.cancel()
            raise

    @property
    def jetstream(self) -> JetStreamContext:
        """For coroutines passed to `run`."""
        return self._jetstream

    def close(self) -> None:
        """End the connection and the thread. What is in flight may or may not be stored."""
        if self._loop.is_closed():
            return
        with contextlib.suppress(*ENGINE_ERRORS):
            self.run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # ----- the connection

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        def start() -> None:
            task = self._loop.create_task(work)
            self._tasks.add(task)

        self._loop.call_soon_threadsafe(start)

    async def _open(self) -> StreamInfo:
        await self._connect()
        told = ""
        self._publisher = Publisher(self._client, self.address.stream, self.address.subject)
        await self._publisher.open()
        self._jetstream = self._client.jetstream(timeout=ANSWER_SECONDS)
        while True:
            try:
                return await self._have_stream()
            except nats.js.errors.APIError as error:
                if error.code in (500, 503, 504):
                    told = self._tell_once(told, f"the engine has no quorum ({_why(error)})")
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                raise EngineError(
                    f"the engine refuses the stream {self.address.stream}: {_why(error)}"
                ) from None
            except ENGINE_ERRORS as error:
                told = self._tell_once(told, f"the engine does not answer ({_why(error)})")
                await asyncio.sleep(RETRY_SECONDS)

    async def _connect(self) -> None:
        """Return once there is a connection; from then on the client keeps it up. Raises EngineError."""
        options: dict[str, Any] = {
            "reconnect_time_wait": RETRY_SECONDS,
            **_credentials(self.address.credentials),
        }
        connecting = asyncio.ensure_future(
            self._client.connect(
                list(self.address.servers),
                name="tcp-chat",
                error_cb=self._note_error,
                connect_timeout=CONNECT_SECONDS,
                max_reconnect_attempts=-1,
                ping_interval=PING_SECONDS,
                max_outstanding_pings=2,
                **options,
            )
        )
        where, told = ", ".join(self.address.servers), ""
        try:
            while not (await asyncio.wait({connecting}, timeout=CONNECT_SECONDS))[0]:
                if "authorization" in self._error.lower():
                    raise EngineError(f"the engine at {where} does not let this server in: {self._error}.")
                told = self._tell_once(told, f"no engine at {where} ({self._error})")
            await connecting
        except (ValueError, ImportError, nats.errors.Error) as error:
            raise EngineError(f"the engine at {where} can't be used: {_why(error)}.") from None
        finally:
            connecting.cancel()

    async def _note_error(self, error: Exception) -> None:
        """Errors of the client while it connects; people see the sentences of this module instead."""
        self._error = _why(error)
        log.debug("nats: %s", self._error)

    async def _have_stream(self) -> StreamInfo:
        """The stream, created if there is none, with as many replicas as the engine has nodes for."""
        replicas = min(REPLICAS, self._nodes())
        try:
            info = await self._jetstream.stream_info(self.address.stream)
        except nats.js.errors.NotFoundError:
            return await self._jetstream.add_stream(
                name=self.address.stream,
                subjects=[self.address.subject],
                num_replicas=replicas,
                discard=DiscardPolicy.NEW,
            )
        if (info.config.num_replicas or 1) < replicas:  # the engine has grown
            info.config.num_replicas = replicas
            return await self._jetstream.update_stream(info.config)
        return info

    def _nodes(self) -> int:
        """The number of the engine's nodes, as known to the node we are connected to."""
        known = {server.uri.netloc.rpartition("@")[2] for server in self._client._server_pool}
        return len(known) if self._client._server_info.get("cluster") else 1

    @staticmethod
    def _tell_once(told: str, sentence: str) -> str:
        if sentence != told:
            log.warning("%s; waiting for it", sentence)
        return sentence

    async def _close(self) -> None:
        if publisher := getattr(self, "_publisher", None):
            publisher.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._client.is_connected or self._client.is_reconnecting:
            await self._client.close()

    # ----- following

    async def _follow(self, sequence: int) -> None:
        """Take the stream's messages in order; recreate the consumer if any is missed."""

        async def take(message: Committed) -> None:
            nonlocal sequence
            sequence = message.sequence + 1
            await self._take(message)

        while True:
            try:
                await follow(self._client, self._jetstream, self.address.stream, sequence, take)
            except ENGINE_ERRORS as error:
                log.debug("the consumer is recreated: %s", _why(error))
                await asyncio.sleep(RETRY_SECONDS)

    async def _take(self, message: Committed) -> None:
        """Add it to what is committed; wait while too much has not been fetched."""
        self._publisher.seen(message.message_id)
        await self._room.wait()
        with self._lock:
            self._committed.append(message)
            self._committed_bytes += len(message.data)
            if self._committed_bytes > UNAPPLIED_BYTES:
                self._room.clear()
        self.wake()


def _credentials(path: Path | None) -> dict[str, Any]:
    """The arguments for `connect` with which this server authenticates. Raises EngineError."""
    if path is None:
        return {}
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EngineError(f"the credentials file {path} can't be read: {_why(error)}") from None
    if "-----BEGIN NATS" in text:
        return {"user_credentials": str(path)}
    first = text.partition("\n")[0].strip()
    user, colon, password = first.partition(":")
    return {"user": user, "password": password} if colon else {"token": first}


def _why(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, nats.js.errors.APIError) and error.description:
        return error.description
    return str(error).removeprefix("nats: ").rstrip(".") or type(error).__name__
