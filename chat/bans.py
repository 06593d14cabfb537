"""The bans: a text file that the host can edit while the server runs.

    # What begins with # is a comment.
    bob                                          a name, in whatever case
    name:10.0.0.1                                a name that looks like an address
    10.0.0.7                                     an address
    10.0.0.0/24                                  a network
    eve until 2026-11-21T12:00:00.000Z  # why    for a time

The file is looked at again when somebody asks, but not more often than every second. A line that is none of
these is named in the log with its number, and the rest holds.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from chat import record

HEADER = "# Who may not come in: a name, an address or a network on each line; `until TIME` if it ends.\n"
NAME_PREFIX = "name:"
# That an edit of the file may wait. To ask the disk for everybody who comes holds up a crowd.
LOOK_SECONDS = 1.0

_LINE = re.compile(r"\s*(?P<target>\S+)(?:\s+until\s+(?P<until>\S+))?\s*(?:\s#\s*(?P<comment>.*))?")

log = logging.getLogger("chat.bans")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class BadTarget(ValueError):
    """What is to be banned is neither a name nor an address; the message says so in one sentence."""


@dataclass(frozen=True)
class Ban:
    """Who is banned: `network` where it is by address, else the name; `until` a record's time or ""."""

    target: str
    network: Network | None
    until: str = ""
    comment: str = ""

    def covers_address(self, address: str) -> bool:
        """Whether it keeps out this address. "-", the host's, is never kept out."""
        if self.network is None or address == record.NOBODY:
            return False
        ip = ipaddress.ip_address(address)
        return ip.version == self.network.version and ip in self.network

    def covers_name(self, name: str) -> bool:
        """Whether it keeps out this name."""
        return self.network is None and record.name_key(self.target) == record.name_key(name)

    @property
    def line(self) -> str:
        """Itself as a line of the file, with its LF."""
        prefix = NAME_PREFIX if self.network is None and _needs_prefix(self.target) else ""
        until = f" until {self.until}" if self.until else ""
        comment = f"  # {self.comment}" if self.comment else ""
        return f"{prefix}{self.target}{until}{comment}\n"


class Bans:
    """The file, and what it says now. Safe to use from any thread. Writing raises OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()  # guards the file and what was read of it
        self._lines: list[str] = []
        self._bans: list[Ban] = []
        self._seen: tuple[int, int] | None = None  # the file's time and size when it was read
        self._look_at = 0.0  # when to look whether it has others

    def active(self) -> list[Ban]:
        """The bans that hold now, in the order of the file."""
        with self._lock:
            if time.monotonic() >= self._look_at:
                self._read_if_changed()
            bans = self._bans
        now = record.format_time(time.time())
        return [ban for ban in bans if not ban.until or ban.until > now]

    def of_address(self, address: str) -> Ban | None:
        """The ban that keeps this address out, if there is one."""
        return next((ban for ban in self.active() if ban.covers_address(address)), None)

    def of_name(self, name: str) -> Ban | None:
        """The ban that keeps this name out, if there is one."""
        return next((ban for ban in self.active() if ban.covers_name(name)), None)

    def add(self, ban: Ban) -> None:
        """Keep the ban, in the place of an earlier one of the same."""
        with self._lock:
            self._read_if_changed()
            self._write([*self._without(ban), ban.line])

    def remove(self, ban: Ban) -> bool:
        """Lift every ban of the same name, address or network. Whether there was one."""
        with self._lock:
            self._read_if_changed()
            left = self._without(ban)
            found = len(left) < len(self._lines)
            if found:
                self._write(left)
            return found

    # ----- requires holding the lock

    def _without(self, ban: Ban) -> list[str]:
        """The file's lines save those that ban the same."""
        return [line for line in self._lines if not (found := _parse(line)) or not _same(found, ban)]

    def _read_if_changed(self) -> None:
        self._look_at = time.monotonic() + LOOK_SECONDS
        try:
            status = self.path.stat()
            seen = (status.st_mtime_ns, status.st_size)
            if seen == self._seen:
                return
            text = self.path.read_text("utf-8", errors="replace")
        except FileNotFoundError:
            seen, text = None, ""
        except OSError as error:
            log.error("%s can't be read: %s; the bans read before hold", self.path, error.strerror)
            return
        self._seen = seen
        self._lines = [line + "\n" for line in text.removesuffix("\n").split("\n")] if text else []
        self._bans = []
        for number, line in enumerate(self._lines, 1):
            try:
                ban = _parse(line, strict=True)
            except BadTarget as bad:
                log.warning("%s, line %d: %s", self.path.name, number, bad)
                continue
            if ban:
                self._bans.append(ban)

    def _write(self, lines: list[str]) -> None:
        """Put a whole new file where the old one is: a crash leaves one or the other."""
        new = self.path.with_name(self.path.name + ".new")
        with new.open("w", encoding="utf-8") as file:
            file.writelines(lines if self._lines else [HEADER, *lines])
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)
        self._seen = None
        self._read_if_changed()


def ban_of(target: str, until: str = "", comment: str = "") -> Ban:
    """The ban of a name, an address or a network as somebody typed it. Raises BadTarget."""
    if not target.startswith(NAME_PREFIX):
        if target.lower().startswith("::ffff:") and "." in target:
            target = target[len("::ffff:") :]  # as records write it
        try:
            network = ipaddress.ip_network(target, strict=False)
        except ValueError:
            if "/" in target:
                raise BadTarget(
                    f"{target} is no network; a name with a slash is written {NAME_PREFIX}NAME."
                ) from None
        else:
            return Ban(str(network) if "/" in target else target, network, until, comment)
    try:
        return Ban(record.clean_name(target.removeprefix(NAME_PREFIX)), None, until, comment)
    except record.BadName:
        raise BadTarget(f"{target} is neither a name nor an address nor a network.") from None


def _parse(line: str, *, strict: bool = False) -> Ban | None:
    """The ban on a line of the file; None for a comment. For nonsense BadTarget if strict, else None too."""
    if not line.strip() or line.lstrip().startswith("#"):
        return None
    found = _LINE.fullmatch(line.rstrip("\n"))
    try:
        if found is None:
            raise BadTarget(
                "a name, an address or a network is wanted, then `until TIME` if it ends, then # and why."
            )
        until = found["until"] or ""
        if until and not record.is_time(until):
            raise BadTarget(f"{until} is no time; it is written like 2026-11-21T12:00:00.000Z.")
        return ban_of(found["target"], until, found["comment"] or "")
    except BadTarget:
        if strict:
            raise
        return None


def _same(one: Ban, other: Ban) -> bool:
    if one.network or other.network:
        return one.network == other.network
    return record.name_key(one.target) == record.name_key(other.target)


def _needs_prefix(name: str) -> bool:
    """Whether a name alone on its line would be read as something else."""
    if name.startswith(("#", NAME_PREFIX)) or "/" in name:
        return True
    try:
        ipaddress.ip_network(name, strict=False)
    except ValueError:
        return False
    return True
