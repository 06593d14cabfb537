"""Which rows of a table are shown: those of a time, of some people, from some addresses.

What is chosen is shown; nothing is computed from it. How long alice was connected, or whom she answered,
needs everybody's records, whether the others are shown or not.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Choice:
    """What is to be shown: from `since` on and before `until`, by one of the names, from one of the networks.

    What is not given does not restrict. `names` are as they stand in the tables that are chosen from.
    """

    since: pd.Timestamp | None = None
    until: pd.Timestamp | None = None
    names: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return self == Choice()

    def at(self, times: pd.Series[pd.Timestamp]) -> Flags:
        """Which of the times lie in it."""
        chosen = np.ones(len(times), bool)
        if self.since is not None:
            chosen &= (times >= self.since).to_numpy()
        if self.until is not None:
            chosen &= (times < self.until).to_numpy()
        return chosen

    def by(self, names: pd.Series[str]) -> Flags:
        """Which of the names belong to it."""
        if not self.names:
            return np.ones(len(names), bool)
        return _each(names, lambda name: name in self.names)

    def of(self, addresses: pd.Series[str]) -> Flags:
        """Which of the addresses belong to it."""
        if not self.networks:
            return np.ones(len(addresses), bool)
        return _each(addresses, self._has)

    def rows(self, table: pd.DataFrame) -> Flags:
        """Which rows of a table with time, name and address belong to it."""
        return self.at(table["time"]) & self.by(table["name"]) & self.of(table["address"])

    def _has(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:  # the host's "-", and what looks like an address only
            return False
        return any(parsed in network for network in self.networks)


def _each(column: pd.Series[str], belongs: Callable[[str], bool]) -> Flags:
    """Asks once for each different value."""
    codes, values = pd.factorize(column)
    found: Flags = np.array([belongs(str(value)) for value in values], np.bool_)
    return found[codes] if len(values) else np.zeros(len(column), np.bool_)
