"""A real browser before a real server. One server for all tests of a process, one browser for those of a module."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from .served import Served, served

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SEEN_MILLISECONDS_MAX = 30_000
"""So long a busy machine may take until something is seen; the tests wait no longer than it takes."""


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("shop")) as shop:
        yield shop


# Of a module, not of the session: Playwright has a loop at work in the thread, where no asynchronous test could run.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if program is None:
        pytest.skip("there is no Chromium; scripts/chromium.sh installs Debian's")
    with sync_playwright() as playwright:
        # Without its sandbox, which root cannot have: it opens nothing but pages of these tests.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visitor:
    """Somebody before the pages, who notices whatever goes wrong in them."""

    def __init__(self, page: Page, shop: Served) -> None:
        self.page = page
        self.troubles: list[str] = []
        self.hosts: set[str] = set()
        self._address = shop.address
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("console", self._hear)
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))

    def _hear(self, message: ConsoleMessage) -> None:
        # A refusal, which the page shows as such, is told on the console by the browser itself.
        if message.type in ("error", "warning") and "the server responded with a status of 4" not in message.text:
            self.troubles.append(message.text)

    def goes_to(self, path: str = "/") -> Page:
        self.page.goto(self._address + path)
        return self.page

    def finds_no_barrier(self) -> None:
        """Asks axe for what keeps people out."""
        found = Axe().run(self.page).response["violations"]
        assert [(each["id"], [node["html"][:120] for node in each["nodes"]]) for each in found] == []


@pytest.fixture
def visitor(browser: Browser, shop: Served, request: pytest.FixtureRequest) -> Iterator[Visitor]:
    """``@pytest.mark.parametrize("visitor", [{...}], indirect=True)`` for another window than the usual one."""
    looks: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}, **getattr(request, "param", {})}
    context = browser.new_context(**looks)
    context.set_default_timeout(SEEN_MILLISECONDS_MAX)
    visitor = Visitor(context.new_page(), shop)
    yield visitor
    context.close()
    assert visitor.troubles == []
    assert visitor.hosts <= {urlsplit(shop.address).netloc}


PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "color_scheme": "light"}
DARK = {"color_scheme": "dark"}
