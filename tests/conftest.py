"""Fixtures that several test files use."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from chat.room.room import Room
from tests.harness import Client, Server
from tests.rooms import Peer, opened

if TYPE_CHECKING:
    from tests.faults.server import FaultyServer

# These drive terminals, limits or signals of POSIX, or need the engine, systemd or NumPy.
NOT_ON_WINDOWS = [
    "analytics",
    "chat/front/test_connections.py",
    "chat/front/test_console.py",
    "chat/front/test_qr.py",
    "chat/log/test_consumer.py",
    "chat/log/test_engine.py",
    "chat/log/test_jetstream.py",
    "chat/log/test_publisher.py",
    "chat/log/test_snapshot.py",
    "chat/service/test_moderation.py",
    "client/test_input.py",
    "client/test_joining.py",
    "client/test_terminal.py",
    "faults",
    "fuzz",
    "measure",
    "system/test_cluster.py",
    "system/test_cluster_commands.py",
    "system/test_deploy.py",
    "system/test_hostile.py",
    "system/test_install.py",
    "system/test_kept.py",
    "system/test_pythons.py",
    "system/test_tls.py",
    "system/test_tls_ends.py",
]
# These are about the modes, signals, links and time zones of POSIX.
POSIX_TESTS = [
    "test_a_client_that_is_stopped_for_a_while_misses_nothing",
    "test_an_unreadable_file_is_not_taken_for_an_empty_one",
    "test_a_file_that_cannot_be_read_is_not_written_over",
    "test_a_folder_without_write_permission",
    "test_a_server_that_hangs_is_asked_again",
    "test_a_thousand_clients_get_everything",
    "test_a_replaced_history_is_read",
    "test_an_index_deleted_by_a_clear_does_no_harm",
    "test_a_stopped_terminal_holds_up_nobody",
    "test_all_lines_are_stored_once_however_often_the_server_is_killed",
    "test_control_c_while_it_is_being_loaded",
    "test_it_outlives_the_signals_that_stop_the_server_and_logs_through_it",
    "test_an_orderly_stop_tells_the_pages",
    "test_one_server_for_a_history",
    "test_a_password_file_that_others_can_read_is_refused",
    "test_secrets_that_others_can_read_are_not_used",
    "test_settings_are_kept",
    "test_stops_although_a_client_does_not_read",
    "test_unconfirmed_messages_are_handed_over_again_and_marked",
    "test_writing_keeps_the_files_mode_and_a_link",
]
collect_ignore = NOT_ON_WINDOWS if sys.platform == "win32" else []

# Omitted by `--quick`: many processes, real terminals, several servers, pictures.
SLOW = [
    "analytics/test_analytics.py",
    "analytics/test_findings.py",
    "analytics/test_identify.py",
    "analytics/test_notebook.py",
    "analytics/test_page_in_browser.py",
    "analytics/test_plots.py",
    "analytics/test_report.py",
    "analytics/test_serve.py",
    "chat/front/test_bots.py",
    "chat/front/test_connections.py",
    "chat/front/test_console.py",
    "chat/front/test_relay.py",
    "chat/front/test_relay_process.py",
    "chat/front/test_routes.py",
    "chat/front/test_streams.py",
    "chat/log/test_engine.py",
    "chat/log/test_jetstream.py",
    "chat/service/test_admission.py",
    "chat/service/test_counters.py",
    "chat/service/test_moderation.py",
    "chat/service/test_ownership.py",
    "chat/service/test_statistics.py",
    "client/test_exactly_once.py",
    "client/test_finding.py",
    "client/test_network.py",
    "client/test_pipe.py",
    "client/test_input.py",
    "client/test_joining.py",
    "client/test_terminal.py",
    "client/test_tls.py",
    "faults",
    "fuzz",
    "measure",
    "system",
    "windows",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark slow tests, and skip those that don't apply to Windows."""
    folder = Path(__file__).parent
    for item in items:
        if any(item.path.is_relative_to(folder / slow) for slow in SLOW):
            item.add_marker("slow")
        if sys.platform == "win32" and item.name.partition("[")[0] in POSIX_TESTS:
            item.add_marker(pytest.mark.skip("of POSIX"))


settings.register_profile("long", max_examples=20_000)  # half an hour: --hypothesis-profile=long


@pytest.fixture
def history_path(tmp_path: Path) -> Path:
    """The path of a test's history: never the project's own."""
    return tmp_path / "history.txt"


@pytest.fixture
def server(history_path: Path) -> Iterator[Server]:
    """A running server without a rate."""
    server = Server(history_path, "--rate", "0", "--max-per-address", "0")
    yield server
    server.close()


@pytest.fixture
def join(server: Server) -> Iterator[Callable[..., Client]]:
    """Makes clients of the server, as `join("alice", "/replay 0")` does."""
    clients: list[Client] = []

    def joined(name: str | None, *options: str) -> Client:
        clients.append(Client(server.port, name, *options))
        return clients[-1]

    yield joined
    for client in clients:
        client.close()


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[FaultyServer]:
    """A server without a rate whose environment can fail."""
    from tests.faults.server import FaultyServer, disk  # not on Windows

    with disk(tmp_path) as folder:
        server = FaultyServer(folder, "--rate", "0", "--max-per-address", "0")
        yield server
        server.close()


@pytest.fixture
def room(history_path: Path) -> Iterator[Room]:
    """A room with its broadcaster running, without a server."""
    with opened(history_path) as room:
        yield room


@pytest.fixture
def peer(room: Room) -> Iterator[Callable[..., Peer]]:
    """Makes members of the room."""
    peers: list[Peer] = []

    def joined(name: str, **options: object) -> Peer:
        peers.append(Peer(room, name, **options))  # type: ignore[arg-type]
        return peers[-1]

    yield joined
    for each in peers:
        each.close()
