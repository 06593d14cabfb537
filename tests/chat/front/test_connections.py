"""How many connections there may be, and how one too many is turned away."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from chat.front.connections import address_of
from tests import web
from tests.harness import Client, Server, serving


def test_addresses_as_records_have_them() -> None:
    assert address_of(("::ffff:10.0.0.1", 5, 0, 0)) == "10.0.0.1"
    assert address_of(("fe80::1%eth0", 5, 0, 2)) == "fe80::1"
    assert address_of(("10.0.0.1", 5)) == "10.0.0.1"


def test_the_room_can_be_full(history_path: Path) -> None:  # R35
    with serving(history_path, "--max-clients", "2") as server:
        alice, bob = Client(server.port, "alice"), Client(server.port, "bob")
        late = Client(server.port)
        late.send("carol")  # which nobody reads: the sentence has to get through all the same
        assert [said.kind for said in late.rest()] == ["/error"]
        assert "full" in late.records[0].text
        bob.send("exit")
        bob.rest()
        bob.close()
        alice.until("leave")
        _admitted_in_the_end(server, "carol").close()
        late.close()
        alice.close()


def _admitted_in_the_end(server: Server, name: str) -> Client:
    """A client, as soon as there is room: a handler counts itself out a moment after its client has left."""
    while True:
        client = Client(server.port)
        client.send(name)
        if client.next().kind == "/hello":
            return client
        client.close()


@pytest.mark.parametrize("first", ["", "in pieces"])
def test_a_browser_that_is_refused_gets_an_answer(history_path: Path, first: str) -> None:
    """R59"""
    with serving(history_path, "--max-clients", "1") as server:
        alice = Client(server.port, "alice")
        with web.connect(server.port) as connection:
            for piece in (b"GET / HT", b"TP/1.1\r\n") if first else ():
                connection.sendall(piece)
            connection.sendall(web.request_bytes("GET", "/")[16 if first else 0 :])
            answer = web.read_answer(connection)
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) > 0
        assert answer.headers["connection"] == "close"
        assert "full" in answer.json["error"]
        alice.close()


def test_a_browser_from_a_banned_address_gets_an_answer(history_path: Path) -> None:
    """R59"""
    history_path.with_name("bans.txt").write_text("127.0.0.1\n")
    with serving(history_path) as server:
        answer = web.ask(server.port, "POST", "/say/robot", b"hello")
        assert answer.status == 403
        assert "banned" in answer.json["error"]


def test_connections_from_one_address_are_limited(history_path: Path) -> None:  # R35
    with serving(history_path, "--max-per-address", "2") as server:
        clients = [Client(server.port, "alice"), Client(server.port, "bob"), Client(server.port)]
        assert "127.0.0.1 has 2 connections" in clients[2].rest()[0].text
        clients.append(Client(server.port, "carol", source="127.0.0.2"))
        for client in clients:
            client.close()


def test_refused_clients_cost_nobody_anything(history_path: Path) -> None:
    with serving(history_path, "--max-clients", "1") as server:
        alice = Client(server.port, "alice")
        refused = [Client(server.port) for _ in range(300)]
        assert all(client.rest()[0].kind == "/error" for client in refused)
        alice.send("still here")
        alice.until("message")
        for client in [alice, *refused]:
            client.close()


def test_out_of_files_the_newcomer_is_refused_and_the_others_chat_on(history_path: Path) -> None:
    few = 40
    server = Server(history_path, preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (few, few)))
    clients = []
    while True:
        clients.append(Client(server.port))
        if clients[-1].next().kind == "/error":
            break
        clients[-1].send(f"member{len(clients)}")
        clients[-1].until("join", name=f"member{len(clients)}")
    assert "another connection" in clients[-1].records[0].text
    assert len(clients) > few // 2
    before = _cpu_seconds(server)
    waiting = [Client(server.port) for _ in range(3)]
    clients[0].send("still here")
    clients[1].until("message", "still here")
    assert _cpu_seconds(server) - before < 0.5
    for client in [*clients, *waiting]:
        client.close()
    assert server.stop() == 0
    server.close()


def _cpu_seconds(server: Server) -> float:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
