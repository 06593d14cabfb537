"""The bans: a text file that the host can edit while the server runs.

    # What begins with # is a comment.
    bob                                          a name, whatever the case
    name:10.0.0.1                                a name that looks like an address
    10.0.0.7                                     an address
    10.0.0.0/24                                  a network
    2001:db8::7                                  its /64: one computer can have any of these addresses
    2001:db8::7/128                              this address only
    eve until 2026-11-21T12:00:00.000Z  # why    until this time

The file is checked for changes when somebody connects, but at most once a second. An invalid line is logged
with its number, and the others apply. Bans are indexed: a file of 20,000 lines costs a newcomer microseconds.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from chat import private, record

HEADER = "# Bans, one a line: a name, an address or a network; then `until TIME` if the ban is temporary.\n"
NAME_PREFIX = "name:"
# How long an edit of the file may go unnoticed. Asking the disk for every newcomer would hold up a crowd.
LOOK_SECONDS = 1.0
NEW_FILE_MODE = 0o600  # it says who connected from where

# What was meant as an address or a network, but isn't one: 10.0.0.*, 10.0.0.300, fe80:*.
_LIKE_AN_ADDRESS = re.compile(r"\d[\d*]*\.[\d.*]*|[\da-fA-F*]*:[\da-fA-F:.*]*[:*][\da-fA-F:.*]*")
_LINE = re.compile(r"\s*(?P<target>\S+)(?:\s+until\s+(?P<until>\S+))?\s*(?:\s#\s*(?P<comment>.*))?")

log = logging.getLogger("chat.service.bans")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Key = str | tuple[int, int, int]  # a name's (record.name_key); a network's version, length and number


class BadTarget(ValueError):
    """This can't be banned: it is neither a name nor an address. The message says so in one sentence."""


@dataclass(frozen=True)
class Ban:
    """A ban of the `network`, or of the name `target` if that is None. `until` is a record's time, or ""."""

    target: str
    network: Network | None
    until: str = ""
    comment: str = ""

    @property
    def key(self) -> Key:
        """Equal for two bans of the same name or network."""
        if self.network is None:
            return record.name_key(self.target)
        return self.network.version, self.network.prefixlen, int(self.network.network_address)

    def covers_address(self, address: str) -> bool:
        """Whether it bans this address. "-", the host's, is never banned."""
        if self.network is None or address == record.NOBODY:
            return False
        ip = ipaddress.ip_address(address)
        return ip.version == self.network.version and ip in self.network

    def covers_name(self, name: str) -> bool:
        """Whether it bans this name."""
        return self.network is None and self.key == record.name_key(name)

    def ended(self) -> bool:
        """Whether it has expired."""
        return bool(self.until) and self.until <= record.format_time(time.time())

    @property
    def line(self) -> str:
        """The ban as a line of the file, with its LF."""
        prefix = NAME_PREFIX if self.network is None and _needs_prefix(self.target) else ""
        until = f" until {self.until}" if self.until else ""
        comment = f"  # {self.comment}" if self.comment else ""
        return f"{prefix}{self.target}{until}{comment}\n"


class Bans:
    """The file, and what it says now. Thread-safe. Writing raises OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()  # guards the file and what was read of it
        self._lines: list[str] = []
        self._read = _Read()
        self._seen: tuple[int, int] | None = None  # the file's time and size when it was read
        self._unreadable: OSError | None = None  # why the last attempt to read it failed
        self._look_at = 0.0  # when to check for changes

    def active(self) -> list[Ban]:
        """The bans in force, in the order of the file."""
        return [ban for ban in self._current().bans if not ban.ended()]

    def of_address(self, address: str) -> Ban | None:
        """The ban of this address, if there is one."""
        if address == record.NOBODY:
            return None
        read, ip = self._current(), ipaddress.ip_address(address)
        number, bits = int(ip), ip.max_prefixlen
        keys = (
            (version, length, number >> (bits - length) << (bits - length))
            for version, length in read.lengths
            if version == ip.version
        )
        return read.first(keys)

    def of_name(self, name: str) -> Ban | None:
        """The ban of this name, if there is one."""
        return self._current().first([record.name_key(name)])

    def add(self, ban: Ban) -> None:
        """Store the ban, in place of an earlier one with the same key."""
        with self._lock:
            self._look_again()
            self._write([*self._without(ban), ban.line])

    def remove(self, ban: Ban) -> bool:
        """Lift every ban of the same name, address or network; whether there was one."""
        with self._lock:
            self._look_again()
            left = self._without(ban)
            found = len(left) < len(self._lines)
            if found:
                self._write(left)
            return found

    def _current(self) -> _Read:
        with self._lock:
            if time.monotonic() >= self._look_at:
                self._read_if_changed()
            return self._read

    # ----- requires holding the lock

    def _look_again(self) -> None:
        """Read the file before it is rewritten. Raises OSError if it can't be read."""
        self._read_if_changed()
        if self._unreadable:
            raise self._unreadable

    def _without(self, ban: Ban) -> list[str]:
        """The file's lines, except those that ban the same."""
        same = {line for line, (found, key) in self._read.parsed.items() if found and key == ban.key}
        return [line for line in self._lines if line not in same]

    def _read_if_changed(self) -> None:
        self._look_at = time.monotonic() + LOOK_SECONDS
        try:
            status = self.path.stat()
            seen = (status.st_mtime_ns, status.st_size)
            if seen == self._seen and not self._unreadable:
                return
            text = self.path.read_text("utf-8", errors="surrogateescape")
        except FileNotFoundError:
            seen, text = None, ""
        except OSError as error:
            log.error("%s can't be read: %s; the bans read before still apply", self.path, error.strerror)
            self._unreadable = error
            return
        self._seen, self._unreadable = seen, None
        self._lines = [line + "\n" for line in text.removesuffix("\n").split("\n")] if text else []
        self._read = _Read(self.path.name, self._lines, self._read.parsed)

    def _write(self, lines: list[str]) -> None:
        """Replace the file by a new one with the same mode, atomically."""
        text = "".join(lines if self._lines else [HEADER, *lines])
        private.write(self.path, text.encode(errors="surrogateescape"))
        self._seen = None
        self._read_if_changed()


class _Read:
    """The bans in the file: in order, and indexed by key."""

    def __init__(
        self,
        file: str = "",
        lines: Iterable[str] = (),
        known: dict[str, tuple[Ban | None, Key]] | None = None,
    ) -> None:
        self.bans: list[Ban] = []
        self.parsed: dict[str, tuple[Ban | None, Key]] = {}  # each line: its ban, and the ban's key
        self._by_key: dict[Key, list[Ban]] = {}
        for number, line in enumerate(lines, 1):
            try:
                # A line that was there before is not parsed again: one edit costs one line.
                ban, key = self.parsed[line] = (known or {}).get(line) or _parse(line)
            except BadTarget as bad:
                log.warning("%s, line %d: %s", file, number, bad)
                continue
            if ban:
                self.bans.append(ban)
                self._by_key.setdefault(key, []).append(ban)
        # Of the banned networks: for each length, an address is in at most one.
        self.lengths = sorted({key[:2] for key in self._by_key if isinstance(key, tuple)})

    def first(self, keys: Iterable[Key]) -> Ban | None:
        """The first ban in force with one of the keys."""
        return next((ban for key in keys for ban in self._by_key.get(key, ()) if not ban.ended()), None)


def ban_of(target: str, until: str = "", comment: str = "") -> Ban:
    """The ban of a name, an address or a network as typed. Raises BadTarget."""
    if not target.startswith(NAME_PREFIX):
        if network := _network(target):
            written = target if network.prefixlen == network.max_prefixlen and "/" not in target else network
            return Ban(str(written), network, until, comment)
        if "/" in target or _LIKE_AN_ADDRESS.fullmatch(target):
            raise BadTarget(
                f"{target} is not an address, nor a network like 10.0.0.0/24; "
                f"write {NAME_PREFIX}NAME to ban a name that looks like one."
            )
    try:
        return Ban(record.clean_name(target.removeprefix(NAME_PREFIX)), None, until, comment)
    except record.BadName:
        raise BadTarget(f"{target} is not a name, an address or a network.") from None


def ban_of_line(line: str) -> Ban:
    """The ban on a line of the file. Raises BadTarget, also for a comment."""
    ban, _ = _parse(line)
    if ban is None:
        raise BadTarget("that is no ban.")
    return ban


def _network(target: str) -> Network | None:
    """The network of an address or a network as typed; None if it is neither."""
    if target.lower().startswith("::ffff:") and "." in target:
        target = target[len("::ffff:") :]  # as in records
    try:
        network = ipaddress.ip_network(target, strict=False)
    except ValueError:
        return None
    if network.version == 6 and "/" not in target and not network.is_link_local:
        return network.supernet(new_prefix=64)
    return network


def _parse(line: str) -> tuple[Ban | None, Key]:
    """The ban on a line of the file, and its key; None for a comment. Raises BadTarget."""
    if not line.strip() or line.lstrip().startswith("#"):
        return None, ""
    found = _LINE.fullmatch(line.rstrip("\n"))
    if found is None:
        raise BadTarget(
            "expected a name, an address or a network, then `until TIME` if it is temporary, then # and why."
        )
    until = found["until"] or ""
    if until and not record.is_time(until):
        raise BadTarget(f"{until} is not a time; write it like 2026-11-21T12:00:00.000Z.")
    ban = ban_of(found["target"], until, found["comment"] or "")
    return ban, ban.key


def _needs_prefix(name: str) -> bool:
    """Whether the name on its own would be read as something else."""
    looks_like_an_address = _network(name) is not None or _LIKE_AN_ADDRESS.fullmatch(name) is not None
    return name.startswith(("#", NAME_PREFIX)) or "/" in name or looks_like_an_address
