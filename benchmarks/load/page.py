"""Page: how soon the list of runs can be used in a real browser, from the address to the first row."""

from __future__ import annotations

import shutil
from statistics import median

from playwright.async_api import async_playwright

from .server import Server

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TIMES = 7

NOTICE = """
new MutationObserver((_, observer) => {
  if (!document.querySelector("[role=row] a")) return;
  window.seenAt = performance.now();
  observer.disconnect();
}).observe(document, { childList: true, subtree: true });
"""
"""Notes when the first row is there, in milliseconds since the address was asked for."""


async def measure_page(server: Server) -> float | None:
    """Seconds, the median of some visits; the first one, which fills the cache, is left out. None without a browser."""
    program = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if program is None:
        return None
    async with async_playwright() as playwright:
        # Without its sandbox, which root cannot have: it opens nothing but pages of this server.
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = await browser.new_page(bypass_csp=True)  # for waiting; the policy is tested elsewhere
        await page.add_init_script(NOTICE)
        times = list[float]()
        for _ in range(TIMES + 1):
            await page.goto(f"http://127.0.0.1:{server.port}/")
            seen = await page.wait_for_function("window.seenAt")
            times.append(float(await seen.json_value()) / 1e3)
        await browser.close()
    return median(times[1:])
