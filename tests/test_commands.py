"""The command table, and each command over a real connection."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chat import commands
from tests.harness import Client, Server, texts

Join = Callable[..., Client]


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("hello", ("say", "hello")),
        ("  hello ", ("say", "  hello ")),
        ("clear", ("clear", "")),
        (" exit ", ("exit", "")),
        ("clear the table", ("say", "clear the table")),
        ("Exit", ("say", "Exit")),
        ("/me waves  twice ", ("me", "waves  twice")),
        ("/ME waves", ("me", "waves")),
        ("//etc/hosts", ("say", "/etc/hosts")),
        ("/", ("", "")),
        ("/ hello", ("", "hello")),
    ],
)
def test_what_a_line_means(line: str, meaning: tuple[str, str]) -> None:
    assert commands.understand(line) == meaning


def test_no_two_commands_have_a_name_in_common() -> None:
    names = [name for command in commands.TABLE for name in (command.name, *command.aliases)]
    assert len(names) == len(set(names))


def test_help_lists_every_command_in_a_line(join: Join) -> None:
    alice = join("alice")
    alice.send("/help", "end")
    alice.until("message", "end")
    lines = texts(alice.records, "/help")
    everybodys = [
        command for command in commands.TABLE if command.who in ("all", "members") or command.name == "clear"
    ]
    assert len(lines) == len(everybodys)
    for command, line in zip(everybodys, lines, strict=True):
        assert line.startswith(f"/{command.name}")
        assert command.help in line


def test_help_for_one_command(join: Join) -> None:
    alice = join("alice")
    for asked in ("/help nick", "/help /nick"):
        assert alice.ask(asked, "/help").text.startswith("/nick NAME")
    assert "no command /nosuch" in alice.ask("/help nosuch", "/error").text
    assert "for admins" in alice.ask("/help kick", "/error").text


def test_an_unknown_command_names_the_nearest(join: Join) -> None:
    alice = join("alice")
    assert "did you mean /users?" in alice.ask("/user", "/error").text
    assert "did you mean" not in alice.ask("/zzzzzz", "/error").text
    assert "/help" in alice.ask("/", "/error").text


@pytest.mark.parametrize(("unknown", "unusable"), [("stopp", "stop"), ("mut", "mute"), ("unbam", "unban")])
def test_what_one_may_not_use_is_not_suggested(unknown: str, unusable: str, join: Join) -> None:
    alice = join("alice")
    for line in (f"/{unknown}", f"/help {unknown}"):
        assert f"did you mean /{unusable}?" not in alice.ask(line, "/error").text


@pytest.mark.parametrize("command", ["/users", "/who", "/names"])
def test_users(command: str, join: Join) -> None:
    join("alice").ask("/away at lunch", "/away")
    bob = join("bob")
    bob.send("/away", command, "end")
    bob.until("message", "end")
    joined = next(said.time for said in bob.history() if said.kind == "join" and said.name == "alice")
    first, second = texts(bob.records, "/users")
    assert first == f"alice 127.0.0.1 since {joined} away: at lunch"
    assert second.startswith("bob 127.0.0.1 since ")
    assert second.endswith(" away")
    assert not bob.ask("/back", "/back").text.startswith("You were not")
    assert "not away" in bob.ask("/back", "/error").text


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


def test_private_messages_are_for_two_and_kept_nowhere(join: Join, server: Server) -> None:
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


def test_private_messages_that_can_not_be_sent(join: Join) -> None:
    alice = join("alice")
    for line, why in (
        ("/msg nobody hello", "Nobody here is called nobody"),
        ("/msg alice", "/msg NAME TEXT"),
        ("/msg", "/msg NAME TEXT"),
        ("/reply hello", "Nobody has sent you"),
        ("/msg alice " + "x" * 4095, "4096 bytes"),
    ):
        assert why in alice.ask(line, "/error").text


def test_history_shows_what_was_said(join: Join) -> None:
    alice = join("alice")
    assert "Nothing" in alice.ask("/history", "/history").text
    alice.send(*(str(number) for number in range(30)), "/me waves", "/history", "end")
    alice.until("message", "end")
    shown = texts(alice.records, "/history")[1:]
    assert len(shown) == commands.HISTORY_RECORDS
    assert shown[-1].endswith("Z alice: waves")
    assert shown[-2] == f"{alice.history()[-3].time} alice: 29"
    alice.send("/history 3", "end")
    alice.until("message", "end")
    assert [text.rpartition(" ")[2] for text in texts(alice.records, "/history")[-3:]] == [
        "29",
        "waves",
        "end",
    ]
    for number in ("0", "-1", "many", "1001", "9" * 4000):
        assert "1 to 1000" in alice.ask(f"/history {number}", "/error").text


def test_history_of_a_long_text_stays_a_record(join: Join) -> None:
    alice = join("alice")
    alice.send("é" * 2048)
    shown = alice.ask("/history", "/history").text
    assert len(shown.encode()) <= 4096
    assert shown.endswith("é…")


def test_search(join: Join) -> None:
    alice = join("alice")
    alice.send(
        *(f"apple number {number}" for number in range(30)), "Straße and Äpfel", "/me eats an APPLE pie"
    )
    alice.send(
        "/search apple PIE", "/search STRASSE äpfel", "/search alice pie", "/search nothing at all", "end"
    )
    alice.until("message", "end")
    found = [text.partition(" ")[2] for text in texts(alice.records, "/search")]
    assert found == [
        "alice: eats an APPLE pie",
        "alice: Straße and Äpfel",
        "alice: eats an APPLE pie",
        "found for nothing at all.",
    ]
    alice.send("/search apple", "end")
    alice.until("message", "end")
    newest = [text.rpartition(": ")[2] for text in texts(alice.records, "/search")[4:]]
    assert newest == [f"apple number {number}" for number in range(11, 30)] + ["eats an APPLE pie"]
    assert "/search WORDS" in alice.ask("/search", "/error").text


@pytest.mark.parametrize("line", ["clear", "/clear", " clear "])
def test_clear(line: str, join: Join, server: Server) -> None:
    alice, bob = join("alice"), join("bob")
    alice.send("old", line, "new")
    cleared = bob.until("clear")
    assert cleared.name == "alice"
    kept = server.history.with_name(cleared.text.rpartition(" ")[2].removesuffix("."))
    assert b"\told\n" in kept.read_bytes()
    bob.until("message", "new")
    assert [said.kind for said in server.records()] == ["clear", "message"]


@pytest.mark.parametrize("line", ["exit", "/exit", "/quit", "/EXIT"])
def test_exit(line: str, join: Join) -> None:
    alice, bob = join("alice"), join("bob")
    alice.send(line)
    left = alice.rest()[-1]
    assert (left.kind, left.name, left.text) == ("leave", "alice", "exit")
    assert bob.until("leave") == left


def test_what_is_for_the_host_only(join: Join) -> None:
    alice = join("alice")
    for command in ("/stop", "/plot"):
        assert "for the host" in alice.ask(command, "/error").text
