"""Client and server on every CPython that this machine has, each warning an error.

`python3 -m tests.pythons` adds the newest, from Debian.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests import debian
from tests.harness import DEADLINE, ROOT, Client
from tests.pythons import NEWEST
from tests.terminal import ENTER, Terminal

NEWEST_SYSTEM = debian.SYSTEMS / NEWEST
Version = tuple[int, int]
CLIENT_FROM: Version = (3, 9)
SERVER_FROM: Version = (3, 11)


def interpreters() -> dict[Version, list[str]]:
    """What runs Python, by version, from 3.8 on; for older ones see test_too_old."""
    found = [shutil.which(f"python3.{minor}") for minor in range(8, 20)]
    found += [str(path) for path in Path("~/.pyenv/versions").expanduser().glob("3.*/bin/python")]
    commands = [[sys.executable], *([path] for path in found if path)]
    if NEWEST_SYSTEM.exists():
        commands.append(debian.inside(NEWEST_SYSTEM, NEWEST))
    by_version: dict[Version, list[str]] = {}
    for command in commands:
        asked = [*command, "-c", "import sys; print(*sys.version_info[:2])"]
        tells = subprocess.run(asked, capture_output=True, text=True, check=False)
        if tells.returncode == 0:
            major, minor = map(int, tells.stdout.split())
            if (major, minor) >= (3, 8):
                by_version.setdefault((major, minor), command)
    return dict(sorted(by_version.items()))


INTERPRETERS = interpreters()


def with_each(versions: list[Version]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("version", versions, ids=lambda version: ".".join(map(str, version)))


def strict(version: Version, program: str | Path, *arguments: str) -> list[str]:
    """A program of the checkout, or at a path, on this Python; compiled anew, since that may warn as well."""
    options = ["-B", "-X", "pycache_prefix=/nowhere", "-W", "error"]
    return [*INTERPRETERS[version], *options, str(ROOT / program), *arguments]


@contextmanager
def serving(version: Version, history: Path) -> Iterator[int]:
    """A server on this Python; its port. In the end it is to have stopped in order, without a warning."""
    where = ["--host", "127.0.0.1", "--port", "0", "--history", str(history), "--no-discovery"]
    with subprocess.Popen(
        strict(version, "TCP_server.py", *where, "--log-level", "warning"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout
        try:
            welcome = server.stdout.readline()
            found = re.search(r"open on port (\d+)", welcome)
            assert found, welcome + server.communicate(timeout=DEADLINE)[1]
            yield int(found[1])
        finally:
            server.send_signal(signal.SIGTERM)
            _, errors = server.communicate(timeout=DEADLINE)
    assert (server.returncode, errors) == (0, "")


@with_each([version for version in INTERPRETERS if version >= SERVER_FROM])
def test_the_server(version: Version, history_path: Path) -> None:
    with (
        serving(version, history_path) as port,
        closing(Client(port, "alice", "/session")) as alice,
        closing(Client(port, "bob")) as bob,
    ):
        alice.send("hello")
        bob.until("message", "hello")
        for command, kind in (
            ("/users", "/users"),
            ("/help", "/help"),
            ("/history", "/history"),
            ("/search hello", "/search"),
            ("/stats", "/stats"),
            ("/msg bob psst", "/msg"),
            ("clear", "clear"),
        ):
            alice.ask(command, kind)
        bob.until("/msg", "psst")


@with_each([version for version in INTERPRETERS if version >= CLIENT_FROM])
def test_the_client_copied_alone_in_a_pipe(version: Version, history_path: Path, tmp_path: Path) -> None:
    with serving(max(INTERPRETERS), history_path) as port, closing(Client(port, "listener")) as listener:
        alone = Path(shutil.copy(ROOT / "TCP_client.py", tmp_path))
        done = subprocess.run(
            strict(version, alone, f"127.0.0.1:{port}", "--name", "bot"),
            input="grüß dich\n",
            capture_output=True,
            encoding="utf-8",
            timeout=DEADLINE,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "grüß dich" in done.stdout
        listener.until("message", "grüß dich", "bot")


@with_each([version for version in INTERPRETERS if version >= CLIENT_FROM])
def test_the_client_in_a_terminal(version: Version, history_path: Path, tmp_path: Path) -> None:
    with serving(max(INTERPRETERS), history_path) as port:
        command = strict(version, "TCP_client.py", f"127.0.0.1:{port}", "--name", "alice")
        with Terminal(tmp_path, command) as terminal:
            terminal.shows("alice joined")
            terminal.type("hello" + ENTER)
            terminal.shows("alice: hello")
            terminal.type("exit" + ENTER)
            assert terminal.ends() == 0
            assert "Warning" not in terminal.text


@pytest.mark.parametrize(
    ("program", "needed"), [("TCP_client.py", CLIENT_FROM), ("TCP_server.py", SERVER_FROM)]
)
def test_an_old_python_gets_a_sentence(program: str, needed: Version) -> None:
    too_old = [version for version in INTERPRETERS if version < needed]
    if not too_old:
        pytest.skip("this machine has no older Python")
    for version in too_old:
        done = subprocess.run(
            strict(version, program), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        (sentence,) = done.stderr.splitlines()
        assert "{}.{}".format(*needed) in sentence
