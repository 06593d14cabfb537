"""Snapshots: where a server begins that is new or was away for too long, so that the log can be purged.

The engine's object store, beside the stream, holds the history in segments that never change, and the state
with the end of the history:

    history/GENERATION/0 | history/GENERATION/1 | ... | snapshot: state, and the history's end

A new snapshot stores only segments that were not full before; a generation is the history between two clears.
Any server may take one: all would store the same bytes.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import nats.js.errors
from nats.js.api import ObjectMeta, ObjectMetaOptions, ObjectStoreConfig
from nats.js.object_store import ObjectStore

from chat.log.engine import ENGINE_ERRORS, Engine
from chat.log.file import HistoryFile

SEGMENT_BYTES = 4 * 1024 * 1024  # of the history: at most this is stored again with each snapshot
CHUNK_BYTES = 256 * 1024  # of a message in the object store
STREAM_BYTES = 64 * 1024 * 1024  # of the log; beyond it a snapshot is taken and the log purged
STREAM_MESSAGES = 100_000  # likewise: a day of three idle servers
TRANSFER_SECONDS = 30.0  # for one object, before it is tried again
SNAPSHOT = "snapshot"

log = logging.getLogger("chat.log.snapshot")


@dataclass(frozen=True)
class Snapshot:
    """The chat after this sequence of the log: the history up to `offset`, and the state."""

    sequence: int
    generation: int
    offset: int
    state: dict[str, Any]


class Snapshots:
    """The snapshots of a chat. For threads that may wait for the engine. Raises ENGINE_ERRORS."""

    def __init__(self, engine: Engine, replicas: int) -> None:
        self._engine = engine
        self._replicas = replicas
        self._bucket = engine.address.stream
        self._stored: set[str] = set()  # segments known to be stored

    def due(self) -> bool:
        """Whether the log has grown long enough for a snapshot."""
        info = self._engine.info()
        return info is not None and (info.state.bytes > STREAM_BYTES or info.state.messages > STREAM_MESSAGES)

    def take(self, snapshot: Snapshot, file: HistoryFile) -> None:
        """Store the snapshot with the missing segments of the history, and remove what is obsolete."""
        names = self._segment_names(snapshot)
        if not self._stored:
            self._stored = set(self._names())
        for index, name in enumerate(names):
            if name not in self._stored:
                self._put(name, read_exactly(file, index * SEGMENT_BYTES, SEGMENT_BYTES))
                self._stored.add(name)
        start = len(names) * SEGMENT_BYTES
        head = json.dumps(
            [snapshot.sequence, snapshot.generation, snapshot.offset, snapshot.state], ensure_ascii=False
        )
        self._put(SNAPSHOT, head.encode() + b"\n" + read_exactly(file, start, snapshot.offset - start))
        for name in self._stored - set(names) - {SNAPSHOT}:
            self._engine.run(self._delete(name), TRANSFER_SECONDS)
        self._stored = set(names)

    def latest(self) -> tuple[Snapshot, bytes] | None:
        """The newest snapshot, and the end of its history; None if there is none."""
        try:
            head, _, end = self._get(SNAPSHOT).partition(b"\n")
        except nats.js.errors.NotFoundError:
            return None
        sequence, generation, offset, state = json.loads(head)
        return Snapshot(sequence, generation, offset, state), end

    def pieces(self, snapshot: Snapshot, end: bytes, offset: int) -> Iterator[bytes]:
        """The snapshot's history from the offset on."""
        names = self._segment_names(snapshot)
        for index, name in enumerate(names):
            passed = max(0, offset - index * SEGMENT_BYTES)
            if passed < SEGMENT_BYTES:
                yield self._get(name)[passed:]
        yield end[max(0, offset - len(names) * SEGMENT_BYTES) :]

    # ----- the object store

    @staticmethod
    def _segment_names(snapshot: Snapshot) -> list[str]:
        return [f"history/{snapshot.generation}/{i}" for i in range(snapshot.offset // SEGMENT_BYTES)]

    def _names(self) -> list[str]:
        try:
            return [str(info.name) for info in self._engine.run(self._list(), TRANSFER_SECONDS)]
        except nats.js.errors.NotFoundError:
            return []

    def _put(self, name: str, data: bytes) -> None:
        self._engine.run(self._store(name, data), TRANSFER_SECONDS)

    def _get(self, name: str) -> bytes:
        """Raises NotFoundError if there is no such object."""
        while True:
            try:
                return self._engine.run(self._fetch(name), TRANSFER_SECONDS)
            except nats.js.errors.NotFoundError:
                raise
            except ENGINE_ERRORS as error:
                log.warning("the snapshot can't be read (%s); trying again", error)

    async def _objects(self) -> ObjectStore:
        return await self._engine.jetstream.object_store(self._bucket)

    async def _store(self, name: str, data: bytes) -> None:
        jetstream = self._engine.jetstream
        try:
            objects = await self._objects()
        except nats.js.errors.NotFoundError:
            objects = await jetstream.create_object_store(
                self._bucket, config=ObjectStoreConfig(replicas=self._replicas)
            )
        options = ObjectMetaOptions(max_chunk_size=CHUNK_BYTES)
        await objects.put(name, data, meta=ObjectMeta(options=options))

    async def _fetch(self, name: str) -> bytes:
        return (await (await self._objects()).get(name)).data or b""

    async def _list(self) -> Any:
        return await (await self._objects()).list()

    async def _delete(self, name: str) -> None:
        await (await self._objects()).delete(name)


def read_exactly(file: HistoryFile, offset: int, size: int) -> bytes:
    """Exactly `size` bytes of the file. Raises OSError if it has fewer."""
    data = file.read(offset, size)
    if len(data) != size:
        raise OSError("the history is shorter than it was")
    return data
