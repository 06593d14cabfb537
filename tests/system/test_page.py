"""The page in Chromium, beside a terminal: people talk, servers die, and what is said does no harm."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser import By, Chrome, Keys, Open, connected, enter, prefer, say, shown, size, visit, wait
from tests.harness import Client, Server, serving, texts


def test_two_browsers_and_a_terminal_talk(server: Server, chromium: Open) -> None:
    alice, bob = chromium(), chromium()
    enter(alice, server, "alice")
    enter(bob, server, "bob")
    carol = Client(server.port, "carol")
    say(alice, "from alice")
    carol.until("message", "from alice")
    say(bob, "from bob")
    carol.until("message", "from bob")
    carol.send("from carol", "/msg bob for you alone")
    for browser in (alice, bob):
        wait(browser, lambda page: "from carol" in shown(page))
    wait(bob, lambda page: "for you alone" in shown(page))
    assert shown(alice) == ["from alice", "from bob", "from carol"]
    assert alice.execute_script("return document.getElementById('count').textContent") == " · 3 here"
    carol.close()


def test_a_server_is_killed_while_people_type(history_path: Path, chromium: Open) -> None:
    people = {"alice": chromium(), "bob": chromium()}
    server = Server(history_path, "--rate", "0")
    said: dict[str, list[str]] = {name: [] for name in people}

    def type_line(name: str, line: str) -> None:
        said[name].append(f"{name}: {line}")
        say(people[name], said[name][-1])

    try:
        for name, browser in people.items():
            enter(browser, server, name)
        for round_ in range(5):
            for name in people:
                type_line(name, f"round {round_}")
            server.close()
            for name in people:
                type_line(name, f"round {round_} in the dark")
            server = Server(history_path, "--rate", "0", port=server.port)
            for browser in people.values():
                wait(browser, lambda page: len(shown(page)) == sum(map(len, said.values())))
        stored = texts(server.records())
        for name, browser in people.items():
            assert shown(browser) == stored
            assert [line for line in stored if line.startswith(name)] == said[name]  # each once, in order
    finally:
        server.close()


def test_a_page_that_is_reloaded_is_the_same_person(server: Server, chromium: Open) -> None:
    watcher = Client(server.port, "watcher")
    browser = chromium()
    enter(browser, server, "alice")
    say(browser, "before")
    watcher.until("message", "before")
    browser.find_element(By.NAME, "text").send_keys("half a thought")
    browser.refresh()
    wait(browser, connected)
    wait(browser, lambda page: "before" in shown(page))
    assert browser.find_element(By.NAME, "text").get_attribute("value") == "half a thought"
    say(browser, "")
    watcher.until("message", "half a thought")
    assert not [found for found in watcher.records if found.kind == "leave"]
    watcher.close()


HOSTILE = [
    "<script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\">",
    "</div></main><style>*{display:none}</style>",
    'http://a.b/"onmouseover="alert(1) javascript:alert(1)',
    "x" * 4096,
    "{{7*7}} ${7*7} &lt;b&gt;",
    "e" + "\u0301" * 500,
]


@pytest.mark.parametrize("width", [320, 390, 1200])
def test_hostile_names_and_texts_are_text(server: Server, chromium: Open, width: int) -> None:
    names = ("<b>x</b>", '"><img/src=x>', "W" * 24, "__proto__")
    people = [Client(server.port, name) for name in names]
    browser = chromium()
    size(browser, width)
    enter(browser, server, "alice")
    for name, person in zip(names, people, strict=True):
        person.send(*HOSTILE)
        person.until("message", HOSTILE[-1], name)
    people[0].send("\u202eend")
    wait(browser, lambda page: shown(page)[-1:] == ["end"] and len(shown(page)) == 4 * len(HOSTILE) + 1)
    assert sorted(shown(browser)) == sorted([*HOSTILE * 4, "end"])
    assert browser.title != "owned"
    widths = "return [document.documentElement.scrollWidth, document.getElementById('scroller').scrollWidth]"
    assert max(browser.execute_script(widths)) <= width
    assert browser.execute_script("return document.querySelectorAll('img, iframe, #log style').length") == 0
    for link in browser.find_elements(By.CSS_SELECTOR, "#log a"):
        assert (link.get_attribute("rel"), link.get_attribute("target")) == ("noopener noreferrer", "_blank")
        assert str(link.get_attribute("href")).startswith("http")
    for person in people:
        person.close()


def test_a_keyboard_is_enough(server: Server, chromium: Open) -> None:
    bob = Client(server.port, "bob")
    browser = chromium()
    enter(browser, server, "alice")
    wait(browser, lambda page: "2 here" in page.find_element(By.ID, "count").text)
    box = browser.find_element(By.NAME, "text")
    assert browser.switch_to.active_element == box
    box.send_keys("bo", Keys.TAB, "hello")
    box.send_keys(Keys.SHIFT, Keys.ENTER, Keys.NULL, "/clear", Keys.ENTER)
    bob.until("message", "bob: hello")
    bob.until("message", "/clear")  # of several lines none is a command
    box.send_keys("/he", Keys.TAB, Keys.ENTER)
    wait(browser, lambda page: page.find_elements(By.CSS_SELECTOR, "#log .answer"))
    bob.close()


def test_what_is_older_comes_as_one_scrolls_up(server: Server, chromium: Open) -> None:
    bob = Client(server.port, "bob")
    bob.send(*(f"number {number}" for number in range(400)))
    bob.until("message", "number 399")
    browser = chromium()
    enter(browser, server, "alice")
    wait(browser, lambda page: "number 399" in shown(page))
    assert "number 0" not in shown(browser)

    def scrolled(page: Chrome) -> bool:
        page.execute_script("document.getElementById('scroller').scrollTop = 0")
        return "number 0" in shown(page)

    wait(browser, scrolled)
    assert shown(browser) == [f"number {number}" for number in range(400)]
    bob.send("new")
    wait(browser, lambda page: page.find_element(By.ID, "new").text == "1 new")
    browser.find_element(By.ID, "new").click()
    wait(browser, lambda page: not page.find_element(By.ID, "new").is_displayed())
    bob.close()


@pytest.mark.parametrize("value", ["light", "dark"])
def test_axe_finds_nothing(history_path: Path, chromium: Open, value: str) -> None:
    axe_core = pytest.importorskip("axe_core_python.selenium", reason="axe-core-python is not installed")
    checker = axe_core.Axe()
    browser = chromium()

    def check(state: str) -> None:
        for width in (320, 390, 1200):
            size(browser, width)
            violations = checker.run(browser)["violations"]
            found = [(each["id"], [node["html"] for node in each["nodes"]]) for each in violations]
            assert (state, width, found) == (state, width, [])

    with serving(history_path, "--rate", "0") as server:
        bob = Client(server.port, "bob")
        bob.ask("/register correct horse", "/register")
        bob.send("/nick robert")
        bob.until("rename")
        prefer(browser, color_scheme=value, reduced_motion="reduce")
        visit(browser, server)
        check("login")
        browser.find_element(By.NAME, "name").send_keys("bob", Keys.ENTER)
        wait(browser, lambda page: page.find_element(By.NAME, "secret").is_displayed())
        check("a name that is owned")
        enter(browser, server, "alice")
        bob.send("hello alice", "/me waves", "/msg alice psst", "https://example.org/")
        say(browser, "hi", "/help", "/nope")
        wait(browser, lambda page: page.find_elements(By.CSS_SELECTOR, "#log .error"))
        check("chat")
        browser.find_element(By.CSS_SELECTOR, "#log button[data-name=robert]").click()
        wait(browser, lambda page: page.find_element(By.ID, "private").is_displayed())
        check("in private")
        size(browser, 390)
        browser.find_element(By.ID, "show-people").click()
        wait(browser, lambda page: page.find_elements(By.CSS_SELECTOR, "#people li"))
        check("who is here")
        size(browser, 390)
        browser.find_element(By.CSS_SELECTOR, "#people .close").click()
        bob.close()
    wait(browser, lambda page: not connected(page))
    say(browser, "to nobody yet")
    assert browser.find_element(By.CSS_SELECTOR, "#log .pending .text").text == "to nobody yet"
    check("disconnected")


@pytest.mark.parametrize(("motion", "moves"), [("reduce", False), ("no-preference", True)])
def test_nothing_moves_for_who_asks_for_that(
    history_path: Path, chromium: Open, motion: str, moves: bool
) -> None:
    browser = chromium()
    prefer(browser, reduced_motion=motion)
    size(browser, 390)
    with serving(history_path) as server:
        enter(browser, server, "alice")
        browser.find_element(By.ID, "show-people").click()
        slides = "return getComputedStyle(document.getElementById('people')).transitionDuration !== '0s'"
        assert browser.execute_script(slides) is moves
    wait(browser, lambda page: not connected(page))
    assert browser.execute_script("return document.getAnimations().length > 0") is moves


@pytest.mark.parametrize(("width", "height"), [(320, 480), (390, 420), (640, 200), (844, 390), (1200, 800)])
def test_there_is_room_to_read_and_write(server: Server, chromium: Open, width: int, height: int) -> None:
    """Also where the keyboard on the screen leaves little of it."""
    browser = chromium()
    size(browser, width, height)
    enter(browser, server, "alice")
    say(browser, *(f"number {number}" for number in range(12)))
    wait(browser, lambda page: len(shown(page)) == 12)
    browser.find_element(By.NAME, "text").send_keys("a line that is being written")
    boxes = """
        return ["scroller", "text", "send", "show-people"].map((id) => {
          const { top, bottom, left, right, height } = document.getElementById(id).getBoundingClientRect();
          return { id, top, bottom, left, right, height };
        });
    """
    reading, *controls = browser.execute_script(boxes)
    assert reading["height"] >= 60
    for box in (reading, *controls):
        assert box["top"] >= 0, box
        assert box["bottom"] <= height, box
        assert box["right"] <= width, box
    last = "return [...document.querySelectorAll('#log .text')].pop().getBoundingClientRect().bottom"
    assert browser.execute_script(last) <= reading["bottom"]


def test_the_password_is_asked_for_and_said_why_not(
    history_path: Path, tmp_path: Path, chromium: Open
) -> None:
    password = tmp_path / "password"
    password.write_text("sesame\n")
    password.chmod(0o600)
    with serving(history_path, "--password-file", str(password)) as server:
        browser = chromium()
        visit(browser, server)
        browser.find_element(By.NAME, "name").send_keys("alice")
        field = browser.find_element(By.NAME, "password")
        field.send_keys("wrong", Keys.ENTER)
        wait(browser, lambda page: "not the password" in page.find_element(By.ID, "why").text)
        field.clear()
        field.send_keys("sesame", Keys.ENTER)
        wait(browser, connected)
