"""The installed project: the wheel in a bare environment, and its commands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from chat import record
from tests.harness import DEADLINE, ROOT

BUILD_SECONDS = 300
SCRIPTS = "Scripts" if os.name == "nt" else "bin"
PRIVATE = b"what nobody else is to have"


def tracked_files() -> list[str]:
    """The project's files according to git; without git (an sdist), all files."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if (ROOT / ".git").exists():
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
        return [name for name in listed.split("\0") if name and (ROOT / name).exists()]
    return [
        str(path.relative_to(ROOT))
        for top in (
            "analytics",
            "chat",
            "TCP_server.py",
            "TCP_client.py",
            "README.md",
            "LICENSE",
            "pyproject.toml",
        )
        for path in ([ROOT / top] if (ROOT / top).is_file() else (ROOT / top).rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    ]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist, built from a copy in which a chat has been running."""
    source = tmp_path_factory.mktemp("source")
    for name in tracked_files():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    for name in ("history.txt", "history.cleared-2026-11-21T10-15-42.123Z.txt", "bans.txt", "door.txt"):
        (source / name).write_bytes(PRIVATE)
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def commands(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands in an environment that has only the wheel."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    (wheel,) = built.glob("*.whl")
    python = next((environment / SCRIPTS).glob("python*"))
    install = ["-m", "pip", "--python", str(python), "install", "--quiet", "--no-index", str(wheel)]
    subprocess.run([sys.executable, *install], check=True, timeout=BUILD_SECONDS)
    return environment / SCRIPTS


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh home folder."""
    for variable in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "PYTHONPATH"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "AppData" / "Local"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def data_folder(home: Path) -> Path:
    if sys.platform == "win32":
        return home / "AppData" / "Local" / "tcp-chat"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "tcp-chat"
    return home / ".local" / "share" / "tcp-chat"


def test_the_wheel_contains_the_whole_program_and_no_chat_data(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    program = {
        name
        for name in tracked_files()
        if name.startswith(("analytics/", "chat/")) or name in ("TCP_server.py", "TCP_client.py")
    }
    assert packed == program


def test_the_sdist_contains_no_chat_data(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        members = [member for member in archive if member.isfile()]
        assert "LICENSE" in [Path(member.name).name for member in members]
        for member in members:
            packed = archive.extractfile(member)
            assert packed
            assert PRIVATE not in packed.read(), member.name


def test_an_index_would_accept_both(built: Path) -> None:
    check = [sys.executable, "-m", "twine", "check", "--strict", *map(str, built.iterdir())]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_installed_it_chats_and_keeps_the_history_in_the_users_data_folder(
    commands: Path, home: Path
) -> None:
    with subprocess.Popen(
        [commands / "tcp-chat-server", "--host", "127.0.0.1", "--port", "0", "--no-discovery"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout
        try:
            welcome = next(line for line in server.stdout if "open on port" in line)
            history = data_folder(home) / "history.txt"
            assert str(history) in welcome
            found = re.search(r"open on port (\d+)", welcome)
            assert found
            subprocess.run(
                [commands / "tcp-chat", f"127.0.0.1:{found[1]}", "--name", "robot"],
                input=b"the build is green\n",
                stdout=subprocess.DEVNULL,
                timeout=DEADLINE,
                check=True,
            )
        finally:
            server.terminate()
            server.stdout.read()
    said = [record.parse(line) for line in history.read_bytes().splitlines(keepends=True)]
    assert ("robot", "message", "the build is green") in [(each.name, each.kind, each.text) for each in said]


@pytest.mark.parametrize("name", ["tcp-chat", "tcp-chat-server", "tcp-chat-stats"])
def test_each_command_calls_itself_by_the_name_that_starts_it(commands: Path, home: Path, name: str) -> None:
    for argument, code in (("--help", 0), ("--nonsense", 2)):
        done = subprocess.run(
            [commands / name, argument], capture_output=True, text=True, timeout=DEADLINE, check=False
        )
        assert done.returncode == code
        assert f"usage: {name} [-h]" in done.stdout + done.stderr


def test_commands_say_how_to_install_a_missing_package(commands: Path, home: Path) -> None:
    stats = subprocess.run(
        [commands / "tcp-chat-stats"], capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert stats.returncode == 1
    assert "pipx install --force '.[analytics]'" in stats.stderr
    assert "Traceback" not in stats.stderr
