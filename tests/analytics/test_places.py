"""Where people are."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from analytics import places
from tests.analytics.histories import line, records


@pytest.mark.parametrize(
    ("address", "kind", "network"),
    [
        ("127.0.0.1", "loopback", "127.0.0.0/24"),
        ("::1", "loopback", "::/64"),
        ("192.168.1.7", "private", "192.168.1.0/24"),
        ("fd00::7", "private", "fd00::/64"),
        ("169.254.1.1", "link-local", "169.254.1.0/24"),
        ("fe80::1", "link-local", "fe80::/64"),
        ("8.8.8.8", "public", "8.8.8.0/24"),
        ("100.64.0.1", "shared", "100.64.0.0/24"),
        ("1.2.3", "no address", ""),
    ],
)
def test_ranges_and_networks(address: str, kind: str, network: str) -> None:
    place = places.places(records(line("10:00", "a", address=address))).loc[address]
    assert (place["range"], place["network"]) == (kind, network)


def test_who_only_listens_is_somewhere_and_the_host_is_not() -> None:
    table = places.places(
        records(line("10:00", "a", "join"), line("10:01", "b"), line("10:02", "host", "notice", address="-"))
    )
    assert table[["names", "messages"]].to_dict("index") == {"10.0.0.1": {"names": 2, "messages": 1}}


@pytest.mark.skipif(find_spec("iptocc") is None, reason="the optional group country")
def test_countries_of_public_addresses() -> None:
    table = places.places(records(line("10:00", "a", address="8.8.8.8"), line("10:00", "b")))
    assert table["country"].to_dict() == {"8.8.8.8": "US", "10.0.0.1": ""}


def test_networks_most_first() -> None:
    table = places.networks(
        places.places(
            records(
                line("10:00", "a", address="10.0.0.1"),
                line("10:00", "b", address="10.0.0.2"),
                line("10:00", "c", address="10.0.1.1"),
            )
        )
    )
    assert table[["network", "addresses", "messages"]].to_numpy().tolist() == [
        ["10.0.0.0/24", 2, 2],
        ["10.0.1.0/24", 1, 1],
    ]


def test_hosts_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = tmp_path / "System32/drivers/etc/hosts"
    hosts.parent.mkdir(parents=True)
    hosts.write_text("# comment\n10.0.0.1 printer printer.local # where it is\n\n10.0.0.1 other\nbroken\n")
    monkeypatch.setenv("SYSTEMROOT", str(tmp_path))
    assert places.hosts_file() == {"10.0.0.1": "printer"}
    assert places.places(records(line("10:00", "a")))["host"].tolist() == ["printer"]


def test_without_a_hosts_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYSTEMROOT", str(tmp_path))
    assert places.hosts_file() == {}


def test_names_are_asked_for_only_when_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(address: str) -> tuple[str, list[str], list[str]]:
        asked.append(address)
        if address == "10.0.0.2":
            raise OSError("not found")
        return "host.example", [], []

    monkeypatch.setattr("socket.gethostbyaddr", answer)
    table = records(line("10:00", "a"), line("10:00", "b", address="10.0.0.2"))
    places.places(table)
    assert asked == []
    assert places.places(table, resolve=True)["host"].to_dict() == {
        "10.0.0.1": "host.example",
        "10.0.0.2": "",
    }


def test_nobody() -> None:
    assert places.networks(places.places(records())).empty
