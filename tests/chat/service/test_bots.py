"""The host's commands for bots, and what they mean for members."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat import record
from chat.room.broadcaster import Refused
from chat.service import bots, hostfile
from chat.service.bans import ban_of
from chat.service.commands import perform
from chat.service.policy import Caller, CommandError, HostCaller, MemberCaller
from chat.service.requests import Command
from chat.service.service import Service
from tests.rooms import Peer, opened, service_of


@pytest.fixture
def service(history_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setattr(hostfile, "LOOK_SECONDS", 0)
    with opened(history_path) as room:
        service = service_of(room)
        yield service
        service.close()


@pytest.fixture
def alice(service: Service) -> Iterator[Peer]:
    peer = Peer(service.room, "alice")
    yield peer
    peer.close()


def asked(service: Service, caller: Caller, name: str, argument: str = "") -> list[str]:
    """The answers to a command: kind and text."""
    drafts = b"".join(perform(service, caller, Command(name, argument)))
    fields = [line.split("\t") for line in drafts.decode().split("\n")[:-1]]
    return [f"{kind} {text}" for _, _, _, kind, text in fields]


@pytest.fixture
def host(alice: Peer) -> HostCaller:
    return HostCaller(alice.member)


def test_a_token_is_shown_once_and_kept_nowhere(
    service: Service, host: HostCaller, history_path: Path
) -> None:
    sentence, how = asked(service, host, "token", "robot")
    secret = sentence.removeprefix("/token The token of robot, shown only now: ")
    assert service.tokens.find(secret)
    assert "/say/robot" in how
    service.room.flush()
    for path in history_path.parent.rglob("*"):
        assert path.is_dir() or secret.encode() not in path.read_bytes(), path
    assert [line[:24] for line in asked(service, host, "tokens")] == ["/tokens robot, since 202"]
    assert asked(service, host, "untoken", "robot") == ["/untoken robot is no longer a bot."]
    assert asked(service, host, "tokens") == ["/tokens There are no bots; token NAME makes one."]
    assert "is not a bot" in asked(service, host, "untoken", "robot")[0]


@pytest.mark.parametrize("name", ["two words", "server", "h0st", "alice", "a1ice"])
def test_some_names_are_not_for_bots(service: Service, host: HostCaller, name: str) -> None:
    assert asked(service, host, "token", name)[0].startswith("/error ")
    assert service.tokens.all() == []


def test_a_bot_does_not_look_like_another(service: Service, host: HostCaller) -> None:
    asked(service, host, "token", "pilot")
    assert "looks like pilot" in asked(service, host, "token", "pi1ot")[0]


@pytest.mark.parametrize("command", ["token", "tokens", "untoken"])
def test_only_the_host_has_the_commands(service: Service, alice: Peer, command: str) -> None:
    alice.member.admin = True
    assert "only for the host" in asked(service, MemberCaller(alice.member), command, "robot")[0]


def test_nobody_takes_the_name_of_a_bot(service: Service, host: HostCaller, alice: Peer) -> None:  # R69
    asked(service, host, "token", "robot")
    assert "name of a bot" in asked(service, MemberCaller(alice.member), "nick", "r0bot")[0]
    peer = Peer(service.room, "robot")  # as if they had come in while the token was made
    assert "name of a bot" in asked(service, MemberCaller(peer.member), "register", "open sesame")[0]
    peer.close()


def test_who_registered_the_name_before_keeps_it(service: Service, host: HostCaller, alice: Peer) -> None:
    service.accounts.register("robot", "open sesame", service.room.now())
    asked(service, host, "token", "robot")
    alice.member.secret = "open sesame"
    assert asked(service, MemberCaller(alice.member), "nick", "robot") == []
    assert alice.member.name == "robot"


def test_what_a_bot_says_is_stored_when_it_returns(service: Service, history_path: Path) -> None:  # R65
    time = service.speak_for_bot("robot", "10.0.0.7", b"one\ntwo\n")
    stored = [record.parse(line) for line in history_path.read_bytes().splitlines(keepends=True)][-2:]
    assert [(each.time, each.address, each.name, each.kind, each.text) for each in stored] == [
        (time, "10.0.0.7", "robot", "message", "one"),
        (time, "10.0.0.7", "robot", "message", "two"),
    ]


@pytest.mark.parametrize("target", ["robot", "10.0.0.7", "10.0.0.0/24"])
def test_a_banned_bot_may_not_speak(service: Service, target: str) -> None:  # R67
    bots.check_may_speak(service, "robot", "10.0.0.7")
    service.bans.add(ban_of(target))
    with pytest.raises(CommandError, match="banned"):
        bots.check_may_speak(service, "robot", "10.0.0.7")


def test_a_muted_bot_may_not_speak(service: Service, host: HostCaller) -> None:  # R67
    asked(service, host, "token", "robot")
    assert asked(service, host, "mute", "robot") == []
    with pytest.raises(CommandError, match="muted"):
        bots.check_may_speak(service, "robot", "10.0.0.7")
    assert asked(service, host, "unmute", "robot") == []
    bots.check_may_speak(service, "robot", "10.0.0.7")


def test_what_cannot_be_stored_is_not_said(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:  # R65
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(service.room.log.history, "append", full)
    with pytest.raises(Refused, match="No space left"):
        service.speak_for_bot("robot", "10.0.0.7", b"hello\n")
    monkeypatch.undo()
    service.speak_for_bot("robot", "10.0.0.7", b"again\n")
    assert b"hello" not in service.room.history_path.read_bytes()
