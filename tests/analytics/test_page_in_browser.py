"""The page in Chromium, as somebody with a pointer, a finger, a keyboard or a screen reader has it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from analytics.findings import Findings, Question
from analytics.load import read_history
from analytics.report import write_report
from analytics.serve import PageServer
from analytics.summary import summarize
from tests.analytics.histories import WEEK, line

if not (shutil.which("chromium") and shutil.which("chromedriver")):
    pytest.skip("chromium and chromium-driver are not installed (apt install)", allow_module_level=True)
selenium = pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.webdriver import ActionChains, Chrome, ChromeOptions, ChromeService, Keys  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    options = ChromeOptions()
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=ChromeService(shutil.which("chromedriver")))
    folder = tmp_path_factory.mktemp("page")
    history = folder / "history.txt"
    long = [line("2026-11-22 08:00", name, text=name) for name in ("a" * 4000, 'id="x', "<img/src=x>")]
    came = line("2026-11-14 08:00", "alice", "join")
    history.write_bytes(came + WEEK + b"".join(long))
    found = Findings(read_history(history), Question())
    page = write_report(summarize(found), found, folder / "out", [str(history)])
    driver.set_script_timeout(60)
    driver.get(page.as_uri())
    yield driver
    driver.quit()


def size(browser: Chrome, width: int, height: int = 900) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def script(browser: Chrome, code: str) -> Any:
    return browser.execute_script(code)


@pytest.fixture(autouse=True)
def _as_it_is_opened(browser: Chrome) -> None:
    size(browser, 1200)
    script(browser, "location.hash = ''; document.querySelector('[data-days=\"0\"]').click()")


def test_nothing_went_wrong_in_it(browser: Chrome) -> None:
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []  # type: ignore[no-untyped-call]
    assert script(browser, "return document.images.length") == 0


def test_a_picture_answers_under_the_pointer_and_by_keys(browser: Chrome) -> None:
    picture = browser.find_element(By.CSS_SELECTOR, "[data-picture=rhythm] .live")
    ActionChains(browser).move_to_element(picture).perform()
    tip = browser.find_element(By.ID, "tip")
    assert "on average" in tip.text
    picture = browser.find_element(By.CSS_SELECTOR, "[data-picture=people] .live")
    picture.send_keys(Keys.ARROW_RIGHT)
    assert tip.text.endswith("messages")


@pytest.mark.parametrize("name", ["messages", "people", "rhythm", "active", "online", "answers", "words"])
def test_every_picture_has_its_numbers_and_a_sentence(browser: Chrome, name: str) -> None:
    figure = browser.find_element(By.CSS_SELECTOR, f"[data-picture={name}]")
    assert figure.find_element(By.TAG_NAME, "figcaption").text.endswith(".")
    details = figure.find_element(By.TAG_NAME, "details")
    script(browser, f"document.querySelector('[data-picture={name}] details').open = true")
    rows = "return document.querySelectorAll('[data-picture=%s] tbody tr').length"
    assert _until(browser, rows % name)
    assert details.is_displayed()


def _until(browser: Chrome, code: str) -> Any:
    from selenium.webdriver.support.wait import WebDriverWait

    return WebDriverWait(browser, 60).until(lambda _: script(browser, code))


def test_a_choice_of_days_changes_pictures_and_tables(browser: Chrome) -> None:
    everything = _total(browser)
    browser.find_element(By.CSS_SELECTOR, '[data-days="1"]').click()
    assert _total(browser) == 3
    assert script(browser, "return document.querySelectorAll('#by-person tbody tr').length") == 3
    browser.find_element(By.CSS_SELECTOR, '[data-days="0"]').click()
    brush = browser.find_element(By.ID, "brush")
    ActionChains(browser).move_to_element_with_offset(brush, -200, 0).click_and_hold().move_by_offset(
        100, 0
    ).release().perform()
    assert 0 < _total(browser) < everything
    caption = browser.find_element(By.CSS_SELECTOR, "[data-picture=messages] figcaption").text
    assert "from" in caption


def test_what_does_not_follow_a_choice_of_days_says_so(browser: Chrome) -> None:
    browser.find_element(By.CSS_SELECTOR, '[data-days="1"]').click()
    said = browser.find_elements(By.CLASS_NAME, "whole")
    assert all(each.is_displayed() for each in said)
    texts = "return [...document.querySelectorAll('.lists tbody')].map(e => e.textContent)"
    before = script(browser, texts)
    browser.find_element(By.CSS_SELECTOR, '[data-days="0"]').click()
    assert not any(each.is_displayed() for each in said)
    after = script(browser, texts)
    titles = [each.text for each in browser.find_elements(By.CSS_SELECTOR, ".lists h3")]
    followed = {title for title, was, now in zip(titles, before, after, strict=True) if was != now}
    assert followed == {"People", "Time connected", "The longest conversations"}


def test_a_page_that_is_loaded_again_shows_the_same_days(browser: Chrome) -> None:
    everything = _total(browser)
    brush = browser.find_element(By.ID, "brush")
    drag = ActionChains(browser).move_to_element_with_offset(brush, -200, 0).click_and_hold()
    drag.move_by_offset(100, 0).release().perform()
    chosen = browser.find_element(By.ID, "chosen").text
    browser.refresh()
    assert browser.find_element(By.ID, "chosen").text == chosen
    for link in ("nav a[href='#words']", "#by-person a"):
        script(browser, f'document.querySelector("{link}").click()')
    assert _until(browser, "return document.body.classList.contains('one')")
    assert not browser.find_element(By.ID, "choice").is_displayed()
    browser.refresh()
    assert browser.find_element(By.ID, "person").is_displayed()
    script(browser, "document.querySelector('#person a').click()")
    assert _until(browser, "return document.getElementById('person').hidden")
    assert browser.find_element(By.ID, "chosen").text == chosen
    for nonsense in (
        "#days=",
        "#days=..",
        "#days=2026..x",
        "#days=9999-01-01T00:00..",
        "#person=%E4&days=1..",
    ):
        script(browser, f"location.hash = {json.dumps(nonsense)}; location.reload()")
        assert _until(browser, "return document.documentElement.classList.contains('scripted')")
        assert 0 < _total(browser) <= everything


def test_days_up_to_the_end_go_on_with_the_chat(browser: Chrome) -> None:
    browser.find_element(By.CSS_SELECTOR, '[data-days="1"]').click()
    assert script(browser, "return location.hash").endswith("..")
    browser.refresh()
    assert _total(browser) == 3


def test_a_page_that_is_served_goes_on_with_the_same_days(
    browser: Chrome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analytics.serve.AGAIN", 1)
    page, history = browser.current_url, tmp_path / "history.txt"
    history.write_bytes(WEEK)
    server = PageServer(history, [str(history)])
    try:
        browser.get(server.url)
        everything = _total(browser)
        browser.find_element(By.CSS_SELECTOR, '[data-days="1"]').click()
        before = _total(browser)
        with history.open("ab") as file:
            file.write(line("2026-11-20 20:00", "alice", text="hello"))
        shown = f"return document.getElementById('chosen')?.textContent.startsWith('{before + 1} ')"
        assert before < everything
        assert _until(browser, shown)
    finally:
        browser.get(page)
        server.close()


def _total(browser: Chrome) -> int:
    return int(browser.find_element(By.ID, "chosen").text.split()[0].replace(",", ""))


def test_tables_sort_and_people_are_found(browser: Chrome) -> None:
    head = browser.find_element(By.CSS_SELECTOR, "#by-person th button")
    head.send_keys(Keys.ENTER)
    names = "return [...document.querySelectorAll('#by-person tbody th')].map(e => e.dataset.value)"
    found = script(browser, names)
    assert script(browser, "return document.querySelector('#by-person th').ariaSort") == "ascending"
    head.send_keys(Keys.ENTER)
    assert script(browser, names) == found[::-1]
    field = browser.find_element(By.ID, "filter")
    field.send_keys("BO")
    shown = "#by-person tbody tr:not([hidden]) th"
    assert [each.text for each in browser.find_elements(By.CSS_SELECTOR, shown)] == ["bob"]
    field.clear()


def test_a_page_of_a_person(browser: Chrome) -> None:
    script(browser, "location.hash = '#person=alice'")
    _until(browser, "return !document.getElementById('person').hidden")
    text = browser.find_element(By.ID, "person").text
    assert "alice" in text
    assert "Favourite hour" in text
    assert not browser.find_element(By.ID, "words").is_displayed()


@pytest.mark.parametrize("width", [320, 360, 1200, 3840])
def test_nothing_sticks_out(browser: Chrome, width: int) -> None:
    size(browser, width)
    assert script(browser, "return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("where", ["", "#person=alice"], ids=["everybody", "a person"])
def test_axe_finds_nothing(browser: Chrome, dark: bool, where: str) -> None:
    axe = pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    script(browser, f"location.hash = {json.dumps(where)}")
    _until(browser, f"return document.getElementById('person').hidden === {json.dumps(not where)}")
    script(browser, Path(axe.__file__).with_name("axe.min.js").read_text("utf-8"))
    found = browser.execute_async_script("axe.run().then(arguments[0])")
    problems = [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found["violations"]]
    assert problems == []


def test_without_script_it_is_what_it_was(browser: Chrome) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.refresh()
        assert len(browser.find_elements(By.CSS_SELECTOR, "figure > svg")) >= 8
        assert not browser.find_element(By.ID, "choice").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
        browser.refresh()
