"""The overview, queues and workers, in a browser."""

from __future__ import annotations

import contextlib
import os
import re

import pytest
from playwright.sync_api import Locator, Page, expect

from keepstep import WorkflowFailed

from .conftest import DARK, PHONE, SEEN_MILLISECONDS_MAX, Visitor
from .office import note_shown, print_posters_shown
from .served import Served
from .shop import remind_shown, sell_shown

expect.set_options(timeout=SEEN_MILLISECONDS_MAX)


async def stock(shop: Served) -> None:
    """Runs of which some failed, some wait where nobody is, and one sleeps."""
    if await shop.engine.count("WorkflowType = 'print_posters_shown'"):
        return
    for n in range(5):
        await shop.engine.run(note_shown, n)
    with contextlib.suppress(WorkflowFailed):
        await shop.engine.run(sell_shown, "c-overseen", 5000.0, id="oversold")
    await shop.engine.start(print_posters_shown, id="posters")
    await shop.engine.start(remind_shown, 3, id="reminded-of-all")


@pytest.fixture(autouse=True)
def stocked(shop: Served) -> None:
    shop.do(stock(shop))


def line_of(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


def test_the_overview_tells_what_needs_a_person_and_leads_there(visitor: Visitor) -> None:
    page = visitor.goes_to("/overview")
    concerns = page.get_by_role("region", name="What needs attention")
    expect(concerns).to_contain_text("Nobody serves the queue press")
    concerns.get_by_role("link", name=re.compile("failed within the last hour")).click()
    expect(page.get_by_label("Filter", exact=True)).to_have_value(re.compile("Status IN"))
    expect(page.get_by_role("link", name="oversold", exact=True)).to_be_visible()
    page.go_back()
    page.get_by_role("link", name=re.compile("Nobody serves the queue press")).click()
    expect(page).to_have_url(re.compile("/queues\\?filter=press"))


def test_curves_are_read_by_pointing_at_them_and_as_tables(visitor: Visitor, shop: Served) -> None:
    page = visitor.goes_to("/overview?since=1h")
    ended = page.get_by_role("region", name="Runs that ended", exact=True)
    expect(ended.get_by_role("listitem").filter(has_text="completed")).to_have_text(re.compile(r"completed \d+"))
    box = ended.get_by_role("img").bounding_box()
    assert box is not None
    ended.get_by_role("img").hover(position={"x": box["width"] - 3, "y": 20})
    expect(ended).to_contain_text(re.compile(r"\d\d:\d\d"))
    ended.get_by_role("button", name="Table").click()
    expect(ended.get_by_role("row")).to_have_count(49)
    expect(page.get_by_role("region", name="Failures by type")).to_contain_text("sell_shown")
    expect(page.get_by_role("region", name="How long completed runs took")).to_contain_text(
        re.compile("half within .* m?s")
    )
    visitor.finds_no_barrier()
    page.get_by_role("link", name="7d").click()
    expect(page).to_have_url(re.compile("since=7d"))


def test_a_queue_is_limited_paused_and_resumed(visitor: Visitor, shop: Served) -> None:
    page = visitor.goes_to("/queues")
    press = line_of(page, "press")
    expect(press).to_contain_text("nobody serves it")
    expect(press.get_by_role("link", name="posters")).to_be_visible()
    page.get_by_role("button", name="Limits of press").click()
    dialog = page.get_by_role("dialog", name="Limits of press")
    expect(dialog.get_by_label("At work at a time")).to_be_focused()
    dialog.get_by_label("At work at a time").fill("two")
    dialog.get_by_role("button", name="Change them").click()
    expect(dialog.get_by_role("alert")).to_contain_text('a whole number is wanted, not "two"')
    dialog.get_by_label("At work at a time").fill("2")
    dialog.get_by_label("Begun at most", exact=True).fill("often")
    dialog.get_by_role("button", name="Change them").click()
    expect(dialog.get_by_role("alert")).to_contain_text("often")
    visitor.finds_no_barrier()
    dialog.get_by_label("Begun at most", exact=True).fill("100/m")
    dialog.get_by_role("button", name="Change them").click()
    expect(dialog).to_have_count(0)
    expect(press).to_contain_text("2 at a time")
    expect(press).to_contain_text("100/m")
    page.get_by_role("button", name="Pause press").click()
    expect(press).to_contain_text("paused")
    assert shop.do(shop.engine.queues.get("press")).is_paused
    page.get_by_role("button", name="Resume press").click()
    expect(page.get_by_role("button", name="Pause press")).to_be_visible()
    page.get_by_role("button", name="Limits of press").click()
    for check in page.get_by_role("checkbox").all():
        check.check()
    page.get_by_role("button", name="Change them").click()
    expect(press).to_contain_text("none")
    assert shop.do(shop.engine.queues.get("press")).limits == {}


def test_workers_are_shown_with_their_load_and_versions_with_the_runs_that_need_them(visitor: Visitor) -> None:
    page = visitor.goes_to("/workers")
    worker = page.get_by_role("region", name="Workers", exact=True).get_by_role("row").nth(1)
    expect(worker).to_contain_text(f"{os.getpid()} on ")
    expect(worker).to_contain_text("default")
    versions = page.get_by_role("region", name="Versions")
    expect(versions.get_by_role("row").filter(has_text="remind_shown")).to_contain_text("new runs get it")
    expect(page.get_by_role("region", name="Definitions")).to_contain_text("amount: number")
    page.get_by_label("Search").fill("print_posters")
    expect(page.get_by_role("region", name="Definitions").get_by_role("row")).to_have_count(2)
    expect(page.get_by_role("region", name="Definitions")).to_contain_text("Nobody serves the queue of its step")
    versions.get_by_role("link", name="print_posters_shown").click()
    expect(page.get_by_role("link", name="posters", exact=True)).to_be_visible()


@pytest.mark.parametrize("visitor", [DARK, PHONE], ids=["dark", "phone"], indirect=True)
def test_nothing_on_these_pages_keeps_anybody_out_or_is_wider_than_the_window(visitor: Visitor) -> None:
    for path, seen in (("/overview", "Failures by type"), ("/queues", "press"), ("/workers", "note_shown")):
        page = visitor.goes_to(path)
        expect(page.get_by_text(seen).first).to_be_visible()
        visitor.finds_no_barrier()
        wide = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide == 0
