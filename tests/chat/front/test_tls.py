from __future__ import annotations

import contextlib
import ssl

import pytest

from chat.front.certificate import Certificate
from chat.front.tls import PIECE_BYTES, Tls
from tests import certificates

DATA = memoryview(bytes(range(251)) * 5000)[:PIECE_BYTES]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(*certificates.make(tmp_path_factory.mktemp("tls")))


class Client:
    """The client's side, which has its handshake in pieces of so many bytes with the server's."""

    def __init__(self, server: Tls, piece: int) -> None:
        self._received, self._sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = certificates.client_context().wrap_bio(self._received, self._sent)
        self.done: list[bool] = []
        for _ in range(2):
            with contextlib.suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()
            sent = self._sent.read()
            for first in range(0, len(sent), piece):
                self.done.append(server.shake_hands(sent[first : first + piece]))
                self._received.write(server.due())

    def send(self, data: memoryview) -> bytes:
        """What is to be sent for this."""
        while data:
            data = data[self.tls.write(data) :]
        return self._sent.read()

    def receive(self, encrypted: bytes) -> bytes:
        """What stands in this."""
        self._received.write(encrypted)
        pieces = []
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            while piece := self.tls.read(PIECE_BYTES):
                pieces.append(piece)
        return b"".join(pieces)


@pytest.mark.parametrize("piece", [1, 7, 100, 10_000])
def test_the_handshake_is_done_in_whatever_pieces_it_comes(certificate: Certificate, piece: int) -> None:
    client = Client(Tls(certificate.context()), piece)
    assert client.done[-1]
    assert not any(client.done[:-1])


@pytest.mark.parametrize("size", [1, 16 * 1024, 16 * 1024 + 1, PIECE_BYTES])
def test_both_sides_get_what_the_other_sends(certificate: Certificate, size: int) -> None:
    server = Tls(certificate.context())
    client = Client(server, 10_000)
    assert client.receive(server.encrypt(DATA[:size])) == DATA[:size]
    assert server.decrypt(client.send(DATA[:size])) == (bytes(DATA[:size]), False)


def test_each_side_learns_that_nothing_more_comes(certificate: Certificate) -> None:
    server = Tls(certificate.context())
    client = Client(server, 10_000)
    assert client.receive(server.encrypt(DATA[:5]) + server.close_notify()) == DATA[:5]
    client.tls.unwrap()
    assert server.decrypt(client.send(DATA[:0])) == (b"", True)


def test_what_was_changed_on_its_way_is_not_taken(certificate: Certificate) -> None:
    server = Tls(certificate.context())
    sent = Client(server, 10_000).send(DATA[:5])
    with pytest.raises(ssl.SSLError):
        server.decrypt(sent[:-1] + bytes([sent[-1] ^ 1]))
