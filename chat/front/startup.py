"""What the server is started with: parts made from its arguments, and why one can't be had."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import sys
from pathlib import Path

from chat import private, record
from chat.front.arguments import CHAT
from chat.front.certificate import BadCertificate, Certificate, own_certificate
from chat.front.relay import Relay
from chat.front.welcome import own_addresses
from chat.log.history import History
from chat.log.log import LocalLog, Log

MOST_ON_WINDOWS = 500  # clients: its select() watches 512 sockets, and all of them may be full


class CannotStart(Exception):
    """The server can't start; the message says why and what to do."""


def password(path: Path | None) -> str:
    """The first line of the file; "" without a file. Raises CannotStart."""
    if path is None:
        return ""
    try:
        private.check(path)
        text = path.read_text("utf-8")
    except private.Exposed as exposed:
        raise CannotStart(str(exposed)) from None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise CannotStart(f"the password file {path} can't be read: {why}.") from None
    password = record.clean_text(text.partition("\n")[0]).strip()
    if not password:
        raise CannotStart(f"the password file {path} has an empty first line; write the password there.")
    return password


def possible(clients: int) -> int:
    """As many clients as the system can watch."""
    return clients if sys.platform != "win32" else min(clients or MOST_ON_WINDOWS, MOST_ON_WINDOWS)


def raise_file_limit() -> None:
    """Raise the limit of open files as far as allowed: each client is one."""
    if sys.platform == "win32":
        return  # no such limit
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS reports "unlimited", then refuses it
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def why_not_readable(error: OSError | private.Exposed) -> str:
    """The sentence for a file beside the history that can't be used."""
    if isinstance(error, OSError):
        return f"{error.filename} can't be read: {error.strerror}."
    return str(error)


def why_not_listening(host: str, port: int, error: OSError | UnicodeError) -> str:
    """The sentence for an address or a port that can't be listened on."""
    where = f"port {port}" + (f" of {host}" if host else "")
    if isinstance(error, UnicodeError):
        return f"{host} is not an address to listen on; omit --host for all addresses."
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use, perhaps by another chat server. Stop it, or choose another with --port."
    if error.errno == errno.EACCES:
        return f"{where} needs special privileges. Choose a port above 1023 with --port."
    return f"can't listen on {where}: {error.strerror}."


def tls_relay(options: argparse.Namespace, folder: Path) -> Relay | None:
    """The relay of TLS connections, if the host wants them. Raises BadCertificate."""
    if bool(options.tls_cert) != bool(options.tls_key):
        raise BadCertificate("--tls-cert and --tls-key belong together: name both files.")
    if options.tls_cert:
        certificate = Certificate(options.tls_cert, options.tls_key)
    elif options.tls:
        certificate = own_certificate(folder)
    else:
        return None
    return Relay(certificate, required=options.tls == "only")


def start_relay(relay: Relay) -> None:
    """Start the process that carries TLS connections. Raises CannotStart."""
    try:
        relay.start()
    except OSError as error:
        raise CannotStart(f"the process for TLS can't be started: {error.strerror}.") from None


def open_log(options: argparse.Namespace, history: History) -> Log:
    """The log: this server's own, or a shared one. Raises HistoryError, CannotStart."""
    if not options.cluster:
        if options.advertise or options.cluster_credentials or options.chat != CHAT:
            raise CannotStart(
                "--chat, --advertise and --cluster-credentials go with --cluster; name its nodes."
            )
        return LocalLog(history)
    try:
        from chat.log.engine import Address, EngineError
        from chat.log.jetstream import JetStreamLog
    except ImportError:
        raise CannotStart("--cluster needs the package nats-py: pip install nats-py") from None
    address = Address(options.cluster, options.chat, options.cluster_credentials)
    try:
        return JetStreamLog(history, address, forget=options.forget)
    except EngineError as error:
        raise CannotStart(str(error)) from None


def advertised(options: argparse.Namespace, port: int) -> str:
    """Where clients reach this server."""
    if options.advertise:
        return str(options.advertise)
    host = own_addresses()[0] if options.host in ("", "0.0.0.0", "::") else options.host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def open_closed_streams() -> None:
    """`<&-`, `>&-`: what is opened next must not become a standard stream."""
    while (fd := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    os.close(fd)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - until the program ends
