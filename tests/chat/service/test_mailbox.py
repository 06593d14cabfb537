from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from pathlib import Path

import pytest

from chat import private, record
from chat.record import Record
from chat.service import mailbox as module
from chat.service.accounts import Account
from chat.service.mailbox import BoxFull, Kept, Mailbox

ALICE = Account("alice", "2026-11-21T12:00:00.000Z", "scrypt:")
BOB = Account("bob", "2026-11-21T12:00:00.000Z", "scrypt:")


def sent(text: str, ago: float = 0) -> Record:
    return Record(record.format_time(time.time() - ago), "10.0.0.7", "carol", "/msg", text)


def fill(mailbox: Mailbox, address: str) -> None:
    """Send alice long messages from this address until there is no more room."""
    with contextlib.suppress(BoxFull):
        while True:
            mailbox.keep(ALICE, dataclasses.replace(sent("x" * 4000), address=address))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kept-messages"


def test_kept_messages_are_handed_over_once_in_order(folder: Path) -> None:
    first, second = sent("one"), sent("two")
    Mailbox(folder).keep(ALICE, first)
    Mailbox(folder).keep(ALICE, second)
    mailbox = Mailbox(folder)
    assert mailbox.hand_over(BOB) == Kept([], [])
    assert mailbox.hand_over(ALICE) == Kept([], [first, second])
    mailbox.received(ALICE)
    assert mailbox.hand_over(ALICE) == Kept([], [])
    assert list(folder.iterdir()) == []


def test_possibly_lost_messages_are_handed_over_again_and_marked(folder: Path) -> None:
    first, second = sent("one"), sent("two")
    Mailbox(folder).keep(ALICE, first)
    Mailbox(folder).hand_over(ALICE)
    Mailbox(folder).keep(ALICE, second)
    assert Mailbox(folder).hand_over(ALICE) == Kept([first], [second])
    assert Mailbox(folder).hand_over(ALICE) == Kept([first, second], [])


def test_messages_that_arrive_after_the_handover_are_kept(folder: Path) -> None:
    mailbox = Mailbox(folder)
    mailbox.keep(ALICE, sent("one"))
    mailbox.hand_over(ALICE)
    late = sent("two")
    mailbox.keep(ALICE, late)
    mailbox.received(ALICE)
    assert Mailbox(folder).hand_over(ALICE) == Kept([], [late])


def test_only_what_was_handed_over_is_deleted(folder: Path) -> None:
    mailbox = Mailbox(folder)
    first = sent("one")
    mailbox.keep(ALICE, first)
    mailbox.received(ALICE)
    assert mailbox.hand_over(ALICE) == Kept([], [first])


def test_half_a_line_left_by_a_crash_does_no_harm(folder: Path) -> None:
    first, second = sent("one"), sent("two")
    Mailbox(folder).keep(ALICE, first)
    [path] = folder.iterdir()
    path.write_bytes(path.read_bytes() + second.encode()[:40])
    mailbox = Mailbox(folder)
    mailbox.keep(ALICE, second)
    assert mailbox.hand_over(ALICE) == Kept([], [first, second])


def test_a_mailbox_is_bounded(folder: Path) -> None:
    mailbox = Mailbox(folder)
    for number in range(10):
        fill(mailbox, f"10.0.0.{number}")
    [path] = folder.iterdir()
    assert path.stat().st_size <= module.BOX_BYTES
    mailbox.keep(BOB, sent("others go on"))


def test_one_address_leaves_room_for_the_others(folder: Path) -> None:
    mailbox = Mailbox(folder)
    for address in ("10.0.0.7", "2001:db8::7"):
        fill(mailbox, address)
    with pytest.raises(BoxFull):
        mailbox.keep(ALICE, dataclasses.replace(sent("x" * 4000), address="2001:db8::8"))  # the same /64
    bob = dataclasses.replace(sent("x" * 2000), address="10.0.0.9")
    mailbox.keep(ALICE, bob)
    assert mailbox.hand_over(ALICE).new[-1] == bob


def test_all_mailboxes_together_are_bounded_even_after_a_restart(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOTAL_BYTES", 10_000)
    Mailbox(folder).keep(ALICE, sent("x" * 4000))
    Mailbox(folder).keep(BOB, sent("x" * 4000))
    mailbox = Mailbox(folder)
    with pytest.raises(BoxFull):
        mailbox.keep(BOB, sent("x" * 4000))
    mailbox.hand_over(ALICE)
    mailbox.received(ALICE)
    mailbox.keep(BOB, sent("x" * 4000))


def test_messages_older_than_30_days_are_deleted(folder: Path) -> None:
    young = sent("young")
    mailbox = Mailbox(folder)
    mailbox.keep(ALICE, sent("old", ago=31 * 86400))
    mailbox.keep(ALICE, young)
    mailbox.keep(BOB, sent("old", ago=31 * 86400))
    mailbox = Mailbox(folder)
    assert mailbox.hand_over(ALICE) == Kept([], [young])
    assert len(list(folder.iterdir())) == 1


def test_a_server_that_runs_for_long_deletes_them_as_well(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox = Mailbox(folder)
    mailbox.keep(ALICE, sent("old", ago=31 * 86400))
    assert mailbox.hand_over(BOB) == Kept([], [])
    assert len(list(folder.iterdir())) == 1  # it has looked a moment ago
    later = time.monotonic() + module.SWEEP_SECONDS
    monkeypatch.setattr("time.monotonic", lambda: later)
    assert mailbox.hand_over(ALICE) == Kept([], [])
    assert list(folder.iterdir()) == []


def test_the_next_owner_of_a_name_does_not_get_the_first_owners_messages(folder: Path) -> None:
    mailbox = Mailbox(folder)
    mailbox.keep(ALICE, sent("for the first"))
    later = Account("alice", "2026-12-24T12:00:00.000Z", "scrypt:")
    assert mailbox.hand_over(later) == Kept([], [])
    mailbox.discard(ALICE)
    mailbox.discard(ALICE)
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_the_mailbox_is_private_and_refused_if_it_is_not(folder: Path) -> None:
    before = os.umask(0)
    try:
        Mailbox(folder).keep(ALICE, sent("one"))
    finally:
        os.umask(before)
    [path] = folder.iterdir()
    assert (folder.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)
    path.chmod(0o644)
    with pytest.raises(private.Exposed):
        Mailbox(folder).hand_over(ALICE)
    folder.chmod(0o755)
    with pytest.raises(private.Exposed):
        Mailbox(folder)


def test_nothing_is_reported_as_kept_if_it_cannot_be_written(folder: Path) -> None:
    folder.write_text("a file is in the way")
    folder.chmod(0o600)
    with pytest.raises(OSError, match=r"exists|directory"):
        Mailbox(folder).keep(ALICE, sent("one"))
