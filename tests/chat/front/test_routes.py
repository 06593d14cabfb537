"""What may be asked for over HTTP, and by whom: real requests to a real server."""

from __future__ import annotations

import contextlib
import gzip
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import web
from tests.harness import ROOT, Client, Server, serving, texts
from tests.web import MakePage, Page, ask

Join = Callable[..., Client]


# ----------------------------------------------------------------------------------------- documents (R51)


def test_a_browser_gets_the_page(server: Server) -> None:
    answer = ask(server.port, "GET", "/")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert b"<!doctype html>" in answer.body
    assert ask(server.port, "HEAD", "/").headers["content-length"] == str(len(answer.body))


def test_the_page_comes_compressed_and_only_when_it_has_changed(server: Server) -> None:
    plain = ask(server.port, "GET", "/")
    zipped = ask(server.port, "GET", "/", Accept_Encoding="deflate, gzip;q=1.0, br")
    assert gzip.decompress(zipped.body) == plain.body
    assert zipped.headers["vary"] == "Accept-Encoding"
    for known in (plain.headers["etag"], f'"other", {plain.headers["etag"]}', "*"):
        answer = ask(server.port, "GET", "/", If_None_Match=known)
        assert (answer.status, answer.body) == (304, b"")
    assert ask(server.port, "GET", "/", If_None_Match='"other"').status == 200


def test_the_client_is_handed_out(server: Server) -> None:
    answer = ask(server.port, "GET", "/TCP_client.py")
    assert answer.body == (ROOT / "TCP_client.py").read_bytes()


@pytest.mark.parametrize("path", ["/history.txt", "/bans.txt", "/../TCP_server.py", "//TCP_client.py/", "/x"])
def test_there_is_nothing_else(server: Server, path: str) -> None:
    assert ask(server.port, "GET", path).status == 404


def test_a_method_that_does_not_fit_is_told_which_does(server: Server) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = ask(server.port, method, "/")
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert ask(server.port, "GET", "/join").headers["allow"] == "POST"


# --------------------------------------------------------------------------------------------- other pages


def test_what_a_page_from_elsewhere_can_send_says_and_clears_nothing(server: Server, join: Join) -> None:
    """A form, an image, fetch in no-cors mode, a beacon: none may choose a header of ours."""
    alice = join("alice")
    lines = b"mallory\nbad news\nclear\n"
    body = {"name": "mallory", "number": 0, "lines": ["bad news", "clear"]}
    elsewhere = {"Origin": "http://evil.example", "Content_Type": "text/plain"}
    for path in ("/", "/join", "/lines", "/say/robot", "/events", "/x"):
        for sent in (lines, body):
            for headers in (elsewhere, {"Origin": "null"}, {}, {"Sec_Fetch_Site": "cross-site"}):
                assert ask(server.port, "POST", path, sent, **headers).status in (401, 403, 404, 405)
    alice.send("still here")
    alice.until("message", "still here")
    assert {found.name for found in alice.records if found.name != "server"} == {"alice"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_only_our_own_page_may_ask(server: Server, page: MakePage, headers: dict[str, str]) -> None:
    """R52: even one that has got hold of a secret."""
    alice = page("alice")
    own = {"Chat_Session": alice.session}
    for method, path in (("POST", "/join"), ("POST", "/lines"), ("GET", "/people")):
        assert ask(server.port, method, path, {"name": "x"}, **own, **headers).status == 403
    assert ask(server.port, "GET", f"/events?session={alice.session}", **headers).status == 403
    own_origin = {"Origin": "http://127.0.0.1", "Sec_Fetch_Site": "same-origin"}
    assert ask(server.port, "GET", "/people", **own, **own_origin).status == 200


def test_a_preflight_is_answered_with_a_refusal(server: Server) -> None:
    answer = ask(
        server.port,
        "OPTIONS",
        "/lines",
        Origin="http://evil.example",
        Access_Control_Request_Headers="chat-session",
    )
    assert answer.status in (403, 405)
    assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:9999",
        "[::1]:9999",
        "[fe80::1]",
        "localhost:9999",
        "LOCALHOST",
        socket.gethostname(),
    ],
)
def test_the_host_goes_by_its_addresses_and_names(server: Server, host: str) -> None:
    assert ask(server.port, "GET", "/", Host=host).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9999", "127.0.0.1.evil.example", "", "localhost.evil.example", "@"]
)
def test_a_name_that_somebody_else_points_here_is_refused(server: Server, host: str) -> None:
    """DNS rebinding: a page of theirs would be of the same origin."""
    assert ask(server.port, "GET", "/", Host=host).status == 421


def test_a_websocket_is_not_opened(server: Server) -> None:
    for path in ("/", "/events"):
        answer = ask(server.port, "GET", path, Connection="Upgrade", Upgrade="websocket")
        assert answer.status in (200, 404)  # the page, or nothing: never 101


# ------------------------------------------------------------------------------------------ any other bytes


def test_in_no_split_a_request_is_a_name_or_a_line(history_path: Path) -> None:
    """Also where the request comes so late that it was greeted."""
    request = (
        b"POST / HTTP/1.1\r\nHost: evil.example\r\nContent-Type: text/plain\r\nContent-Length: 22\r\n\r\n"
        b"mallory\nhello\nclear\n\r\n"
    )
    with serving(history_path, "--rate", "0", "--max-per-address", "0") as server:
        connections = []
        for cut in range(1, len(request)):
            connection = web.connect(server.port)
            connection.sendall(request[:cut])
            connections.append(connection)
        watcher = Client(server.port, "watcher")  # what was to be greeted is
        for cut, connection in enumerate(connections, 1):
            connection.sendall(request[cut:])
            connection.shutdown(socket.SHUT_WR)
        for connection in connections:
            with contextlib.suppress(OSError):  # closed with something unread
                while connection.recv(4096):
                    pass
            connection.close()
        watcher.send("end")
        watcher.until("message", "end")
        assert {found.name for found in server.records()} == {"server", "watcher"}
        watcher.close()


def test_a_long_request_line_is_not_skipped_as_a_line(server: Server, join: Join) -> None:
    alice = join("alice")
    with web.connect(server.port) as connection:
        connection.sendall(b"P")
        assert b"/hello" in connection.recv(4096)
        connection.sendall(b"OST /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\nmallory\nclear\n")
        while connection.recv(4096):
            pass
    alice.send("end")
    alice.until("message", "end")
    assert not [found for found in alice.records if found.name == "mallory"]


@pytest.mark.parametrize(
    ("first", "why"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"no TLS"),
        (b"\x00\x03\x00\x20\x21\x12\xa4\x42", b""),
    ],
)
def test_what_is_no_chat_is_closed(server: Server, first: bytes, why: bytes) -> None:
    with web.connect(server.port) as connection:
        connection.sendall(first)
        received = b""
        while piece := connection.recv(4096):
            received += piece
    assert why in received
    assert b"/hello" not in received


# --------------------------------------------------------------------------------------------- the chat


def test_a_page_a_terminal_and_another_page_talk(page: MakePage, join: Join) -> None:
    alice, bob = join("alice"), page("bob")
    bob.until("")
    carol = page("carol")
    alice.send("hello from a terminal")
    alice.until("message", "hello from a terminal")
    assert bob.post("hello from a page", "/me waves").status == 200
    for each in (bob, carol):
        each.until("waves")
        assert texts(each.records) == ["hello from a terminal", "hello from a page"]
    alice.until("action", "waves")
    assert [found.name for found in alice.records if found.kind == "join"] == ["alice", "bob", "carol"]


def test_who_joins_learns_what_it_needs(page: MakePage, join: Join) -> None:
    """R53"""
    join("alice")
    bob = page("bob")
    joined = bob.joined
    assert (joined["name"], joined["address"], joined["resumed"]) == ("bob", "127.0.0.1", False)
    assert joined["start"] == 0
    assert ["nick", "/nick NAME", "take another name"] in joined["commands"]
    assert "kick" not in [name for name, _, _ in joined["commands"]]


@pytest.mark.parametrize(
    ("name", "status", "why"),
    [
        ("", 400, "at least one visible character"),
        ("two words", 400, "space"),
        ("Alice", 403, "taken"),
        ("server", 403, "taken"),
        (None, 403, "taken"),
        ({"a": 1}, 400, "space"),
    ],
)
def test_a_name_that_can_not_be_taken_is_refused_with_a_sentence(
    server: Server, join: Join, name: object, status: int, why: str
) -> None:
    join("alice")
    join("None")
    answer = ask(server.port, "POST", "/join", {"name": name}, Chat_Session="new")
    assert answer.status == status
    assert why in answer.json["error"]


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b"[" * 100_000, b'{"name": "\xff"}'])
def test_a_body_that_is_no_object_is_refused(server: Server, body: bytes) -> None:
    assert ask(server.port, "POST", "/join", body, Chat_Session="new").status == 400


def test_a_password_is_asked_for(history_path: Path, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("sesame\n")
    password.chmod(0o600)
    with serving(history_path, "--password-file", str(password)) as server:
        assert b'"password": true' in ask(server.port, "GET", "/").body
        for tried, status in (("", 403), ("wrong", 403), ("sesame", 200)):
            answer = ask(server.port, "POST", "/join", {"name": "bob", "password": tried}, Chat_Session="new")
            assert answer.status == status, answer.body
        assert ask(server.port, "GET", "/people", Chat_Session="new").status == 404


def test_what_is_asked_for_needs_a_session(server: Server, page: MakePage) -> None:
    for method, path in (("POST", "/lines"), ("GET", "/history?before=1&records=1"), ("GET", "/people")):
        assert ask(server.port, method, path, {"number": 0, "lines": []}).status == 403
        headers = {"Chat_Session": "guessed"}
        assert ask(server.port, method, path, {"number": 0, "lines": []}, **headers).status == 404
    assert ask(server.port, "GET", "/events?session=guessed").status == 404


def test_a_line_that_is_sent_again_is_not_said_again(page: MakePage, join: Join) -> None:
    """R57"""
    alice, bob = join("alice"), page("bob")
    bob.post("one", "two")
    assert bob.post("one", "two", number=0).json == {"number": 2}
    assert bob.post("two", "three", number=1).json == {"number": 3}
    assert bob.post("five", number=4).status == 409
    bob.post("four")
    alice.until("message", "four")
    assert texts(alice.records) == ["one", "two", "three", "four"]


@pytest.mark.parametrize(
    "body",
    [{}, {"number": "0", "lines": []}, {"number": 0, "lines": "x"}, {"number": 0, "lines": ["x"] * 51}],
)
def test_lines_that_are_none_are_refused(server: Server, page: MakePage, body: object) -> None:
    assert ask(server.port, "POST", "/lines", body, Chat_Session=page("bob").session).status == 400


def test_commands_are_answered_on_the_stream(page: MakePage) -> None:
    bob = page("bob")
    bob.post("/nick robert", "/nope", "/users", "x" * 5000, "", "//slash", "/say clear", "bye")
    bob.until("bye")
    kinds = [(found.kind, found.text) for found in bob.records]
    assert ("rename", "robert") in kinds
    assert texts(bob.records) == ["/slash", "clear", "bye"]
    errors = texts(bob.records, "/error")
    assert "no command /nope" in errors[0]
    assert "4096 bytes" in errors[1]
    assert any(text.startswith("robert 127.0.0.1 since") for text in texts(bob.records, "/users"))


def test_who_leaves_is_told_and_gone(server: Server, page: MakePage, join: Join) -> None:
    alice, bob = join("alice"), page("bob")
    stream = bob.listen()
    bob.until("")
    bob.post("/exit")
    bob.until("exit")
    with pytest.raises(EOFError):
        stream.next()
    assert alice.until("leave").name == "bob"
    assert bob.post("more").status == 404


def test_who_is_kicked_is_told(history_path: Path, tmp_path: Path) -> None:
    password = tmp_path / "admin"
    password.write_text("sesame\n")
    password.chmod(0o600)
    with serving(history_path, "--admin-password-file", str(password)) as server:
        alice, bob = Client(server.port, "alice"), Page(server.port, "bob")
        bob.listen()
        alice.send("/admin sesame", "/kick bob noise")
        assert bob.until("kicked by alice: noise")[-1].kind == "leave"
        assert bob.stream
        with pytest.raises(EOFError):
            bob.stream.next()
        bob.close()
        alice.close()


def test_older_records_come_with_where_they_begin(server: Server, page: MakePage, join: Join) -> None:
    """R58"""
    alice = join("alice")
    alice.send(*(f"number {n}" for n in range(200)))
    alice.until("message", "number 199")
    bob = page("bob", replay=10)
    before: int = bob.joined["start"]
    found: list[tuple[int, str]] = []
    while before:
        path = f"/history?before={before}&records=50"
        records = ask(server.port, "GET", path, Chat_Session=bob.session).json["records"]
        assert 0 < len(records) <= 50
        found = records + found
        before = records[0][0]
    whole = server.history.read_bytes()
    assert all(whole[start:].startswith(line.encode() + b"\n") for start, line in found)
    assert "number 0" in found[2][1]
    assert len(found) == 200 + 2 - 10 + 0


@pytest.mark.parametrize(
    "query", ["", "before=1", "before=x&records=1", "before=-1&records=1", "before=1&records=²"]
)
def test_a_question_that_is_none_is_refused(server: Server, page: MakePage, query: str) -> None:
    assert ask(server.port, "GET", f"/history?{query}", Chat_Session=page("bob").session).status == 400


def test_who_is_here_is_known_with_away(server: Server, page: MakePage, join: Join) -> None:
    alice = join("alice")
    alice.ask("/away at lunch", "/away")
    people = ask(server.port, "GET", "/people", Chat_Session=page("bob").session).json["people"]
    assert [(person["name"], person["away"]) for person in people] == [("alice", "at lunch"), ("bob", None)]
