"""The bans: a text file that the host can edit while the server runs.

    # What begins with # is a comment.
    bob                                          a name, whatever the case
    name:10.0.0.1                                a name that looks like an address
    10.0.0.7                                     an address
    10.0.0.0/24                                  a network
    2001:db8::7                                  its /64: one computer can have any of these addresses
    2001:db8::7/128                              this address only
    eve until 2026-11-21T12:00:00.000Z  # why    until this time

Bans are indexed: a file of 20,000 lines costs a newcomer microseconds.
"""

from __future__ import annotations

import functools
import ipaddress
import re
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from chat import record
from chat.service.hostfile import HostFile

HEADER = "# Bans, one a line: a name, an address or a network; then `until TIME` if the ban is temporary."
NAME_PREFIX = "name:"

# What was meant as an address or a network, but isn't one: 10.0.0.*, 10.0.0.300, fe80:*.
_LIKE_AN_ADDRESS = re.compile(r"\d[\d*]*\.[\d.*]*|[\da-fA-F*]*:[\da-fA-F:.*]*[:*][\da-fA-F:.*]*")
_LINE = re.compile(r"\s*(?P<target>\S+)(?:\s+until\s+(?P<until>\S+))?\s*(?:\s#\s*(?P<comment>.*))?")

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

    @functools.cached_property
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
        """The ban as a line of the file."""
        prefix = NAME_PREFIX if self.network is None and _needs_prefix(self.target) else ""
        until = f" until {self.until}" if self.until else ""
        comment = f"  # {self.comment}" if self.comment else ""
        return f"{prefix}{self.target}{until}{comment}"


class Bans:
    """The bans in the file. Thread-safe. Writing raises OSError."""

    def __init__(self, path: Path) -> None:
        self._file = HostFile(path, HEADER, _parse)
        self._lock = threading.Lock()  # guards the index
        self._index = _Index([])

    @property
    def path(self) -> Path:
        """Of the file."""
        return self._file.path

    def active(self) -> list[Ban]:
        """The bans in force, in the order of the file."""
        return [ban for ban in self._file.entries() if not ban.ended()]

    def of_address(self, address: str) -> Ban | None:
        """The ban of this address, if there is one."""
        if address == record.NOBODY:
            return None
        index, ip = self._current(), ipaddress.ip_address(address)
        number, bits = int(ip), ip.max_prefixlen
        keys = (
            (version, length, number >> (bits - length) << (bits - length))
            for version, length in index.lengths
            if version == ip.version
        )
        return index.first(keys)

    def of_name(self, name: str) -> Ban | None:
        """The ban of this name, if there is one."""
        return self._current().first([record.name_key(name)])

    def add(self, ban: Ban) -> None:
        """Store the ban, in place of an earlier one with the same key."""
        self._file.add(ban.line, lambda other: other.key == ban.key)

    def remove(self, ban: Ban) -> bool:
        """Lift every ban of the same name, address or network; whether there was one."""
        return self._file.remove(lambda other: other.key == ban.key)

    def _current(self) -> _Index:
        bans = self._file.entries()
        with self._lock:
            if bans is not self._index.bans:
                self._index = _Index(bans)
            return self._index


class _Index:
    """The bans by key."""

    def __init__(self, bans: list[Ban]) -> None:
        self.bans = bans
        self._by_key: dict[Key, list[Ban]] = {}
        for ban in bans:
            self._by_key.setdefault(ban.key, []).append(ban)
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
    ban = _parse(line)
    if ban is None:
        raise BadTarget("that is no ban.")
    return ban


def _network(target: str) -> Network | None:
    """The network of an address or a network as typed; None if it is neither."""
    try:
        network = ipaddress.ip_network(target, strict=False)
    except ValueError:
        return None
    if network.version == 6 and network.network_address.ipv4_mapped and network.prefixlen >= 96:
        return ipaddress.IPv4Network((network.network_address.ipv4_mapped, network.prefixlen - 96))
    if network.version == 6 and "/" not in target and not network.is_link_local:
        return network.supernet(new_prefix=64)
    return network


def _parse(line: str) -> Ban | None:
    """The ban on a line of the file; None for a comment. Raises BadTarget."""
    if not line.strip() or line.lstrip().startswith("#"):
        return None
    found = _LINE.fullmatch(line)
    if found is None:
        raise BadTarget(
            "expected a name, an address or a network, then `until TIME` if it is temporary, then # and why."
        )
    until = found["until"] or ""
    if until and not record.is_time(until):
        raise BadTarget(f"{until} is not a time; write it like 2026-11-21T12:00:00.000Z.")
    return ban_of(found["target"], until, found["comment"] or "")


def _needs_prefix(name: str) -> bool:
    """Whether the name on its own would be read as something else."""
    looks_like_an_address = _network(name) is not None or _LIKE_AN_ADDRESS.fullmatch(name) is not None
    return name.startswith(("#", NAME_PREFIX)) or "/" in name or looks_like_an_address
