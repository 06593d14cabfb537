"""The checkout as git sees it while a chat runs in it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.harness import ROOT, Client
from tests.system.test_install import tracked_files

if not shutil.which("git"):
    pytest.skip("git is not installed", allow_module_level=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with the files of this one, and the passwords that the README has the host write."""
    for name in tracked_files():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "history.txt").write_bytes(b"")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "--message=all")
    for name in ("door.txt", "admin.txt"):
        (tmp_path / name).write_text("secret\n")
        (tmp_path / name).chmod(0o600)
    return tmp_path


def git(checkout: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=checkout, capture_output=True, text=True, check=True
    ).stdout


def run_a_chat(checkout: Path, owner: str) -> None:
    """Make the server write all that it ever writes beside the history, and end as in a crash."""
    options = ["--password-file", "door.txt", "--admin-password-file", "admin.txt", "--tls"]
    with subprocess.Popen(
        [sys.executable, "TCP_server.py", "--host", "127.0.0.1", "--port", "0", "--no-discovery", *options],
        cwd=checkout,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout
        try:
            found = next(filter(None, (re.search(r"open on port (\d+)", line) for line in server.stdout)))
            port = int(found[1])
            with closing(Client(port, owner, "/password secret", "/session")) as alice:
                alice.ask("/admin secret", "/admin")
                alice.send("hello", "/ban mallory")
                assert "mallory" in alice.ask("/bans", "/bans").text
                alice.ask("/register a long secret of mine", "/register")
                alice.ask("/search hello", "/search")
            with closing(Client(port, "bob", "/password secret")) as bob:
                bob.ask(f"/msg {owner} hello", "/msg")
                bob.send("clear")
            with closing(Client(port, "carol", "/password secret")) as carol:
                carol.ask("/admin secret", "/admin")
                carol.ask("clear", "clear")
                assert git(checkout, "status", "--porcelain") == " M history.txt\n"
        finally:
            server.kill()
            server.stdout.read()
    with (checkout / "history.txt").open("ab") as file:
        file.write(b"torn")


def test_a_chat_leaves_nothing_for_git_but_the_history(checkout: Path) -> None:
    for owner in ("alice", "zoe"):  # the second time there is a crash to recover from
        run_a_chat(checkout, owner)
        assert git(checkout, "status", "--porcelain") == " M history.txt\n"
    ignored = git(checkout, "status", "--porcelain", "--ignored")
    for name in (
        "history.torn.txt",
        "history.cleared-",
        "history.txt.sessions",
        "bans.txt",
        "names.txt",
        "kept-messages/",
        "tls-key.pem",
    ):
        assert f"!! {name}" in ignored


def test_git_ignores_changes_to_the_history(checkout: Path) -> None:
    contributing = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    (command,) = re.findall(r"`git (update-index --skip[^`]+)`", contributing)
    git(checkout, *command.split())
    (checkout / "history.txt").write_bytes(b"2026-11-21T10:15:42.123Z\t-\thost\tnotice\thello\n")
    assert git(checkout, "status", "--porcelain") == ""
