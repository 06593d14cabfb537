"""The budget: only those who have used up their share wait."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

from chat.service import budget as module
from chat.service.budget import (
    ADDRESS_SHARE,
    BURST_LINES,
    BURST_WORK,
    LINE_BYTES,
    WORK_A_SECOND,
    Budget,
    network_of,
)


class Clock:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.worked = 0.0

    def monotonic(self) -> float:
        return self.now

    def thread_time(self) -> float:
        return self.worked


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def test_a_burst_and_then_the_rate(clock: Clock) -> None:  # R33
    account = Budget(10).open("10.0.0.1")
    account.charge(lines=BURST_LINES)
    assert account.delay() == 0
    account.charge(lines=2)
    assert account.delay() == pytest.approx(0.2)
    clock.now += 0.2
    assert account.delay() == pytest.approx(0)
    clock.now += 3600
    account.charge(lines=BURST_LINES + 1)
    assert account.delay() == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("charged", "seconds"),
    [
        ({"lines": BURST_LINES + 10}, 1.0),
        ({"received": (BURST_LINES + 10) * LINE_BYTES}, 1.0),
        ({"work": BURST_WORK + WORK_A_SECOND}, 1.0),
        ({"lines": BURST_LINES + 10, "work": BURST_WORK + 2 * WORK_A_SECOND}, 2.0),
    ],
)
def test_an_overdrawn_account_waits(clock: Clock, charged: dict[str, float], seconds: float) -> None:
    account = Budget(10).open("10.0.0.1")
    account.charge(**charged)  # type: ignore[arg-type]
    assert account.delay() == pytest.approx(seconds)


def test_reconnecting_renews_nothing(clock: Clock) -> None:
    budget = Budget(10)
    for _ in range(ADDRESS_SHARE):
        account = budget.open("10.0.0.1")
        account.charge(lines=BURST_LINES)
        assert account.delay() == 0
        account.close()
    account = budget.open("10.0.0.1")
    account.charge(lines=10)
    assert account.delay() == pytest.approx(10 / (10 * ADDRESS_SHARE))
    assert budget.open("10.0.0.2").delay() == 0


def test_a_64_is_one_address_and_others_are_not(clock: Clock) -> None:
    budget = Budget(10)
    for number in range(ADDRESS_SHARE + 1):
        budget.open(f"2001:db8::{number:x}").charge(lines=BURST_LINES)
    assert budget.open("2001:db8::ffff").delay() > 0
    assert budget.open("2001:db8:0:1::1").delay() == 0
    assert network_of("10.0.0.1") == "10.0.0.1"
    assert network_of("-") == "-"


def test_work_is_measured(clock: Clock) -> None:
    account = Budget(10).open("10.0.0.1")
    with account.working():
        clock.worked += BURST_WORK
    assert account.delay() == 0
    with account.working():
        clock.worked += WORK_A_SECOND
    assert account.delay() == pytest.approx(1.0)


def test_only_one_works_at_a_time() -> None:
    budget = Budget(10)
    inside, ready = threading.Event(), threading.Event()

    def work() -> None:
        ready.set()
        with budget.open("10.0.0.2").working():
            inside.set()

    with budget.open("10.0.0.1").working():
        thread = threading.Thread(target=work)
        thread.start()
        assert ready.wait(10)
        assert not inside.is_set()
    assert inside.wait(10)
    thread.join()


def test_without_a_rate_nothing_is_charged(clock: Clock) -> None:
    account = Budget(0).open("10.0.0.1")
    account.charge(lines=10**9, received=10**12, work=10**9)
    assert account.delay() == 0
    assert not account.limited


def test_a_connection_that_ends_stops_waiting(clock: Clock) -> None:
    account = Budget(10).open("10.0.0.1")
    account.charge(lines=10**6)
    ended = threading.Event()
    ended.set()
    assert not account.wait(ended)


def test_addresses_without_debts_are_forgotten(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_ADDRESSES", 10)
    budget = Budget(10)
    owes, here = budget.open("10.0.0.1"), budget.open("10.0.0.2")
    owes.charge(lines=10**4)
    owes.close()
    passed = []
    for number in range(100):
        account = budget.open(f"10.1.0.{number}")
        passed.append(weakref.ref(account.address))
        account.close()
    del account
    gc.collect()
    assert len([address for address in passed if address()]) < 20
    assert budget.open("10.0.0.1").delay() > 0
    assert budget.open("10.0.0.2").address is here.address
