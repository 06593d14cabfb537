"""State shared by other servers, applied by a service on its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chat import record
from chat.log.entries import Change, Direct
from chat.room.room import Room
from chat.service import shared
from chat.service.bans import ban_of
from chat.service.service import Service
from tests.rooms import Peer, service_of


@pytest.fixture
def service(room: Room) -> Service:
    return service_of(room)


def change(table: str, key: str, value: str) -> Change:
    return Change(b"", table, key, value)


def test_a_mute_applies_to_those_here_and_to_newcomers(service: Service, peer: Callable[..., Peer]) -> None:
    alice = peer("alice").member
    shared.take(service, change("muted", "alice", "1"))
    assert alice.muted
    assert shared.is_muted(service, "ALICE", "")
    shared.take(service, change("muted", "alice", ""))
    assert not alice.muted
    assert not shared.is_muted(service, "alice", "")


def test_a_ban_is_written_and_disconnects_whom_it_covers(service: Service, peer: Callable[..., Peer]) -> None:
    alice = peer("alice").member
    ban = ban_of("alice", comment="admin")
    for _ in range(2):  # a server that restarts gets it again
        shared.take(service, change("bans", str(ban.key), ban.line))
    assert alice.ended.is_set()
    assert service.bans.active() == [ban]
    shared.take(service, change("bans", str(ban.key), ""))
    assert service.bans.active() == []


def test_an_invalid_shared_ban_is_ignored(service: Service) -> None:
    for line in ("# nothing", "10.0.0.999", ""):
        shared.take(service, change("bans", "key", line))
    assert service.bans.active() == []


def test_away_lasts_until_back(service: Service, peer: Callable[..., Peer]) -> None:
    presence = peer("alice").member.presence
    shared.take(service, change("away", presence.id, "+lunch"))
    assert presence.away == "lunch"
    shared.take(service, change("away", presence.id, ""))
    assert presence.away is None
    shared.take(service, change("away", "somebody who has left", "+"))


def test_a_name_is_owned_here_too_until_it_is_unregistered(service: Service) -> None:
    line = f"alice\t2026-11-24T10:00:00.000Z\tscrypt:16384:8:1:{'A' * 24}:{'A' * 44}"
    shared.take(service, change("names", "alice", line))
    owner = service.accounts.owner("Alice")
    assert owner
    assert owner.line == line
    shared.take(service, change("names", "alice", ""))
    assert service.accounts.owner("alice") is None


def test_the_reply_to_another_server_goes_to_the_name(service: Service, peer: Callable[..., Peer]) -> None:
    alice = peer("alice").member
    shared.take(service, Direct(record.draft("10.0.0.9", "bob", "/msg", "psst"), alice.presence.id))
    assert alice.correspondent == ("bob", None, "")


def test_without_other_servers_nothing_is_shared(service: Service) -> None:
    shared.mark_muted(service, "bob", muted=True)
    service.room.flush()
    assert not service.room.log.servers
    assert shared.is_muted(service, "Bob", "")
