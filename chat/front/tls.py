"""The server's side of TLS, without a socket."""

from __future__ import annotations

import contextlib
import ssl

PIECE_BYTES = 64 * 1024  # encrypted or decrypted at once


class Tls:
    """The server's side of a TLS connection: encrypted bytes in, plain ones out, and the reverse."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def shake_hands(self, received: bytes) -> bool:
        """Go on with the handshake; whether it is done. Raises ssl.SSLError, with an alert in `due`."""
        self._incoming.write(received)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def encrypt(self, data: memoryview) -> bytes:
        """The encrypted bytes to send. Raises ssl.SSLError."""
        while data:  # a record takes 16 KiB
            data = data[self._tls.write(data) :]
        return self._outgoing.read()

    def decrypt(self, received: bytes) -> tuple[bytes, bool]:
        """The decrypted bytes, and whether the client has ended its output. Raises ssl.SSLError."""
        self._incoming.write(received)
        pieces: list[bytes] = []
        while True:
            try:
                piece = self._tls.read(PIECE_BYTES)
            except ssl.SSLWantReadError:
                return b"".join(pieces), False
            except ssl.SSLZeroReturnError:  # it has sent a close_notify, after ours
                return b"".join(pieces), True
            if not piece:  # it has sent a close_notify
                return b"".join(pieces), True
            pieces.append(piece)

    def due(self) -> bytes:
        """Output of TLS itself: of the handshake, a response to new keys, an alert."""
        return self._outgoing.read()

    def close_notify(self) -> bytes:
        """The bytes that tell the client that nothing more follows, so that a truncation would be noticed."""
        with contextlib.suppress(ssl.SSLError):  # it would also read the client's, which need not come
            self._tls.unwrap()
        return self._outgoing.read()
