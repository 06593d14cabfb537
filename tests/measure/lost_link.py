"""`python3 -m tests.measure.lost_link`: how soon the server notices that a client's cable was pulled.

Makes two network namespaces with a cable between them: the server in one, the victim in the other. The cable
is pulled once while nothing is said and once while much is; meanwhile somebody on the server's side is
stopped (SIGSTOP) all the time, and has to stay. Takes three minutes, and root.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.harness import Client, Server, serving

INSIDE = "CHAT_TEST_NAMESPACE"  # set in the process that has the namespace
HERE, THERE = "10.99.0.1", "10.99.0.2"


def main() -> int:
    """The exit code: 0 if both were noticed within 75 s, and the stopped one stayed."""
    if INSIDE not in os.environ:
        again = ["unshare", "--net", sys.executable, "-m", "tests.measure.lost_link"]
        return subprocess.run(again, env={**os.environ, INSIDE: "1"}, check=False).returncode
    holder = ["unshare", "--net", "sh", "-c", "echo ready; exec sleep 600"]
    other = subprocess.Popen(holder, stdout=subprocess.PIPE)
    assert other.stdout
    other.stdout.readline()
    in_other = f"nsenter --net --target={other.pid} "
    for command in (
        "ip link set lo up",
        "ip link add cable type veth peer name plug",
        f"ip link set plug netns {other.pid}",
        f"ip address add {HERE}/24 dev cable",
        "ip link set cable up",
        in_other + f"ip address add {THERE}/24 dev plug",
        in_other + "ip link set plug up",
    ):
        subprocess.run(shlex.split(command), check=True)
    arguments = ("--host", HERE, "--rate", "0", "--log-level", "warning")
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            serving(Path(folder) / "history.txt", *arguments) as server,
        ):
            return _watch(server, in_other)
    finally:
        other.kill()
        other.wait()


def _watch(server: Server, in_other: str) -> int:
    alice = Client(server.port, "alice", host=HERE)
    stopped = _netcat("", server, "stopped")
    alice.until("join", name="stopped")
    stopped.send_signal(signal.SIGSTOP)
    found_out = []
    for talking in (False, True):
        subprocess.run(shlex.split(in_other + "ip link set plug up"), check=True)
        victim = _netcat(in_other, server, "victim")
        alice.until("join", name="victim")
        subprocess.run(shlex.split(in_other + "ip link set plug down"), check=True)
        began = time.monotonic()
        alice.socket.settimeout(120)
        if talking:
            _talk_until_somebody_leaves(alice)
        left = alice.until("leave") if not talking else alice.records[-1]
        found_out.append(time.monotonic() - began)
        said = "much" if talking else "nothing"
        print(f"{said} was said: {left.name} left after {found_out[-1]:.0f} s: {left.text}", flush=True)
        if (left.name, left.text) != ("victim", "connection lost"):
            return 1
        victim.kill()
        victim.wait()
    stopped.send_signal(signal.SIGCONT)
    alice.send("/users", "/away")
    alice.until("/away")
    stayed = any(found.kind == "/users" and found.text.startswith("stopped ") for found in alice.records)
    print("the stopped one", "is still here" if stayed else "is GONE")
    stopped.kill()
    stopped.wait()
    alice.close()
    return 0 if stayed and max(found_out) < 75 else 1


def _netcat(prefix: str, server: Server, name: str) -> subprocess.Popen[str]:
    """A client that is just nc."""
    command = shlex.split(f"{prefix}nc {HERE} {server.port}")
    person = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert person.stdin
    person.stdin.write(name + "\n")
    person.stdin.flush()
    return person


def _talk_until_somebody_leaves(alice: Client) -> None:
    while alice.records[-1].kind != "leave":
        alice.send(*["x" * 4000] * 100)
        for _ in range(100):
            if alice.next().kind == "leave":
                return
        time.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
