"""The page of one run, in a browser: what it shows, and everything that can be done to a run there."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from keepstep import RunHandle, WorkflowFailed

from .conftest import DARK, PHONE, SEEN_MILLISECONDS_MAX, Visitor
from .served import Served
from .shop import (
    BANK_ANSWERS,
    IS_DEPLOYED,
    approve_shown,
    book_all_shown,
    count_shown,
    deliver_shown,
    remind_shown,
    sell_shown,
    settle_shown,
    ship_shown,
)

expect.set_options(timeout=SEEN_MILLISECONDS_MAX)

COUNTED_TO = 300


def start(shop: Served, workflow: Any, *input: Any, id: str) -> RunHandle[Any]:
    handle: RunHandle[Any] = shop.do(shop.engine.start(workflow, *input, id=id))
    return handle


def fail(shop: Served, workflow: Any, *input: Any, id: str) -> None:
    with contextlib.suppress(WorkflowFailed):
        shop.do(shop.engine.run(workflow, *input, id=id))


def finish(shop: Served, workflow: Any, *input: Any, id: str) -> None:
    shop.do(shop.engine.run(workflow, *input, id=id))


def line_of(page: Page, name: str) -> Locator:
    return page.get_by_role("table", name="Timeline").get_by_role("row").filter(has_text=name)


def header_of(page: Page) -> Locator:
    return page.get_by_role("region", name="About the run")


def act(page: Page, action: str, fill: Callable[[Locator], None] = lambda _: None) -> None:
    """Press the action's button, fill its form, and confirm it."""
    page.get_by_role("group", name="Actions").get_by_role("button", name=action, exact=True).click()
    dialog = page.get_by_role("dialog")
    fill(dialog)
    dialog.get_by_role("button", name=action, exact=True).click()


def press(dialog: Locator, word: str) -> None:
    dialog.get_by_role("button", name=word, exact=True).click()


def test_a_run_tells_what_it_is_and_what_it_waits_for_and_follows_what_happens(visitor: Visitor, shop: Served) -> None:
    run = start(shop, approve_shown, "a desk", id="follow / 1")
    page = visitor.goes_to("/runs/follow%20%2F%201")
    expect(page.get_by_role("heading", name="follow / 1")).to_be_visible()
    expect(header_of(page)).to_contain_text("approve_shown")
    expect(header_of(page)).to_contain_text("It waits for the signal 'approval'")
    expect(header_of(page)).to_contain_text("asking for a desk")
    expect(page).to_have_title("follow / 1 · Keepstep")
    shop.do(run.signal("approval", {"by": "ann"}))
    expect(header_of(page)).to_contain_text("It completed.")
    page.get_by_role("link", name="Input and result").click()
    expect(page.get_by_role("region", name="Result")).to_contain_text('"by": "ann"')
    expect(page.get_by_role("region", name="Input")).to_contain_text("a desk")


def test_a_signal_is_sent_with_a_value_that_is_json_and_nothing_else_is(visitor: Visitor, shop: Served) -> None:
    start(shop, approve_shown, "a lamp", id="signalled")
    page = visitor.goes_to("/runs/signalled")
    page.get_by_role("button", name="Signal", exact=True).click()
    dialog = page.get_by_role("dialog", name="Signal signalled?")
    expect(dialog.get_by_label("Signal", exact=True)).to_have_value("approval")
    expect(dialog.get_by_label("Value, as JSON")).to_be_focused()
    dialog.get_by_label("Value, as JSON").fill("yes")
    dialog.get_by_role("button", name="Signal", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("That is no JSON")
    visitor.finds_no_barrier()
    dialog.get_by_label("Value, as JSON").fill('["yes", 1]')
    dialog.get_by_role("button", name="Signal", exact=True).click()
    expect(dialog).to_have_count(0)
    expect(header_of(page)).to_contain_text("It completed.")
    assert shop.do(shop.engine.get("signalled").result()) == ["yes", 1]


def test_nothing_is_done_that_was_not_confirmed(visitor: Visitor, shop: Served) -> None:
    run = start(shop, approve_shown, "a vase", id="left-alone")
    page = visitor.goes_to("/runs/left-alone")
    for leave in ("Leave it", "Close"):
        page.get_by_role("button", name="Terminate").click()
        expect(page.get_by_label("Reason")).to_be_focused()
        page.get_by_role("dialog").get_by_role("button", name=leave).click()
        expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Terminate")).to_be_focused()
    assert shop.do(run.describe()).status == "running"


def test_a_run_is_paused_and_resumed(visitor: Visitor, shop: Served) -> None:
    start(shop, remind_shown, 3, id="pausing")
    page = visitor.goes_to("/runs/pausing")
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.get_by_role("button", name="Leave it")).to_be_focused()
    page.get_by_role("dialog").get_by_role("button", name="Pause", exact=True).click()
    expect(header_of(page)).to_contain_text("It is paused")
    act(page, "Resume")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(header_of(page)).to_contain_text("It waits for a timer")


@pytest.mark.parametrize(("action", "ends_as"), [("Cancel", "cancelled"), ("Terminate", "terminated")])
def test_a_run_is_ended_with_the_reason_that_was_given(
    visitor: Visitor, shop: Served, action: str, ends_as: str
) -> None:
    run = start(shop, remind_shown, 3, id=f"{ends_as}-by-hand")
    page = visitor.goes_to(f"/runs/{ends_as}-by-hand")
    act(page, action, lambda dialog: dialog.get_by_label("Reason").fill("ordered twice"))
    expect(header_of(page)).to_contain_text(f"It was {ends_as}: ordered twice")
    expect(page.get_by_role("group", name="Actions").get_by_role("button")).to_have_text(["Fork", "Start again"])
    assert shop.do(run.describe()).status == ends_as


def test_a_failed_run_shows_its_traceback_and_goes_on_when_it_is_retried(visitor: Visitor, shop: Served) -> None:
    BANK_ANSWERS.clear()
    fail(shop, settle_shown, id="settling")
    page = visitor.goes_to("/runs/settling?view=data")
    main = page.get_by_role("main")
    expect(main).to_contain_text(re.compile(r"shop\.py:\d+ in settle_shown"))
    expect(main.locator(".source")).to_have_text(
        ["return await ask_bank_shown()", 'raise ConnectionError("the bank does not answer")']
    )
    page.get_by_text("The whole traceback").last.click()
    expect(page.get_by_role("region", name="Cause 1")).to_contain_text("Traceback (most recent call last)")
    BANK_ANSWERS.set()
    act(page, "Retry")
    expect(header_of(page)).to_contain_text("It completed.")
    expect(page.get_by_role("region", name="Result")).to_contain_text("settled")
    page.get_by_role("link", name="Timeline").click()
    expect(line_of(page, "ask_bank_shown")).to_have_count(2)


def test_what_the_server_refuses_is_said_where_it_was_asked_for(visitor: Visitor, shop: Served) -> None:
    fail(shop, sell_shown, "c-undone", 4000.0, id="undone")
    page = visitor.goes_to("/runs/undone")
    expect(page.get_by_role("group", name="Actions").get_by_role("button")).to_have_text(["Fork", "Start again"])
    act(page, "Fork", lambda dialog: dialog.get_by_label("Last event that is kept").fill("5"))
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("had ended at seq 5")


def test_the_timeline_shows_steps_errors_and_what_was_undone(visitor: Visitor, shop: Served) -> None:
    fail(shop, sell_shown, "c-late", 5000.0, id="too-late")
    page = visitor.goes_to("/runs/too-late")
    expect(line_of(page, "charge_card_shown")).to_contain_text("ValueError: the card was declined: over its limit")
    expect(line_of(page, "release_shelf_shown")).to_contain_text("undo")
    line_of(page, "charge_card_shown").get_by_role("button").click()
    facts = page.get_by_role("complementary")
    expect(facts).to_contain_text("failed")
    expect(page).to_have_url(re.compile("selected=step%3Acharge_card_shown"))
    facts.get_by_role("link", name="3", exact=True).click()
    expect(page.get_by_role("complementary", name="Event 3")).to_contain_text("step_failed")


def test_the_timeline_says_when_a_step_is_tried_again(visitor: Visitor, shop: Served) -> None:
    start(shop, ship_shown, id="shipping")
    page = visitor.goes_to("/runs/shipping")
    expect(line_of(page, "call_carrier_shown")).to_contain_text(re.compile(r"attempt 2 in \d"))
    expect(line_of(page, "call_carrier_shown")).to_contain_text("ConnectionError: the carrier does not answer")


def test_a_child_leads_to_its_own_page_and_that_one_back(visitor: Visitor, shop: Served) -> None:
    finish(shop, sell_shown, "c9", 20.0, id="parent")
    page = visitor.goes_to("/runs/parent")
    line_of(page, "wrap_gift_shown").get_by_role("button").click()
    page.get_by_role("complementary").get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="parent/wrap_gift_shown")).to_be_visible()
    header_of(page).get_by_text("Parent", exact=True).locator("..").get_by_role("link").click()
    expect(page.get_by_role("heading", name="parent", exact=True)).to_be_visible()


def test_waiting_is_folded_and_a_stretch_is_zoomed_into_by_drawing_over_it(visitor: Visitor, shop: Served) -> None:
    start(shop, deliver_shown, "oak", id="folding")
    page = visitor.goes_to("/runs/folding")
    expect(page.locator(".fold")).to_contain_text("⋯")
    bar = line_of(page, "pick_shelf_shown").locator(".bar")
    before = bar.bounding_box()
    strip = page.locator("canvas").bounding_box()
    assert before
    assert strip
    assert before["width"] > 200
    page.mouse.move(strip["x"] + 2, strip["y"] + 20)
    page.mouse.down()
    page.mouse.move(strip["x"] + strip["width"] / 4, strip["y"] + 20, steps=4)
    page.mouse.up()
    after = bar.bounding_box()
    assert after
    assert after["width"] > before["width"]
    everything = page.get_by_role("button", name="All")
    everything.click()
    expect(everything).to_be_disabled()
    page.keyboard.press("+")
    expect(everything).to_be_enabled()
    page.keyboard.press("0")
    expect(everything).to_be_disabled()


@pytest.fixture
def counted(shop: Served) -> str:
    finish(shop, count_shown, COUNTED_TO, id="counted")  # attaches to the run that is there
    return "/runs/counted?view=history"


def test_events_are_read_from_either_end_and_few_of_them_are_there(visitor: Visitor, counted: str) -> None:
    page = visitor.goes_to(counted)
    rows = page.get_by_role("table", name="Events").get_by_role("row")
    expect(rows.filter(has_text="workflow_started")).to_be_visible()
    page.get_by_role("button", name="Last").click()
    expect(rows.filter(has_text="workflow_completed")).to_be_visible()
    expect(page.get_by_role("complementary", name=f"Event {COUNTED_TO + 2}")).to_contain_text("workflow_completed")
    assert rows.count() < 60
    page.reload()
    expect(page.get_by_role("complementary", name=f"Event {COUNTED_TO + 2}")).to_contain_text("workflow_completed")
    expect(rows.filter(has_text="workflow_completed")).to_be_visible()
    page.keyboard.press("g")
    expect(page.get_by_role("complementary", name="Event 1")).to_contain_text("workflow_started")


def test_a_search_looks_through_all_events(visitor: Visitor, counted: str) -> None:
    page = visitor.goes_to(counted)
    expect(page.get_by_role("button", name="Event 1", exact=True)).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("completed number_shown#29")
    expect(page.get_by_text("11 found")).to_be_visible()
    page.get_by_role("button", name="Event 298").click()
    expect(page.get_by_role("complementary")).to_contain_text("number_shown#297")
    page.get_by_label("Search the events").fill("")
    expect(page.get_by_text(f"{COUNTED_TO + 2} events")).to_be_visible()


def test_a_run_that_there_is_not_is_said_to_be_none(visitor: Visitor) -> None:
    page = visitor.goes_to("/runs/nobody")
    expect(page.get_by_role("alert")).to_contain_text("nobody")


@pytest.mark.parametrize("visitor", [{}, DARK], ids=["light", "dark"], indirect=True)
def test_nothing_on_any_view_of_a_run_keeps_anybody_out(visitor: Visitor, shop: Served) -> None:
    fail(shop, sell_shown, "c-open", 6000.0, id="looked-at")
    page = visitor.goes_to("/runs/looked-at?selected=step%3Acharge_card_shown")
    expect(page.get_by_role("complementary")).to_be_visible()
    visitor.finds_no_barrier()
    page.get_by_role("link", name="Events").click()
    page.get_by_role("button", name="Event 3").click()
    expect(page.get_by_role("complementary")).to_contain_text("step_failed")
    visitor.finds_no_barrier()
    page.get_by_role("link", name="Input and result").click()
    expect(page.get_by_role("heading", name="Error")).to_be_visible()
    page.get_by_text("The whole traceback").first.click()
    visitor.finds_no_barrier()


@pytest.mark.parametrize("visitor", [PHONE], indirect=True)
def test_on_a_phone_details_are_in_sight_and_nothing_is_wider_than_the_window(visitor: Visitor, shop: Served) -> None:
    fail(shop, sell_shown, "c-open", 6000.0, id="looked-at")
    page = visitor.goes_to("/runs/looked-at?view=history&selected=3")
    expect(page.get_by_role("complementary")).to_be_in_viewport()
    visitor.finds_no_barrier()
    for view in ("Timeline", "Input and result"):
        page.get_by_role("link", name=view).click()
        wide: Any = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide == 0


BOOKING = "/runs/booking"


@pytest.fixture
def booked(shop: Served) -> str:
    fail(shop, book_all_shown, ["tea", "jam"], 50, id="booking")
    return BOOKING


def test_a_run_is_forked_from_a_line_with_another_result_and_shows_where_it_is_from(
    visitor: Visitor, shop: Served, booked: str
) -> None:
    page = visitor.goes_to(booked)
    line_of(page, "price_shown").nth(1).get_by_role("button").click()
    facts = page.get_by_role("complementary")
    expect(facts.get_by_role("region", name="Result of price_shown")).to_contain_text('"total": 125')
    facts.get_by_role("button", name="Fork with another result").click()
    dialog = page.get_by_role("dialog", name="Fork booking?")
    expect(dialog.get_by_role("status")).to_contain_text("Done anew: 2 × book_shown.")
    dialog.get_by_label("total", exact=True).fill("12.5")
    dialog.get_by_label("Another result for").select_option("book()/price_shown")
    expect(dialog.get_by_label("total", exact=True)).to_have_count(2)
    dialog.get_by_label("total", exact=True).last.fill("much")
    visitor.finds_no_barrier()
    press(dialog, "Fork")
    expect(dialog.get_by_role("alert")).to_contain_text("That is no JSON")
    dialog.get_by_label("total", exact=True).last.fill("7.5")
    dialog.get_by_text("The same from elsewhere").click()
    dialog.get_by_role("button", name="Python").click()
    expect(dialog.get_by_role("region", name="To copy")).to_contain_text('"total": 12.5}, "book()/price_shown"')
    dialog.get_by_label("Id of the new run").fill("booked / again")
    press(dialog, "Fork")
    expect(page.get_by_role("heading", name="booked / again")).to_be_visible()
    expect(header_of(page)).to_contain_text("It completed.")
    assert shop.do(shop.engine.get("booked / again").result()) == ["50 × tea booked", "50 × jam booked"]


def test_an_event_is_forked_from_and_a_blocked_fork_shows_what_its_code_asks_for(
    visitor: Visitor, shop: Served, booked: str
) -> None:
    IS_DEPLOYED.set()
    try:
        page = visitor.goes_to(booked + "?view=history&selected=2")
        page.get_by_role("complementary").get_by_role("button", name="Fork from here").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_label("Last event that is kept")).to_have_value("2")
        press(dialog, "Fork")
        why = page.get_by_role("region", name="Why it is blocked")
        expect(why).to_contain_text("step_completed book()/price_shown")
        expect(why).to_contain_text(re.compile(r"pick_shelf_shown: step .*shop\.py:\d+ in book_all_shown"))
        visitor.finds_no_barrier()
        why.get_by_role("link", name="event 2").click()
        expect(page.get_by_role("complementary", name="Event 2")).to_contain_text("step_completed")
        act(page, "Terminate")
        expect(header_of(page)).to_contain_text("It was terminated")
    finally:
        IS_DEPLOYED.clear()
