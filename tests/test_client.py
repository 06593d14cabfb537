"""The client's grammar, its conversation and its view: pure, without a socket or a terminal."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import TCP_client
from chat import commands
from chat.record import clean_name
from TCP_client import (
    COLOURS,
    INPUT_LINES,
    LINE_BYTES,
    Address,
    Answer,
    Conversation,
    Event,
    Heard,
    InputHistory,
    Joined,
    Left,
    Lines,
    Link,
    NotAChat,
    Owner,
    People,
    Record,
    Refused,
    Settings,
    Unsure,
    View,
)
from tests.vectors import raw, vectors

HOME = "127.0.0.1"  # everybody's address in these tests, so that names alone must tell people apart

# ----------------------------------------------------------------------------------------------- the grammar


@pytest.mark.parametrize("vector", vectors("records"))
def test_reads_a_record(vector: dict[str, Any]) -> None:
    assert TCP_client.parse(raw(vector) + b"\n") == Record(*vector["record"])


@pytest.mark.parametrize("vector", vectors("not_records"))
def test_refuses_what_is_no_record(vector: dict[str, Any]) -> None:
    assert TCP_client.parse(raw(vector)) is None


@pytest.mark.parametrize("vector", vectors("cleaned"))
def test_cleans_as_the_server_does(vector: dict[str, Any]) -> None:
    assert TCP_client.clean_bytes(raw(vector)) == vector["text"]


@pytest.mark.parametrize("vector", [v for v in vectors("names") if v.values[0]["name"]])
def test_writes_a_name_as_the_server_does(vector: dict[str, Any]) -> None:
    assert TCP_client.written_name(vector["typed"]) == clean_name(vector["typed"])


@given(
    st.text(st.sampled_from(" /clearxismy\t"), max_size=12) | st.sampled_from(["  /", " clear ", "// a", "/"])
)
def test_takes_a_line_for_what_the_server_takes_it_for(text: str) -> None:
    text = TCP_client.clean(text)
    command, argument = commands.understand(text)
    answer = TCP_client.answer_to(text)
    if command == "say":
        assert answer == Answer("message", argument)
    else:
        assert answer.kind != "message"


@given(st.lists(st.binary(max_size=9)), st.integers(1, 7))
def test_lines_come_whole_however_they_are_cut(lines: list[bytes], size: int) -> None:
    stream = b"".join(line.replace(b"\n", b"") + b"\n" for line in lines)
    fed = Lines()
    got = [line for at in range(0, len(stream), size) for line in fed.feed(stream[at : at + size])]
    assert b"".join(got) == stream
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in got)


def test_an_endless_line_is_skipped_and_not_held() -> None:
    fed = Lines()
    for _ in range(100):
        assert list(fed.feed(b"x" * LINE_BYTES)) == []
        assert len(fed._rest) <= LINE_BYTES
    assert list(fed.feed(b"x\nnext\n")) == [b"next\n"]


# ------------------------------------------------------------------------------------------ the conversation


def line(kind: str, text: str = "", name: str = "alice", time: int = 0, address: str = HOME) -> bytes:
    """A record on the wire, `time` milliseconds after the first one."""
    stamp = f"2026-11-21T10:15:{time // 1000:02}.{time % 1000:03}Z"
    return f"{stamp}\t{address}\t{name}\t{kind}\t{text}\n".encode()


def direct(kind: str, text: str = "") -> bytes:
    """A record for us alone."""
    return line(kind, text, name="server", address="-")


def kinds(events: list[Event]) -> list[str]:
    """What the events are, records by their kind."""
    return [event.record.kind if isinstance(event, Heard) else type(event).__name__ for event in events]


def joined(name: str = "alice") -> Conversation:
    """A conversation in the room, with nothing sent."""
    conversation = Conversation(name)
    conversation.connected()
    conversation.data_to_send()
    events = conversation.receive(direct("/hello") + direct("/session", "T 0 0") + line("join", name=name))
    assert events[-1] == Joined()
    return conversation


def test_logs_in_in_the_order_of_the_protocol() -> None:
    conversation = Conversation("alice", password="secret", replay="all")
    conversation.connected()
    assert conversation.data_to_send() == b"/password secret\n/replay all\n/session\nalice\n"


def test_says_nothing_before_its_own_join() -> None:
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


def test_the_echo_is_the_acknowledgement() -> None:
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
        ("/r hi", line("/msg", "to bob: hi")),
        ("/reply hi", direct("/reply", "sent")),
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
def test_every_line_has_an_answer(typed: str, answer: bytes) -> None:
    conversation = joined()
    conversation.say(typed)
    conversation.data_to_send()
    assert conversation.waiting == [typed]
    conversation.receive(answer)
    assert conversation.waiting == []


def test_what_an_admin_did_is_not_an_answer_to_somebody_else() -> None:
    conversation = joined()
    conversation.say("/kick bob")
    conversation.data_to_send()
    conversation.receive(line("notice", "carol kicked dave", name="server", address="-"))
    conversation.receive(line("notice", "alice kicked bob", name="carol"))
    assert conversation.waiting == ["/kick bob"]


def test_completes_the_commands_that_the_server_has() -> None:
    assert [
        f"/{command.name}" for command in commands.TABLE if command.who != "host"
    ] == TCP_client.SERVER_COMMANDS


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
    first, second = conversation.receive(direct("/users", "alice") + direct("/users", "alice"))
    assert isinstance(first, Heard)
    assert isinstance(second, Heard)
    assert (first.quiet, second.quiet) == (True, False)


def test_a_command_that_was_in_flight_is_told_and_not_sent_again() -> None:
    conversation = joined()
    for typed in ("/msg bob psst", "hello", "clear"):
        conversation.say(typed)
    conversation.data_to_send()
    conversation.say("/users")
    conversation.connected()
    conversation.data_to_send()
    events = conversation.receive(direct("/session", f"U {conversation._offset} 0") + line("join", time=1))
    assert [event.line for event in events if isinstance(event, Unsure)] == ["/msg bob psst", "clear"]
    assert conversation.data_to_send() == b"hello\n/users\n", "what was never sent is sent now"


def test_a_namesake_after_our_leave_is_somebody_else() -> None:
    conversation = joined()
    conversation.say("hello")
    conversation.data_to_send()
    conversation.connected()
    conversation.data_to_send()
    missed = (
        line("leave", "connection lost", time=1) + line("join", time=2) + line("message", "hello", time=3)
    )
    missed += line("leave", "exit", time=4)
    start = conversation._offset
    conversation.receive(direct("/session", f"U {start} {start + len(missed)}") + missed)
    conversation.receive(line("join", time=5))
    assert conversation.data_to_send() == b"hello\n"


def test_after_a_crash_a_namesake_is_somebody_else() -> None:
    conversation = joined()
    conversation.say("hello")
    conversation.data_to_send()
    conversation.connected()
    missed = line("start", name="server", address="-", time=1) + line("message", "hello", time=3)
    start = conversation._offset
    conversation.receive(direct("/session", f"U {start} {start + len(missed)}") + missed)
    conversation.receive(line("join", time=5))
    assert conversation.waiting == ["hello"]


def test_a_name_taken_just_before_the_break_is_taken_again() -> None:
    conversation = joined()
    conversation.say("/nick carol")
    conversation.say("one")
    conversation.say("two")
    conversation.data_to_send()
    conversation.connected()
    assert conversation.data_to_send().endswith(b"\nalice\n")
    missed = line("rename", "carol", time=1) + line("message", "one", name="carol", time=2)
    missed += line("leave", "connection lost", name="carol", time=3)
    start = conversation._offset
    conversation.receive(direct("/session", f"U {start} {start + len(missed)}") + missed)
    conversation.receive(line("join", time=4))
    assert conversation.data_to_send() == b"/nick carol\ntwo\n"


def test_where_the_history_changed_nothing_is_shown_or_struck_twice() -> None:
    conversation = joined()
    conversation.say("hello")
    conversation.data_to_send()
    conversation.receive(line("message", "hello", time=1))
    conversation.say("hello")
    conversation.data_to_send()
    conversation.connected()
    old = line("message", "hello", time=1)
    note = direct("/error", "Where you left off is not in the history now.")
    events = conversation.receive(direct("/session", f"U 7 {7 + len(old)}") + note + old)
    assert kinds(events) == ["/error"]
    conversation.receive(line("join", time=5))
    assert conversation.waiting == ["hello"]


def test_a_refused_name_is_followed_by_another() -> None:
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
    conversation.say("/password secret")
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
            if isinstance(event, Heard):
                View(Settings(), colours=True).line(event.record)
    conversation.data_to_send()


class ModelServer:
    """A server in memory: a history of bytes, one client, and pipes that can be cut between any two bytes."""

    def __init__(self) -> None:
        self.history = b""
        self.clock = 0
        self.name = ""  # of the client that is in
        self.inbox = b""
        self.outbox = b""
        self.options: list[str] = []

    def append(self, kind: str, text: str, name: str) -> None:
        self.clock += 1
        record = line(kind, text, name, self.clock)
        self.history += record
        if self.name:
            self.outbox += record

    def hang_up(self, *, crashed: bool) -> None:
        """The connection ends; what was received is handled first, unless the server crashed."""
        if not crashed:
            self.handle(b"")
            if self.name:
                self.append("leave", "connection lost", self.name)
        self.name, self.inbox, self.outbox, self.options = "", b"", b"", []
        if crashed:
            self.append("start", "", "server")

    def handle(self, data: bytes) -> None:
        *lines, self.inbox = (self.inbox + data).split(b"\n")
        for text in (found.decode() for found in lines):
            if self.name and text == "/users":
                self.outbox += direct("/users", self.name)
            elif self.name:
                self.append("message", text, self.name)
            elif text.startswith("/"):
                self.options.append(text)
            else:
                self.join(text)

    def join(self, name: str) -> None:
        resume = re.fullmatch(r"/session \w+ (\d+) (\S+)", self.options[-1])
        start = int(resume.group(1)) if resume else 0
        if resume:
            last_seen = TCP_client.parse(self.history[:start].splitlines(keepends=True)[-1])
            assert last_seen
            assert last_seen.time == resume.group(2), "the client knows where in the history it was"
        self.outbox = direct("/session", f"T {start} {len(self.history)}") + self.history[start:]
        self.name = name
        self.append("join", "", name)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["say", "say", "ask", "other", "up", "down", "down", "cut", "crash"]),
        st.integers(0, 200),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_nothing_is_lost_and_nothing_comes_twice(steps: list[tuple[str, int]]) -> None:
    """Whatever breaks wherever: all that was said is in the history once, in order, and heard once."""
    server, client = ModelServer(), Conversation("alice", replay="all")
    up = b""
    said: list[str] = []
    heard: list[bytes] = []

    def take(data: bytes) -> None:
        records = [event.record for event in client.receive(data) if isinstance(event, Heard)]
        heard.extend("\t".join(record).encode() + b"\n" for record in records if not record.direct)

    client.connected()
    for step, number in [*steps, ("cut", 0)]:
        if step == "say":
            said.append(f"line {number % 3}")  # the same texts again and again
            client.say(said[-1])
        elif step == "ask":
            client.say("/users")
        elif step == "other":
            server.append("message", "line 1", "bob")
        elif step == "up":
            up += client.data_to_send()
            server.handle(up[:number])
            up = up[number:]
        elif step == "down":
            take(server.outbox[:number])
            server.outbox = server.outbox[number:]
        else:
            server.hang_up(crashed=step == "crash")
            client.connected()
            up = b""
    for _ in range(3):
        server.handle(client.data_to_send())
        take(server.outbox)
        server.outbox = b""
    assert client.waiting == []
    stored = [TCP_client.parse(found) for found in server.history.splitlines(keepends=True)]
    assert [
        found.text for found in stored if found and found.kind == "message" and found.name == "alice"
    ] == said
    assert b"".join(heard) == server.history


# ------------------------------------------------------------------------------------------------- the view


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is UTC."""
    with local_zone(monkeypatch, "UTC"):
        yield


@contextmanager
def local_zone(monkeypatch: pytest.MonkeyPatch, zone: str) -> Iterator[None]:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def shown(kind: str, text: str = "", name: str = "bob", own_name: str = "") -> str:
    """A record as the line that people see."""
    record = Record("2026-11-21T10:15:42.123Z", HOME, name, kind, text)
    return View(Settings(), colours=False).line(record, own_name)


@pytest.mark.usefixtures("utc")
@pytest.mark.parametrize(
    ("kind", "text", "line"),
    [
        ("message", "hello", "10:15 bob: hello"),
        ("message", "a {text} {name}", "10:15 bob: a {text} {name}"),
        ("action", "waves", "10:15 * bob waves"),
        ("join", "", "10:15 -> bob joined"),
        ("leave", "exit", "10:15 <- bob left: exit"),
        ("leave", "", "10:15 <- bob left"),
        ("rename", "carol", "10:15 -- bob is now carol"),
        ("notice", "lunch", "10:15 !! bob: lunch"),
        ("start", "", "10:15 -- the server started"),
        ("dance", "tango", "10:15 -- bob did dance: tango"),
        ("/msg", "psst", "10:15 [private] bob: psst"),
        ("/error", "no", "10:15 !! no"),
        ("/stats", "3 a minute", "10:15 -- 3 a minute"),
        ("/users", "al 1.2.3.4 since 2001-02-03T04:05:06.007Z", "10:15 -- al 1.2.3.4 since 2001-02-03 04:05"),
    ],
)
def test_each_kind_looks_different_without_colour(kind: str, text: str, line: str) -> None:
    assert shown(kind, text) == line


def test_times_are_local(monkeypatch: pytest.MonkeyPatch) -> None:
    with local_zone(monkeypatch, "Asia/Kolkata"):
        assert shown("message", "hello") == "15:45 bob: hello"


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"])
@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/Lima"])
def test_no_time_is_too_far_away(monkeypatch: pytest.MonkeyPatch, time: str, zone: str) -> None:
    with local_zone(monkeypatch, zone):
        record = Record(time, HOME, "bob", "message", "hello")
        view = View(Settings(), colours=False)
        assert view.line(record).endswith(" bob: hello")
        assert f" {time[:4]} ---" in view.day_line(record)
        assert f"-- {time[:4]}-" in view.line(record._replace(kind="/history", text=f"{time} bob: hello"))


@pytest.mark.usefixtures("utc")
def test_a_line_tells_when_the_day_changes() -> None:
    view = View(Settings(), colours=False)
    days = ["2026-11-20T23:59:59.999Z", "2026-11-21T00:00:00.000Z", "2026-11-21T10:00:00.000Z"]
    lines = [view.day_line(Record(day, HOME, "bob", "message", "hi")) for day in days]
    assert lines[1:] == ["--- Saturday, 21 November 2026 ---", ""]


def test_what_mentions_us_is_marked() -> None:
    assert "> bob: hi Alice!" in shown("message", "hi Alice!", own_name="alice")
    assert "> bob: hi Malice" not in shown("message", "hi Malice", own_name="alice")
    assert "> " not in shown("message", "I am alice", name="alice", own_name="alice")
    view = View(Settings(highlight=["c++"]), colours=True)
    record = Record("2026-11-21T10:15:42.123Z", HOME, "bob", "message", "who knows C++?")
    assert "\x1b[1;7mC++\x1b[0m?" in view.line(record, "alice")


def test_colours_are_stable_and_readable_on_black_and_on_white() -> None:
    def luminance(number: int) -> float:
        levels = (0, 95, 135, 175, 215, 255)
        red, green, blue = (
            (level / 255 + 0.055) ** 2.4 / 1.055**2.4 if level > 10 else level / 255 / 12.92
            for level in (
                levels[(number - 16) // 36],
                levels[(number - 16) // 6 % 6],
                levels[(number - 16) % 6],
            )
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for number in COLOURS.values():
        assert (luminance(number) + 0.05) / 0.05 > 3.5, "on black"
        assert 1.05 / (luminance(number) + 0.05) > 3.5, "on white"
    view = View(Settings(color={"BOB": "red"}), colours=True)
    assert view._colour("bob") == "38;5;160"
    assert view._colour("Zoé") == view._colour("ZOÉ"), "as the names are one"


@given(st.text(max_size=40), st.sampled_from(["message", "notice", "/msg", "odd", "/users"]))
def test_no_text_of_a_server_reaches_the_terminal_as_more_than_text(text: str, kind: str) -> None:
    record = Record("2026-11-21T10:15:42.123Z", HOME, text or "x", kind, text)
    line = View(Settings(), colours=False).line(record, "alice")
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", line)


def test_a_name_of_a_server_is_completed_as_text_only() -> None:
    people = People()
    for kind, name, text in (
        ("join", "ev\x1b[2Jil", ""),
        ("/users", "server", "b\x9b31mad 10.0.0.1 since 2026-11-21T10:15:42.123Z"),
        ("rename", "x", "w\u202eorse"),
    ):
        people.hear(Record("2026-11-21T10:15:42.123Z", HOME, name, kind, text))
    assert set(people.latest_first()) == {"ev[2Jil", "b31mad", "worse"}


def test_our_own_name_is_text_only_whatever_the_server_makes_of_it() -> None:
    conversation = joined()
    conversation.receive(line("rename", "a\u202eb\x1b"))
    assert conversation.name == "ab"


def test_people_who_spoke_last_come_first() -> None:
    people = People()

    def hear(kind: str, name: str, text: str = "") -> None:
        people.hear(Record("2026-11-21T10:15:42.123Z", HOME, name, kind, text))

    for name in ("bob", "carol", "dave"):
        hear("join", name)
    hear("message", "dave")
    hear("message", "bob")
    hear("rename", "dave", "Dan")
    assert people.latest_first() == ["bob", "Dan", "carol"]
    hear("leave", "bob")
    hear("message", "eve")
    assert people.latest_first() == ["Dan", "carol"], "who has left, or was never here, is not here"
    hear("/users", "server", "eve 10.0.0.1 since 2026-11-21T10:15:42.123Z")
    assert people.latest_first()[0] == "eve"
    hear("start", "server")
    assert len(people) == 0


# --------------------------------------------------------------------------------------- settings, addresses


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the settings are."""
    monkeypatch.setattr(TCP_client, "settings_folder", lambda: tmp_path / "new")
    return tmp_path / "new"


def test_settings_are_kept(folder: Path) -> None:
    assert Settings.load() == Settings()
    stored = Settings(name="李雷", bell="off", highlight=["c++"], ignore=["bob"], color={"bob": "red"})
    stored.save()
    assert Settings.load() == stored
    assert "李雷" in (folder / "settings.json").read_text("utf-8"), "for people to read"
    assert [path.name for path in folder.iterdir()] == ["settings.json"]
    assert (folder / "settings.json").stat().st_mode & 0o077 == 0


def test_settings_that_make_no_sense_are_as_new(folder: Path) -> None:
    odd = {"name": 7, "server": ["x"], "bell": "loud", "highlight": ["a", 1, ""], "ignore": [2]}
    folder.mkdir()
    (folder / "settings.json").write_text(json.dumps({**odd, "color": {"a": "puce"}, "unknown": None}))
    assert Settings.load() == Settings(highlight=["a"])


@pytest.mark.parametrize("odd", [[], {"name": "a b"}, {"server": "a:b:c:x"}])
def test_settings_that_would_do_harm_are_refused(folder: Path, odd: object) -> None:
    folder.mkdir()
    (folder / "settings.json").write_text(json.dumps(odd))
    with pytest.raises(ValueError, match=r"."):
        Settings.load()


def test_input_history_has_no_secrets_and_an_end(folder: Path) -> None:
    history = InputHistory()
    assert not history.add("/password secret")
    assert not history.add("  ")
    for number in range(INPUT_LINES + 10):
        assert history.add(f"line {number}")
    assert (
        InputHistory().lines == history.lines == [f"line {number}" for number in range(10, INPUT_LINES + 10)]
    )
    assert "secret" not in (folder / "input-history.txt").read_text()


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("host", Address("host", 9999)),
        (" host:80 ", Address("host", 80)),
        ("10.0.0.1:7", Address("10.0.0.1", 7)),
        ("::1", Address("::1", 9999)),
        ("[::1]:80", Address("::1", 80)),
        ("fe80::1%eth0", Address("fe80::1%eth0", 9999)),
    ],
)
def test_reads_an_address_and_writes_it_again(typed: str, address: Address) -> None:
    assert TCP_client.parse_address(typed) == address
    assert TCP_client.parse_address(str(address)) == address


@pytest.mark.parametrize(
    "typed", ["", "a b", "host:", "host:x", "host:0", "host:65536", "[::1", "host:１", "http://x"]
)
def test_refuses_what_is_no_address(typed: str) -> None:
    with pytest.raises(ValueError, match=r"is no (address|port); "):
        TCP_client.parse_address(typed)


def test_counts_the_columns_of_wide_characters() -> None:
    assert TCP_client.cells("a李e\u0301") == 4


def test_a_password_is_for_the_server_that_it_was_typed_for() -> None:
    link = Link(Address("a", 1), Conversation("alice", password="secret"), Owner(), patient=False)
    with link._bell.socket, link._bell._rope:
        link._move(Address("b", 1))
    link._conversation.connected()
    assert link._conversation.data_to_send() == b"/session\nalice\n"


def test_a_name_that_looks_like_a_time_is_shown_as_it_is() -> None:
    name = "2026-99-99T99:99:99.999Z"
    view = View(Settings(), colours=False)
    shown = view.line(Record("2026-11-21T10:15:42.123Z", "-", "server", "/users", f"{name} 10.0.0.1 since x"))
    assert name in shown
