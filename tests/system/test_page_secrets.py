"""What the page keeps: private messages over a reload, and the secrets of names."""

from __future__ import annotations

from tests.browser import By, Chrome, Keys, Open, connected, enter, say, shown, visit, wait
from tests.cable import Cable
from tests.harness import Client, Server

KEPT = "return localStorage.getItem('secret of alice') || ''"


def log(browser: Chrome) -> str:
    return browser.find_element(By.ID, "log").text


def leave(browser: Chrome) -> None:
    say(browser, "/exit")
    wait(browser, lambda page: page.find_element(By.NAME, "name").is_displayed())


def register(server: Server, secret: str) -> None:
    """Make the name alice somebody's, at a terminal."""
    alice = Client(server.port, "alice")
    alice.ask(f"/register {secret}", "/register")
    alice.send("/exit")
    alice.rest()
    alice.close()


def test_private_messages_are_in_their_place_after_a_reload(server: Server, chromium: Open) -> None:
    bob = Client(server.port, "bob")
    browser = chromium()
    enter(browser, server, "alice")
    for line in ("one", "/msg alice in secret", "two"):
        bob.send(line)
        wait(browser, lambda page: shown(page)[-1:] == [line.replace("/msg alice ", "")])  # noqa: B023
    say(browser, "/msg bob secret, too")
    bob.until("/msg", "secret, too")
    bob.send("three")
    said = ["one", "in secret", "two", "secret, too", "three"]
    wait(browser, lambda page: shown(page) == said)
    for _ in range(2):
        browser.refresh()
        wait(browser, connected)
        wait(browser, lambda page: len(shown(page)) >= len(said))
        assert shown(browser) == said
    assert len(browser.find_elements(By.CSS_SELECTOR, "#log .secret")) == 2
    bob.send("/msg alice last")
    wait(browser, lambda page: shown(page) == [*said, "last"])
    leave(browser)
    assert browser.execute_script("return sessionStorage.getItem('private')") == "[]"
    bob.close()


def test_a_name_that_is_owned_is_taken_with_its_secret(server: Server, chromium: Open) -> None:
    register(server, "correct horse battery")
    browser = chromium()
    visit(browser, server)
    browser.find_element(By.NAME, "name").send_keys("alice", Keys.ENTER)
    field = browser.find_element(By.NAME, "secret")
    wait(browser, lambda _: field.is_displayed())
    assert "alice is registered." in browser.find_element(By.ID, "why").text
    assert browser.switch_to.active_element == field
    field.send_keys("a wrong secret", Keys.ENTER)
    wait(browser, lambda page: "That is not the secret of alice." in page.find_element(By.ID, "why").text)
    assert browser.execute_script(KEPT) == ""
    field.send_keys("correct horse battery", Keys.ENTER)
    wait(browser, connected)
    assert "This browser keeps the secret of alice" in log(browser)
    leave(browser)
    enter(browser, server, "Alice")  # the same name; nothing is asked for
    say(browser, "/secret")
    wait(browser, lambda page: "correct horse battery" in log(page))


def test_a_secret_is_kept_before_it_is_sent(server: Server, chromium: Open) -> None:
    cable = Cable(server.port)
    browser = chromium()
    enter(browser, cable, "alice")
    cable.pull()
    say(browser, "/register")
    secret = browser.execute_script(KEPT)
    assert len(secret) == 32
    cable.plug()
    wait(browser, lambda page: "alice is yours now" in log(page))
    say(browser, "/register short")
    wait(browser, lambda page: page.find_elements(By.CSS_SELECTOR, "#log .error"))
    assert browser.execute_script(KEPT) == secret
    assert "short" not in log(browser).replace("too short", "")
    leave(browser)
    # As if the answer to another /register had been lost: it was not taken, and the earlier secret holds.
    browser.execute_script("localStorage.setItem('secret of alice', arguments[0])", f"another\n{secret}")
    enter(browser, cable, "alice")
    assert browser.execute_script(KEPT) == secret
    say(browser, "/unregister")
    wait(browser, lambda page: page.execute_script(KEPT) == "")
    cable.close()
