"""A long history in the page: one reads through it without a jump, and without waiting for the processor."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.browser import By, Chrome, Open, enter, say, shown, wait
from tests.harness import Client, Server, serving

LINES = 10_000
PAGE = 80  # lines that the page brings at once
TASK_MS = 50  # a longer task is felt

# Scrolls as fast as it goes, and tells how many pages that were.
SCROLL = """
const [edge, enough, done] = arguments;
const scroller = document.getElementById("scroller");
const log = document.getElementById("log");
let pages = 0, last = null;
(function step() {
  scroller.scrollTop = edge === "top" ? 0 : scroller.scrollHeight;
  const there = edge === "top" ? log.firstElementChild : log.lastElementChild;
  if (there !== last) pages++;
  last = there;
  const texts = Array.from(log.querySelectorAll(".text"), (text) => text.textContent);
  const ended = edge === "top" ? texts[0] === "number 0" : texts.pop().startsWith("news");
  if (ended || pages > enough) return done(pages);
  requestAnimationFrame(step);
})();
"""


@pytest.fixture(scope="module")
def long_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a long history."""
    history: Path = tmp_path_factory.mktemp("long") / "history.txt"
    first = datetime(2026, 11, 20, tzinfo=UTC)
    lines = [
        f"{first + timedelta(seconds=30 * number):%Y-%m-%dT%H:%M:%S.000Z}\t192.168.1.2\tspeaker-{number % 5}"
        f"\tmessage\tnumber {number}{' and more words' * (number % 9)}\n"
        for number in range(LINES)
    ]
    history.write_text("".join(lines))
    with serving(history, "--rate", "0", "--max-per-address", "0") as server:
        yield server


def processor_ms(browser: Chrome) -> float:
    """How long the page's thread has run: what others on this machine do does not count."""
    metrics = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return 1000 * float(next(found["value"] for found in metrics if found["name"] == "TaskDuration"))


def scroll(browser: Chrome, edge: str, pages: int) -> float:
    """Scroll through pages; the processor time of one."""
    before = processor_ms(browser)
    passed: int = browser.execute_async_script(SCROLL, edge, pages)
    return (processor_ms(browser) - before) / passed


def test_ten_thousand_lines_are_scrolled_as_smoothly_as_a_hundred(
    long_server: Server, chromium: Open
) -> None:
    browser = chromium()
    browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    enter(browser, long_server, "zoe")
    up = []
    while shown(browser)[0] != "number 0":
        up.append(scroll(browser, "top", 10))
        assert len(up) < LINES / PAGE
    assert max(up) < TASK_MS, up
    stop = threading.Event()
    bob = Client(long_server.port, "bob")

    def talk() -> None:
        number = 0
        while not stop.wait(1 / 20):
            bob.send(f"news {number}")
            number += 1

    talking = threading.Thread(target=talk)
    talking.start()
    try:
        down = [scroll(browser, "bottom", 10)]
        while not shown(browser)[-1].startswith("news"):
            down.append(scroll(browser, "bottom", 10))
            assert len(down) < LINES / PAGE
        assert max(down) < TASK_MS, down
    finally:
        stop.set()
        talking.join()
        bob.close()


def test_a_flood_below_what_one_reads_is_bounded_and_nothing_of_it_is_lost(
    long_server: Server, chromium: Open
) -> None:
    browser = chromium()
    browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    enter(browser, long_server, "xeno")
    scroll(browser, "top", 12)  # more than the page holds at once
    bob = Client(long_server.port, "bob")
    for first in range(0, 6000, 500):
        bob.send(*(f"flood {number}" for number in range(first, first + 500)))
        bob.until("message", f"flood {first + 499}")
    wait(browser, lambda page: page.find_element(By.ID, "new").text == "6000 new")
    bob.close()
    seen: set[int] = set()
    while 5999 not in seen:
        last = shown(browser)[-1]
        browser.execute_script("scroller.scrollTop = scroller.scrollHeight")
        wait(browser, lambda page: shown(page)[-1] != last)  # noqa: B023
        if numbers := flood(browser):
            assert numbers == list(range(numbers[0], numbers[-1] + 1))
        seen.update(numbers)
    assert 2000 < len(seen) < 4000
    scroll(browser, "top", 3)
    numbers = flood(browser)
    assert numbers == list(range(numbers[0], 6000))
    assert len(numbers) > 2 * PAGE


def flood(browser: Chrome) -> list[int]:
    """The numbers of what is shown of the flood."""
    return [int(text.split()[1]) for text in shown(browser) if text.startswith("flood")]


def test_what_is_being_read_stays_where_it_is(long_server: Server, chromium: Open) -> None:
    browser = chromium()
    enter(browser, long_server, "yan")
    position = """
        const top = document.getElementById("scroller").getBoundingClientRect().top;
        const lines = [...document.querySelectorAll("#log .line")];
        const line = arguments[0] ? lines.find((line) => line.textContent === arguments[0])
          : lines.find((line) => line.getBoundingClientRect().top >= top);
        return [line.textContent, line.getBoundingClientRect().top - top];
    """
    bob = Client(long_server.port, "bob")
    for _ in range(12):  # more than the page holds at once
        oldest = shown(browser)[0]
        browser.execute_script("document.getElementById('scroller').scrollTop = 200")
        reading, there = browser.execute_script(position, None)
        wait(browser, lambda page: shown(page)[0] != oldest)  # noqa: B023
        bob.send("meanwhile")
        bob.until("message", "meanwhile")
        browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
        assert abs(browser.execute_script(position, reading)[1] - there) < 2
    wait(browser, lambda page: page.find_element(By.ID, "new").text == "12 new")
    browser.find_element(By.ID, "new").click()
    wait(browser, lambda page: shown(page)[-12:] == ["meanwhile"] * 12)
    wait(browser, lambda page: not page.find_element(By.ID, "new").is_displayed())
    say(browser, "I have read it")
    bob.until("message", "I have read it")
    wait(browser, lambda page: shown(page)[-1] == "I have read it")
    bob.close()
