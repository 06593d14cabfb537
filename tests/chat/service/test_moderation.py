"""Moderation over real connections: each command, by an admin, and refused to everybody else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chat.room.ending import kicked
from chat.service import commands
from chat.service.limits import ADMIN, WRONG_TRY_SECONDS, LoginThrottle
from chat.service.policy import CommandError
from tests.fuzz.world import Visitor, World
from tests.harness import DEADLINE, Client, Server, serving, texts

Join = Callable[..., Client]
PASSWORD = "open sesame"


@pytest.fixture
def server(history_path: Path) -> Iterator[Server]:
    """A server with admins."""
    server = Server(history_path, *_arguments(history_path))
    yield server
    server.close()


def _arguments(history_path: Path) -> list[str]:
    file = history_path.with_name("admin-password")
    file.write_text(PASSWORD + "\n")
    file.chmod(0o600)
    return ["--rate", "0", "--max-per-address", "0", "--admin-password-file", str(file)]


@pytest.fixture
def admin(join: Join) -> Client:
    """An admin in the room."""
    admin = join("admin")
    admin.ask(f"/admin {PASSWORD}", "/admin")
    admin.until("notice", "admin is an admin now")
    return admin


def test_an_admin_must_know_the_password(join: Join, server: Server) -> None:
    alice = join("alice")
    assert "not the password" in alice.ask("/admin sesame", "/error").text
    assert "for admins" in alice.ask("clear", "/error").text
    alice.ask(f"/admin {PASSWORD}", "/admin")
    assert "already" in alice.ask(f"/admin {PASSWORD}", "/error").text
    alice.send("clear")
    alice.until("clear")
    assert "127.0.0.1 sent a wrong password" in server.errors()


def test_the_sixth_wrong_password_ends_the_connection(join: Join) -> None:  # R20
    clients = [join(f"member{number}") for number in range(7)]
    for client in clients[:6]:
        client.send("/admin wrong")
    told = [client.until("/error").text for client in clients[:6]]
    assert sum("not the password" in text for text in told) < 6
    assert sum("Too many" in text for text in told) > 0
    clients[6].send(f"/admin {PASSWORD}")
    assert "Too many" in clients[6].until("/error").text
    assert clients[6].rest()[-1].kind == "leave"


def test_a_wrong_password_takes_a_second_over_a_connection() -> None:
    slept: list[float | None] = []

    class Ending(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            slept.append(timeout)
            return False

    throttle = LoginThrottle()
    throttle.check(ADMIN, "10.0.0.1", PASSWORD, PASSWORD, Ending())
    assert not slept
    with pytest.raises(CommandError):
        throttle.check(ADMIN, "10.0.0.1", "sesame", PASSWORD, Ending())
    assert slept == [WRONG_TRY_SECONDS]


def test_guessing_slows_nobody_else_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a try that costs more time than the test takes."""
    tried = threading.Event()
    monkeypatch.setattr("chat.service.limits.WRONG_TRY_SECONDS", 100 * DEADLINE)
    monkeypatch.setattr("chat.service.limits.log.warning", lambda *_: tried.set())
    world = World(tmp_path)
    guesser = Visitor(world, "10.0.0.2", b"guesser\n/admin wrong\n")
    assert tried.wait(DEADLINE)
    world.witness.send(b"one\ntwo\n")
    assert world.witness.until("message", "two")
    member = world.service.room.find("guesser")
    assert member
    world.service.room.end(member, kicked("admin", ""))
    guesser.rest()
    guesser.close()
    world.close()


def test_guessers_are_disconnected(join: Join) -> None:
    guessers = [join(f"guesser{number}", "/replay 0") for number in range(50)]
    for guesser in guessers:
        guesser.send(*["/admin wrong"] * 20)
    for guesser in guessers:
        assert guesser.rest()[-1].kind == "leave"


def test_without_a_password_there_are_no_admins(history_path: Path) -> None:
    with serving(history_path) as server:
        alice = Client(server.port, "alice")
        assert "no admins" in alice.ask("/admin anything", "/error").text
        assert "for admins" in alice.ask("/kick alice", "/error").text
        alice.send("clear")
        alice.until("clear")
        alice.close()


def test_help_shows_the_permitted_commands(join: Join, admin: Client) -> None:
    alice = join("alice")
    for client, expected in (
        (
            alice,
            [command.name for command in commands.TABLE if command.who in ("all", "members")],
        ),
        (admin, [command.name for command in commands.TABLE if command.who != "host"]),
    ):
        client.send("/help", f"end {len(expected)}")
        client.until("message", f"end {len(expected)}")
        shown = [text.split()[0].strip("/,") for text in texts(client.records, "/help")]
        assert shown == expected


def test_an_unknown_command_suggests_the_nearest_permitted_one(join: Join, admin: Client) -> None:
    assert "did you mean /unban?" in admin.ask("/unbam", "/error").text
    assert "did you mean /kick?" in admin.ask("/help kik", "/error").text
    assert "/kick" not in join("alice").ask("/kik", "/error").text


@pytest.mark.parametrize("command", [command.name for command in commands.TABLE if command.who == "admins"])
def test_everybody_else_is_refused(command: str, join: Join) -> None:
    join("bob")
    assert "for admins" in join("alice").ask(f"/{command} bob", "/error").text


def test_kick(join: Join, admin: Client) -> None:  # R29, R36
    bob = join("bob")
    admin.send("/kick BOB too loud")
    assert admin.until("notice").text == "admin kicked bob: too loud"
    assert bob.rest()[-1].text == "kicked by admin: too loud"
    assert admin.until("leave").text == "kicked by admin: too loud"
    assert "Nobody here is called bob" in admin.ask("/kick bob", "/error").text
    assert "That is you" in admin.ask("/kick admin", "/error").text
    assert "/kick NAME" in admin.ask("/kick", "/error").text
    join("bob")


def test_lines_of_the_kicked_are_dropped(history_path: Path) -> None:
    arguments = _arguments(history_path)
    with serving(history_path, *arguments, "--rate", "5") as server:
        admin, bob = Client(server.port, "admin"), Client(server.port, "bob")
        admin.ask(f"/admin {PASSWORD}", "/admin")
        bob.send(*(f"flood {number}" for number in range(200)))
        admin.until("message", "flood 50")
        admin.send("/kick bob")
        admin.until("leave", name="bob")
        said = admin.history()
        kicked = next(at for at, found in enumerate(said) if found.text == "admin kicked bob")
        assert not texts(said[kicked:])
        admin.close()
        bob.close()


def test_a_ban_during_a_login_holds(admin: Client, server: Server) -> None:
    eve = Client(server.port, source="127.0.0.9")
    assert eve.next().kind == "/hello"
    admin.send("/ban 127.0.0.9")
    admin.until("notice", "admin banned 127.0.0.9")
    eve.send("eve")
    assert "banned" in eve.until("/error").text
    eve.close()


def test_mute(join: Join, admin: Client) -> None:
    bob, carol = join("bob"), join("carol")
    admin.send("/mute bob")
    assert bob.until("notice").text == "admin muted bob"
    for line in ("hello", "é", "/me waves", "/msg carol psst", "/nick rude", "/say hello", "/away rude"):
        assert "muted" in bob.ask(line, "/error").text
    bob.send("/users", "exit")
    bob.rest()
    assert texts(bob.records, "/users")
    bob = join("bob")
    assert "muted" in bob.ask("hello again", "/error").text
    assert "not muted" in admin.ask("/unmute carol", "/error").text
    admin.send("/unmute BOB")
    bob.until("notice", "admin unmuted bob")
    bob.send("thank you")
    assert carol.until("message").text == "thank you"
    assert not texts(carol.records, "/msg")


def test_ban_a_name(join: Join, admin: Client, server: Server, history_path: Path) -> None:  # R23, R29
    bob = join("bob")
    admin.send("/ban bob spam")
    assert admin.until("notice").text == "admin banned bob: spam"
    assert bob.rest()[-1].text == "banned"
    again = join(None)
    again.send("BOB", "robert")
    assert "banned" in again.until("/error").text
    again.until("join", name="robert")
    assert "banned" in again.ask("/nick Bob", "/error").text
    assert admin.ask("/bans", "/bans").text.startswith("bob (admin, 20")
    server.stop()
    with serving(history_path, *_arguments(history_path)) as restarted:
        client = Client(restarted.port)
        client.send("bob")
        assert "banned" in client.until("/error").text
        boss = Client(restarted.port, "boss")
        boss.ask(f"/admin {PASSWORD}", "/admin")
        boss.send("/unban bob")
        boss.until("notice", "boss unbanned bob")
        assert "not banned" in boss.ask("/unban bob", "/error").text
        assert boss.ask("/bans", "/bans").text == "Nobody is banned."
        client.send("bob")
        client.until("join", name="bob")
        client.close()
        boss.close()


@pytest.mark.parametrize("time", ["2x", "2 h", "90min", "1234567s", "90"])
def test_a_mistyped_time_is_no_permanent_ban(admin: Client, time: str) -> None:
    assert "is no time" in admin.ask(f"/ban bob {time}", "/error").text
    assert admin.ask("/bans", "/bans").text == "Nobody is banned."


def test_ban_an_address_and_a_network(server: Server, admin: Client) -> None:  # R23
    away = Client(server.port, "away", source="127.0.0.77")
    for target in ("127.0.0.77", "127.0.0.64/26"):
        admin.send(f"/ban {target} 2h nice try")
        banned = admin.until("notice").text
        assert banned.startswith(f"admin banned {target} until 20")
        assert away.rest()[-1].text == "banned"
        refused = Client(server.port, source="127.0.0.77")
        [sentence] = refused.rest()
        assert "You are banned" in sentence.text
        assert "until 20" in sentence.text
        refused.close()
        away.close()
        admin.send(f"/unban {target}")
        admin.until("notice", f"admin unbanned {target}")
        away = Client(server.port, "away", source="127.0.0.77")
    away.close()


def test_who_cannot_be_banned(admin: Client) -> None:
    for target, why in (
        ("admin", "ban you as well"),
        ("127.0.0.1", "ban you as well"),
        ("0.0.0.0/0", "ban you as well"),
        ("HOST", "host"),
        ("server", "host"),
        ("two/words", "nor a network"),
        ("x" * 30, "not a name"),
        ("bob 999999w", "too long"),
    ):
        assert why in admin.ask(f"/ban {target}", "/error").text


def test_a_name_that_looks_like_an_address(join: Join, admin: Client) -> None:
    odd = join("10.9.8.7")
    admin.send("/ban 10.9.8.7")
    admin.until("notice")
    odd.ask("still here", "message")
    admin.send("/ban name:10.9.8.7")
    assert odd.rest()[-1].text == "banned"


def test_passwords_are_written_nowhere(join: Join, admin: Client, server: Server) -> None:
    alice = join("alice")
    alice.ask("/admin almost sesame", "/error")
    command_line = Path(f"/proc/{server.process.pid}/cmdline")
    if command_line.exists():
        assert b"sesame" not in command_line.read_bytes()
    server.stop()
    written = server.errors() + server.history.read_text()
    assert "sesame" not in written
    assert "sesame" not in "".join(said.text for said in alice.records)
