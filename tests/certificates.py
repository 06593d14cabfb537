"""A certificate for the tests, the client's side of TLS, and the bytes of a connection as TLS records."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

from chat.front import certificate
from tests.harness import Client

RECORD_TYPES = {20, 21, 22, 23}  # change cipher spec, alert, handshake, application data
APPLICATION_DATA = 23


def make(folder: Path, name: str = "tls") -> tuple[Path, Path]:
    """A new certificate and its key."""
    files = folder / f"{name}-cert.pem", folder / f"{name}-key.pem"
    certificate.make(*files)
    return files


def client_context() -> ssl.SSLContext:
    """A client context that accepts any certificate, and detects truncated connections."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class TlsClient(Client):
    """A client that uses TLS. It raises SSLEOFError if the connection ends without a close_notify."""

    def _secured(self, connection: socket.socket) -> socket.socket:
        return client_context().wrap_socket(connection, suppress_ragged_eofs=False)


def records(stream: bytes) -> list[int]:
    """The types of the TLS records in the stream. Raises ValueError for anything else."""
    types = []
    while stream:
        size = int.from_bytes(stream[3:5])
        if stream[0] not in RECORD_TYPES or stream[1] != 3 or len(stream) < 5 + size:
            raise ValueError(f"no TLS record: {stream[:60]!r}")
        types.append(stream[0])
        stream = stream[5 + size :]
    return types
