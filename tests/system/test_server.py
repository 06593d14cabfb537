"""The program `python3 TCP_server.py`: starting, refusing, stopping; and the pitfalls of socketserver."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from chat.front.connections import NO_FILES_SECONDS
from chat.log.history import History
from chat.log.log import LocalLog
from chat.room.room import Room
from TCP_server import ChatServer
from tests.harness import DEADLINE, ROOT, Client, serving, texts
from tests.rooms import service_of

Join = Callable[..., Client]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the server with arguments that make it end."""
    command = [sys.executable, str(ROOT / "TCP_server.py"), "--no-discovery", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)


# ----------------------------------------------------------------------------------------- start and stop


def test_prints_the_commands_for_the_other_computers(history_path: Path) -> None:
    with serving(history_path) as server:
        assert f"python3 TCP_client.py 127.0.0.1:{server.port}" in server.welcome
        assert f"nc 127.0.0.1 {server.port}" in server.welcome
        assert "everybody on the network can join" in server.welcome
        assert str(history_path) in server.welcome


@pytest.mark.parametrize("stop_signal", [signal.SIGINT, signal.SIGTERM])
def test_stops_in_order(stop_signal: int, history_path: Path) -> None:
    with serving(history_path) as server:
        alice = Client(server.port, "alice")
        alice.send("last words")
        alice.until("message")
        assert server.stop(stop_signal) == 0
        assert [said.kind for said in alice.rest()] == ["notice", "stop"]
        assert [said.kind for said in server.records()] == ["start", "join", "message", "notice", "stop"]
        assert "Traceback" not in server.errors()
        alice.close()


def test_stops_although_a_client_does_not_read(history_path: Path) -> None:
    with serving(history_path, "--rate", "0") as server:
        stopped, alice = Client(server.port, "stopped"), Client(server.port, "alice")
        alice.send(*["x" * 4000] * 3000)
        for _ in range(3000):
            alice.until("message")
        assert server.stop() == 0
        stopped.close()
        alice.close()


def test_the_history_is_still_there_after_a_restart(history_path: Path) -> None:
    with serving(history_path) as server:
        alice = Client(server.port, "alice")
        alice.ask("before the restart", "message")
        alice.close()
        server.stop()
    with serving(history_path, port=server.port) as server:
        bob = Client(server.port, "bob")
        assert texts(bob.records) == ["before the restart"]
        bob.close()


def test_a_torn_line_is_reported_at_the_start(history_path: Path) -> None:
    history_path.write_bytes(b"2026-11-21T10:1")
    with serving(history_path) as server:
        server.stop()
        assert "history.torn.txt" in server.errors()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "70000"],
        ["--port", "chat"],
        ["--rate", "-1"],
        ["--rate", "nan"],
        ["--max-clients", "-3"],
        ["--sync", "sometimes"],
        ["--nonsense"],
    ],
)
def test_wrong_arguments_get_a_sentence(arguments: list[str], tmp_path: Path) -> None:
    ended = run("--history", str(tmp_path / "history.txt"), *arguments)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert not list(tmp_path.iterdir())


def test_what_prevents_the_start_gets_a_sentence(tmp_path: Path) -> None:
    history, binary, password = tmp_path / "history.txt", tmp_path / "picture.png", tmp_path / "password"
    binary.write_bytes(bytes(range(256)) * 100)
    password.write_text("\n")
    exposed = tmp_path / "exposed"
    exposed.write_text("sesame\n")
    for path, mode in ((binary, 0o600), (password, 0o600), (exposed, 0o644)):
        path.chmod(mode)
    with serving(history) as server, socket.create_server(("127.0.0.1", 0)) as other:
        taken = str(other.getsockname()[1])
        for arguments, why in (
            (["--history", str(history)], f"in use by process {server.process.pid}"),
            (["--history", str(tmp_path / "nowhere" / "history.txt")], "no such folder"),
            (["--history", str(tmp_path)], "not a file"),
            (["--history", str(binary)], "not a chat history"),
            (["--history", str(tmp_path / "b"), "--host", "127.0.0.1", "--port", taken], f"port {taken}"),
            (["--history", str(tmp_path / "c"), "--host", "192.0.2.1", "--port", "0"], "can't listen"),
            (["--history", str(tmp_path / "d"), "--host", "no.such.host.invalid"], "can't listen"),
            (["--history", str(tmp_path / "h"), "--host", "a..b"], "not an address to listen on"),
            (["--history", str(tmp_path / "e"), "--password-file", str(tmp_path / "none")], "can't be read"),
            (
                ["--history", str(tmp_path / "f"), "--password-file", str(password)],
                "empty first line",
            ),
            (["--history", str(tmp_path / "g"), "--password-file", str(binary)], "not UTF-8"),
            (
                ["--history", str(tmp_path / "i"), "--admin-password-file", str(exposed)],
                "can be read by others",
            ),
        )[: -1 if sys.platform == "win32" else None]:  # there are no modes there
            ended = run(*arguments)
            assert ended.returncode == 1, arguments
            assert why in ended.stderr
            assert ended.stderr.count("\n") == 1, ended.stderr


def test_a_folder_without_write_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    folder = tmp_path if os.geteuid() else Path("/sys")  # root can write nearly anywhere
    ended = run("--history", str(folder / "history.txt"))
    assert ended.returncode == 1
    assert "Permission denied" in ended.stderr


def test_control_c_while_it_is_being_loaded(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "class Impatient:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'chat': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Impatient())\n"
    )
    ended = subprocess.run(
        [sys.executable, str(ROOT / "TCP_server.py"), "--help"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        timeout=DEADLINE,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, b"")


def test_runs_on_a_bare_python_of_the_system(history_path: Path) -> None:
    """No site-packages, no environment."""
    command = [sys.executable, "-E", "-S", str(ROOT / "TCP_server.py"), "--help"]
    assert subprocess.run(command, capture_output=True, timeout=DEADLINE, check=False).returncode == 0


# ---------------------------------------------------------------------------------------------- addresses


def test_ipv4_and_ipv6_on_one_socket(history_path: Path) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    with serving(history_path, "--host", "") as server:
        alice, bob = Client(server.port, "alice"), Client(server.port, "bob", host="::1")
        assert {said.name: said.address for said in bob.history() if said.kind == "join"} == {
            "alice": "127.0.0.1",
            "bob": "::1",
        }
        alice.close()
        bob.close()


# ------------------------------------------------------------------------------------ in the same process


@pytest.fixture
def chat_server(history_path: Path) -> Callable[[], ChatServer]:
    def made() -> ChatServer:
        return ChatServer(
            ("127.0.0.1", 0),
            service_of(Room(LocalLog(History(history_path)))),
        )

    return made


def _ended(server: ChatServer) -> None:
    server.server_close()
    server.routes.streams.stop()
    server.service.room.stop("")
    server.service.room.run()
    server.service.room.log.close()


def test_many_can_wait_to_be_accepted(chat_server: Callable[[], ChatServer]) -> None:
    server = chat_server()
    assert server.request_queue_size >= 1024
    assert server.daemon_threads
    assert server.allow_reuse_address == (os.name != "nt")
    _ended(server)


def test_no_thread_available(chat_server: Callable[[], ChatServer], monkeypatch: pytest.MonkeyPatch) -> None:
    server = chat_server()

    def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    client = Client(server.server_address[1])
    with monkeypatch.context() as broken:
        broken.setattr("_thread.start_new_thread", no_thread)
        broken.setattr(threading.Thread, "start", no_thread)
        server.handle_request()
    assert "no thread left" in client.rest()[0].text
    client.close()
    _ended(server)


def test_a_failing_accept_does_not_spin(
    chat_server: Callable[[], ChatServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = chat_server()
    waited: list[float] = []
    monkeypatch.setattr("chat.front.connections.time.sleep", waited.append)

    class NoFiles:
        def accept(self) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

    listening, server.socket = server.socket, NoFiles()  # type: ignore[assignment]
    with pytest.raises(OSError, match="Too many"):
        server.get_request()
    assert waited == [NO_FILES_SECONDS]
    server.socket = listening
    _ended(server)


def test_shutdown_from_another_thread(chat_server: Callable[[], ChatServer]) -> None:
    server = chat_server()
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    serving.start()
    threading.Thread(target=server.shutdown).start()
    serving.join(DEADLINE)
    assert not serving.is_alive()
    _ended(server)


def test_an_error_in_a_handler_is_one_line_in_the_log(
    chat_server: Callable[[], ChatServer], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = chat_server()
    done = threading.Event()

    def fails(self: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr("TCP_server.LineConnection.run", fails)
    monkeypatch.setattr("TCP_server.Connections.leave", lambda self, address: done.set())
    client = Client(server.server_address[1])
    server.handle_request()
    assert done.wait(DEADLINE)
    assert "ValueError: a bug" in caplog.text
    assert "Traceback" not in caplog.text
    client.close()
    _ended(server)


# ----------------------------------------------------------------------------------------- many at once


def test_a_thousand_clients_get_everything(history_path: Path) -> None:
    with serving(history_path, "--rate", "0", "--max-per-address", "0") as server:
        clients = [Client(server.port) for _ in range(1000)]
        for number, client in enumerate(clients):
            client.send("/replay 0", f"member{number}")
        for number, client in enumerate(clients):
            client.until("join", name=f"member{number}")
        for number, client in enumerate(clients):
            client.send(f"hello from {number}")
        for client in clients:
            got: list[str] = []
            while len(got) < 1000:
                said = client.next()
                if said.kind == "message":
                    got.append(said.text)
            assert sorted(got) == sorted(f"hello from {number}" for number in range(1000))
        file = texts(server.records())
        assert texts(clients[0].records) == file
        assert texts(clients[-1].records) == file
        for client in clients:
            client.close()
