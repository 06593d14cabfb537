"""The files in deploy/: the unit as systemd reads it, and its command and the image's as processes."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import ROOT, Client, Server

DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "tcp-chat.service"
EXPOSURE = 3.0  # of 10, on systemd's scale; up to 5 it says "OK"

systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


def server_of(command: list[str], history: Path) -> Server:
    """The server as the command starts it, with a history and a port for the test."""
    return Server(history, *command[command.index("/opt/tcp-chat/TCP_server.py") + 3 :])


def exec_start(unit: Path) -> list[str]:
    """The last command of the unit."""
    text = unit.read_text("utf-8").replace("\\\n", " ")
    return shlex.split(re.findall(r"^ExecStart=(.+)$", text, re.MULTILINE)[-1])


@systemd
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    drop_ins = tmp_path / "tcp-chat.service.d"
    drop_ins.mkdir()
    shutil.copy(UNIT, tmp_path)
    shutil.copy(DEPLOY / "passwords.conf", drop_ins)
    verify = ["systemd-analyze", "verify", "--man=no", str(tmp_path / UNIT.name)]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert "tcp-chat.service" not in done.stderr
    assert done.returncode == 0


@systemd
def test_the_unit_is_hardened(tmp_path: Path) -> None:
    security = ["systemd-analyze", "security", "--offline=true", "--json=short", str(UNIT)]
    listed = subprocess.run([*security, "--threshold=30"], capture_output=True, text=True, check=False)
    assert listed.returncode == 0, [row for row in json.loads(listed.stdout) if row["exposure"]]


def test_the_units_command_is_a_server(history_path: Path) -> None:
    command = exec_start(UNIT)
    assert command[2:] == ["--history", "${STATE_DIRECTORY}/history.txt"]
    server = server_of(command, history_path)
    try:
        Client(server.port, "alice").close()
        assert server.stop() == 0
    finally:
        server.close()


def test_with_passwords_it_asks_for_them(tmp_path: Path) -> None:
    for name in ("password", "admin-password"):
        (tmp_path / name).write_text(f"the {name}\n")
        (tmp_path / name).chmod(0o600)  # as systemd hands over credentials
    command = [
        part.replace("${CREDENTIALS_DIRECTORY}", str(tmp_path))
        for part in exec_start(DEPLOY / "passwords.conf")
    ]
    server = server_of(command, tmp_path / "history.txt")
    try:
        outside = Client(server.port)
        outside.send("alice")
        assert "password" in outside.until("/error").text
        outside.close()
        inside = Client(server.port, "alice", "/password the password")
        inside.ask("/admin the admin-password", "/admin")
        inside.close()
    finally:
        server.close()


def test_the_image_has_all_that_the_server_needs(tmp_path: Path) -> None:
    lines = (DEPLOY / "Dockerfile").read_text("utf-8").splitlines()
    assert len(lines) <= 10
    image = tmp_path / "image"
    image.mkdir()
    for line in lines:
        if line.startswith("COPY "):
            *sources, destination = line.split()[1:]
            for source in sources:
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, image / destination)
                else:
                    shutil.copy(ROOT / source, image / destination)
    (entrypoint,) = (line.partition(" ")[2] for line in lines if line.startswith("ENTRYPOINT "))
    command = [part.replace("/data", str(tmp_path)) for part in json.loads(entrypoint)]
    command[0] = sys.executable
    with subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", "0", "--no-discovery"],
        cwd=image,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout
        try:
            assert "open on port" in server.stdout.readline()
        finally:
            server.terminate()
            server.stdout.read()
    assert server.returncode == 0
    assert (tmp_path / "history.txt").exists()
