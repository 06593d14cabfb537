"""Commands for talking, over real connections."""

from __future__ import annotations

from collections.abc import Callable

from tests.harness import Client, Server, texts

Join = Callable[..., Client]


def test_nick(join: Join) -> None:
    alice, bob = join("alice"), join("bob")
    alice.send("/nick alicia", "hello")
    renamed = bob.until("rename")
    assert (renamed.name, renamed.text) == ("alice", "alicia")
    assert bob.until("message").name == "alicia"
    for name, why in (
        ("BOB", "taken"),
        ("a b", "space"),
        ("alicia", "already"),
        ("host", "taken"),
    ):
        assert why in alice.ask(f"/nick {name}", "/error").text
    bob.send("/nick alice")
    assert alice.until("rename").text == "alice"


def test_me_and_say(join: Join) -> None:
    alice, bob = join("alice"), join("bob")
    alice.send("/me waves", "/say clear", "/say /help", "//help", "/say", "/me")
    assert bob.until("action").text == "waves"
    assert [bob.next().text for _ in range(3)] == ["clear", "/help", "/help"]
    assert [alice.until("/error").text.split()[-2:] for _ in range(2)] == [
        ["/say", "TEXT."],
        ["/me", "ACTION."],
    ]


def test_private_messages_are_for_two_and_kept_nowhere(join: Join, server: Server) -> None:  # R10, R30
    alice, bob, carol = join("alice"), join("bob"), join("carol")
    alice.send("/msg BOB psst", "/msg bob again")
    assert [alice.until("/msg").text for _ in range(2)] == ["to bob: psst", "to bob: again"]
    private = bob.until("/msg")
    assert (private.name, private.address, private.text) == ("alice", "127.0.0.1", "psst")
    bob.send("/reply yes", "/r yes yes")
    assert [alice.until("/msg", name="bob").text for _ in range(2)] == ["yes", "yes yes"]
    alice.send("/reply no", "end")
    carol.until("message", "end")
    assert not texts(carol.records, "/msg")
    assert server.stop() == 0
    assert not [said for said in server.records() if "psst" in said.text or said.direct]
    assert "psst" not in server.errors()


def test_whoever_writes_to_somebody_who_is_away_is_told_so(join: Join) -> None:  # R30
    alice, bob = join("alice"), join("bob")
    bob.ask("/away at lunch", "/away")
    alice.send("/msg BOB psst", "/msg alice to myself", "end")
    alice.until("message", "end")
    assert texts(alice.records, "/note") == ["bob is away: at lunch"]
    bob.ask("/away", "/away")
    assert alice.ask("/msg bob again", "/note").text == "bob is away"
    assert bob.until("/msg", "again").name == "alice"


def test_private_messages_that_cannot_be_sent(join: Join) -> None:
    alice = join("alice")
    for line, why in (
        ("/msg nobody hello", "Nobody here is called nobody"),
        ("/msg alice", "/msg NAME TEXT"),
        ("/msg", "/msg NAME TEXT"),
        ("/reply hello", "Nobody has sent you"),
        ("/msg alice " + "x" * 4095, "4096 bytes"),
    ):
        assert why in alice.ask(line, "/error").text
