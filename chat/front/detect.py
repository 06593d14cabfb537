"""Who speaks: the first bytes of a connection decide (R50). Pure.

    a line, or nothing for a while          -->  lines: nc, TCP_client.py, a bot
    an HTTP request line                    -->  a browser
    0x16                                    -->  TLS
    a STUN message                          -->  nobody: a web page can make a browser send one here

A page anywhere on the web can make a browser send what it likes to this port, behind a request line that it
can't avoid. So whatever begins with one is never a name, and what follows it is never a line.
"""

from __future__ import annotations

import re
from typing import Literal

MORE_BYTES = 1024  # of what may become a request line: more than this is one, for no name is so long

Front = Literal["lines", "http", "tls", "stun"]

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_METHOD = re.compile(_TOKEN)
_VERSION = re.compile(rb"[A-Z]+/\d+(?:\.\d+)?")
_REQUEST_BEGINNING = re.compile(_TOKEN + rb"(?: +[^\r\n]*)?")
_TLS_HANDSHAKE = 0x16
_STUN_COOKIE = b"\x21\x12\xa4\x42"  # bytes 4 to 8 of every message, RFC 8489 section 5


def front_of(first: bytes) -> Front | None:
    """Who speaks, going by the first bytes; None where more have to come to tell."""
    if not first:
        return None
    if first[0] == _TLS_HANDSHAKE:
        return "tls"
    if first[0] < 4 and _STUN_COOKIE.startswith(first[4:8]):
        return "stun" if len(first) >= 8 else None
    line, end, _ = first.partition(b"\n")
    if end:
        return "http" if is_request_line(line) else "lines"
    if not _REQUEST_BEGINNING.fullmatch(line.removesuffix(b"\r")):
        return "lines"
    return "http" if len(line) > MORE_BYTES and b" " in line else None


def is_request_line(line: bytes) -> bool:
    """Whether this is how a request of HTTP begins, of whatever method (RFC 9112 section 3).

    Other protocols have taken over its form; they are no names either.
    """
    words = line.split()
    return len(words) >= 3 and bool(_METHOD.fullmatch(words[0]) and _VERSION.fullmatch(words[-1]))
