"""The roster: who is here, as a function of what has been committed. Names are decided here and nowhere else.

The rules are R14 to R16 of docs/protocol.md.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from chat import record
from chat.log.entries import Entry, Join, Leave, Presence, Rename

RESERVED = "-"  # the id that holds the reserved names; no presence has it


class Roster:
    """Who is here, by id and by name. One thread applies; any thread may read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the next two, and the names in them
        self._by_id: dict[str, Presence] = {}
        self._by_key: dict[str, Presence] = {}  # by record.name_key

    def find(self, name: str) -> Presence | None:
        """The holder of this name, whatever the case."""
        key = record.name_key(name)
        with self._lock:
            return self._by_key.get(key)

    def get(self, presence_id: str) -> Presence | None:
        """The presence with this id."""
        with self._lock:
            return self._by_id.get(presence_id)

    def all(self) -> list[Presence]:
        """Who is here, in the order of joining."""
        with self._lock:
            return list(self._by_id.values())

    # ----- for the log

    def refused(self, entries: Iterable[Entry]) -> set[Entry]:
        """The entries whose name would be taken if these were applied in order."""
        refused: set[Entry] = set()
        holders: dict[str, str] = {}  # id by key, where an earlier entry changed it; "" = free
        for entry in entries:
            if isinstance(entry, Leave):
                holders[record.name_key(entry.presence.name)] = ""
            elif isinstance(entry, Join | Rename):
                wanted = record.name_key(entry.name if isinstance(entry, Rename) else entry.presence.name)
                if self._holder(wanted, holders) not in ("", entry.presence.id):
                    refused.add(entry)
                    continue
                if isinstance(entry, Rename):
                    holders[record.name_key(entry.presence.name)] = ""
                holders[wanted] = entry.presence.id
        return refused

    def apply(self, entry: Entry, now: str) -> None:
        """Apply an entry that was committed at this time."""
        if not isinstance(entry, Join | Rename | Leave):
            return
        presence = entry.presence
        with self._lock:
            key = record.name_key(presence.name)
            if self._by_key.get(key) is presence:
                del self._by_key[key]
            if isinstance(entry, Leave):  # R16
                self._by_id.pop(presence.id, None)
                return
            if isinstance(entry, Rename):
                presence.name = entry.name
            else:
                presence.since = now
            self._by_id[presence.id] = self._by_key[record.name_key(presence.name)] = presence

    def _holder(self, key: str, holders: dict[str, str]) -> str:
        """The id of the name's holder once the entries so far are applied; "" if it is free."""
        if key in record.RESERVED_NAMES:  # R15
            return RESERVED
        if key in holders:
            return holders[key]
        holder = self._by_key.get(key)
        return holder.id if holder else ""
