"""Several servers that are one chat: real processes, a real engine."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

from chat import record
from tests.clusters import Cluster, cluster
from tests.harness import DEADLINE, ROOT, Client, texts
from tests.system.test_server import run


def test_two_servers_are_one_chat(chat: Cluster) -> None:
    a, b = chat.start("a"), chat.start("b")
    alice, bob = chat.join(a, "alice"), chat.join(b, "bob")
    alice.send("hello")
    assert bob.until("message").text == "hello"
    bob.send("hi", "there")
    alice.until("message", "there")
    assert texts(alice.history()) == ["hello", "hi", "there"]
    bob.send("clear")
    assert alice.until("clear").name == "bob"
    chat.until_equal(a, b)
    alice.close()
    bob.until("leave", "connection closed", "alice")
    assert a.stop() == b.stop() == 0


def test_of_two_servers_members_only_one_gets_the_name(chat: Cluster) -> None:
    a, b = chat.start("a"), chat.start("b")
    clients = [chat.join(server, None) for server in (a, b) for _ in range(5)]
    for client in clients:
        client.send("alice")
    got = []
    for client in clients:
        while (found := client.next()).kind not in ("join", "/error") or found.name == "bob":
            pass
        got.append(found.kind if found.kind == "/error" else found.name)
    refused = sum(1 for kind in got if kind == "/error")
    assert refused == len(clients) - 1
    assert chat.until_equal(a, b).count(b"\tjoin\t") == 1


def test_a_session_resumes_at_another_server(chat: Cluster) -> None:
    """R46"""
    a, b = chat.start("a"), chat.start("b")
    alice, bob = chat.resuming(a, "alice"), chat.join(b, "bob")
    for number in range(5):
        alice.client.send(f"{number}")
        bob.until("message", f"{number}")
        bob.send(f"answer {number}")
        alice.move(b if number % 2 == 0 else a)
    bob.send("last")
    alice.client.until("message", "last")
    whole = chat.until_equal(a, b)
    assert whole.endswith(alice.history())
    assert whole.count(b"alice\tleave\treconnecting") == 5


def test_clients_are_told_the_servers(chat: Cluster) -> None:
    """R45"""
    a = chat.start("a")
    alice = chat.join(a, "alice", "/session")
    assert servers(alice) == [a.port]
    b = chat.start("b")
    alice.until("/servers")
    assert servers(alice) == [a.port, b.port]
    bob = chat.join(b, "bob", "/session")
    assert servers(bob) == [b.port, a.port]
    b.stop()
    alice.until("/servers")
    assert servers(alice) == [a.port]
    assert [found.name for found in alice.records if found.kind == "leave"] == ["bob"]


def servers(client: Client) -> list[int]:
    """The ports of the servers that the client was told of last."""
    told = [found.text for found in client.records if found.kind == "/servers"][-1]
    return [int(each.rpartition(":")[2]) for each in told.split()]


def test_a_dead_server_is_detected_and_its_members_leave(chat: Cluster) -> None:
    a, b = chat.start("a"), chat.start("b")
    alice, bob = chat.join(a, "alice"), chat.join(b, "bob")
    alice.send("hello")
    bob.until("message", "hello")
    a.kill()
    bob.until("leave", "connection lost", "alice")
    again = chat.start("a")
    bob.until("notice", f"The server 127.0.0.1:{a.port} has joined.")
    chat.until_equal(again, b)


def test_a_server_that_restarts_at_once_frees_the_names(chat: Cluster) -> None:
    a, b = chat.start("a"), chat.start("b")
    alice = chat.join(a, "alice")
    a.kill()
    alice.close()
    again = chat.start("a")
    alice = chat.join(again, "alice")
    chat.until_equal(again, b)


def test_the_first_server_starts_the_chat_and_the_last_one_stops_it(chat: Cluster) -> None:
    """R48"""
    a, b = chat.start("a"), chat.start("b")
    assert a.stop() == b.stop() == 0
    kinds = [(found.kind, found.text) for found in b.records()]
    assert kinds == [
        ("start", f"127.0.0.1:{a.port}"),
        ("notice", f"The server 127.0.0.1:{b.port} has joined."),
        ("notice", f"The server 127.0.0.1:{a.port} has stopped."),
        ("notice", f"The server 127.0.0.1:{b.port} has stopped."),
        ("stop", ""),
    ]


def test_a_history_that_is_not_the_chats_is_refused_with_a_sentence(chat: Cluster) -> None:
    chat.start("a")
    history = chat.folder / "history.txt"
    line = "2026-11-24T10:00:00.000Z\t10.0.0.1\tbob\tmessage\tmine\n"
    history.write_text(line)
    ended = run("--history", str(history), "--port", "0", "--cluster", chat.engine.urls)
    assert ended.returncode == 1
    assert "is not the chat's history" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert history.read_text() == line


def test_the_client_moves_to_another_server_and_sends_everything_once(chat: Cluster) -> None:
    servers = {name: chat.start(name) for name in "ab"}
    first = servers["a"]
    where = f"127.0.0.1:{first.port}"
    command = [sys.executable, str(ROOT / "TCP_client.py"), where, "--name", "bot", "--plain"]
    watcher = chat.join(servers["b"], "watcher")
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as bot:
        assert bot.stdin
        assert bot.stderr
        for number in range(200):
            bot.stdin.write(f"line {number}\n")
            bot.stdin.flush()
            if number == 100:
                watcher.until("message", "line 90")
                first.kill()
        bot.stdin.close()
        assert bot.wait(DEADLINE) == 0
        assert f"127.0.0.1:{servers['b'].port}" not in bot.stderr.read(), "the other one is not to blame"
    again = chat.start("a")
    lines = texts([record.parse(line) for line in chat.until_equal(again, servers["b"]).splitlines()])
    assert lines == [f"line {number}" for number in range(200)]


# ------------------------------------------------------------------------------------------- what goes wrong


def test_without_a_quorum_lines_wait_and_everything_else_works(tmp_path: Path) -> None:
    """R47"""
    with cluster(tmp_path, nodes=3) as chat:
        a, b = chat.start("a"), chat.start("b")
        alice, bob = chat.join(a, "alice"), chat.join(b, "bob")
        alice.send("before")
        bob.until("message", "before")
        dead = chat.engine.nodes[:2]
        for node in dead:
            node.kill()
        alice.send("while", "and more")
        assert "wait" in alice.until("/waiting").text
        carol = chat.join(a, None)
        carol.send("carol")
        assert "wait" in carol.until("/note").text
        bob.send("/users", "/history 1", "/search before")
        assert bob.until("/users").text.startswith("alice")
        assert bob.until("/history").text.endswith("alice: before")
        assert bob.until("/search").text.endswith("alice: before")
        assert b"while" not in a.history.read_bytes()
        for node in dead:
            node.start()
        carol.until("join", name="carol")
        bob.until("message", "and more")
        assert texts(bob.history()) == ["before", "while", "and more"]
        alice.send("after")
        bob.until("message", "after")
        assert len([found for found in alice.records if found.kind == "/waiting"]) == 1
        assert not [found for found in bob.records if found.kind == "leave"]
        chat.until_equal(a, b)


def test_a_server_suspended_beyond_its_lease_can_commit_nothing(chat: Cluster) -> None:
    a, b = chat.start("a"), chat.start("b")
    alice, bob = chat.resuming(a, "alice"), chat.join(b, "bob")
    alice.client.send("one")
    bob.until("message", "one")
    a.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, a.pid, os.WSTOPPED)
    alice.client.send("two")
    stale = alice.client
    bob.until("leave", "connection lost", "alice")
    alice.move(b, wait=False)
    alice.client.send("two")
    bob.until("message", "two")
    a.process.send_signal(signal.SIGCONT)
    bob.until("notice", f"The server 127.0.0.1:{a.port} has joined.")
    assert "two" not in texts(stale.rest())
    stale.close()
    again = chat.join(a, "carol")
    again.send("three")
    bob.until("message", "three")
    assert texts(bob.history()) == ["one", "two", "three"]
    chat.until_equal(a, b)


def test_a_server_that_is_cut_off_comes_back_and_its_people_say_it_once(tmp_path: Path) -> None:
    with cluster(tmp_path, cables=True) as chat:
        a, b = chat.start("a"), chat.start("b")
        alice, bob = chat.resuming(a, "alice"), chat.join(b, "bob")
        alice.client.send("one")
        alice.client.until("message", "one")
        for cable in chat.cables["a"]:
            cable.pull()
        alice.client.send("two")
        assert "wait" in alice.client.until("/waiting").text
        bob.send("meanwhile")
        bob.until("leave", "connection lost", "alice")
        for cable in chat.cables["a"]:
            cable.plug()
        bob.until("notice", f"The server 127.0.0.1:{a.port} has joined.")
        alice.client.rest()
        alice.move(a)
        alice.client.send("two")
        bob.until("message", "two")
        assert texts(bob.history()) == ["one", "meanwhile", "two"]
        alice.client.until("message", "two")
        assert chat.until_equal(a, b).endswith(alice.history())


def test_clocks_that_are_minutes_apart_are_nobodys_business(chat: Cluster) -> None:
    a, b = chat.start("a", clock=-300), chat.start("b", clock=300)
    began = record.format_time(time.time() - 60)
    alice, bob = chat.join(a, "alice"), chat.join(b, "bob")
    for number in range(5):
        (alice, bob)[number % 2].send(f"{number}")
        for client in (alice, bob):
            client.until("message", f"{number}")
    a.kill()
    bob.until("leave", "connection lost", "alice")
    times = [found.time for found in b.records()]
    assert times == sorted(times)
    assert began < times[0]
    assert times[-1] < record.format_time(time.time() + 60)
    chat.until_equal(chat.start("a", clock=600), b)


def test_a_full_disk_at_one_server_affects_no_other(chat: Cluster) -> None:
    a, b = chat.start("a"), chat.start("b")
    alice, bob = chat.join(a, "alice"), chat.join(b, "bob")
    size = a.history.stat().st_size
    hard = resource.prlimit(a.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(a.pid, resource.RLIMIT_FSIZE, (size + 40, hard))
    alice.send("one")
    bob.until("message", "one")
    assert "can't write" in alice.until("/waiting").text
    bob.send("two")
    bob.until("message", "two")
    resource.prlimit(a.pid, resource.RLIMIT_FSIZE, (hard, hard))
    alice.until("message", "two")
    assert texts(alice.history()) == ["one", "two"]
    chat.until_equal(a, b)


def test_all_machines_off_at_once_and_on_again_in_another_order(tmp_path: Path) -> None:
    with cluster(tmp_path, nodes=3) as chat:
        servers = {name: chat.start(name) for name in "abc"}
        people = {name: chat.resuming(server, f"p{name}") for name, server in servers.items()}
        for number, person in enumerate(people.values()):
            person.client.send(f"{number}")
            for other in people.values():
                other.client.until("message", f"{number}")
        for server in servers.values():
            server.kill()
        for node in chat.engine.nodes:
            node.kill()
        chat.engine.start()
        again = {name: chat.start(name) for name in "cab"}
        for name, person in people.items():
            person.move(again["abc".replace(name, "")[0]])
            person.client.send(f"again {name}")
        until = time.monotonic() + DEADLINE
        while (whole := chat.until_equal(*again.values())).count(b"\tagain ") < 3:
            assert time.monotonic() < until
        assert texts([record.parse(line) for line in whole.splitlines()])[:3] == ["0", "1", "2"]


def test_without_a_cluster_the_engine_is_not_imported() -> None:
    shown = "[name for name in sys.modules if 'nats' in name or 'jetstream' in name]"
    command = [sys.executable, "-c", f"import sys, TCP_server; print({shown})"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
