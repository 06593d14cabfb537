"""Chromium for the tests, and the page in it. Every wait has a deadline."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cable import Cable
from tests.harness import DEADLINE, Server

if not (shutil.which("chromium") and shutil.which("chromedriver")):
    pytest.skip("chromium and chromium-driver are not installed (apt install)", allow_module_level=True)
pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome as Chrome
from selenium.webdriver import ChromeOptions, ChromeService
from selenium.webdriver import Keys as Keys
from selenium.webdriver.common.by import By as By
from selenium.webdriver.support.wait import WebDriverWait

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
Open = Callable[[], Chrome]


def start(*flags: str, prefix: Path | None = None) -> Chrome:
    """A browser with a profile of its own. `prefix`: a program that runs chromedriver."""
    options = ChromeOptions()
    for flag in (*FLAGS, *flags):
        options.add_argument(flag)
    return Chrome(options=options, service=ChromeService(str(prefix or shutil.which("chromedriver"))))


def new_window(driver: Chrome) -> Chrome:
    """The browser with nothing left of the tests before: what was emulated goes with the old windows."""
    before = driver.window_handles
    driver.switch_to.window(before[-1])
    driver.switch_to.new_window("window")
    here = driver.current_window_handle
    for handle in before:
        driver.switch_to.window(handle)
        driver.close()
    driver.switch_to.window(here)
    return driver


def wait(browser: Chrome, ready: Callable[[Chrome], Any]) -> Any:
    """What `ready` returns, once that is true."""
    return WebDriverWait(browser, DEADLINE, 0.05).until(ready)


def visit(browser: Chrome, server: Server | Cable, host: str = "127.0.0.1", scheme: str = "http") -> None:
    """Open the page, up to the question for a name."""

    def opened(page: Chrome) -> bool:
        try:  # a browser that is slow to ask is greeted as a person is; it asks again
            page.get(f"{scheme}://{host}:{server.port}/")
        except WebDriverException:
            return False
        return bool(page.find_elements(By.NAME, "name"))

    wait(browser, opened)
    wait(browser, lambda page: page.find_element(By.NAME, "name").is_displayed())


def enter(
    browser: Chrome, server: Server | Cable, name: str, host: str = "127.0.0.1", scheme: str = "http"
) -> None:
    """Open the page and join."""
    visit(browser, server, host, scheme)
    field = browser.find_element(By.NAME, "name")
    field.clear()  # of the name used last
    field.send_keys(name, Keys.ENTER)
    wait(browser, connected)


def state(browser: Chrome) -> str:
    """The page's word on its connection."""
    return browser.find_element(By.CSS_SELECTOR, "[role=status]").text


def connected(browser: Chrome) -> bool:
    """Whether the page says so."""
    return state(browser) == "connected"


def say(browser: Chrome, *lines: str) -> None:
    """Type lines."""
    for line in lines:
        browser.find_element(By.NAME, "text").send_keys(line, Keys.ENTER)


def shown(browser: Chrome) -> list[str]:
    """The texts of what was said and is stored, as they stand in the log."""
    stored = "document.querySelectorAll('[role=log] > :not(.pending) .text')"
    found: list[str] = browser.execute_script(f"return Array.from({stored}, e => e.textContent)")
    return found


def size(browser: Chrome, width: int, height: int = 800) -> None:
    """Give the page a size; narrow is a phone."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def prefer(browser: Chrome, **features: str) -> None:
    """Emulate what somebody has set in their system: color_scheme="dark", reduced_motion="reduce"."""
    listed = [
        {"name": f"prefers-{name.replace('_', '-')}", "value": value} for name, value in features.items()
    ]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": listed})
