"""The chat server: run `python3 TCP_server.py`, and tell the others the command that it prints.

A socketserver.ThreadingTCPServer with a handler thread for each connection, a terminal's or a browser's. The
handlers share one room (chat/room): the lock-protected list of members, and the broadcaster that appends to
history.txt.
"""

from __future__ import annotations

import signal
import sys

if sys.version_info < (3, 11):  # noqa: UP036 - an older Python gets a sentence
    sys.exit(
        "TCP_server.py needs Python 3.11 or newer, and this is {}.{}: try python3.11 or python3.13, or"
        " get one from python.org.".format(*sys.version_info)
    )

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until `main`: Ctrl-C ends it without a traceback

import _thread
import argparse
import contextlib
import errno
import functools
import logging
import os
import socket
import socketserver
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

from chat import paths, private
from chat.front import discovery
from chat.front.arguments import parser
from chat.front.arrival import first_bytes
from chat.front.certificate import BadCertificate
from chat.front.connections import Connections, address_of, no_room
from chat.front.console import Console, has_keyboard
from chat.front.detect import Front
from chat.front.http import HttpConnection, Refused
from chat.front.lines import LineConnection, turn_away
from chat.front.login import LOGIN_SECONDS
from chat.front.logs import log_to_standard_error
from chat.front.relay import Relay
from chat.front.routes import Routes, to_https
from chat.front.startup import (
    CannotStart,
    advertised,
    open_closed_streams,
    open_log,
    password,
    possible,
    raise_file_limit,
    start_relay,
    tls_relay,
    why_not_listening,
    why_not_readable,
)
from chat.front.welcome import welcome
from chat.log.history import History, HistoryError
from chat.room import liveness
from chat.room.room import Room
from chat.service import lookup, shared
from chat.service.bans import Bans
from chat.service.policy import Policy
from chat.service.service import Service

# For each handler thread: ten thousand of them must fit into a small machine's address space.
STACK_BYTES = 512 * 1024

STOP_SIGNALS = [signal.SIGINT, signal.SIGTERM]  # one orderly stop for all of them
if sys.platform == "win32":
    STOP_SIGNALS.append(signal.SIGBREAK)  # Ctrl-Break, and the window's closing
else:
    STOP_SIGNALS.append(signal.SIGHUP)  # the terminal is gone

NO_TLS = "There is no TLS here; connect without it."
TLS_ONLY = (  # R71
    "This chat speaks TLS only, so that nobody listens in. TCP_client.py does so by itself; "
    "without it: openssl s_client -quiet -connect HOST:PORT"
)

log = logging.getLogger("chat.server")


class ChatHandler(socketserver.BaseRequestHandler):
    """One client, in a thread of its own."""

    server: ChatServer
    request: socket.socket

    def setup(self) -> None:
        # R19: one time limit for all that comes before the name, a TLS handshake included.
        self.login_until = time.monotonic() + LOGIN_SECONDS

    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        liveness.keep_alive(self.request)
        address, tls = address_of(self.client_address), self.server.tls
        browsers, until = self.server.routes.browsers, self.login_until
        try:
            front, first = first_bytes(self.request, address, browsers, until)
            if front == "tls" and tls:
                with tls.carry(self.request, first, until) as inside:
                    front, first = first_bytes(inside, address, browsers, until)
                    self._serve(inside, address, front, first, encrypted=True)
            else:
                self._serve(self.request, address, front, first, encrypted=False)
        except OSError as error:
            log.debug("%s: %s", address, error)  # gone, or no handshake

    def _serve(
        self, connection: socket.socket, address: str, front: Front | None, first: bytes, *, encrypted: bool
    ) -> None:
        """Serve who speaks, as the first bytes say; nobody else gets anything."""
        tls, service = self.server.tls, self.server.service
        refused = tls and tls.required and not encrypted
        if front == "http":
            answer = to_https if refused else self.server.routes.answer
            with contextlib.closing(service.budget.open(address)) as account:
                HttpConnection(connection, address, account, answer, first).run()
        elif front == "lines" and not refused:
            LineConnection(connection, address, service, self.login_until, first, self.request).run()
        elif front in ("lines", "tls"):
            turn_away(connection, service.room.now(), TLS_ONLY if refused else NO_TLS)


class ChatServer(socketserver.ThreadingTCPServer):
    """Accepts clients, at most `max_clients` in total and `max_per_address` from one address (0 = no limit).

    Raises OSError if it can't listen.
    """

    daemon_threads = True  # connected clients don't keep the program from ending
    request_queue_size = 4096  # after a restart everybody comes back at once; the default is 5
    allow_reuse_address = os.name != "nt"  # on Windows it lets two servers share the port

    def __init__(
        self,
        address: tuple[str, int],
        service: Service,
        *,
        tls: Relay | None = None,
        max_clients: int = 0,
        max_per_address: int = 0,
    ) -> None:
        self.service = service
        self.tls = tls
        self.routes = Routes(service, Path(__file__).with_name("TCP_client.py"))
        self._connections = Connections(service, tls, max_clients, max_per_address)
        host, port = address
        self.address_family, where = _resolve(host, port)
        super().__init__(where, ChatHandler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if sys.platform == "win32":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        super().server_bind()

    def server_close(self) -> None:
        super().server_close()
        self._connections.close()

    # ----- accepting

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a client. If no files are left, refuse it rather than retry forever."""
        try:
            return super().get_request()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                self._connections.refuse_without_files(self.socket)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give the client a thread, or a sentence that says why not."""
        address = address_of(client_address)
        try:
            self._connections.enter(address)
            try:
                # A threading.Thread's handshake and bookkeeping would take a third of the time in which
                # thousands connect, and 3.6 KB each.
                _thread.start_new_thread(self.process_request_thread, (request, client_address))
            except (RuntimeError, MemoryError):  # can't start new thread
                self._connections.leave(address)
                why = "The server has no thread left for another connection; try again later."
                raise no_room(why) from None
        except Refused as refused:
            log.warning("%s refused: %s", address, refused)
            self._connections.refuse(request, refused)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """A handler thread; ends with its session."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.leave(address_of(client_address))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log an unexpected error in a handler: one line, and the traceback at level debug."""
        error = sys.exc_info()[1]
        log.error(
            "the session of %s ended in an error: %s: %s (--log-level debug shows where)",
            address_of(client_address),
            type(error).__name__,
            error,  # not its repr, which would quote the text that can't be encoded
            exc_info=log.isEnabledFor(logging.DEBUG),
        )


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, Any]:
    """Where to listen. No host means all addresses, IPv6 and IPv4 on one socket if the system has both."""
    if not host:
        family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
        return family, ("::" if family == socket.AF_INET6 else "", port)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return found[0][0], found[0][4]


# ------------------------------------------------------------------------------------------------ starting


def main(arguments: list[str] | None = None) -> int:
    """Run the server until it is stopped. Returns the exit code."""
    options = parser().parse_args(arguments)
    logging.logThreads = (
        False  # else the first line from each handler would create a threading.Thread to name it
    )
    finish_log = log_to_standard_error(options.log_level.upper())
    threading.stack_size(STACK_BYTES)
    raise_file_limit()
    for stop_signal in STOP_SIGNALS:
        if signal.getsignal(stop_signal) is not signal.SIG_IGN:  # nohup: the server outlives its terminal
            signal.signal(stop_signal, signal.default_int_handler)
    try:
        _serve(options)
    except (HistoryError, CannotStart) as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 1  # before the chat was open
    finally:
        finish_log()
    return 0


def run() -> NoReturn:
    """`main`, as a program: it ends even if its terminal, its keyboard or the reader of its log is stuck."""
    open_closed_streams()
    code = main()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(code)  # an orderly exit of the interpreter waits for the locks of such streams, or aborts


def _serve(options: argparse.Namespace) -> None:
    """Open the history and the port, and serve until the end. Raises HistoryError, CannotStart."""
    policy = Policy(
        rate=options.rate,
        password=password(options.password_file),
        admin_password=password(options.admin_password_file),
    )
    if options.history == paths.default_history():
        options.history.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    history = History(
        options.history,
        sync=options.sync,
        forget=options.forget,
        holder=f"process {os.getpid()}, port {options.port}",
    )
    try:
        chat_log = open_log(options, history)
    except BaseException:
        history.close()
        raise
    try:
        service = Service(Room(chat_log), policy, Bans(history.path.with_name("bans.txt")))
    except (OSError, private.Exposed) as error:
        chat_log.close()
        raise CannotStart(why_not_readable(error)) from None
    service.room.foreign = functools.partial(shared.take, service)
    try:
        tls = tls_relay(options, history.path.parent)
        server = ChatServer(
            (options.host, options.port),
            service,
            tls=tls,
            max_clients=possible(options.max_clients),
            max_per_address=options.max_per_address,
        )
    except BadCertificate as bad:
        chat_log.close()
        raise CannotStart(str(bad)) from None
    except (OSError, UnicodeError) as error:  # UnicodeError: not a valid host name
        chat_log.close()
        raise CannotStart(why_not_listening(options.host, options.port, error)) from None
    broadcaster = _Broadcaster(server)
    console = Console(service, server.shutdown) if has_keyboard() else None
    try:
        chat_log.open(advertised(options, server.server_address[1]))
        broadcaster.start()
        server.routes.streams.start()
        if tls:
            start_relay(tls)
        _open(options, server, console)
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        for stop_signal in STOP_SIGNALS:
            signal.signal(stop_signal, signal.SIG_IGN)
        server.server_close()
        service.room.stop("The server is stopping; the history is kept.")
        if broadcaster.ident:
            broadcaster.join()
            server.routes.streams.stop()
        if tls:
            tls.stop()
        if console:
            console.close()
        service.close()
        chat_log.close()
    if broadcaster.failed:
        raise CannotStart("it had to stop; all messages are in the history. The log says why.")
    with contextlib.suppress(OSError):  # nobody reads it: `| head`, a terminal that is gone
        print("Stopped; everything is in the history.", flush=True)


def _open(options: argparse.Namespace, server: ChatServer, console: Console | None) -> None:
    """Open the chat, and tell the host how others join."""
    port, room = server.server_address[1], server.service.room
    if not options.no_discovery:
        discovery.start(
            lambda: f"chat! {port} {socket.gethostname()}, {len(room.members())} here",
            "" if options.host in ("0.0.0.0", "::") else options.host,
        )
    with contextlib.suppress(OSError):  # nobody reads it
        welcome(options.host, port, room.history_path, server.service.policy, server.tls)
    if room.log.history.file.end > lookup.NEAR_BYTES:
        server.service.queries.start()
    if console:
        console.start()


class _Broadcaster(threading.Thread):
    """The broadcaster's thread. There is no chat without it: an error in it stops the server in order."""

    def __init__(self, server: ChatServer) -> None:
        super().__init__(name="broadcaster")
        self._server = server
        self.failed = False

    def run(self) -> None:
        try:
            self._server.service.room.run()
        except HistoryError as error:
            self.failed = True
            log.critical("the server stops: %s", error)
            self._server.shutdown()
        except Exception:
            self.failed = True
            log.critical("the broadcaster failed; the server stops", exc_info=True)
            self._server.shutdown()


if __name__ == "__main__":
    run()
