"""The views of a run beside its timeline and its events: the graph, its relatives, and the comparison with another."""

from __future__ import annotations

import contextlib
import re

import pytest
from playwright.sync_api import Locator, Page, expect

from keepstep import WorkflowFailed

from .conftest import DARK, PHONE, SEEN_MILLISECONDS_MAX, Visitor
from .served import Served
from .shop import book_all_shown, count_shown, deliver_shown, raise_children_shown, sell_shown

expect.set_options(timeout=SEEN_MILLISECONDS_MAX)

CHILDREN = 103
SOLD = "sold-and-undone"


@pytest.fixture
def stocked(shop: Served) -> None:
    """The runs that are looked at; they are attached to where they are there."""
    run = shop.engine.run
    shop.do(run(book_all_shown, ["tea", "jam"], 3, id="booked"))
    shop.do(run(raise_children_shown, CHILDREN, id="raised"))
    with contextlib.suppress(WorkflowFailed):
        shop.do(run(sell_shown, "c-undone", 7000.0, id=SOLD))


def box(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name="Graph").get_by_role("button").filter(has_text=name)


def box_top(box: Locator) -> float:
    found = box.bounding_box()
    assert found is not None
    return found["y"]


def wider_than_the_window(page: Page) -> int:
    wide: int = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wide


@pytest.mark.usefixtures("stocked")
def test_the_graph_shows_what_led_to_what_and_chooses_what_the_timeline_chooses(visitor: Visitor) -> None:
    page = visitor.goes_to("/runs/booked?view=graph")
    expect(box(page, "")).to_have_count(5)
    tops = [box_top(box(page, name).first) for name in ("price_shown", "book_shown", "number_shown")]
    assert tops == sorted(tops)
    assert box_top(box(page, "price_shown").first) == box_top(box(page, "price_shown").last)
    box(page, "book_shown").last.click()
    expect(page).to_have_url(re.compile(r"selected=step%3Abook%28%29%232%2Fbook_shown"))
    expect(page.get_by_role("complementary")).to_contain_text("3 × jam booked")
    page.get_by_role("link", name="Timeline").click()
    expect(page.get_by_role("table", name="Timeline").locator('[aria-current="true"]')).to_contain_text("book_shown")
    page.keyboard.press("2")
    expect(box(page, "book_shown").last).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="By name").click()
    expect(box(page, "price_shown × 2")).to_contain_text("2 completed")
    expect(page).to_have_url(re.compile("by=name"))
    page.reload()
    expect(page.get_by_role("complementary")).to_contain_text("2 of 2 alike")
    page.get_by_role("button", name="Before", exact=True).click()
    expect(page.get_by_role("complementary")).to_contain_text("3 × tea booked")


@pytest.mark.parametrize("visitor", [{}, DARK, PHONE], ids=["light", "dark", "phone"], indirect=True)
@pytest.mark.usefixtures("stocked")
def test_the_graph_shows_what_was_undone_and_keeps_nobody_out(visitor: Visitor) -> None:
    page = visitor.goes_to(f"/runs/{SOLD}?view=graph&selected=step%3Acharge_card_shown")
    expect(box(page, "charge_card_shown")).to_contain_text("failed")
    expect(box(page, "release_shelf_shown")).to_contain_text("undo · completed")
    expect(page.get_by_role("complementary")).to_contain_text("the card was declined")
    visitor.finds_no_barrier()
    assert wider_than_the_window(page) == 0


def test_the_graph_follows_a_run_that_goes_on_and_groups_a_long_one(visitor: Visitor, shop: Served) -> None:
    run = shop.do(shop.engine.start(deliver_shown, "oak", id="graphed"))
    page = visitor.goes_to("/runs/graphed?view=graph")
    expect(box(page, "go")).to_contain_text("signal · open")
    shop.do(run.signal("go", 1))
    expect(box(page, "go")).to_contain_text("signal · completed")
    shop.do(shop.engine.run(count_shown, 300, id="counted"))
    page = visitor.goes_to("/runs/counted?view=graph")
    expect(box(page, "")).to_have_count(300)
    shop.do(shop.engine.run(count_shown, 301, id="counted-on"))
    page = visitor.goes_to("/runs/counted-on?view=graph")
    expect(box(page, "")).to_have_text(re.compile(r"number_shown × 301\s*step · 301 completed"))
    page.get_by_role("button", name="Each operation").click()
    expect(box(page, "")).to_have_count(301)


@pytest.mark.parametrize("visitor", [{}, PHONE], ids=["wide", "phone"], indirect=True)
@pytest.mark.usefixtures("stocked")
def test_the_relatives_are_a_tree_that_is_read_page_by_page(visitor: Visitor) -> None:
    page = visitor.goes_to("/runs/raised?view=family")
    tree = page.get_by_role("table", name="Relatives")
    expect(tree.get_by_role("link", name="raised/grow_up_shown", exact=True)).to_be_visible()
    expect(tree).to_have_attribute("aria-rowcount", "103")  # the head, the run, a page of children, and what reads on
    visitor.finds_no_barrier()
    assert tree.get_by_role("row").count() < 60
    scroller = page.get_by_label("Relatives, rows")
    more = tree.get_by_role("button", name="More children")
    while more.count() == 0:
        scroller.evaluate("element => element.scrollBy(0, 2000)")
        page.wait_for_function("() => new Promise(requestAnimationFrame)")
    more.click()
    expect(tree).to_have_attribute("aria-rowcount", str(1 + 1 + CHILDREN))
    expect(tree.get_by_role("link", name=f"raised/grow_up_shown#{CHILDREN}", exact=True)).to_be_visible()
    tree.get_by_role("link", name=f"raised/grow_up_shown#{CHILDREN}", exact=True).click()
    rows = tree.get_by_role("row")
    expect(rows.nth(1)).to_contain_text("raised")
    expect(rows.nth(2)).to_have_attribute("aria-current", "true")
    expect(tree).to_contain_text("No children.")
    assert wider_than_the_window(page) == 0


@pytest.mark.usefixtures("stocked")
def test_a_fork_is_compared_with_what_it_was_forked_from_key_by_key(visitor: Visitor, shop: Served) -> None:
    fork = shop.engine.get("booked").fork
    price = {"item": "tea", "pieces": 3, "total": 9.5}
    forked = shop.do(fork(2, replace={"book()/price_shown": price}, id="booked / dearer"))
    shop.do(forked.result())
    page = visitor.goes_to("/runs/booked%20%2F%20dearer?view=family")
    origin = page.get_by_role("complementary", name="Where it is from")
    expect(origin).to_contain_text("with its events 1 to 2; with other results of:")
    origin.get_by_role("link", name="Compare with it").click()
    differences = page.get_by_role("table", name="Differences")
    expect(page.get_by_text("1 of 7 differ")).to_be_visible()
    line = differences.get_by_role("row").filter(has=page.get_by_role("button", name="price_shown"))
    expect(line).to_contain_text('"total":9.5')
    expect(line).to_contain_text('"total":7.5')
    line.get_by_role("button").click()
    both = page.get_by_role("region", name="What they came to")
    expect(both.locator(".one")).to_have_text(re.compile(r'\s"total": 9\.5'))
    expect(both.locator(".other")).to_have_text(re.compile(r'\s"total": 7\.5'))
    visitor.finds_no_barrier()
    page.reload()
    expect(both).to_be_visible()
    page.get_by_label("Differences only").uncheck()
    expect(differences.get_by_role("row").filter(has_text="book()#2/book_shown")).to_be_visible()
    page.get_by_label("Compare with").fill(SOLD)
    page.get_by_label("Compare with").press("Enter")
    expect(page.get_by_text(re.compile(r"\d+ of \d+ differ"))).to_be_visible()
    expect(differences.get_by_role("row").filter(has_text="charge_card_shown").first).to_contain_text("failed")
    page.get_by_label("Compare with").fill("nobody at all")
    page.get_by_label("Compare with").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("nobody at all")
