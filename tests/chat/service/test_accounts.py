from __future__ import annotations

import hashlib
import logging
import threading
from pathlib import Path

import pytest

from chat.service import accounts as module
from chat.service import hostfile
from chat.service.accounts import Accounts, Busy
from tests.files import is_private
from tests.harness import DEADLINE

NOW, LATER = "2026-11-21T12:00:00.000Z", "2026-12-24T12:00:00.000Z"


@pytest.fixture(autouse=True)
def _looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostfile, "LOOK_SECONDS", 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "names.txt"


def test_only_the_owners_secret_is_accepted(path: Path) -> None:
    accounts = Accounts(path)
    account = accounts.register("alice", "open sesame", NOW)
    assert accounts.proves(account, "open sesame")
    assert not accounts.proves(account, "open sesame ")
    assert not accounts.proves(account, "")


def test_a_name_stays_owned_after_a_restart_and_the_secret_is_not_in_the_file(path: Path) -> None:
    Accounts(path).register("alice", "open sesame", NOW)
    account = Accounts(path).owner("alice")
    assert account
    assert Accounts(path).proves(account, "open sesame")
    assert "sesame" not in path.read_text()
    assert is_private(path)


def test_a_lookalike_is_told_whose_name_it_is(path: Path) -> None:
    accounts = Accounts(path)
    alice = accounts.register("alice", "open sesame", NOW)
    for name in ("alice", "Alice", "аlice", "a1ice", "ａlice"):
        assert accounts.owner(name) == alice, name
    for name in ("alicia", "malice", "bob"):
        assert accounts.owner(name) is None, name


def test_a_new_secret_replaces_the_old_one(path: Path) -> None:
    accounts = Accounts(path)
    accounts.register("alice", "the first", NOW)
    account = accounts.register("alice", "the second", LATER)
    assert account.since == NOW  # whose messages are kept
    assert accounts.proves(account, "the second")
    assert not accounts.proves(account, "the first")
    assert path.read_text().count("alice") == 1


def test_unregistering_frees_the_name(path: Path) -> None:
    accounts = Accounts(path)
    accounts.unregister(accounts.register("alice", "open sesame", NOW))
    assert accounts.owner("alice") is None


def test_the_host_may_delete_a_line(path: Path) -> None:
    accounts = Accounts(path)
    accounts.register("alice", "open sesame", NOW)
    path.write_text("# nobody\n")
    assert accounts.owner("alice") is None


@pytest.mark.parametrize(
    "damage",
    [
        "alice",
        f"alice\t{NOW}",
        f"alice\t{NOW}\tscrypt:1:1:1:AA==:AA==",
        f"alice\t{NOW}\tscrypt:x",
        f"alice\t{NOW}\tscrypt:16384:8:1:!:!",
        f"alice\t{NOW}\tplain",
        f"alice\t{NOW}\tscrypt:1048576:8:1:AAAA:AAAA",  # more memory than one may have
    ],
)
def test_a_damaged_line_keeps_the_name_taken(path: Path, damage: str) -> None:
    path.write_text(damage + "\n")
    accounts = Accounts(path)
    account = accounts.owner("alice")
    assert account
    assert not accounts.proves(account, "")
    assert not accounts.proves(account, "plain")


def test_an_invalid_line_is_logged_and_the_others_apply(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Accounts(path).register("alice", "open sesame", NOW)
    path.write_text(f"two words\t{NOW}\tscrypt\n" + path.read_text())
    with caplog.at_level(logging.WARNING):
        account = Accounts(path).owner("alice")
    assert account
    assert caplog.records[0].getMessage().startswith("names.txt, line 1: expected a registered name")


def test_an_unreadable_file_is_not_taken_for_an_empty_one(path: Path) -> None:
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        Accounts(path)


def test_a_correct_secret_is_not_hashed_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts = Accounts(path)
    account = accounts.register("alice", "open sesame", NOW)
    assert accounts.proves(account, "open sesame")

    def scrypt(*_: object, **__: object) -> bytes:
        raise AssertionError

    monkeypatch.setattr(hashlib, "scrypt", scrypt)
    assert accounts.proves(account, "open sesame")


def test_few_are_hashed_at_a_time_and_waiting_too_long_is_an_error(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running: set[int] = set()
    most = 0
    begun, go_on = threading.Semaphore(0), threading.Event()

    def scrypt(*_: object, **__: object) -> bytes:
        nonlocal most
        running.add(threading.get_ident())
        begun.release()
        most = max(most, len(running))
        go_on.wait(DEADLINE)
        running.discard(threading.get_ident())
        return b"x" * 32

    monkeypatch.setattr("hashlib.scrypt", scrypt)
    monkeypatch.setattr(module, "HASH_WAIT_SECONDS", 0.1)
    accounts = Accounts(path)
    threads = [
        threading.Thread(target=accounts.register, args=(f"name{number}", "secret", NOW))
        for number in range(module.HASHES_AT_ONCE)
    ]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert begun.acquire(timeout=DEADLINE)
    with pytest.raises(Busy):
        accounts.register("late", "secret", NOW)
    go_on.set()
    for thread in threads:
        thread.join()
    assert most == module.HASHES_AT_ONCE
