"""A real browser on a real page: what a user does to it, and what it did."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

from padiff.comparing.comparison import Comparison
from padiff.render.page import render
from tests.tools import need

__all__ = ["Browser", "browser"]


class Browser:
    """One tab; what its console said and what it asked of the network is gathered."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, place: Path, comparison: Comparison, view: str = "", **options: Any) -> None:
        """Write the page and look at one of its views."""
        place.write_text(render(comparison, **options), "utf-8")
        self.driver.get("about:blank")
        self.said()
        self.driver.get(f"{place.as_uri()}#/{view}")
        assert self.run("return document.documentElement.dataset.ready") == "yes", self.said()

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def settle(self) -> None:
        """Wait until what was asked for is drawn."""
        self.driver.execute_async_script(
            "const done = arguments[0];"
            "requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)));"
        )

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements("css selector", selector)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element("css selector", selector)

    def click(self, selector: str) -> None:
        self.one(selector).click()
        self.settle()

    def choose(self, selector: str, text: str) -> None:
        """An entry of a list to choose from."""
        Select(self.one(selector)).select_by_visible_text(text)
        self.settle()

    def type(self, selector: str, text: str) -> None:
        """Replace what a field holds."""
        field = self.one(selector)
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(text)
        self.settle()

    def press(self, *keys: str) -> None:
        """Keys for whatever has the focus."""
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)
            self.settle()

    def focus(self) -> str:
        """The text of what has the focus, on one line."""
        return " ".join(self.driver.switch_to.active_element.text.split())

    def texts(self, selector: str) -> list[str]:
        return [" ".join(element.text.split()) for element in self.all(selector)]

    def said(self) -> list[str]:
        """What the console said since it was asked last."""
        return [entry["message"] for entry in self._log("browser")]

    def requests(self) -> Sequence[str]:
        """What was asked of the network, or refused, since it was asked last."""
        messages = (json.loads(entry["message"])["message"] for entry in self._log("performance"))
        asked = [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in asked if not url.startswith(("file:", "data:", "about:"))]

    def _log(self, kind: str) -> list[dict[str, str]]:
        entries: list[dict[str, str]] = self.driver.get_log(kind)  # type: ignore[no-untyped-call]
        return entries

    def emulate(self, **features: str) -> None:
        """What the system prefers, such as `prefers_color_scheme="dark"`."""
        named = [{"name": n.replace("_", "-"), "value": value} for n, value in features.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": named})


@contextmanager
def browser() -> Iterator[Browser]:
    """Chromium without a window, closed at the end."""
    need("chromium", "chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1280,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
