"""Where people are, as far as an address tells.

What kind of address it is and which network it belongs to is known by `ipaddress` alone. Host names come
from this machine's own hosts file: asking a name server would tell others who chats here. The country of a
public address needs iptocc, and no network either.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from analytics.tables import is_spoken, most_first
from chat.record import NOBODY

NETWORK_BITS = {4: 24, 6: 64}  # what one house or office usually has
MOST = 3000  # addresses that a report looks into: some twenty microseconds each
ASKED_AT_ONCE = 16  # a name server that does not answer keeps each asker waiting for seconds

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def places(records: pd.DataFrame, resolve: bool = False, most: int | None = None) -> pd.DataFrame:
    """For each address of a person, or the `most` of which most was said: names (how many), messages, range,
    network, country, host.

    `range` is public, private, link-local, loopback or what else `ipaddress` knows; `country` an ISO 3166
    code; `host` a name from the hosts file or, with resolve=True, from the system's name service. What is
    unknown is "".
    """
    codes, addresses = records["address"].cat.codes.to_numpy(np.int64), records["address"].cat.categories
    names = len(records["name"].cat.categories)
    pairs = pd.unique(codes * max(names, 1) + records["name"].cat.codes.to_numpy(np.int64))
    table = pd.DataFrame(index=pd.Index(addresses.astype("str"), name="address"))
    table["names"] = np.bincount(pairs // max(names, 1), minlength=len(addresses))
    table["messages"] = np.bincount(codes[is_spoken(records)], minlength=len(addresses))
    table = table[(table["names"] > 0) & (table.index != NOBODY)]
    table = table.loc[most_first(table["messages"]).index[:most]].copy()
    parsed = [_parse(address) for address in table.index]
    table["range"] = [_range(address) for address in parsed]
    table["network"] = [_network(address) for address in parsed]
    table["country"] = [_country(address) for address in parsed]
    hosts = _resolved(list(table.index)) if resolve else hosts_file()
    table["host"] = [hosts.get(address, "") for address in table.index]
    return table


def networks(table: pd.DataFrame) -> pd.DataFrame:
    """The same by network: range, country, addresses (how many), messages, most first."""
    grouped = table.reset_index().groupby(["network", "range", "country"])
    rows = grouped.agg(addresses=("address", "size"), messages=("messages", "sum")).reset_index()
    return rows.sort_values(["messages", "network"], ascending=[False, True], ignore_index=True)


def hosts_file() -> dict[str, str]:
    """The first name of each address in the machine's own hosts file."""
    windows = os.environ.get("SYSTEMROOT")
    path = Path(windows, "System32/drivers/etc/hosts") if windows else Path("/etc/hosts")
    names: dict[str, str] = {}
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return names
    for line in lines:
        fields = line.partition("#")[0].split()
        if len(fields) > 1:
            names.setdefault(fields[0], fields[1])
    return names


def _resolved(addresses: list[str]) -> dict[str, str]:
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        return dict(zip(addresses, pool.map(_host_name, addresses), strict=True))


def _host_name(address: str) -> str:
    try:
        return socket.gethostbyaddr(address)[0]
    except OSError:
        return ""


def _parse(address: str) -> Address | None:
    try:
        return ipaddress.ip_address(address)
    except ValueError:  # the grammar lets through more than true addresses
        return None


def _range(address: Address | None) -> str:
    if address is None:
        return "no address"
    for name in ("loopback", "link_local", "multicast", "unspecified", "global", "private", "reserved"):
        if getattr(address, f"is_{name}"):
            return "public" if name == "global" else name.replace("_", "-")
    return "shared"  # a provider's own, 100.64.0.0/10


def _network(address: Address | None) -> str:
    if address is None:
        return ""
    return str(ipaddress.ip_network((address, NETWORK_BITS[address.version]), strict=False))


def _country(address: Address | None) -> str:
    if address is None or not address.is_global:
        return ""
    try:
        from iptocc import country_code
    except ImportError:  # it is optional; countries then stay unknown
        return ""
    return country_code(str(address)) or ""
