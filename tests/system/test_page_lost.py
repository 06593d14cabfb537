"""The page when connections break, phones sleep and servers die: nothing is lost, and nothing comes twice."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.browser import By, Open, connected, enter, say, shown, start, state, visit, wait
from tests.cable import Cable
from tests.harness import Client, Server, serving, texts

CLONE_NEWNET = 0x40000000
LAN_ADDRESS = "10.87.65.1"

# A clock that a test can put forward.
CLOCK = "const now = Date.now; window.skipped = 0; Date.now = () => now() + window.skipped;"


@pytest.fixture
def cable(server: Server) -> Iterator[Cable]:
    """What the browser is connected by."""
    cable = Cable(server.port)
    yield cable
    cable.close()


WAKING = {
    "silence": "window.skipped += 41000",
    "seen again": """
        const set = (value) => Object.defineProperty(document, "hidden", { value, configurable: true });
        set(true);
        document.dispatchEvent(new Event("visibilitychange"));
        window.skipped += 6000;
        set(false);
        document.dispatchEvent(new Event("visibilitychange"));
    """,
    "online": "dispatchEvent(new Event('online'))",
}


@pytest.mark.parametrize("event", WAKING)
def test_a_connection_that_was_lost_without_a_word(
    server: Server, cable: Cable, chromium: Open, event: str
) -> None:
    bob = Client(server.port, "bob")
    browser = chromium()
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": CLOCK})
    enter(browser, cable, "alice")
    cable.lose()
    bob.send("nobody hears that at once")
    bob.until("message", "nobody hears that at once")
    assert connected(browser)
    say(browser, "and that is on no wire")
    browser.execute_script(WAKING[event])
    wait(browser, lambda page: len(shown(page)) == 2)
    assert shown(browser) == ["nobody hears that at once", "and that is on no wire"]
    assert texts(server.records()) == shown(browser)
    assert not [found for found in server.records() if found.kind == "leave"]
    bob.close()


def test_who_waits_to_be_let_in_is_told(cable: Cable, chromium: Open) -> None:
    """R47"""
    browser = chromium()
    visit(browser, cable)
    cable.pull()
    browser.find_element(By.NAME, "name").send_keys("alice\n")
    wait(browser, lambda page: "not let you in yet" in page.find_element(By.ID, "why").text)
    cable.plug()
    wait(browser, connected)


def test_airplane_mode(server: Server, chromium: Open) -> None:
    def offline(*, value: bool) -> None:
        conditions = {"offline": value, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        browser.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)

    bob = Client(server.port, "bob")
    browser = chromium()
    enter(browser, server, "alice")
    browser.execute_cdp_cmd("Network.enable", {})
    for number in range(3):
        offline(value=True)
        say(browser, f"from the air {number}")
        bob.send(f"from the ground {number}")
        bob.until("message", f"from the ground {number}")
        wait(browser, lambda page: page.find_elements(By.CSS_SELECTOR, "#log .pending"))
        offline(value=False)
        bob.until("message", f"from the air {number}")
        wait(browser, lambda page: len(shown(page)) == 2 * number + 2)  # noqa: B023
    assert shown(browser) == texts(server.records())
    bob.close()


def test_a_tab_that_was_thrown_away_while_the_server_was_killed(history_path: Path, chromium: Open) -> None:
    browser = chromium()
    server = Server(history_path, "--rate", "0")
    try:
        bob = Client(server.port, "bob")
        enter(browser, server, "alice")
        say(browser, "before")
        bob.until("message", "before")
        browser.find_element(By.NAME, "text").send_keys("a draft")
        browser.get("about:blank")
        bob.send("while nobody looked")
        bob.until("message", "while nobody looked")
        bob.close()
        server.close()
        server = Server(history_path, "--rate", "0", port=server.port)
        browser.back()
        wait(browser, connected)
        wait(browser, lambda page: shown(page) == ["before", "while nobody looked"])
        assert browser.find_element(By.NAME, "text").get_attribute("value") == "a draft"
        say(browser, "")
        wait(browser, lambda page: shown(page) == ["before", "while nobody looked", "a draft"])
        assert texts(server.records()) == shown(browser)
    finally:
        server.close()


def test_eight_tabs_of_a_browser_are_eight_people(server: Server, chromium: Open) -> None:
    browser = chromium()
    tabs = []
    for number in range(8):
        if number:
            browser.switch_to.new_window("tab")
        enter(browser, server, f"tab-{number}")
        tabs.append(browser.current_window_handle)
    for number, tab in enumerate(tabs):
        browser.switch_to.window(tab)
        say(browser, f"from {number}")
    said = [f"from {number}" for number in range(8)]
    for tab in tabs:
        browser.switch_to.window(tab)
        wait(browser, lambda page: sorted(shown(page)) == said)
    assert sorted(texts(server.records())) == said
    assert {found.name for found in server.records() if found.kind == "message"} == {
        f"tab-{number}" for number in range(8)
    }


# ------------------------------------------------------------------------------------- a network of its own


def in_a_network(work: Callable[[], None]) -> None:
    """Run that, and what it starts, in a network of its own, which has an address as on a LAN."""

    def run() -> None:
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
            pytest.skip("no network can be made here")
        for command in (
            "ip link set lo up",
            f"ip address add {LAN_ADDRESS}/32 dev lo",
        ):
            if subprocess.run(command.split(), capture_output=True, check=False).returncode:
                pytest.skip(f"not permitted here: {command}")
        work()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(run).result()


@pytest.mark.skipif(sys.platform != "linux", reason="a namespace of Linux")
def test_all_works_at_an_address_of_the_lan(history_path: Path) -> None:
    """There a page over plain HTTP is no secure context, unlike at 127.0.0.1."""

    def talk() -> None:
        with serving(history_path, "--rate", "0", "--host", LAN_ADDRESS) as server:
            browser = start()
            try:
                enter(browser, server, "alice", LAN_ADDRESS)
                missing = "return [isSecureContext, typeof crypto.randomUUID, typeof navigator.clipboard]"
                assert browser.execute_script(missing) == [False, "undefined", "undefined"]
                say(browser, "one")
                wait(browser, lambda page: shown(page) == ["one"])
                browser.refresh()
                wait(browser, connected)
                say(browser, "two", "/register")
                wait(browser, lambda page: shown(page) == ["one", "two"])
                wait(browser, lambda page: "keeps the secret" in page.find_element(By.ID, "log").text)
                browser.find_element(By.ID, "bell").click()
                port = server.port
                server.kill()
                wait(browser, lambda page: state(page) != "connected")
                say(browser, "three")
                again = Server(history_path, "--rate", "0", "--host", LAN_ADDRESS, port=port)
                try:
                    wait(browser, lambda page: shown(page) == ["one", "two", "three"])
                    assert texts(again.records()) == ["one", "two", "three"]
                    # The address is the browser's own.
                    assert {found.address for found in again.records() if found.name == "alice"} == {
                        LAN_ADDRESS
                    }
                finally:
                    again.close()
            finally:
                browser.quit()

    in_a_network(talk)
