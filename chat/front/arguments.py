"""The server's arguments. Other programs rely on them; docs/cluster.md explains those of a cluster."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from chat import paths

CHAT = "chat"  # the name of the only chat on an engine, usually


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    made = argparse.ArgumentParser(description="The chat server. Messages are kept in history.txt.")
    add = made.add_argument
    add("--host", default="", metavar="ADDRESS", help="the address to listen on (all)")
    add("--port", type=_port, default=9999, help="the TCP port (9999)")
    add(
        "--history",
        type=Path,
        default=paths.default_history(),
        metavar="PATH",
        help="the history file (%(default)s)",
    )
    add(
        "--sync",
        choices=["always", "everysec", "no"],
        default="everysec",
        help="when messages are flushed to the disk: what a power cut may cost (everysec)",
    )
    add(
        "--rate",
        type=_rate,
        default=10.0,
        metavar="N",
        help="messages per second from one client, after a burst; 0 = no limit (10)",
    )
    add(
        "--max-clients",
        type=_count,
        default=10_000,
        metavar="N",
        help="connections in total; 0 = no limit (10000)",
    )
    add(
        "--max-per-address",
        type=_count,
        default=64,
        metavar="N",
        help="connections from one address; 0 = no limit (64)",
    )
    add("--password-file", type=Path, metavar="F", help="the password to join is the first line of this file")
    add(
        "--admin-password-file",
        type=Path,
        metavar="F",
        help="the password of the admins is the first line of this file; then only they may clear",
    )
    add(
        "--tls",
        nargs="?",
        const=True,
        choices=["only"],
        help="encrypt for clients that can; with `--tls only`, refuse the others",
    )
    add("--tls-cert", type=Path, metavar="F", help="the certificate (PEM) to use instead of one made here")
    add("--tls-key", type=Path, metavar="F", help="the key of that certificate")
    add(
        "--forget",
        action="store_true",
        help="clear deletes the history instead of keeping it under another name",
    )
    add(
        "--no-discovery",
        action="store_true",
        help="don't answer clients that look for a server on the network",
    )
    add(
        "--cluster",
        type=_nodes,
        default=(),
        metavar="nats://HOST:PORT,...",
        help="share one chat with other servers, through these NATS nodes (docs/cluster.md)",
    )
    add(
        "--chat",
        type=_chat_name,
        default=CHAT,
        metavar="NAME",
        help="which of the chats on these nodes (chat)",
    )
    add(
        "--advertise",
        type=_advertisement,
        metavar="HOST:PORT",
        help="where clients reach this server of the cluster (its first address on the network)",
    )
    add(
        "--cluster-credentials",
        type=Path,
        metavar="F",
        help="the file with this server's NATS credentials",
    )
    add(
        "--log-level",
        choices=["debug", "info", "warning", "error"],
        default="info",
        help="how much the server logs (info)",
    )
    return made


def _nodes(text: str) -> tuple[str, ...]:
    if "@" in text:
        raise argparse.ArgumentTypeError(
            "everybody on this computer can read arguments; put the user and the password, as USER:PASSWORD, "
            "into a file for --cluster-credentials"
        )
    nodes = tuple(text.split(","))
    if all(re.fullmatch(r"(nats|tls)://[^\s/,]+", node) for node in nodes):
        return nodes
    raise argparse.ArgumentTypeError(
        f"must be nats://HOST:PORT, or several of them separated by commas, not {text!r}"
    )


def _chat_name(text: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text):
        return text
    raise argparse.ArgumentTypeError(f"must consist of letters, digits, _ and -, not {text!r}")


def _advertisement(text: str) -> str:
    if re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]/]+):\d{1,5}", text):
        return text
    raise argparse.ArgumentTypeError(f"must be HOST:PORT, not {text!r}")


def _port(text: str) -> int:
    return _number(text, 0, 65535)


def _count(text: str) -> int:
    return _number(text, 0, 10_000_000)


def _number(text: str, least: int, most: int) -> int:
    if text.isascii() and text.isdigit() and least <= int(text) <= most:
        return int(text)
    raise argparse.ArgumentTypeError(f"must be a number from {least} to {most}, not {text!r}")


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1
    if 0 <= rate < float("inf"):
        return rate
    raise argparse.ArgumentTypeError(f"must be messages per second, or 0 for no limit, not {text!r}")
