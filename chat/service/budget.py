"""The budget: what a client costs the server is charged here, to its connection and to its address.

    account = budget.open(address)      one for each connection, from its accept to its close
    account.charge(lines=1)             the cost of a request
    account.wait(ended)                 sleep while the account is overdrawn

Whoever has used up their share waits, and nobody else does. It is refilled over time, for an address at
ADDRESS_SHARE times the rate of a connection: reconnecting renews nothing. An IPv6 /64 counts as one address,
since a single computer can have all of it.

Three things are counted: lines; bytes received; and work, in seconds of the server: the processor time
measured for a request, and what it costs others according to the command table.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

BURST_LINES = 50  # R33: allowed at once: a paste
LINE_BYTES = 2048  # for each of them: a paste of prose. Longer lines are allowed less often
WORK_A_SECOND = 0.02  # of one processor: unnoticeable, but a long answer or two
BURST_WORK = 0.2  # ten long answers
JOIN_WORK = 0.01  # telling everybody of the join, and later of the leave
ADDRESS_SHARE = 5  # times the share of a connection: a family behind one router
IDLE_ADDRESSES = 10_000  # remembered, though nobody is connected from them

_KINDS = 3  # lines, bytes, work: in this order in each tuple below
_BURST = (BURST_LINES, BURST_LINES * LINE_BYTES, BURST_WORK)


class Budget:
    """All accounts. `rate`: lines a second for a connection; with 0 nothing is charged.

    Thread-safe.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._lock = threading.Lock()  # guards the addresses, and who is connected from them
        self._addresses: dict[str, _Address] = {}
        self._working = threading.Lock()  # held by the thread that does a slice of work for a request

    def open(self, address: str) -> Account:
        """The account of a new connection, which must be closed."""
        key = network_of(address)
        with self._lock:
            if key not in self._addresses:
                self._forget_some()
                self._addresses[key] = _Address(self._rate * ADDRESS_SHARE)
            self._addresses[key].connections += 1
            return Account(self, self._rate, self._addresses[key])

    def close(self, account: Account) -> None:
        """The connection has ended. The debt of its address is remembered."""
        with self._lock:
            account.address.connections -= 1

    @contextmanager
    def slice(self) -> Iterator[None]:
        """Do some work for a request, for a few milliseconds.

        Only one thread at a time does: whoever writes and sends waits for one such slice, not for those of a
        crowd. See `Account.working`.
        """
        with self._working:
            yield

    def _forget_some(self) -> None:
        """Forget addresses without debts. Requires holding the lock."""
        if len(self._addresses) > IDLE_ADDRESSES:
            self._addresses = {
                key: address
                for key, address in self._addresses.items()
                if address.connections or address.used
            }


class _Buckets:
    """Token buckets, one for each kind. Thread-safe."""

    def __init__(self, rate: float, share: float) -> None:
        self._rates = (rate, rate * LINE_BYTES, WORK_A_SECOND * share)
        self._burst = tuple(share * burst for burst in _BURST)
        self._lock = threading.Lock()  # guards the next two
        self._left = list(self._burst)
        self._counted = time.monotonic()

    def take(self, *amounts: float) -> None:
        """Take from each, even more than there is."""
        with self._lock:
            self._refill()
            for kind in range(_KINDS):
                self._left[kind] -= amounts[kind]

    @property
    def owed(self) -> float:
        """Seconds until nothing is owed."""
        with self._lock:
            self._refill()
            return max(0.0, *(-left / rate for left, rate in zip(self._left, self._rates, strict=True)))

    @property
    def used(self) -> bool:
        """Whether any bucket is not full."""
        with self._lock:
            self._refill()
            return any(left < burst for left, burst in zip(self._left, self._burst, strict=True))

    def _refill(self) -> None:
        """Requires holding the lock."""
        now = time.monotonic()
        seconds, self._counted = now - self._counted, now
        for kind in range(_KINDS):
            self._left[kind] = min(self._burst[kind], self._left[kind] + seconds * self._rates[kind])


class _Address(_Buckets):
    """Shared by all connections from one address. The budget's lock guards their number."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate, ADDRESS_SHARE)
        self.connections = 0
        self.turn = (
            threading.Lock()
        )  # held by the one connection for which something is done that others want


class Account:
    """The account of one connection, for its handler's thread."""

    def __init__(self, budget: Budget, rate: float, address: _Address) -> None:
        self.address = address
        self._limited = rate > 0
        self._budget = budget
        self._own = _Buckets(rate, 1)

    @property
    def limited(self) -> bool:
        """Whether anything is charged at all."""
        return self._limited

    def charge(self, *, lines: int = 0, received: int = 0, work: float = 0.0) -> None:
        """Charge lines, bytes, and seconds of work."""
        if self._limited:
            for buckets in (self._own, self.address):
                buckets.take(lines, received, work)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Do what one connection of an address does at a time: among addresses, each then has its turn."""
        with self.address.turn:
            yield

    @contextmanager
    def working(self) -> Iterator[None]:
        """Do a slice of work (see `Budget.slice`), and charge its processor time."""
        with self.turn(), self._budget.slice():
            began = time.thread_time()
            try:
                yield
            finally:
                self.charge(work=time.thread_time() - began)

    def delay(self) -> float:
        """Seconds for which the connection has to wait."""
        return max(self._own.owed, self.address.owed) if self._limited else 0.0

    def wait(self, ended: threading.Event, at_most: float = float("inf")) -> bool:
        """Sleep while the account is overdrawn. False if the connection or the time ended before that."""
        until = time.monotonic() + at_most
        while seconds := self.delay():
            remaining = until - time.monotonic()
            if remaining <= 0 or ended.wait(min(seconds, remaining)):
                return False
        return True

    def close(self) -> None:
        """The connection has ended."""
        self._budget.close(self)


def network_of(address: str) -> str:
    """What counts as one address: an IPv4 address or an IPv6 /64; anything else is returned as it is."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    return address if ip.version == 4 else str(ipaddress.ip_network((int(ip) >> 64 << 64, 64)))


UNLIMITED = Budget(0).open("-")  # the account of the host
