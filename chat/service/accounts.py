"""Registered names: names.txt, a text file that the host can read and edit while the server runs.

    # Registered names: the name, since when, and a hash (scrypt) of the secret that proves ownership.
    alice <TAB> 2026-11-21T12:00:00.000Z <TAB> scrypt:16384:8:1:SALT:HASH

Deleting a line frees the name. A line with an unreadable hash keeps its name taken.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import os
import secrets
import threading
from pathlib import Path

from chat import record
from chat.lookalike import looks
from chat.service.hostfile import Credential, HostFile

HEADER = "# Registered names: the name, since when, and a hash (scrypt) of the secret that proves ownership."
# scrypt's N, r and p: 16 MiB and about 50 ms for each guess, also for whoever steals the file.
COST, BLOCK, PARALLEL = 2**14, 8, 1
SALT_BYTES = 16
HASHES_AT_ONCE = max(1, (os.cpu_count() or 1) // 2)  # the other processors serve those who talk
HASH_WAIT_SECONDS = 20.0  # the longest wait for a turn: less than the time for the login
NAMES = 10_000  # the most that can be registered, all held in memory
PROVED = 10_000  # correct secrets that are remembered, so as not to hash them again

log = logging.getLogger("chat.service.accounts")


class Busy(Exception):
    """Too many secrets are being checked at the moment."""


class Account(Credential):
    """A registered name."""


class Accounts:
    """The registered names. Thread-safe. The constructor and writing raise OSError."""

    def __init__(self, path: Path) -> None:
        self._file = HostFile(path, HEADER, _parse)
        self._file.check()
        self._hashing = threading.BoundedSemaphore(HASHES_AT_ONCE)
        self._lock = threading.Lock()  # guards the next three
        self._indexed: list[Account] = []
        self._by_look: list[dict[str, Account]] = [{}, {}]  # one for each way in which names can look alike
        self._proved: dict[bytes, None] = {}  # correct secrets, oldest first
        self._process_key = secrets.token_bytes(32)

    @property
    def path(self) -> Path:
        """The path of the file."""
        return self._file.path

    def owner(self, name: str) -> Account | None:
        """The account whose name this is, or looks like."""
        entries = self._file.entries()
        wanted = looks(name)
        with self._lock:
            if entries is not self._indexed:
                self._indexed = entries
                self._by_look = [{}, {}]
                for account in entries:
                    for index, look in zip(self._by_look, looks(account.name), strict=True):
                        index.setdefault(look, account)
            found = (index.get(look) for index, look in zip(self._by_look, wanted, strict=True))
            return next(filter(None, found), None)

    def full(self) -> bool:
        """Whether no more names can be registered."""
        return len(self._file.entries()) >= NAMES

    def proves(self, account: Account, secret: str) -> bool:
        """Whether this is the account's secret. Waits for a turn, and takes about 50 ms. Raises Busy."""
        proof = hmac.digest(self._process_key, f"{account.line}\n{secret}".encode(), "sha256")
        with self._lock:
            if proof in self._proved:
                return True
        scheme = account.hash.split(":")
        try:
            cost, block, parallel = (int(number) for number in scheme[1:4])
            salt, expected = (base64.b64decode(part, validate=True) for part in scheme[4:])
            found = self._hash(secret, salt, cost, block, parallel)
        except ValueError:  # a damaged line, which no secret matches
            return False
        if not hmac.compare_digest(found, expected):
            return False
        with self._lock:
            self._proved[proof] = None
            if len(self._proved) > PROVED:
                del self._proved[next(iter(self._proved))]
        return True

    def register(self, name: str, secret: str, now: str) -> Account:
        """Register the name with this secret, or replace the secret of its owner. Raises OSError, Busy."""
        earlier = self.owner(name)
        since = earlier.since if earlier and earlier.name == name else now
        salt = secrets.token_bytes(SALT_BYTES)
        hashed = self._hash(secret, salt, COST, BLOCK, PARALLEL)
        parts = (base64.b64encode(part).decode() for part in (salt, hashed))
        account = Account(name, since, ":".join(("scrypt", str(COST), str(BLOCK), str(PARALLEL), *parts)))
        self._file.add(account.line, lambda other: other.name == name)
        return account

    def unregister(self, account: Account) -> None:
        """Free the name. Raises OSError."""
        self._file.remove(lambda other: other.name == account.name)

    def replace(self, name: str, line: str) -> None:
        """Store this line for the name, or none if it is empty, as another server has it. Raises OSError."""
        try:
            account = _parse(line)
        except ValueError:
            return
        if account is None:
            self._file.remove(lambda other: other.name == name)
        elif account not in self._file.entries():
            self._file.add(account.line, lambda other: other.name == name)

    def _hash(self, secret: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
        if not self._hashing.acquire(timeout=HASH_WAIT_SECONDS):
            raise Busy
        try:
            return hashlib.scrypt(
                secret.encode(), salt=salt, n=cost, r=block, p=parallel, maxmem=64 * 1024 * 1024, dklen=32
            )
        finally:
            self._hashing.release()


def _parse(line: str) -> Account | None:
    fields = line.split("\t")
    if len(fields) == 1 and (not line.strip() or line.startswith("#")):
        return None
    try:
        name = record.clean_name(fields[0])
    except record.BadName:
        raise ValueError("expected a registered name: name TAB time TAB hash.") from None
    _, since, hashed = fields if len(fields) == 3 else (name, "", "")
    if not record.is_time(since) or not hashed.startswith("scrypt:"):
        log.warning(
            "names.txt: the line of %s is damaged; the name stays taken, and nobody can prove ownership. "
            "Delete the line to free it.",
            name,
        )
    return Account(name, since, hashed)
