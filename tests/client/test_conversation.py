"""The protocol as the client speaks it, without sockets or terminals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from TCP_client import (
    Conversation,
    Left,
    NotAChat,
    Received,
    Refused,
    Settings,
    Unconfirmed,
    View,
)
from tests.client.wire import direct, joined, kinds, line, reconnect


def test_logs_in_in_the_order_of_the_protocol() -> None:  # R17
    conversation = Conversation("alice", password="secret", replay="all")
    conversation.connected()
    assert conversation.data_to_send() == b"/password secret\n/replay all\n/session\nalice\n"


def test_says_nothing_before_its_own_join() -> None:  # R39
    conversation = Conversation("alice")
    conversation.connected()
    conversation.say("hello")
    conversation.data_to_send()
    old_join = line("join")
    conversation.receive(direct("/session", f"T 0 {len(old_join)}") + old_join)
    assert conversation.data_to_send() == b"", "a join in the replay is not the one that lets us speak"
    conversation.receive(line("join", name="bob"))
    assert conversation.data_to_send() == b""
    conversation.receive(line("join"))
    assert conversation.data_to_send() == b"hello\n"
    assert conversation.waiting == ["hello"]


def test_the_echo_is_the_acknowledgement() -> None:  # R28
    conversation = joined()
    conversation.say("hello")
    conversation.data_to_send()
    conversation.receive(line("message", "hello", name="bob"))
    conversation.receive(line("message", "hello", address="10.0.0.1"))
    assert conversation.waiting == ["hello"], "others may say the same"
    conversation.receive(line("message", "hello"))
    assert conversation.waiting == []


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("/users", direct("/users", "alice 127.0.0.1 since 2026-11-21T10:15:00.000Z")),
        ("/who", direct("/users", "alice 127.0.0.1 since 2026-11-21T10:15:00.000Z")),
        ("/msg bob  hi ", line("/msg", "to bob: hi")),
        ("/reply hi", line("/msg", "to bob: hi")),
        ("/me waves", line("action", "waves")),
        ("/nick carol", line("rename", "carol")),
        ("clear", line("clear", "kept")),
        (" CLEAR", line("message", " CLEAR")),
        ("//etc", line("message", "/etc")),
        ("/say clear", line("message", "clear")),
        ("/SAY  x ", line("message", "x")),
        ("/kick bob", line("notice", "alice kicked bob", name="server", address="-")),
        ("/nope", direct("/error", "There is no command /nope.")),
        ("/brandnew", direct("/other", "a kind that nobody expected")),
    ],
)
def test_every_line_has_an_answer(typed: str, answer: bytes) -> None:  # R5, R27
    conversation = joined()
    conversation.say(typed)
    conversation.data_to_send()
    assert conversation.waiting == [typed]
    conversation.receive(answer)
    assert conversation.waiting == []


def test_what_an_admin_did_is_not_an_answer_to_somebody_else() -> None:  # R29
    conversation = joined()
    conversation.say("/kick bob")
    conversation.data_to_send()
    conversation.receive(line("notice", "carol kicked dave", name="server", address="-"))
    conversation.receive(line("notice", "alice kicked bob", name="carol"))
    assert conversation.waiting == ["/kick bob"]


def test_a_private_message_from_somebody_is_no_answer() -> None:
    conversation = joined()
    conversation.say("/users")
    conversation.data_to_send()
    conversation.receive(line("/msg", "psst", name="bob"))
    assert conversation.waiting == ["/users"]


def test_the_records_of_one_answer_answer_one_line() -> None:
    conversation = joined()
    for typed in ("/history", "/users", "/users"):
        conversation.say(typed)
    conversation.data_to_send()
    conversation.receive(direct("/history", "a") + direct("/history", "b") + direct("/history", "c"))
    assert conversation.waiting == ["/users", "/users"]


def test_an_echo_proves_that_all_before_it_was_handled() -> None:
    conversation = joined()
    for typed in ("/silent", "one", "two"):
        conversation.say(typed)
    conversation.data_to_send()
    conversation.receive(line("message", "one"))
    assert conversation.waiting == ["two"]


def test_what_nobody_typed_is_told_apart() -> None:
    conversation = joined()
    conversation.say("/users", quiet=True)
    conversation.say("/users")
    conversation.data_to_send()
    assert conversation.waiting == ["/users"]
    of_one = direct("/users", "alice") + direct("/users", "bob")
    events = conversation.receive(of_one + direct("/error", "no command /") + of_one)
    assert [event.quiet for event in events if isinstance(event, Received)] == [True] * 3 + [False] * 2
    assert conversation.waiting == []


def test_a_command_that_was_in_flight_is_told_and_not_sent_again() -> None:  # R43
    conversation = joined()
    for typed in ("/msg bob psst", "hello", "clear"):
        conversation.say(typed)
    conversation.data_to_send()
    conversation.say("/users")
    offset = reconnect(conversation)
    events = conversation.receive(direct("/session", f"U {offset} 0") + line("join", time=1))
    assert [event.line for event in events if isinstance(event, Unconfirmed)] == ["/msg bob psst", "clear"]
    assert conversation.data_to_send() == b"hello\n/users\n", "what was never sent is sent now"


def test_a_namesake_after_our_leave_is_somebody_else() -> None:
    conversation = joined()
    conversation.say("hello")
    conversation.data_to_send()
    start = reconnect(conversation)
    missed = (
        line("leave", "connection lost", time=1) + line("join", time=2) + line("message", "hello", time=3)
    )
    missed += line("leave", "exit", time=4)
    conversation.receive(direct("/session", f"U {start} {start + len(missed)}") + missed)
    conversation.receive(line("join", time=5))
    assert conversation.data_to_send() == b"hello\n"


def test_after_a_crash_a_namesake_is_somebody_else() -> None:
    conversation = joined()
    conversation.say("hello")
    conversation.data_to_send()
    start = reconnect(conversation)
    missed = line("start", name="server", address="-", time=1) + line("message", "hello", time=3)
    conversation.receive(direct("/session", f"U {start} {start + len(missed)}") + missed)
    conversation.receive(line("join", time=5))
    assert conversation.waiting == ["hello"]


def test_a_name_taken_just_before_the_break_is_taken_again() -> None:
    conversation = joined()
    conversation.say("/nick carol")
    conversation.say("one")
    conversation.say("two")
    conversation.data_to_send()
    start = reconnect(conversation)
    missed = line("rename", "carol", time=1) + line("message", "one", name="carol", time=2)
    missed += line("leave", "connection lost", name="carol", time=3)
    conversation.receive(direct("/session", f"U {start} {start + len(missed)}") + missed)
    conversation.receive(line("join", time=4))
    assert conversation.data_to_send() == b"/nick carol\ntwo\n"


def test_where_the_history_changed_nothing_is_shown_twice_and_what_is_not_known_is_told() -> None:  # R42
    conversation = joined()
    conversation.say("hello")
    conversation.data_to_send()
    conversation.receive(line("message", "hello", time=1))
    conversation.say("hello")
    conversation.data_to_send()
    reconnect(conversation)
    conversation.say("later")
    old = line("message", "hello", time=1)
    note = direct("/error", "Where you left off is not in the history now.")
    events = conversation.receive(direct("/session", f"U 7 {7 + len(old)}") + note + old)
    assert kinds(events) == ["/error"]
    events = conversation.receive(line("join", time=5))
    assert Unconfirmed("hello") in events, "it may be in what was cleared"
    assert conversation.data_to_send() == b"later\n"


def test_a_join_and_a_leave_in_a_cleared_history_are_not_ours() -> None:
    """As for the second of two robots that come one after the other."""
    conversation = Conversation("robot")
    conversation.connected()
    conversation.say("second")
    conversation.leave()
    conversation.data_to_send()
    old = line("clear", "kept", name="carol") + line("join", name="robot", time=1)
    old += line("message", "first", name="robot", time=2) + line("leave", "exit", name="robot", time=3)
    events = conversation.receive(direct("/session", f"T 0 {len(old)}") + old)
    assert kinds(events) == ["clear", "join", "message", "leave"]
    assert conversation.data_to_send() == b""
    conversation.receive(line("join", name="robot", time=4))
    assert conversation.data_to_send() == b"second\n/exit\n"


def test_a_clear_while_the_replay_goes_on_does_not_hide_our_join() -> None:
    conversation = Conversation("alice")
    conversation.connected()
    conversation.data_to_send()
    old = line("message", "old", name="bob")
    conversation.receive(direct("/session", f"T 1000 {1000 + 2 * len(old)}") + old)
    conversation.receive(line("clear", "kept", name="bob", time=1) + line("join", time=2))
    assert conversation.joined


def test_an_offset_that_is_corrected_in_the_replay_does_not_hide_our_join() -> None:  # R38
    """The server passed over something that is no record; its END may be behind our join by then."""
    conversation = Conversation("alice")
    conversation.connected()
    conversation.say("hello")
    conversation.data_to_send()
    old = line("message", "old", name="bob")
    conversation.receive(direct("/session", f"T 0 {2 * len(old) + 10}") + old)
    conversation.receive(direct("/session", f"T {len(old) + 10} {9 * len(old)}") + old + line("join", time=2))
    assert conversation.data_to_send() == b"hello\n"


def test_a_message_to_oneself_is_answered_once() -> None:
    conversation = joined()
    for typed in ("/msg alice one", "/msg Alice to alice: one", "/r three"):
        conversation.say(typed)
    conversation.data_to_send()
    for text, waiting in (
        ("one", 3),
        ("to alice: one", 2),
        ("to alice: one", 2),
        ("to alice: to alice: one", 1),
    ):
        conversation.receive(line("/msg", text))
        assert len(conversation.waiting) == waiting
    conversation.receive(line("/msg", "to bob: three"))
    assert conversation.waiting == []


def test_becoming_an_admin_is_no_answer_to_what_an_admin_does() -> None:
    conversation = joined()
    for typed in ("/admin sesame", "/kick bob"):
        conversation.say(typed)
    conversation.data_to_send()
    conversation.receive(direct("/admin", "You are an admin now."))
    conversation.receive(line("notice", "alice is an admin now", name="server", address="-"))
    assert conversation.waiting == ["/kick bob"]
    conversation.receive(line("notice", "alice kicked bob", name="server", address="-"))
    assert conversation.waiting == []


def test_a_refused_name_is_followed_by_another() -> None:  # R21
    conversation = Conversation("alice")
    conversation.connected()
    conversation.data_to_send()
    events = conversation.receive(direct("/hello") + direct("/error", "The name alice is taken."))
    assert isinstance(events[-1], Refused)
    conversation.say("carol")
    assert conversation.data_to_send() == b"carol\n"
    conversation.receive(direct("/session", "T 0 0") + line("join", name="carol"))
    assert conversation.joined


def test_a_password_may_come_after_the_refusal() -> None:
    conversation = Conversation("alice")
    conversation.connected()
    conversation.data_to_send()
    conversation.receive(direct("/error", "This room has a password."))
    conversation.use_password("secret")
    assert conversation.data_to_send() == b"/password secret\nalice\n"
    conversation.connected()
    assert conversation.data_to_send().startswith(b"/password secret\n"), "it is there for the next time"


def test_leaving_comes_behind_all_that_was_said() -> None:
    conversation = joined()
    conversation.say("one")
    conversation.say("exit")
    conversation.say("never")
    assert conversation.data_to_send() == b"one\n/exit\n"
    events = conversation.receive(line("message", "one") + line("leave", "exit"))
    assert events[-1] == Left("exit")
    assert conversation.waiting == []


def test_what_is_no_chat_is_told_with_what_it_said() -> None:
    conversation = Conversation("alice")
    conversation.connected()
    with pytest.raises(NotAChat, match="SSH-2"):
        conversation.receive(b"SSH-2.0-OpenSSH_9.2\r\n")


@given(st.lists(st.binary(max_size=60) | st.sampled_from([b"\n", direct("/session", "x y z"), line("join")])))
def test_garbage_is_survived(pieces: list[bytes]) -> None:
    conversation = joined()
    for piece in pieces:
        for event in conversation.receive(piece):
            if isinstance(event, Received):
                View(Settings(), colours=True).line(event.record)
    conversation.data_to_send()


def test_our_own_name_is_text_only_whatever_the_server_makes_of_it() -> None:
    conversation = joined()
    conversation.receive(line("rename", "a\u202eb\x1b"))
    assert conversation.name == "ab"
