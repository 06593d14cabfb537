"""A member that a browser speaks for: its stream breaks, comes back, is taken over, and nothing is lost."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chat import record
from chat.front import events, streams
from chat.front.events import Place, parse_place
from chat.front.stream import LIFE_SECONDS, Stream
from chat.front.streams import STREAMS_PER_BROWSER
from TCP_server import ChatServer
from tests.harness import DEADLINE, Client, Server, serving, texts
from tests.rooms import opened, service_of
from tests.web import EventStream, MakePage, Page, ask

Join = Callable[..., Client]


def names(records: list[record.Record], kind: str) -> list[str]:
    return [found.name for found in records if found.kind == kind]


def test_the_first_event_says_how_many_lines_were_taken(page: MakePage) -> None:
    bob = page("bob")
    bob.post("one", "two")
    stream = bob.listen()
    assert stream.answer.headers["content-type"] == "text/event-stream"
    first = stream.next()
    assert (first.kind, first.data) == ("session", '{"number": 2}')


def test_the_id_is_the_place_in_the_history(server: Server, page: MakePage) -> None:
    bob = page("bob")
    bob.post("one")
    bob.until("one")
    place = parse_place(bob.place)
    assert place
    assert place.offset == server.history.stat().st_size
    assert place.time == server.records()[-1].time


def test_a_stream_that_breaks_goes_on_where_it_was(page: MakePage, join: Join) -> None:
    """R54"""
    alice, bob = join("alice"), page("bob")
    bob.until("")
    said = 0
    for _ in range(10):
        alice.send(*(str(said + n) for n in range(7)))
        said += 7
        bob.until(str(said - 4))  # the rest may be lost on the way
        bob.listen()
    alice.send("end")
    bob.until("end")
    assert texts(bob.records) == [*(str(n) for n in range(said)), "end"]
    alice.send("/users")
    alice.until("/users")
    assert names(alice.records, "join") == ["alice", "bob"]  # nobody was told of it
    assert not names(alice.records, "leave")


def test_what_was_said_between_two_streams_comes(page: MakePage, join: Join) -> None:
    alice, bob = join("alice"), page("bob")
    bob.until("")
    assert bob.stream
    bob.stream.close()
    bob.stream = None
    alice.send("while you were away", "/msg bob psst")
    alice.until("/msg")
    bob.until("psst")
    assert texts(bob.records) == ["while you were away"]


def test_a_private_message_that_was_lost_on_the_way_comes_again(page: MakePage, join: Join) -> None:
    alice, bob = join("alice"), page("bob")
    bob.until("")
    before = bob.place
    alice.send("/msg bob psst")
    bob.until("psst")
    bob.place = before  # as if the connection had been lost with it
    bob.listen()
    again = bob.until("psst")
    assert [found.kind for found in again if found.kind in ("/msg", "join")] == ["/msg"]


def test_an_older_place_gets_everything_since(page: MakePage, join: Join) -> None:
    """A tab that was thrown away knows only where it once was."""
    alice, bob = join("alice"), page("bob")
    bob.until("")
    before = bob.place
    alice.send("one", "two", "three")
    bob.until("three")
    bob.place = before
    bob.listen()
    assert texts(bob.until("three")) == ["one", "two", "three"]


def test_the_browsers_own_reconnecting_is_the_resume(page: MakePage, join: Join) -> None:
    """It sends the last id in a header, and the address that the page once gave it."""
    alice, bob = join("alice"), page("bob")
    bob.until("")
    first = bob.place
    alice.send("one")
    bob.until("one")
    second = bob.place
    alice.send("two")
    alice.until("message", "two")
    stream = EventStream(bob.port, bob.session, first, Last_Event_ID=second)
    stream.next()
    assert stream.next().data.endswith("\ttwo")
    stream.close()


def test_what_was_missed_is_whole_while_others_speak(page: MakePage, join: Join) -> None:
    alice, bob = join("alice"), page("bob")
    bob.until("")
    many = 3000

    def speak() -> None:
        for number in range(many):
            alice.send(str(number))
            alice.until("message", str(number))

    speaking = threading.Thread(target=speak)
    speaking.start()
    last = -1
    while last < many - 1:
        before, expected = bob.place, last + 1
        for _ in range(2):  # the first time, all that comes after the place was sent already
            bob.place = before
            stream = bob.listen()
            while (event := stream.next()).kind != "message":
                pass
            bob.place = event.id
            said = [int(line.rpartition("\t")[2]) for line in event.data.split("\n")]
            assert said == list(range(expected, said[-1] + 1))
        last = said[-1]
    speaking.join(DEADLINE)


@pytest.mark.parametrize("place", ["999999999 2026-11-21T10:15:42.123Z 0", "5 2026-11-21T10:15:42.123Z 0"])
def test_a_place_that_is_none_is_a_new_beginning(server: Server, page: MakePage, place: str) -> None:
    bob = page("bob")
    bob.until("")
    stream = EventStream(server.port, bob.session, place)
    assert stream.answer.status == 404
    stream.close()
    again = Page(server.port, "bob", session=f"{bob.session} {bob.place.rpartition(' ')[0]}")
    assert again.joined["resumed"]
    again.close()


def test_the_history_was_cleared_while_the_stream_was_away(page: MakePage, join: Join) -> None:
    alice, bob = join("alice"), page("bob")
    alice.send("before")
    bob.until("before")
    assert bob.stream
    bob.stream.close()
    alice.send("clear", "after")
    alice.until("message", "after")
    bob.until("after") if bob.listen().answer.status == 200 else None
    assert texts(bob.records)[-1] in ("before", "after")  # it goes on, or joins anew: never in between


def test_another_connection_takes_over_and_the_first_is_told(page: MakePage) -> None:
    bob = page("bob")
    bob.until("")
    first = bob.stream
    assert first
    bob.stream = None
    bob.listen()
    assert first.next().kind == "elsewhere"
    with pytest.raises(EOFError):
        first.next()
    first.close()
    bob.post("still here")
    bob.until("still here")


def test_many_at_once_for_one_session_leave_one(page: MakePage, join: Join) -> None:
    alice, bob = join("alice"), page("bob")
    bob.until("")
    answered: list[int] = []
    opened: list[EventStream] = []

    def take_over() -> None:
        with contextlib.suppress(EOFError):  # another one took over before this one was answered
            stream = EventStream(bob.port, bob.session, bob.place)
            answered.append(stream.answer.status)
            opened.append(stream)

    threads = [threading.Thread(target=take_over) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert 200 in answered
    bob.listen()
    alice.send("hello")
    bob.until("hello")
    assert texts(bob.records) == ["hello"]
    for stream in opened:
        stream.close()


def test_who_does_not_come_back_leaves(history_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(history_path) as server:
        alice, bob = Client(server.port, "alice"), Page(server.port, "bob")
        bob.until("")
        began = time.monotonic()
        bob.close()
        left = alice.until("leave")
        assert (left.name, left.text) == ("bob", "connection closed")
        assert streams.GRACE_SECONDS * 0.9 < time.monotonic() - began < streams.GRACE_SECONDS + 5
        assert bob.post("hello").status == 404
        assert ask(server.port, "GET", f"/events?session={bob.session}").status == 404
        alice.close()


def test_who_joins_and_is_never_answered_leaves(history_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(self: Stream) -> None:
        raise TimeoutError

    monkeypatch.setattr(streams, "GRACE_SECONDS", 0.1)
    with opened(history_path) as room, ChatServer(("127.0.0.1", 0), service_of(room)) as server:
        server.routes.streams.start()
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        port = server.server_address[1]
        alice = Client(port, "alice")
        with monkeypatch.context() as changed:
            changed.setattr(Stream, "read_session", late)
            with pytest.raises(EOFError):
                Page(port, "bob")
            assert alice.until("leave").name == "bob"
        alice.close()
        server.shutdown()
        server.routes.streams.stop()


def test_who_joins_and_never_listens_leaves(history_path: Path) -> None:
    """R55"""
    with serving(history_path) as server:
        alice, bob = Client(server.port, "alice"), Page(server.port, "bob")
        assert alice.until("leave").name == bob.name
        alice.close()


def test_a_session_that_joins_anew_takes_the_earlier_one_over(server: Server, page: MakePage) -> None:
    bob = page("bob")
    bob.post("one")
    bob.until("one")
    again = Page(server.port, "bob", session=f"{bob.session} {bob.place.rpartition(' ')[0]}")
    assert again.session == bob.session
    assert again.joined["resumed"]
    again.post("two")
    again.until("two")
    assert texts(again.records) == ["two"]
    again.close()


def test_a_killed_server_costs_nothing(history_path: Path) -> None:
    with serving(history_path) as server:
        alice, bob = Client(server.port, "alice"), Page(server.port, "bob")
        bob.post("one")
        bob.until("one")
        alice.send("two")
        alice.until("message", "two")
        server.kill()
        bob.close()
        alice.close()
    with serving(history_path) as server:
        assert ask(server.port, "GET", f"/events?session={bob.session}").status == 404
        again = Page(server.port, "bob", session=f"{bob.session} {bob.place.rpartition(' ')[0]}")
        assert again.joined["resumed"]
        again.post("three")
        again.until("three")
        assert texts(again.records) == ["two", "three"]
        again.close()


def test_a_browser_holds_so_many_streams_and_polls_for_the_rest(page: MakePage, join: Join) -> None:
    """R56: it has six connections to a host; the eighth tab's people talk all the same."""
    alice = join("alice")
    tabs = [page(f"tab{n}", browser="one") for n in range(STREAMS_PER_BROWSER + 2)]
    for tab in tabs:
        tab.listen()
    for tab in tabs[:-2]:
        tab.until("")
    polling = tabs[-1]
    polling.until("")
    assert polling.stream
    while (event := polling.stream.next()).kind != "pause":
        pass
    with pytest.raises(EOFError):
        polling.stream.next()
    alice.send("to all")
    alice.until("message", "to all")
    for tab in tabs:
        if tab in tabs[-2:]:
            tab.listen()
        tab.until("to all")
        tab.post(f"from {tab.name}")
    for tab in tabs:
        alice.until("message", f"from {tab.name}")
    assert not names(alice.records, "leave")
    other = page("other", browser="two")  # another browser has its own
    other.until("")
    other.post("more")
    other.until("more")
    assert "pause" not in other.kinds
    assert event.kind == "pause"


def test_a_tab_that_is_closed_makes_room_for_one_that_polls(page: MakePage) -> None:
    tabs = [page(f"tab{n}", browser="one") for n in range(STREAMS_PER_BROWSER + 1)]
    for tab in tabs:
        tab.until("")
    tabs[0].close()
    tabs[0].stream = None
    for tries in range(1000):
        tabs[-1].listen()
        tabs[-1].post(str(tries))
        with contextlib.suppress(EOFError):  # it was still to poll
            tabs[-1].until(str(tries))
            break
    else:
        raise AssertionError("the connection was not given back")


def test_a_silent_stream_gives_a_sign_of_life(history_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(history_path) as server:
        bob = Page(server.port, "bob")
        bob.until("")
        assert bob.stream
        began = time.monotonic()
        assert bob.stream.next().kind == "life"
        assert time.monotonic() - began < LIFE_SECONDS + 2
        bob.close()


def test_a_stream_that_nobody_reads_holds_up_nobody(server: Server, page: MakePage, join: Join) -> None:
    alice, bob = join("alice"), page("bob")
    bob.until("")
    for _ in range(60):
        alice.send(*["x" * 4000] * 50)
    alice.send("end")
    alice.until("message", "end")
    carol = page("carol")
    carol.post("hello")
    carol.until("hello")
    assert texts(bob.until("end")).index("end") == 3000


def test_an_orderly_stop_tells_the_pages(history_path: Path) -> None:
    with serving(history_path) as server:
        bob = Page(server.port, "bob")
        bob.until("")
        server.process.terminate()
        assert bob.stream
        told = []
        try:
            while True:
                told.append(bob.stream.next().data)
        except EOFError:
            pass
        assert "The server is stopping" in told[0]
        assert server.wait() == 0
        bob.close()


def test_a_place_before_the_first_record_is_the_start() -> None:
    found = events.Events(events.Frames())
    found.take(record.stamp("2026-11-21T10:15:42.123Z", record.draft("-", "server", "/session", "T 7 7")))
    assert found.place == Place(7, "", 1)
