"""What is pasted, completed and remembered of what was typed, on a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.harness import Client
from tests.terminal import CONTROL_C, ENTER, ESCAPE, TAB, UP, Terminal

Join = Callable[..., Client]
Start = Callable[..., Terminal]


def test_pasted_lines_are_asked_for_and_then_said_as_they_stand(start: Start, join: Join) -> None:
    alice, bob = start("alice"), join("bob")
    alice.paste("one\nclear\nthree\n")
    alice.shows("Enter sends 3 pasted lines")
    alice.shows("| clear")
    alice.type(ESCAPE)
    alice.until(lambda: "pasted" not in alice.text, "no question")
    alice.paste("one\r\nclear\r\n\r\n/* a \x1bcomment */\r\n/nick eve\r\nexit\r\nlast")
    alice.shows("Enter sends 6 pasted lines")
    alice.type(ENTER)
    for text in ("one", "clear", "/* a comment */", "/nick eve", "exit", "last"):
        assert bob.until("message").text == text
    alice.paste("\n".join(f"line {number}" for number in range(200)))
    alice.shows("Enter sends 200 pasted lines")
    alice.type(ENTER)
    for number in range(200):
        assert bob.until("message").text == f"line {number}"


def test_one_pasted_line_is_typed_and_is_text(start: Start, join: Join) -> None:
    alice, bob = start("alice"), join("bob")
    alice.paste("/* one\ttab */\n")
    alice.prompts("/* one tab */")
    alice.shows("never run as a command")
    alice.type(" and more" + ENTER)
    assert bob.until("message").text == "/* one tab */ and more"
    alice.type("say ")
    alice.paste("this")
    alice.type(ENTER)
    assert bob.until("message").text == "say this"


def test_what_is_pasted_behind_a_command_belongs_to_it(start: Start, join: Join) -> None:
    alice, bob, carol = start("alice"), join("bob"), join("carol")
    alice.shows("3 here")
    alice.type("/msg bob ")
    alice.paste("two\nlines")
    alice.prompts("/msg bob two lines")
    alice.type(ENTER)
    assert bob.until("/msg").text == "two lines"
    carol.send("x")
    carol.until("message")
    assert not [found for found in carol.records if "two" in found.text]


def test_tab_completes_names_and_commands(start: Start, join: Join) -> None:
    alice, bob, carol = start("alice"), join("bob"), join("bill")
    alice.shows("3 here")
    bob.send("first")
    alice.shows("bob: first")
    carol.send("second")
    alice.shows("bill: second")
    alice.type("b" + TAB)
    alice.prompts("bill:")
    alice.type(TAB)
    alice.prompts("bob:")
    alice.type("see b" + TAB)
    alice.prompts("bob: see bill")
    alice.type(CONTROL_C + "/hi" + TAB)
    alice.prompts("/history")


def test_input_history_outlives_the_program(start: Start) -> None:
    alice = start("alice")
    alice.type("remember me" + ENTER)
    alice.shows("alice: remember me")
    alice.type("/admin secret" + ENTER)
    alice.shows("no admins here")
    alice.type("exit" + ENTER)
    assert alice.ends() == 0
    again = start("alice", "--replay", "0")
    again.type(UP + UP)  # exit, and what came before it
    again.prompts("remember me")


def test_settings_are_kept_and_used(start: Start, join: Join, tmp_path: Path) -> None:
    alice, bob = start("alice"), join("bob")
    for typed, told in [
        ("/color bob teal", "bob is teal"),
        ("/color bob puce", "the colours are red"),
        ("/highlight lunch", "besides your name: lunch"),
        ("/bell all", "set to all"),
        ("/bell loud", "/bell off, /bell mention or /bell all"),
        ("/ignore Carol", "Ignored: Carol"),
        ("/unignore dave", "dave is not ignored"),
        ("/connect a:b:c:x:z", "is not an address"),
        ("/connect", "Type /connect HOST"),
    ]:
        alice.type(typed + ENTER)
        alice.shows(told)
    stored = json.loads((tmp_path / "config/tcp-chat/settings.json").read_text())
    assert stored["color"] == {"bob": "teal"}
    assert (stored["name"], stored["bell"], stored["ignore"]) == ("alice", "all", ["Carol"])
    carol = join("CAROL")
    carol.send("not for alice")
    bells = alice.output.count(b"\a")
    bob.send("lunch")
    alice.shows("> bob: lunch")
    assert b"\x1b[38;5;30mbob" in alice.output
    assert "not for alice" not in alice.text
    assert alice.output.count(b"\a") == bells + 1
