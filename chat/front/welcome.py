"""The start-up lines: the commands for the others."""

from __future__ import annotations

import socket
from pathlib import Path

from chat.front.tls import TlsAcceptor
from chat.service.policy import Policy


def welcome(host: str, port: int, history: Path, policy: Policy, tls: TlsAcceptor | None = None) -> None:
    """Print what the host needs to tell the others."""
    addresses = own_addresses() if host in ("", "0.0.0.0", "::") else [host]
    suffix = "" if port == 9999 else f":{port}"
    pin = f" --pin {tls.certificate.pin}" if tls else ""
    print(f"The chat is open on port {port}. Messages are kept in {history}.")
    print("On the other computers:")
    for address in addresses:
        print(f"    python3 TCP_client.py {f'[{address}]' if ':' in address else address}{suffix}{pin}")
    if tls and tls.required:
        print(f"or, without the client:  openssl s_client -quiet -connect {addresses[0]}:{port}")
    else:
        print(f"or, without the client:  nc {addresses[0]} {port}")
    print(
        "A password is required."
        if policy.password
        else "There is no password: everybody on the network can join.",
        "Ctrl-C stops.",
        flush=True,
    )


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
