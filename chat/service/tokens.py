"""The tokens of bots: tokens.txt, a text file that the host can read and edit while the server runs.

    # Bots: the name, since when, and a hash (SHA-256) of the token that lets it speak.
    robot <TAB> 2026-11-21T12:00:00.000Z <TAB> sha256:HASH

Deleting a line takes the token back, and frees the name.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from pathlib import Path

from chat import record
from chat.lookalike import look_alike
from chat.service.hostfile import Credential, HostFile

HEADER = "# Bots: the name, since when, and a hash (SHA-256) of the token that lets it speak."
TOKEN_BYTES = 32  # random, so a fast hash is as good as a slow one
TOKENS = 1000  # the most there can be: a request is compared with each

_HASH = re.compile(r"sha256:[0-9a-f]{64}")


class Token(Credential):
    """A bot's token, which is itself known to the bot alone."""


class Tokens:
    """The bots. Thread-safe. The constructor and writing raise OSError."""

    def __init__(self, path: Path) -> None:
        self._file = HostFile(path, HEADER, _parse)
        self._file.check()

    def all(self) -> list[Token]:
        """The tokens, in the order of the file."""
        return list(self._file.entries())

    def reserves(self, name: str) -> Token | None:
        """The bot whose name this is, or looks like."""
        return next((token for token in self._file.entries() if look_alike(name, token.name)), None)

    def find(self, secret: str) -> Token | None:
        """The bot with this token, whatever its name."""
        hashed = _hash(secret).encode()
        found = None
        for token in self._file.entries():
            if hmac.compare_digest(token.hash.encode(), hashed):
                found = token
        return found

    def full(self) -> bool:
        """Whether there can be no more."""
        return len(self._file.entries()) >= TOKENS

    def make(self, name: str, now: str) -> str:
        """Make a token for this name, replacing an earlier one. Raises OSError."""
        secret = secrets.token_urlsafe(TOKEN_BYTES)
        key = record.name_key(name)
        self._file.add(Token(name, now, _hash(secret)).line, lambda other: record.name_key(other.name) == key)
        return secret

    def remove(self, name: str) -> bool:
        """Take the token of this name back; whether there was one. Raises OSError."""
        key = record.name_key(name)
        return self._file.remove(lambda other: record.name_key(other.name) == key)


def _hash(secret: str) -> str:
    return f"sha256:{hashlib.sha256(secret.encode(errors='replace')).hexdigest()}"


def _parse(line: str) -> Token | None:
    if not line.strip() or line.startswith("#"):
        return None
    fields = line.split("\t")
    try:
        name, since, hashed = fields
        valid = record.clean_name(name) == name and record.is_time(since) and _HASH.fullmatch(hashed)
    except ValueError:  # too few or too many fields, or a bad name
        valid = None
    if not valid:
        raise ValueError("expected a bot: name TAB time TAB sha256:HASH.")
    return Token(name, since, hashed)
