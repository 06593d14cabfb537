"""The start-up lines: what the others need to join. The most useful first, and no more than a screen."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from pathlib import Path

from chat.front import qr
from chat.front.relay import Relay
from chat.service.policy import Policy

PASSWORD = "A password is required."
NO_PASSWORD = "There is no password: everybody on the network can join."
CONSOLE_ROWS = 2  # of the console, below the start-up lines


def welcome(host: str, port: int, history: Path, policy: Policy, tls: Relay | None = None) -> None:
    """Print what the host needs to tell the others."""
    addresses = own_addresses() if host in ("", "0.0.0.0", "::") else [host]
    browser = f"{'https' if tls else 'http'}://{_in_url(addresses[0])}:{port}"
    pin = f" --pin {tls.certificate.pin}" if tls else ""
    suffix = "" if port == 9999 else f":{port}"
    lines = [
        f"The chat is open on port {port}. Messages are kept in {history}.",
        f"In a browser, on a phone too:  {browser}",
        "In a terminal on the other computers:",
        *(f"    python3 TCP_client.py {_in_url(address)}{suffix}{pin}" for address in addresses),
        f"They get that file with  curl {'-k ' if tls else ''}-O {browser}/TCP_client.py",
        f"or join without it:  openssl s_client -quiet -connect {_in_url(addresses[0])}:{port}"
        if tls and tls.required
        else f"or join without it:  nc {addresses[0]} {port}",
        f"{PASSWORD if policy.password else NO_PASSWORD} Ctrl-C stops.",
    ]
    if code := _code(browser, lines):
        lines.insert(2, code)
    print(*lines, sep="\n", flush=True)


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _code(browser: str, others: list[str]) -> str:
    """The address as a QR code, if the terminal can show one beside the other lines; else ""."""
    drawn = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    if not drawn or not (sys.stdout.encoding or "").lower().startswith("utf"):
        return ""
    code = qr.drawn(browser)
    columns, rows = shutil.get_terminal_size()
    taken = sum(len(line) // columns + 1 for line in others) + code.count("\n") + 1
    return code if taken + CONSOLE_ROWS <= rows else ""


def own_addresses() -> list[str]:
    """This computer's addresses on its networks. Nothing is sent to find them."""
    addresses = []
    for family, elsewhere in (
        (socket.AF_INET, "10.255.255.255"),
        (socket.AF_INET, "172.31.255.255"),
        (socket.AF_INET, "192.168.255.255"),
        (socket.AF_INET, "192.0.2.1"),
        (socket.AF_INET6, "2001:db8::1"),
    ):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((elsewhere, 9))  # only looks up the route
                addresses.append(probe.getsockname()[0])
        except OSError:
            continue  # no route there
    return list(dict.fromkeys(addresses)) or ["127.0.0.1"]
