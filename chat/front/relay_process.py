"""The process that carries TLS connections; see chat/front/relay.py, which starts it.

One thread moves the bytes of all of them, between the client's socket and a socket pair. Queues are
bounded: for a client that does not read, one piece is held, and no more is taken from the pair, which fills
up, so that the broadcaster skips the listener as it does with any full socket. The same applies in the other
direction.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from chat.front import handover
from chat.front.certificate import BadCertificate, Certificate
from chat.front.relay import CONNECTION, STOP_SECONDS
from chat.front.tls import PIECE_BYTES, Tls
from chat.room import liveness

TURN_PIECES = 4  # from one connection, before the others have their turn
TURN_HANDSHAKES = 2  # a fifth of a millisecond each, before those who are in have their turn
# May wait for a client to read it: a piece, and what TLS itself has to send. Only a client that keeps asking
# for new keys without reading exceeds it.
UNSENT_BYTES = 4 * PIECE_BYTES
HANDLERS_SECONDS = 1  # for the handlers to end their output when the server stops
FAREWELL_SECONDS = 2  # for the client to close its side
CHECK_SECONDS = 10.0  # between checks whether the clients are still there
SWEEP_SECONDS = 0.5  # between checks whose time is over

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
NEVER = float("inf")

log = logging.getLogger("chat.front.relay_process")


class _Carried:
    """A connection."""

    __slots__ = (
        "close_at",
        "input_discarded",
        "input_ended",
        "number",
        "output_ended",
        "output_stops",
        "pair",
        "ready",
        "tcp",
        "tls",
        "to_client",
        "to_room",
        "watched",
    )

    def __init__(self, number: int, tcp: socket.socket, pair: socket.socket, tls: Tls) -> None:
        self.number = number
        self.tcp = tcp
        self.pair = pair  # the relay's end of it
        self.tls = tls
        self.ready = False  # the handshake is done
        self.to_client = b""  # encrypted
        self.to_room = b""  # decrypted
        self.input_ended = False  # the client sends nothing more
        # Nothing more comes for the client: the last of `to_client` is the close_notify.
        self.output_ended = False
        self.output_stops = False  # what the handler has written by now is the last
        self.input_discarded = False  # the client's input is discarded from now on
        self.close_at = NEVER  # time.monotonic() when it is closed, whatever the client does
        self.watched = {tcp: 0, pair: 0}  # the events for which the selector watches each socket


class RelayProcess:
    """The connections, and the loop that moves their bytes."""

    def __init__(self, control: socket.socket, certificate: Certificate) -> None:
        self._control = control
        self._certificate = certificate
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, _READ)
        self._carried: set[_Carried] = set()
        self._limited: set[_Carried] = set()  # those with a time at which they are closed
        self._sweep_at = 0.0  # time.monotonic() when to look for those whose time is over
        self._check_at = 0.0  # and for clients that are out of reach
        self._piece = memoryview(bytearray(PIECE_BYTES))  # what is about to be encrypted

    def run(self) -> None:
        """Serve until the server closes its end, then until everybody has the rest, or has had the time."""
        while self._turn():
            pass
        self._finish(self._stop_input, HANDLERS_SECONDS)
        self._finish(self._stop_output, STOP_SECONDS - HANDLERS_SECONDS)

    def _finish(self, step: Callable[[_Carried], None], seconds: float) -> None:
        """Do a step for everybody, and serve until all are gone, for so many seconds at most."""
        until = time.monotonic() + seconds
        for carried in list(self._carried):
            self._guarded(step, carried)
        while self._carried and time.monotonic() < until:
            self._turn(SWEEP_SECONDS)

    def report(self, event: str) -> None:
        """Tell the server. It has ended if it can't be told: `run` notices."""
        with contextlib.suppress(OSError):
            self._control.sendall(event.encode() + b"\n")

    def _turn(self, seconds: float = CHECK_SECONDS) -> bool:
        """Forward what can be forwarded; wait if nothing can. Whether the server is still there."""
        there = True
        handshakes = 0
        for key, events in self._selector.select(SWEEP_SECONDS if self._limited else seconds):
            carried: _Carried | None = key.data
            if carried is None:
                there = self._take()
                continue
            if not carried.ready:
                handshakes += 1
                if handshakes > TURN_HANDSHAKES:
                    continue  # the selector reports it again
            inside = key.fileobj is carried.pair
            if events & (_READ if inside else _WRITE):
                self._guarded(self._to_client, carried)
            if events & (_WRITE if inside else _READ) and carried in self._carried:
                self._guarded(self._from_client, carried)
        now = time.monotonic()
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_SECONDS
            for carried in [each for each in self._limited if each.close_at <= now]:
                self._drop(carried)
        if now >= self._check_at:
            self._check_at = now + CHECK_SECONDS
            for carried in list(self._carried):
                self._guarded(self._check, carried)
        return there

    def _take(self) -> bool:
        """Take a connection from the server; False if that has closed its end."""
        try:
            sockets, message = handover.receive(self._control, 2)
        except (EOFError, OSError):
            self._selector.unregister(self._control)
            return False
        number, seconds = CONNECTION.unpack_from(message)
        for connection in sockets:
            connection.setblocking(False)
        if len(sockets) < 2:
            for connection in sockets:
                connection.close()
            log.error("the relay has no file left for another TLS connection")
            self.report(f"gone {number}")
            return True
        tcp, pair = sockets
        carried = _Carried(number, tcp, pair, Tls(self._certificate.context()))
        self._carried.add(carried)
        self._limit(carried, seconds)
        self._guarded(lambda each: self._shake_hands(each, message[CONNECTION.size :]), carried)
        return True

    def _guarded(self, step: Callable[[_Carried], None], carried: _Carried) -> None:
        """Do a step. An error in one connection ends that one, and no other."""
        try:
            step(carried)
        except OSError as error:
            log.debug("a TLS connection ended: %s", error)
            with contextlib.suppress(OSError):
                carried.tcp.send(carried.tls.due())  # the alert that says why
            self._drop(carried)
        except Exception:
            log.exception("a TLS connection failed")
            self._drop(carried)

    # ----- one connection

    def _shake_hands(self, carried: _Carried, received: bytes) -> None:
        carried.ready = carried.tls.shake_hands(received)
        carried.to_client += carried.tls.due()
        if carried.ready:
            self._limit(carried, NEVER)
            self.report(f"ready {carried.number}")
            self._decrypt(carried, b"")  # what came with the handshake
            self._from_client(carried)
        self._to_client(carried)

    def _to_client(self, carried: _Carried) -> None:
        for _ in range(TURN_PIECES):
            size = PIECE_BYTES
            if carried.ready and not (carried.to_client or carried.output_ended):
                size = self._encrypt(carried)
            if not carried.to_client:
                break
            try:
                sent = carried.tcp.send(carried.to_client)
            except BlockingIOError:
                break
            carried.to_client = carried.to_client[sent:]
            if carried.to_client:
                break
            if carried.output_ended:
                self._end_of_output(carried)
            if size < PIECE_BYTES and not carried.output_stops:
                break  # that was all; if not, the selector reports more
        self._watch(carried)

    def _encrypt(self, carried: _Carried) -> int:
        """Read a piece from the room and encrypt it, or the farewell at the end; the size of the piece."""
        try:
            size = carried.pair.recv_into(self._piece)
        except BlockingIOError:
            if not carried.output_stops:
                return 0
            size = 0
        if size:
            carried.to_client = carried.tls.encrypt(self._piece[:size])
        else:
            carried.output_ended = carried.input_discarded = True
            carried.to_room = b""
            carried.to_client = carried.tls.close_notify()
        return size

    def _end_of_output(self, carried: _Carried) -> None:
        """Everything is sent: let the client close its side, so that no reset overtakes the last bytes."""
        carried.tcp.shutdown(socket.SHUT_WR)
        if carried.input_ended:
            self._drop(carried)
        else:
            self._limit(carried, FAREWELL_SECONDS)

    def _from_client(self, carried: _Carried) -> None:
        for _ in range(TURN_PIECES):
            if carried.to_room and not self._pass_on(carried):
                break
            if carried.input_ended:
                self._end_of_input(carried)
                break
            try:
                received = carried.tcp.recv(PIECE_BYTES)
            except BlockingIOError:
                break
            if not carried.ready:
                if not received:
                    raise ConnectionResetError("the client closed during the handshake")
                self._shake_hands(carried, received)
            elif not received:
                carried.input_ended = True
            elif not carried.input_discarded:
                self._decrypt(carried, received)
        self._watch(carried)

    def _pass_on(self, carried: _Carried) -> bool:
        """Pass on to the handler what was decrypted; whether all of it."""
        try:
            sent = carried.pair.send(carried.to_room)
        except BlockingIOError:
            return False
        except OSError:  # the handler no longer reads
            carried.input_discarded = True
            sent = len(carried.to_room)
        carried.to_room = carried.to_room[sent:]
        return not carried.to_room

    def _decrypt(self, carried: _Carried, received: bytes) -> None:
        carried.to_room, carried.input_ended = carried.tls.decrypt(received)
        carried.to_client += carried.tls.due()
        if len(carried.to_client) > UNSENT_BYTES:
            raise ConnectionAbortedError("the client requests more than it reads")

    def _end_of_input(self, carried: _Carried) -> None:
        if carried.output_ended and not carried.to_client:
            self._drop(carried)
        else:
            with contextlib.suppress(OSError):  # the handler has closed its end
                carried.pair.shutdown(socket.SHUT_WR)

    def _stop_input(self, carried: _Carried) -> None:
        """The server stops: end the handler's input, so that it ends its output."""
        if not carried.ready:
            self._drop(carried)
            return
        carried.input_ended = True
        carried.to_room = b""
        self._end_of_input(carried)
        self._watch(carried)

    def _stop_output(self, carried: _Carried) -> None:
        """Send what the handler has written by now, and the farewell.

        Shutting the pair down for reading would do, but not on Windows: there it wakes no selector.
        """
        carried.output_stops = True
        self._to_client(carried)

    def _check(self, carried: _Carried) -> None:
        _, lost = liveness.state(carried.tcp)
        if lost:
            self._drop(carried)

    def _limit(self, carried: _Carried, seconds: float) -> None:
        """Close the connection after so many seconds, whatever the client does."""
        carried.close_at = time.monotonic() + seconds
        if seconds == NEVER:
            self._limited.discard(carried)
        else:
            self._limited.add(carried)

    def _watch(self, carried: _Carried) -> None:
        """Have the selector report when there is something to do for the connection."""
        if carried not in self._carried:
            return
        input_ = _READ if not (carried.input_ended or carried.to_room) else 0
        self._want(carried, carried.tcp, input_ | (_WRITE if carried.to_client else 0))
        output = _READ if carried.ready and not (carried.to_client or carried.output_ended) else 0
        self._want(carried, carried.pair, output | (_WRITE if carried.to_room else 0))

    def _want(self, carried: _Carried, connection: socket.socket, events: int) -> None:
        watched = carried.watched[connection]
        if events == watched:
            return
        carried.watched[connection] = events
        if not watched:
            self._selector.register(connection, events, carried)
        elif events:
            self._selector.modify(connection, events, carried)
        else:
            self._selector.unregister(connection)

    def _drop(self, carried: _Carried) -> None:
        """Close both sockets, and tell the server, which closes its copy of the client's."""
        if carried not in self._carried:
            return
        for connection in (carried.tcp, carried.pair):
            self._want(carried, connection, 0)
            connection.close()
        self._carried.discard(carried)
        self._limited.discard(carried)
        self.report(f"gone {carried.number}")


class _Reports(logging.Handler):
    """The log goes to the server's, above the line that the host is typing."""

    def __init__(self, relay: RelayProcess) -> None:
        super().__init__()
        self._relay = relay

    def emit(self, record: logging.LogRecord) -> None:
        self._relay.report(f"log {record.levelno} {' | '.join(self.format(record).splitlines())}")


def main(arguments: list[str]) -> None:
    """Run the relay: the files of the certificate and its key, and the log's level."""
    certificate, key, level = arguments
    for stop_signal in ("SIGINT", "SIGTERM", "SIGHUP"):  # the server gets them too, and ends this in order
        if hasattr(signal, stop_signal):
            signal.signal(getattr(signal, stop_signal), signal.SIG_IGN)
    try:
        loaded = Certificate(Path(certificate), Path(key))
    except BadCertificate as bad:  # changed since the server started
        sys.exit(str(bad))
    relay = RelayProcess(handover.inherited(), loaded)
    logging.basicConfig(level=level, handlers=[_Reports(relay)])
    relay.run()


if __name__ == "__main__":
    main(sys.argv[1:])
