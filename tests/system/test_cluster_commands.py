"""Commands across the servers of one chat: real processes, a real engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clusters import Cluster, ClusterServer


@pytest.fixture
def two(chat: Cluster, tmp_path: Path) -> tuple[ClusterServer, ClusterServer]:
    """Two servers with admins."""
    password = tmp_path / "admin-password"
    password.write_text("sesame\n")
    password.chmod(0o600)
    a, b = (chat.start(name, "--admin-password-file", str(password)) for name in "ab")
    return a, b


Two = tuple[ClusterServer, ClusterServer]


def test_an_admin_sees_the_servers(chat: Cluster, two: Two) -> None:
    admin, _ = chat.join(two[0], "admin"), chat.join(two[1], "bob")
    admin.ask("/admin sesame", "/admin")
    admin.send("/servers")
    lines = [admin.until("/cluster").text for _ in range(3)]
    assert lines[0].startswith(f"127.0.0.1:{two[0].port} (this one): 1 here, ")
    assert lines[1].startswith(f"127.0.0.1:{two[1].port}: 1 here, ")
    assert lines[2].startswith("The engine is a single node; ")


def test_private_messages_reach_who_is_at_another_server(chat: Cluster, two: Two) -> None:
    alice, bob, carol = (
        chat.join(server, name)
        for server, name in zip((*two, two[0]), ("alice", "bob", "carol"), strict=True)
    )
    alice.send("/msg BOB psst")
    assert alice.until("/msg").text == "to bob: psst"
    assert (bob.until("/msg").name, bob.records[-1].text) == ("alice", "psst")
    bob.send("/reply yes?")
    assert alice.until("/msg").text == "yes?"
    alice.send("bye")
    carol.until("message", "bye")
    assert not [found for found in carol.records if found.kind == "/msg"]
    assert b"psst" not in chat.until_equal(*two)
    alice.close()
    carol.until("leave")
    bob.until("leave")
    bob.send("/reply gone?")
    assert "Nobody here is called alice" in bob.until("/error").text


def test_users_lists_everybody_and_who_is_away(chat: Cluster, two: Two) -> None:
    alice, bob = chat.join(two[0], "alice"), chat.join(two[1], "bob")
    alice.send("/away for lunch")
    alice.until("/away")
    alice.send("now")
    bob.until("message", "now")
    bob.send("/users", "done")
    bob.until("message", "done")
    listed = [found.text for found in bob.records if found.kind == "/users"]
    assert [line.split()[0] for line in listed] == ["alice", "bob"]
    assert listed[0].endswith("away: for lunch")


def test_an_admin_kicks_and_mutes_members_of_another_server(chat: Cluster, two: Two) -> None:
    admin, bob = chat.join(two[0], "admin"), chat.join(two[1], "bob")
    admin.ask("/admin sesame", "/admin")
    admin.send("/mute bob")
    bob.until("notice", "admin muted bob")
    assert "muted" in bob.ask("hello", "/error").text
    admin.send("/unmute bob")
    bob.until("notice", "admin unmuted bob")
    bob.send("hello")
    admin.until("message", "hello")
    admin.send("/kick bob for that")
    assert bob.until("leave").text == "kicked by admin: for that"
    assert bob.rest() == []
    assert admin.until("leave").text == "kicked by admin: for that"
    chat.until_equal(*two)


def test_a_ban_holds_at_every_server_and_at_one_that_was_down(chat: Cluster, two: Two) -> None:
    admin, spam = chat.join(two[0], "admin"), chat.join(two[1], "spam")
    admin.ask("/admin sesame", "/admin")
    admin.send("/ban spam")
    assert spam.until("leave", name="spam").text == "banned"
    new = chat.start("c")
    for server in (*two, new):
        late = chat.join(server, None)
        late.send("SPAM")
        assert "banned" in late.until("/error").text
    new.stop()
    admin.send("/unban spam")
    admin.until("notice", "admin unbanned spam")
    for server in (*two, chat.start("c")):
        again = chat.join(server, "spam")
        again.close()
        admin.until("leave", name="spam")


def test_a_registered_name_is_owned_at_every_server(chat: Cluster, two: Two) -> None:
    alice, bob = chat.join(two[0], "alice"), chat.join(two[1], "bob")
    alice.ask("/register a long secret", "/register")
    alice.send("mine")
    bob.until("message", "mine")
    alice.close()
    bob.until("leave", name="alice")
    for server in (two[1], chat.start("c")):
        thief = chat.join(server, None)
        thief.send("Alice")
        assert "registered" in thief.until("/error").text
        thief.send("/identify a long secret", "alice")
        thief.until("join", name="alice")
        thief.close()
        bob.until("leave", name="alice")


def test_a_kept_message_reaches_its_owner_at_another_server(chat: Cluster, two: Two) -> None:
    alice, bob = chat.join(two[0], "alice"), chat.join(two[1], "bob")
    alice.ask("/register a long secret", "/register")
    alice.close()
    bob.until("leave", name="alice")
    bob.send("/msg alice call me", "/msg alice please")
    assert bob.until("/msg").text == "kept for alice: call me"
    bob.until("/msg")
    for expected in (["call me", "please"], []):
        again = chat.join(two[0], None)
        again.send("/identify a long secret", "alice")
        again.until("join", name="alice")
        for text in expected:
            assert again.until("/msg").text.endswith(f"Z {text}")
        again.send(*(["/reply yes"] if expected else []), "thanks")
        bob.until("message", "thanks")
        again.until("message", "thanks")
        assert len([found for found in again.records if found.kind == "/msg"]) == len(expected) * 3 // 2
        again.close()
        bob.until("leave", name="alice")
    assert [found.text for found in bob.records if found.kind == "/msg"][-1] == "yes"
