"""The budget: what somebody costs the server is charged to their connection and to their address, only here.

    account = budget.open(address)      one for each connection, from its accept to its close
    account.charge(lines=1)             what a request takes, or took
    account.wait(ended)                 sleep while more has been charged than the time has brought back

Whoever has used up their share waits, and nobody else. It comes back with the time, to a connection at one
rate, to an address at ADDRESS_SHARE times that: reconnecting renews nothing. An IPv6 /64 counts as one
address, since one computer has all of it.

What is counted: lines; the bytes that came in; and work, in seconds of the server: what a request was
measured to take of a processor, and what the command table says that it costs others besides.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

BURST_LINES = 50  # R33: that may come at once: a paste
LINE_BYTES = 2048  # for each of them: a paste of prose. Longer lines may come less often
WORK_A_SECOND = 0.02  # of one processor: nobody notices it, and it is a long answer or two
BURST_WORK = 0.5
JOIN_WORK = 0.01  # of everybody who is told of it, and of the leave
ADDRESS_SHARE = 5  # times as much as a connection: a family behind one router
IDLE_ADDRESSES = 10_000  # from which nobody is connected, and which are remembered

_KINDS = 3  # lines, bytes, work: the order in each tuple below
_BURST = (BURST_LINES, BURST_LINES * LINE_BYTES, BURST_WORK)


class Budget:
    """Everybody's accounts. `rate`: lines a second for a connection; 0: nothing is charged to anybody.

    Safe to use from any thread.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._lock = threading.Lock()  # guards the addresses, and who is connected from them
        self._addresses: dict[str, _Address] = {}
        self._working = threading.Lock()  # held by the one thread that does a slice of work for a request

    def open(self, address: str) -> Account:
        """The account of a new connection. It is to be closed."""
        key = network_of(address)
        with self._lock:
            if key not in self._addresses:
                self._forget_some()
                self._addresses[key] = _Address(self._rate * ADDRESS_SHARE)
            self._addresses[key].connections += 1
            return Account(self, self._rate, self._addresses[key])

    def close(self, account: Account) -> None:
        """The connection has ended. What its address owes is remembered."""
        with self._lock:
            account.address.connections -= 1

    @contextmanager
    def slice(self) -> Iterator[None]:
        """Do some work for a request, a few milliseconds of it.

        One thread at a time does: whoever writes and sends has to wait for one processor's slice, not for
        those of a crowd.
        """
        with self._working:
            yield

    def _forget_some(self) -> None:
        """Forget addresses that owe nothing any more. Requires holding the lock."""
        if len(self._addresses) > IDLE_ADDRESSES:
            self._addresses = {
                key: address
                for key, address in self._addresses.items()
                if address.connections or address.used
            }


class _Buckets:
    """Token buckets, one for each kind. Safe to use from any thread."""

    def __init__(self, rate: float, share: float) -> None:
        self._rates = (rate, rate * LINE_BYTES, WORK_A_SECOND * share)
        self._burst = tuple(share * burst for burst in _BURST)
        self._lock = threading.Lock()  # guards the next two
        self._left = list(self._burst)
        self._counted = time.monotonic()

    def take(self, *amounts: float) -> None:
        """Take from each, also more than there is."""
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
        """Whether any of it is not full."""
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
    """What all connections from one address share. The budget's lock guards how many there are."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate, ADDRESS_SHARE)
        self.connections = 0


class Account:
    """What is charged to one connection. For its handler's thread."""

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
    def working(self) -> Iterator[None]:
        """Do a slice of work (see `Budget.slice`), and charge what it takes of the processor."""
        with self._budget.slice():
            began = time.thread_time()
            try:
                yield
            finally:
                self.charge(work=time.thread_time() - began)

    def delay(self) -> float:
        """Seconds for which the connection is to do nothing."""
        return max(self._own.owed, self.address.owed) if self._limited else 0.0

    def wait(self, ended: threading.Event, at_most: float = float("inf")) -> bool:
        """Sleep while the connection is to do nothing. False where it ended, or the time did, before that."""
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
    """What counts as one address: an IPv4 address, an IPv6 /64; anything else is itself."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    return address if ip.version == 4 else str(ipaddress.ip_network((int(ip) >> 64 << 64, 64)))


UNLIMITED = Budget(0).open("-")  # the account of the host
