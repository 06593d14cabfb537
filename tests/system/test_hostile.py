"""Malicious clients, and unexpected ones."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
import unicodedata
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chat import record
from chat.front import lines
from chat.front.lines import MANY_BYTES
from chat.record import BadName, NotARecord, Record
from chat.room.broadcaster import PENDING_BYTES
from tests.faults.server import FaultyServer
from tests.harness import DEADLINE, Client, Server, reset, serving
from tests.measure import silent
from tests.measure.stopped_reader import LINES, catch_up, memory, pass_by, stop_reading
from tests.rooms import idle, service_of

MIB = 1024 * 1024

# ----------------------------------------------------------------------------------------------- the grammar

CORNERS = st.sampled_from(
    "\0\t\n\v\f\r\x1b\x7f\x85\x9b\xa0\xad\u0301\u034f\u061c\u115f\u180e\u200b\u200d\u200e\u2028\u2029\u202e"
    "\u2066\u2800\u3000\u3164\ufe0f\ufeff\ufff9\ufffd\uffff\U0001f600\U000e0001\U000e0100/ſßİıéＡａk\u212a"
)
NAUGHTY = st.text(st.one_of(CORNERS, st.characters(exclude_categories=["Cs"])), max_size=30)
FIELDS = st.one_of(st.binary(max_size=20), NAUGHTY.map(str.encode), st.sampled_from([b"", b"-", b"server"]))
TIMES = st.builds(
    "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z".format,
    *(st.one_of(st.sampled_from([0, 1900, 2000, 2024, 2025]), st.integers(0, 9999)), st.integers(0, 13)),
    *(st.integers(0, 32), st.integers(0, 25), st.integers(0, 61), st.integers(0, 61), st.integers(0, 999)),
)
ALMOST_RECORDS = st.builds(
    lambda time, *fields: b"\t".join((time.encode(), *fields)), TIMES, FIELDS, FIELDS, FIELDS, FIELDS
)


def parses(line: bytes) -> Record | None:
    try:
        return record.parse(line)
    except NotARecord:
        return None


@given(st.one_of(ALMOST_RECORDS, TIMES.map(lambda time: f"{time}\t-\thost\tnotice\tx".encode())))
@example(b"2025-02-29T10:00:00.000Z\t-\thost\tnotice\tx")
@example(b"0000-01-01T10:00:00.000Z\t-\thost\tnotice\tx")
def test_what_is_sent_as_history_is_a_record(line: bytes) -> None:
    if record.HISTORY_RECORD.fullmatch(line + b"\n"):
        found = record.parse(line)
        assert not found.direct
        datetime.fromisoformat(found.time)


@given(TIMES)
def test_only_existing_times_are_times(time: str) -> None:
    try:
        datetime.fromisoformat(time)
        there_is = True
    except ValueError:
        there_is = False
    assert (parses(f"{time}\t-\thost\tnotice\tx".encode()) is not None) == there_is


def test_every_day_of_eight_hundred_years_and_no_other() -> None:
    day = date(1999, 1, 1)
    there_are = set()
    while day.year < 2801:
        there_are.add(day.isoformat())
        day += timedelta(1)
    for year in range(1999, 2801):
        for month in (2, 4, 12):
            for number in (28, 29, 30, 31, 32):
                text = f"{year}-{month:02}-{number}"
                line = f"{text}T00:00:00.000Z\t-\thost\tnotice\t".encode()
                assert (parses(line) is not None) == (text in there_are)


@given(
    NAUGHTY,
    st.text("\u034f\u115f\u17b4\u180b\u2800\u3164\ufe0f\uffa0\U000e01ef", max_size=3),
    st.integers(0, 30),
)
@example("á", "\u034f", 1)
def test_invisible_characters_make_no_other_name(text: str, invisible: str, at: int) -> None:
    try:
        name = record.clean_name(text)
        apart = unicodedata.normalize("NFD", name)
        disguised = record.clean_name(apart[:at] + invisible + apart[at:])
    except BadName:
        return
    assert record.name_key(disguised) == record.name_key(name)


@given(NAUGHTY)
def test_a_name_is_a_valid_field(text: str) -> None:
    try:
        name = record.clean_name(text)
    except BadName:
        return
    assert record.clean_name(name) == name
    assert record.name_key(record.name_key(name)) == record.name_key(name)
    now = record.format_time(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    line = record.stamp(now, record.draft("-", name, "message", "x"))
    assert record.HISTORY_RECORD.fullmatch(line)
    assert record.parse(line).name == name
    for compatible in (name.casefold(), unicodedata.normalize("NFKC", name)):
        assert record.name_key(compatible) == record.name_key(name)


# ----------------------------------------------------------------------------------------------- the login


@contextlib.contextmanager
def logging_in(
    history_path: Path, there: socket.socket, here: socket.socket, until: float | None = None
) -> Iterator[None]:
    """The handler of a connection that has not sent a name. It must end with the with statement."""
    until = until or time.monotonic() + DEADLINE
    with idle(history_path) as room:
        connection = lines.LineConnection(here, "10.0.0.1", service_of(room), until)
        handler = threading.Thread(target=connection.run, daemon=True)
        handler.start()
        try:
            yield
            handler.join(10)
            assert not handler.is_alive()
        finally:
            here.close()
            there.close()


def test_the_login_times_out_however_much_arrives_at_once(history_path: Path) -> None:
    """A slow loris in a single packet: enough lines for two hours at the rate at which they are read."""
    here, there = socket.socketpair()
    there.sendall(b"/replay 1\n" * 6000)
    with logging_in(history_path, there, here, time.monotonic() + 0.2):
        pass


def test_a_slowly_dripping_login_times_out_as_well(
    monkeypatch: pytest.MonkeyPatch, history_path: Path
) -> None:
    """A slow loris that sends a byte when its time is nearly over: the time limit must not start again."""
    clock = [0.0]
    monkeypatch.setattr("chat.front.lines.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(lines, "HANG_UP_SECONDS", 0)
    here, there = socket.socketpair()
    with logging_in(history_path, there, here, until=3600):
        while here.gettimeout() is None:  # until it is waiting
            threading.Event().wait(0.001)
        clock[0] = 3599.9
        there.sendall(b"x")


class HalfFull(socket.socket):
    """A socket with room for half of what is sent."""

    def send(self, data: Any, flags: int = 0) -> int:
        return super().send(data[: len(data) // 2], flags)


def test_half_a_record_is_the_last_thing_that_a_login_sends(history_path: Path) -> None:
    """Continuing after it would merge two records into one line."""
    here, there = socket.socketpair()
    there.settimeout(DEADLINE)
    with logging_in(history_path, there, HalfFull(fileno=here.detach())):
        there.sendall(b"two words\n")
        received = b""
        while piece := there.recv(65536):
            received += piece
        assert received.count(b"\t/") == 1
        assert b"\n" not in received


# --------------------------------------------------------------------------------- what one client may cost


def test_a_stopped_reader_costs_nobody_anything_and_loses_nothing(server: Server) -> None:
    pass_by(server, 10)
    stopped, offset = stop_reading(server)
    figures = pass_by(server, 48)
    assert figures.after - figures.before < 16
    assert catch_up(stopped, server, offset)
    stopped.close()


@pytest.mark.parametrize("buffer", [0, 1], ids=["usual", "tiny"])
def test_a_reader_of_single_bytes_costs_nobody_anything_and_loses_nothing(
    buffer: int, server: Server
) -> None:
    """It reads a byte for each megabyte sent, with the usual receive buffer or the smallest possible."""
    alice = Client(server.port, "alice", "/replay 0")
    _say_a_megabyte(alice, 20)  # warm
    offset = server.history.stat().st_size
    slow = socket.socket()
    slow.settimeout(DEADLINE)
    if buffer:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    slow.connect(("127.0.0.1", server.port))
    slow.sendall(b"/replay 0\nslow\n")
    hello = slow.makefile("rb", buffering=0).readline()
    alice.until("join", name="slow")
    before = memory(server)
    read = bytearray()
    for _ in range(20):
        _say_a_megabyte(alice)  # alice gets her echoes while slow has hardly begun
        read += slow.recv(1)
    assert memory(server) - before < 4
    assert hello.endswith(b"on the host's computer.\n")
    everything = server.history.read_bytes()[offset:]
    while len(read) < len(everything):
        read += slow.recv(1024 * 1024)
    assert read == everything
    slow.close()
    alice.close()


def _say_a_megabyte(client: Client, times: int = 1) -> None:
    for _ in range(times):
        client.send(*LINES, "that was it")
        client.until("message", "that was it")
        client.records.clear()
        client.received.clear()


def test_silent_connections_cost_little_and_nobody_else_waits(server: Server) -> None:
    before = memory(server)
    connections = silent.connect(server, 300)
    assert memory(server) - before < 300 * 64 / 1024
    assert len(silent.echoes(server)) == silent.WORDS
    for connection in connections:
        connection.close()


def test_half_open_requests_cost_little_and_nobody_else_waits(server: Server) -> None:
    before = memory(server)
    connections = silent.connect(server, 300, silent.HALF_OPEN)
    assert memory(server) - before < 300 * 64 / 1024
    assert len(silent.echoes(server)) == silent.WORDS
    for connection in connections:
        with connection:
            assert b" 408 " in connection.recv(4096)


def test_a_line_of_a_hundred_megabytes_is_not_held_in_memory(server: Server) -> None:
    alice = Client(server.port, "alice")
    before = memory(server)
    for _ in range(100):
        alice.socket.sendall(b"x" * 1_000_000)
    alice.send("", "hello")
    assert alice.next().kind == "/error"
    assert alice.next().text == "hello"
    assert memory(server) - before < 4
    alice.close()


def test_a_sender_that_does_not_read_fills_only_its_own_buffers(server: Server) -> None:
    stopped, alice = Client(server.port, "stopped"), Client(server.port, "alice", "/replay 0")
    before = memory(server)
    stopped.socket.settimeout(1)
    with contextlib.suppress(TimeoutError):  # /help answers more than it asks: soon it has to wait
        stopped.socket.sendall(b"/help\n" * 4_000_000)
    alice.ask("/users", "/users")
    assert memory(server) - before < 16
    reset(stopped)
    alice.until("leave", "connection lost", name="stopped")
    alice.close()


def test_a_flood_on_a_full_disk_is_bounded(faulty: FaultyServer) -> None:
    stopped = Client(faulty.port, "stopped")
    before = memory(faulty)
    faulty.fail("write")
    stopped.socket.settimeout(2)
    with contextlib.suppress(TimeoutError):
        stopped.socket.sendall(b"x\n" * 20_000_000)
    alice = Client(faulty.port)
    assert alice.ask("alice", "/error").text.startswith("Not stored")
    told = alice.records[-1].encode()
    said = record.draft("127.0.0.1", "stopped", "message", "x")
    lines = PENDING_BYTES // len(said) + MANY_BYTES // len("x\n")
    most = 2 * lines * len(told)  # for lines being refused, and lines that arrived meanwhile
    assert memory(faulty) - before < 3 * most / MIB  # drafts become records in copies
    alice.close()
    stopped.close()


# ---------------------------------------------------------------------- privacy and safety from outside


def test_a_private_message_is_in_no_file_and_no_log(tmp_path: Path) -> None:
    with serving(tmp_path / "history.txt", "--log-level", "debug") as server:
        alice, bob = Client(server.port, "alice"), Client(server.port, "bob", "/session")
        alice.send(
            "/msg bob the secret word", "/msg nobody the secret word", "/password the secret word", "hi"
        )
        assert bob.until("/msg").text == "the secret word"
        alice.until("message", "hi")
        alice.close()
        bob.close()
        server.stop()
        for file in tmp_path.iterdir():
            assert b"secret" not in file.read_bytes()
        assert "secret" not in server.errors()


NASTY = "\x1b[31m\x1b]0;title\x07 \x9b2J \u202e evil \x7f\x00"


def test_the_server_emits_no_terminal_escapes(server: Server) -> None:
    alice, bob = Client(server.port, "alice"), Client(server.port, "bob")
    alice.send(
        NASTY,
        f"/me {NASTY}",
        f"/away {NASTY}",
        f"/{NASTY}",
        f"/msg bob {NASTY}",
        f"/search {NASTY}",
        "/users",
    )
    alice.send(f"/help {NASTY}", f"/nick {NASTY}", "end")
    alice.until("message", "end")
    bob.until("message", "end")
    stranger = Client(server.port)
    stranger.send(NASTY, f"/{NASTY}", f"/session {NASTY}", "exit")
    stranger.rest()
    everything = bytes(alice.received + bob.received + stranger.received) + server.history.read_bytes()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", everything.decode())
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", server.errors())
    for each in (alice, bob, stranger):
        each.close()


@pytest.mark.parametrize(
    "name", ["ALICE", "Ａｌｉｃｅ", "al\u034fice", "server", "SERVER", "ſerver", "Host", "ｅveryone"]
)
def test_lookalike_names_are_refused(name: str, server: Server) -> None:
    alice, mallory = Client(server.port, "alice"), Client(server.port)
    assert "taken" in mallory.ask(name, "/error").text
    mallory.send("mallory")
    mallory.until("join", name="mallory")
    assert "taken" in mallory.ask(f"/nick {name}", "/error").text
    alice.close()
    mallory.close()


def test_a_reply_goes_to_the_sender_not_to_the_current_holder_of_the_name(server: Server) -> None:
    alice, bob = Client(server.port, "alice"), Client(server.port, "bob")
    alice.send("/msg bob are you there?", "/nick alicia", "exit")
    bob.until("leave", name="alicia")
    impostors = Client(server.port, "alice"), Client(server.port, "alicia")
    assert "alicia has left" in bob.ask("/reply the secret word", "/error").text
    bob.send("end")
    for impostor in impostors:
        impostor.until("message", "end")
        assert not [found for found in impostor.records if found.kind == "/msg"]
    for each in (alice, bob, *impostors):
        each.close()


def test_a_reply_follows_a_rename(server: Server) -> None:
    alice, bob = Client(server.port, "alice"), Client(server.port, "bob")
    alice.send("/msg bob are you there?", "/nick alicia")
    bob.until("rename")
    bob.send("/reply yes")
    assert alice.until("/msg", "yes").name == "bob"
    alice.close()
    bob.close()
