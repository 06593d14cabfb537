"""The command table, and each command over a real connection."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chat.service import commands
from tests.harness import Client, Server, texts

Join = Callable[..., Client]


def test_command_names_are_unique() -> None:
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


def test_an_unknown_command_suggests_the_nearest(join: Join) -> None:
    alice = join("alice")
    assert "did you mean /users?" in alice.ask("/user", "/error").text
    assert "did you mean" not in alice.ask("/zzzzzz", "/error").text
    assert "/help" in alice.ask("/", "/error").text


@pytest.mark.parametrize(("unknown", "unusable"), [("stopp", "stop"), ("mut", "mute"), ("unbam", "unban")])
def test_forbidden_commands_are_not_suggested(unknown: str, unusable: str, join: Join) -> None:
    alice = join("alice")
    for line in (f"/{unknown}", f"/help {unknown}"):
        assert f"did you mean /{unusable}?" not in alice.ask(line, "/error").text


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


@pytest.mark.parametrize("line", ["/clear the table, please", "/exit this way", "/users bob"])
def test_a_command_without_arguments_takes_none(line: str, join: Join, server: Server) -> None:
    alice = join("alice")
    assert "takes no argument; /say TEXT sends" in alice.ask(line, "/error").text
    assert [said.kind for said in server.records()] == ["start", "join"]


@pytest.mark.parametrize("line", ["exit", "/exit", "/quit", "/EXIT"])
def test_exit(line: str, join: Join) -> None:
    alice, bob = join("alice"), join("bob")
    alice.send(line)
    left = alice.rest()[-1]
    assert (left.kind, left.name, left.text) == ("leave", "alice", "exit")
    assert bob.until("leave") == left


def test_commands_for_the_host_only(join: Join) -> None:
    alice = join("alice")
    for command in ("/stop", "/plot"):
        assert "for the host" in alice.ask(command, "/error").text
