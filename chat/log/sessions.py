"""Who is here under a session, in a file that outlives the server: their names wait for them (R16).

    history.txt.sessions    SESSION TAB KEY LF      the session now has the name with this key
                            SESSION TAB LF          it has left

The history tells who was here when the server stopped, but not how to know them again: tokens are secret, so
this file has their hashes. It is appended to with the history, without a sync, and rewritten when most of it
is out of date. It is never needed: without it, a name is free after a restart.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import re
import time
from collections.abc import Callable, Iterable
from io import FileIO
from pathlib import Path

from chat import private, record
from chat.log.entries import Entry, Join, Leave, Rename

HELD_SECONDS = 60.0  # from the start on: clients are back within seconds, and nobody waits long for who isn't
SPARE_LINES = 1000  # that are out of date, at least, before the file is rewritten
MOST_BYTES = 16 * 1024 * 1024  # that are read of it: ten times what ten thousand sessions need
RETRY_SECONDS = 10.0  # until the file is tried again when it could not be written

_CONSEQUENCE = "Names may not be held for their owners after a restart."
_LINE = re.compile(r"([0-9a-f]{32})\t([^\t\n]*)")

log = logging.getLogger("chat.log.sessions")


class SessionFile:
    """The names that sessions have, and those that are held. One thread notes; any thread may ask."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._held = {key: session for session, key in self._read().items()}  # not back yet
        # By session: what the file says, or would if it could be written.
        self._keys = {session: key for key, session in self._held.items()}
        self._until = clock() + HELD_SECONDS
        self._file: FileIO | None = None  # None: it has to be written anew
        self._lines = 0  # in the file
        self._retry_at = 0.0
        self._failed = False

    def held(self, name: str, session: str) -> int:
        """For how many seconds the name is still held for another session; 0 if it isn't."""
        holder = self._held.get(record.name_key(name))
        return 0 if holder in (None, session) else max(0, math.ceil(self._until - self._clock()))

    def remembers(self, session: str) -> bool:
        """Whether a name is held for this session."""
        key = self._keys.get(session, "")
        return self._held.get(key) == session and self._clock() < self._until

    def note(self, entries: Iterable[Entry]) -> None:
        """Note who has come, left or taken another name. What can't be written is tried again later."""
        lines = []
        for entry in entries:
            if isinstance(entry, Join | Rename | Leave) and (session := entry.presence.session):
                name = entry.name if isinstance(entry, Rename) else entry.presence.name
                lines.append(self._set(session, "" if isinstance(entry, Leave) else record.name_key(name)))
        over = self._held and self._clock() >= self._until
        if over:
            self._forget_held()
        if lines or over:
            self._write(lines)

    def close(self) -> None:
        """Close the file: whoever is here now is held after the next start."""
        if self._file:
            self._file.close()
            self._file = None

    # ----- parts

    def _set(self, session: str, key: str) -> str:
        """Give the session this name, and return the line that says so."""
        earlier = self._keys.pop(session, None)
        if earlier is not None and self._held.get(earlier) == session:
            del self._held[earlier]
        if key:
            self._keys[session] = key
        return f"{session}\t{key}\n"

    def _forget_held(self) -> None:
        for session in self._held.values():
            del self._keys[session]
        self._held = {}
        self.close()

    def _read(self) -> dict[str, str]:
        """The names by session, in the order in which they were taken."""
        try:
            with self._path.open("rb") as file:
                content = file.read(MOST_BYTES + 1)
        except FileNotFoundError:
            return {}
        except OSError as error:
            log.warning("%s can't be read: %s. %s", self._path.name, error.strerror, _CONSEQUENCE)
            return {}
        *lines, torn = content[:MOST_BYTES].decode(errors="replace").split("\n")
        damaged = bool(torn) or len(content) > MOST_BYTES
        keys: dict[str, str] = {}
        for line in lines:
            if found := _LINE.fullmatch(line):
                session, key = found.groups()
                keys.pop(session, None)
                if key and record.name_key(key) == key:
                    keys[session] = key
            else:
                damaged = True
        if damaged:
            log.warning("%s is damaged. %s", self._path.name, _CONSEQUENCE)
        return keys

    def _write(self, lines: list[str]) -> None:
        if self._clock() < self._retry_at:
            return
        try:
            if self._file and self._lines <= 2 * len(self._keys) + SPARE_LINES:
                self._append(self._file, lines)
            else:
                self._write_anew()
        except OSError as error:
            self.close()
            self._retry_at = self._clock() + RETRY_SECONDS
            with contextlib.suppress(OSError):
                self._path.unlink()  # it would hold names for those who have left
            if not self._failed:
                log.warning("%s can't be written: %s. %s", self._path.name, error.strerror, _CONSEQUENCE)
            self._failed = True
        else:
            self._failed = False

    def _append(self, file: FileIO, lines: list[str]) -> None:
        data = "".join(lines).encode()
        if file.write(data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._lines += len(lines)

    def _write_anew(self) -> None:
        """Write the whole file. Until it is complete, the earlier one is there."""
        self.close()
        new = self._path.with_name(self._path.name + ".new")
        new.unlink(missing_ok=True)  # left by a crash, or put there by somebody; never followed
        with private.create(new) as file:
            file.write("".join(f"{session}\t{key}\n" for session, key in self._keys.items()).encode())
        new.replace(self._path)
        self._file = FileIO(self._path, "ab")
        self._lines = len(self._keys)
