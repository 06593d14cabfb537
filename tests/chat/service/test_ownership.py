"""Owned names and kept messages, as seen by owners and others."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from chat.record import Record
from chat.service.limits import REGISTRATIONS, WRONG_TRIES
from tests.harness import Client, Server, serving

SECRET = "correct horse battery"

Join = Callable[..., Client]


@pytest.fixture
def alice(join: Join) -> Client:
    """The owner of her name, who is in."""
    client = join("alice")
    client.ask(f"/register {SECRET}", "/register")
    return client


def refused(server: Server, *lines: str) -> str:
    """The error for somebody who tries to join like this."""
    client = Client(server.port)
    client.send(*lines)
    sentence = client.until("/error").text
    client.close()
    return sentence


def leave(client: Client, witness: Client) -> None:
    """Leave, and wait until others see it."""
    client.send("/exit")
    client.rest()
    client.close()
    witness.until("leave")


def test_an_owned_name_and_its_lookalikes_are_refused(
    server: Server, join: Join, alice: Client
) -> None:  # R15, R76
    bob = join("bob")
    leave(alice, bob)
    assert refused(server, "alice").startswith("alice is registered: send /identify SECRET")
    for name in ("Alice", "аlice", "a1ice", "ａlice"):
        assert refused(server, name).startswith(f"{name} looks like alice, which is registered"), name
    assert "not the secret of alice" in refused(server, "/identify something else", "alice")
    for name in ("alice", "аlice"):
        bob.send(f"/nick {name}")
        assert "is registered" in bob.until("/error").text
    join("malice").close()


def test_the_owner_joins_with_the_secret(server: Server, join: Join, alice: Client) -> None:  # R76
    bob = join("bob")
    leave(alice, bob)
    join("alice", f"/identify {SECRET}").close()
    bob.until("leave", name="alice")
    join("ALICE", f"/identify {SECRET}").close()  # the owner may write the name in any case


def test_the_owner_takes_the_name_in_the_room(join: Join, alice: Client) -> None:  # R76
    bob = join("bob")
    alice.send("/nick al")
    bob.until("rename")
    bob.send("/identify wrong one", "/nick alice")
    assert "not the secret" in bob.until("/error").text
    assert alice.ask("/identify " + SECRET, "/identify").text == "Now take your name with /nick NAME."
    alice.send("/nick alice")
    alice.until("rename", text="alice")


def test_only_the_owner_can_change_the_secret_or_unregister(join: Join, alice: Client) -> None:  # R75
    bob = join("bob")
    bob.send("/unregister alice")
    assert "not yours" in bob.until("/error").text
    assert "password" not in alice.ask("/register another secret", "/register").text


def test_a_changed_secret_is_needed_from_then_on(server: Server, join: Join, alice: Client) -> None:
    alice.ask("/register another secret", "/register")
    leave(alice, join("bob"))
    assert "not the secret" in refused(server, f"/identify {SECRET}", "alice")
    join("alice", "/identify another secret")


def test_an_unregistered_name_is_free(server: Server, join: Join, alice: Client) -> None:  # R75
    assert alice.ask("/unregister", "/unregister").text == "alice is no longer registered."
    leave(alice, join("bob"))
    join("alice").ask("/register the next secret", "/register")


def test_a_lookalike_of_somebody_who_is_here_can_not_be_registered(join: Join) -> None:
    alice, poser = join("alice"), join("аlice")
    poser.send("/register my own secret")  # which would keep alice out of her own name
    assert poser.until("/error").text.startswith("alice is here, and looks the same as аlice")
    poser.send("/nick bob")
    alice.until("rename")
    alice.ask(f"/register {SECRET}", "/register")


@pytest.mark.parametrize("secret", ["short", "x" * 300])
def test_the_length_of_a_secret_is_limited(join: Join, secret: str) -> None:  # R75
    client = join("alice")
    client.send(f"/register {secret}")
    assert "at least 8 characters" in client.until("/error").text


def test_an_admin_can_unregister_any_name(tmp_path: Path) -> None:
    password = tmp_path / "admin.txt"
    password.write_text("letmein\n")
    password.chmod(0o600)
    with serving(tmp_path / "history.txt", "--admin-password-file", str(password)) as server:
        alice = Client(server.port, "alice")
        alice.ask(f"/register {SECRET}", "/register")
        admin = Client(server.port, "root")
        admin.ask("/admin letmein", "/admin")
        alice.send("exit")
        admin.until("leave")
        admin.ask("/msg alice for the first of that name", "/msg")
        admin.ask("/unregister alice", "/unregister")
        alice.close()
        assert list(server.history.with_name("kept-messages").iterdir()) == []
        alice = Client(server.port, "alice")
        alice.ask("/register the next secret", "/register")
        assert handed_over(alice) == []
        alice.close()
        admin.close()


def test_guessing_is_limited(server: Server, join: Join, alice: Client) -> None:  # R77
    leave(alice, join("bob"))
    guesser = Client(server.port)
    for _ in range(WRONG_TRIES):
        guesser.send("/identify guess after guess", "alice")
    guesser.rest()
    guesser.close()
    assert guesser.records[-1].text.startswith("Too many wrong passwords from your address")


def test_registrations_from_one_address_are_limited(join: Join) -> None:
    client = join("name0")
    for number in range(REGISTRATIONS):
        client.ask(f"/register {SECRET}", "/register")
        client.send(f"/nick name{number + 1}")
        client.until("rename")
    client.send(f"/register {SECRET}")
    assert "try again later" in client.until("/error").text


def test_a_name_that_can_not_be_stored_is_not_registered(server: Server, join: Join) -> None:
    join("bob").ask(f"/register {SECRET}", "/register")
    alice = join("alice")
    in_the_way = server.history.with_name("names.txt.new")
    in_the_way.mkdir()
    alice.send(f"/register {SECRET}")
    assert alice.until("/error").text.startswith("The name can't be stored on the host's computer")
    alice.ask("hello", "message")
    in_the_way.rmdir()
    alice.ask(f"/register {SECRET}", "/register")


def test_a_damaged_line_keeps_its_name_taken_and_harms_no_other(tmp_path: Path) -> None:
    with serving(tmp_path / "history.txt") as server:
        alice = Client(server.port, "alice")
        alice.ask(f"/register {SECRET}", "/register")
        alice.close()
    names = tmp_path / "names.txt"
    names.write_text(names.read_text() + "bob\t\x00\xff\nno name at all\n")
    with serving(tmp_path / "history.txt") as server:
        assert "bob is registered" in refused(server, "bob")
        alice = Client(server.port, "alice", f"/identify {SECRET}")
        alice.ask("/register the next secret", "/register")
        alice.close()
        assert "names.txt: the line of bob is damaged" in server.errors()
        assert "names.txt, line 4: expected a registered name" in server.errors()
    assert "no name at all" in names.read_text()  # the host's to correct


# --------------------------------------------------------------------------------------- messages that wait


def sent_while_out(bob: Client, *texts: str) -> list[Record]:
    """Messages for alice, who is away; bob's copies, which say that they are kept."""
    return [bob.ask(f"/msg alice {text}", "/msg") for text in texts]


def handed_over(alice: Client) -> list[Record]:
    """What alice gets on joining: the introduction and the messages."""
    return [found for found in alice.records if found.kind in ("/kept", "/msg")]


def test_kept_messages_are_handed_over_once(join: Join, alice: Client) -> None:  # R78
    bob = join("bob")
    leave(alice, bob)
    one, two = sent_while_out(bob, "one", "two")
    assert (one.text, two.text) == ("kept for alice: one", "kept for alice: two")
    again = join("alice", f"/identify {SECRET}")
    introduction, first, second = handed_over(again)
    assert introduction.text == "Sent to you while you were away: 2 private messages."
    assert [(sent.name, sent.text) for sent in (first, second)] == [("bob", "one"), ("bob", "two")]
    assert abs(int(first.time[20:23]) - int(one.time[20:23])) <= 1000
    assert first.time <= one.time  # its own time, not that of the handover
    again.ask("/users", "/users")
    leave(again, bob)
    assert handed_over(join("alice", f"/identify {SECRET}")) == []


def test_unconfirmed_messages_are_handed_over_again_and_marked(
    server: Server, join: Join, alice: Client
) -> None:
    bob = join("bob")
    leave(alice, bob)
    sent_while_out(bob, "one")
    handed_over(join("alice", f"/identify {SECRET}"))
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    with serving(server.history) as restarted:
        again = Client(restarted.port, "alice", f"/identify {SECRET}")
        introduction, message = handed_over(again)
        again.close()
    assert introduction.text == (
        "Sent to you while you were away: 1 private message; you may have seen them before."
    )
    assert message.text == "one"


def test_messages_are_only_kept_for_owners(join: Join, alice: Client) -> None:  # R78
    bob = join("bob")
    leave(alice, bob)
    for name in ("carol", "аlice"):  # the second only looks like hers
        bob.send(f"/msg {name} hello")
        assert "Nobody here is called" in bob.until("/error").text


def test_the_owner_gets_messages_on_taking_the_name_in_the_room(join: Join, alice: Client) -> None:
    bob = join("bob")
    alice.send("/nick al")
    bob.until("rename")
    sent_while_out(bob, "for the owner of the name")
    alice.send(f"/identify {SECRET}", "/nick alice")
    assert alice.until("/msg").text == "for the owner of the name"


@pytest.mark.parametrize("registered", [True, False])
def test_a_reply_answers_whoever_sent_the_last_kept_message(
    join: Join, alice: Client, registered: bool
) -> None:  # R78
    bob = join("bob")
    leave(alice, bob)
    if registered:
        bob.ask("/register bobs own secret", "/register")
    bob.ask("/msg alice call me", "/msg")
    again = join("alice", f"/identify {SECRET}")
    assert again.ask("/reply I will", "/msg").text == "to bob: I will"
    assert bob.until("/msg", "I will").name == "alice"
    bob.send("exit")
    again.until("leave", name="bob")
    if registered:
        assert again.ask("/reply when?", "/msg").text == "kept for bob: when?"
    else:
        join("bob")  # anybody
        again.send("/reply when?")
        assert again.until("/error").text.startswith("bob has left")


def test_a_reply_to_a_kept_message_does_not_go_to_the_next_of_that_name(join: Join, alice: Client) -> None:
    witness, bob = join("witness"), join("bob")
    leave(alice, witness)
    bob.ask("/msg alice call me", "/msg")
    leave(bob, witness)
    join("bob")  # somebody else
    again = join("alice", f"/identify {SECRET}")
    again.send("/reply I will")
    assert again.until("/error").text.startswith("bob has left")


def test_the_muted_leave_no_messages(tmp_path: Path) -> None:
    password = tmp_path / "admin.txt"
    password.write_text("letmein\n")
    password.chmod(0o600)
    with serving(tmp_path / "history.txt", "--admin-password-file", str(password)) as server:
        alice, bob = Client(server.port, "alice"), Client(server.port, "bob")
        alice.ask(f"/register {SECRET}", "/register")
        alice.ask("/admin letmein", "/admin")
        alice.send("/mute bob", "/nick al")
        bob.until("rename")
        bob.send("/msg alice psst")
        assert "muted" in bob.until("/error").text
        alice.close()
        bob.close()


def test_a_full_disk_is_reported(server: Server, join: Join, alice: Client) -> None:
    bob = join("bob")
    leave(alice, bob)
    server.history.with_name("kept-messages").write_text("a file is in the way")
    bob.send("/msg alice hello")
    assert bob.until("/error").text == "Not kept: the host's computer can't store it for alice."
