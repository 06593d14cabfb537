"""A short run of the fault harness for several servers; a long one is `python3 -m tests.faults.cluster`."""

from __future__ import annotations

from pathlib import Path

from tests.faults.cluster import run


def test_servers_and_connections_fail_and_every_promise_is_kept(tmp_path: Path) -> None:
    done = run(11, tmp_path, people=6, lines=600, faults=("kill server", "cut", "clear", "stop server"))
    assert " 0 refused" in done
