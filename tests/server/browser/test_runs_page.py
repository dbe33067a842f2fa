"""The page of runs, in a browser."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Locator, Page, expect

from keepstep import WorkflowFailed

from .conftest import DARK, PHONE, SEEN_MILLISECONDS_MAX, Visitor
from .served import Served
from .shop import approve_shown, number_sold_shown, sell_shown

expect.set_options(timeout=SEEN_MILLISECONDS_MAX)

SALES = 230
BUDGET = 'it\'s a "budget" / 2026'


async def stock(shop: Served) -> None:
    """More runs than a page has, once for all tests."""
    if await shop.engine.count("WorkflowType = 'number_sold_shown'"):
        return
    await asyncio.gather(*(shop.engine.start(number_sold_shown, n, id=f"sale-{n:03}") for n in range(SALES)))
    await shop.engine.start(approve_shown, "the budget", id=BUDGET)
    with contextlib.suppress(WorkflowFailed):
        await shop.engine.run(sell_shown, "c-rich", 4000.0, id="too-expensive")


@pytest.fixture(autouse=True)
def stocked(shop: Served) -> None:
    shop.do(stock(shop))


def rows(page: Page) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("cell"))


def row_of(page: Page, id: str) -> Locator:
    return rows(page).filter(has=page.get_by_role("link", name=id, exact=True))


def sales(rest: str = "") -> str:
    return "/?filter=" + quote(f"WorkflowType = 'number_sold_shown'{rest}")


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def test_every_run_shows_its_status_and_what_it_waits_for_or_failed_with(visitor: Visitor) -> None:
    page = visitor.goes_to()
    waiting = row_of(page, 'it\'s a "budget" / 2026')
    expect(waiting).to_contain_text("waiting")
    expect(waiting).to_contain_text("signal approval")
    expect(row_of(page, "too-expensive")).to_contain_text("failed")
    expect(row_of(page, "too-expensive")).to_contain_text("StepFailed: step 'charge_card_shown'")
    expect(page).to_have_title("Runs · Keepstep")


def test_a_filter_is_applied_as_it_is_typed_and_kept_in_the_address(visitor: Visitor) -> None:
    page = visitor.goes_to()
    page.keyboard.press("/")
    page.keyboard.type("customer = 'c-rich' AND amount > 100")
    expect(rows(page)).to_have_count(1)
    expect(page).to_have_url(re.compile(r"filter=customer\+%3D"))
    expect(page.get_by_text("1 run fit")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Filter", exact=True)).to_have_value("customer = 'c-rich' AND amount > 100")
    expect(rows(page)).to_have_count(1)


def test_a_filter_that_is_wrong_is_underlined_where_it_is_wrong_and_keeps_what_is_listed(visitor: Visitor) -> None:
    page = visitor.goes_to(sales())
    expect(row_of(page, "sale-229")).to_be_visible()
    box = page.get_by_label("Filter", exact=True)
    box.fill("Status = 'failed' AND custmer = 'c7'")
    expect(page.get_by_role("alert")).to_contain_text("did you mean customer?")
    expect(page.locator("mark")).to_have_text("custmer")
    expect(box).to_have_attribute("aria-invalid", "true")
    expect(row_of(page, "sale-229")).to_be_visible()
    visitor.finds_no_barrier()
    box.fill("Status = 'failed' AND customer = 'c-rich'")
    expect(rows(page)).to_have_count(1)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_press_on_a_status_narrows_what_is_listed_and_another_one_widens_it(visitor: Visitor) -> None:
    page = visitor.goes_to("/?filter=" + quote(f"WorkflowId = 'too-expensive' OR WorkflowId = {quoted(BUDGET)}"))
    expect(rows(page)).to_have_count(2)
    failed = page.get_by_role("button", name="failed")
    failed.click()
    expect(failed).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_label("Filter", exact=True)).to_have_value(re.compile(r"^\(.* OR .*\) AND Status = 'failed'$"))
    expect(rows(page)).to_have_count(1)
    failed.click()
    expect(rows(page)).to_have_count(2)
    expect(page.get_by_label("Filter", exact=True)).to_have_value(re.compile(r"^\(.* OR .*\)$"))


def test_a_type_is_chosen_from_those_that_there_are(visitor: Visitor) -> None:
    page = visitor.goes_to()
    expect(row_of(page, "too-expensive")).to_be_visible()
    page.get_by_label("Type").select_option("number_sold_shown")
    expect(row_of(page, "too-expensive")).to_have_count(0)
    expect(rows(page).first).to_contain_text("number_sold_shown")
    expect(page.get_by_label("Filter", exact=True)).to_have_value("WorkflowType = 'number_sold_shown'")


def test_a_long_listing_is_read_on_as_it_is_scrolled_and_has_few_rows_at_a_time(visitor: Visitor) -> None:
    page = visitor.goes_to(sales(" ORDER BY WorkflowId"))
    expect(row_of(page, "sale-000")).to_be_visible()
    last = row_of(page, f"sale-{SALES - 1}")
    scroller = page.get_by_label("Runs, rows")
    while last.count() == 0:
        scroller.evaluate("element => element.scrollBy(0, 2000)")
        page.wait_for_function("() => new Promise(requestAnimationFrame)")
    expect(last).to_be_visible()
    assert rows(page).count() < 60
    assert int(page.get_by_role("table").get_attribute("aria-rowcount") or 0) == SALES + 1


def test_a_run_that_begins_or_ends_is_seen_without_a_reload(visitor: Visitor, shop: Served) -> None:
    page = visitor.goes_to("/?filter=" + quote("WorkflowId STARTS_WITH 'live-'"))
    expect(page.get_by_text("No run fits this filter.")).to_be_visible()
    run = shop.do(shop.engine.start(approve_shown, "a chair", id="live-1"))
    expect(row_of(page, "live-1")).to_contain_text("waiting")
    shop.do(run.signal("approval", True))
    expect(row_of(page, "live-1")).to_contain_text("completed")
    expect(page.get_by_text("1 run fit")).to_be_visible()


def test_keys_move_through_the_runs_and_open_one(visitor: Visitor) -> None:
    page = visitor.goes_to(sales(" ORDER BY WorkflowId"))
    expect(row_of(page, "sale-000")).to_be_visible()
    for key in "jjjk":
        page.keyboard.press(key)
    expect(row_of(page, "sale-001")).to_have_attribute("aria-current", "true")
    expect(row_of(page, "sale-001").get_by_role("link")).to_be_focused()
    expect(page).to_have_url(re.compile("selected="))
    page.reload()
    expect(row_of(page, "sale-001")).to_have_attribute("aria-current", "true")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/runs/sale-001"))
    page.go_back()
    expect(row_of(page, "sale-001")).to_have_attribute("aria-current", "true")


def test_the_keys_are_shown_by_one_of_them_and_a_letter_in_a_field_is_no_key(visitor: Visitor) -> None:
    page = visitor.goes_to()
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    expect(keys).to_contain_text("To the filter")
    visitor.finds_no_barrier()
    page.keyboard.press("Escape")
    expect(keys).to_have_count(0)
    page.get_by_label("Filter", exact=True).press_sequentially("?")
    expect(keys).to_have_count(0)


def test_the_theme_that_was_chosen_is_there_at_the_next_load(visitor: Visitor) -> None:
    page = visitor.goes_to()
    turn = page.get_by_role("button", name="Theme")
    turn.click()
    turn.click()
    expect(turn).to_contain_text("dark")
    ground = "() => getComputedStyle(document.documentElement).backgroundColor"
    dark = page.evaluate(ground)
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate(ground) == dark
    expect(page.get_by_role("button", name="Theme")).to_contain_text("dark")


def test_who_uses_the_keyboard_alone_can_skip_the_header(visitor: Visitor) -> None:
    page = visitor.goes_to("/?filter=" + quote("Status = 'failed'"))
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    expect(page).to_have_url(re.compile("filter="))


@pytest.mark.parametrize("visitor", [DARK, PHONE], ids=["dark", "phone"], indirect=True)
def test_nothing_on_the_page_keeps_anybody_out(visitor: Visitor) -> None:
    page = visitor.goes_to("/?filter=" + quote("WorkflowType != 'number_sold_shown'"))
    expect(row_of(page, "too-expensive")).to_be_visible()
    visitor.finds_no_barrier()


@pytest.mark.parametrize("visitor", [PHONE], indirect=True)
def test_on_a_phone_nothing_is_wider_than_the_window(visitor: Visitor) -> None:
    page = visitor.goes_to()
    expect(row_of(page, "too-expensive")).to_be_visible()
    wide: Any = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide == 0


def test_an_address_of_no_page_says_so(visitor: Visitor) -> None:
    page = visitor.goes_to("/nowhere")
    expect(page.get_by_role("heading", name="There is no page at /nowhere")).to_be_visible()
    page.get_by_role("link", name="To the runs").click()
    expect(row_of(page, "too-expensive")).to_be_visible()
