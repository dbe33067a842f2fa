"""Schedules, in a browser: their list, the page of one, and all that can be said to one there."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Locator, Page, expect

from .conftest import DARK, PHONE, SEEN_MILLISECONDS_MAX, Visitor
from .office import note_shown
from .served import Served

expect.set_options(timeout=SEEN_MILLISECONDS_MAX)


@pytest.fixture(autouse=True)
def stocked(shop: Served) -> None:
    shop.do(shop.engine.schedule("close/books", note_shown, 1, cron="0 3 * * *", tz="America/New_York"))
    shop.do(shop.engine.schedule("weekly", note_shown, 2, cron="30 18 * * FRI", overlap="buffer_one"))


def line_of(page: Page, id: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=id, exact=True))


def say(page: Page, action: str) -> None:
    page.get_by_role("group", name="Actions").get_by_role("button", name=action, exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name=action, exact=True).click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_schedules_are_listed_with_their_next_firing_and_found_by_words(visitor: Visitor) -> None:
    page = visitor.goes_to()
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Schedules").click()
    expect(page).to_have_title("Schedules · Keepstep")
    expect(line_of(page, "close/books")).to_contain_text("0 3 * * * (America/New_York)")
    expect(line_of(page, "close/books")).to_contain_text(re.compile(r"[A-Z][a-z]{2} \d{4}-\d\d-\d\d 03:00"))
    expect(line_of(page, "weekly")).to_contain_text("buffer one")
    page.keyboard.press("/")
    page.keyboard.type("new_york 0 3")
    expect(line_of(page, "weekly")).to_have_count(0)
    expect(page).to_have_url(re.compile("filter=new_york"))
    page.reload()
    expect(line_of(page, "close/books")).to_be_visible()
    expect(line_of(page, "weekly")).to_have_count(0)
    line_of(page, "close/books").get_by_role("link").click()
    expect(page.get_by_role("heading", name="close/books")).to_be_visible()


def test_a_schedule_is_made_with_its_firings_shown_before(visitor: Visitor, shop: Served) -> None:
    page = visitor.goes_to("/schedules")
    page.keyboard.press("n")
    dialog = page.get_by_role("dialog", name="New schedule")
    expect(dialog.get_by_label("Id")).to_be_focused()
    dialog.get_by_label("Id").fill("made-here")
    dialog.get_by_label("Workflow").fill("note_shown")
    dialog.get_by_label("Cron, one a line").fill("0 9 * * MON\n0 25 * * *")
    expect(dialog.get_by_role("status")).to_contain_text("0 25 * * *")
    dialog.get_by_label("Cron, one a line").fill("0 9 * * MON")
    dialog.get_by_label("Time zone").fill("Asia/Tokyo")
    expect(dialog.get_by_role("status").get_by_role("listitem")).to_have_count(5)
    expect(dialog.get_by_role("status")).to_contain_text(re.compile(r"Mon \d{4}-\d\d-\d\d 09:00"))
    dialog.get_by_role("button", name="Make it").click()
    expect(dialog.get_by_role("alert")).to_contain_text("argument")
    visitor.finds_no_barrier()
    dialog.get_by_label("Input").fill("[7]")
    dialog.get_by_role("button", name="Make it").click()
    expect(page.get_by_role("heading", name="made-here")).to_be_visible()
    made = shop.do(shop.engine.get_schedule("made-here").describe())
    assert (made.spec.cron, made.tz, made.overlap) == (("0 9 * * MON",), "Asia/Tokyo", "skip")


def test_a_schedule_is_paused_triggered_made_up_for_changed_and_deleted(visitor: Visitor, shop: Served) -> None:
    shop.do(shop.engine.schedule("handled", note_shown, 3, every="1h", overlap="allow"))
    page = visitor.goes_to("/schedules/handled")
    upcoming = page.get_by_role("region", name="Next firings")
    expect(upcoming.get_by_role("row")).to_have_count(10)
    say(page, "Pause")
    expect(upcoming).to_contain_text("It is paused")
    say(page, "Trigger")
    fired = page.get_by_role("region", name="Last firings")
    expect(fired.get_by_role("row").filter(has_text="handled-trigger-")).to_contain_text("completed")
    say(page, "Resume")
    expect(upcoming).not_to_contain_text("It is paused")
    page.get_by_role("button", name="Backfill").click()
    now = datetime.now(UTC).astimezone()
    page.get_by_label("From").fill((now - timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M"))
    page.get_by_role("dialog").get_by_role("button", name="Backfill").click()
    expect(fired.get_by_role("row").filter(has_text="completed")).to_have_count(4)
    page.get_by_role("button", name="Change", exact=True).click()
    expect(page.get_by_label("And every")).to_have_value("1h")
    page.get_by_label("And every").fill("2h")
    page.get_by_role("button", name="Change it").click()
    expect(page.get_by_role("region", name="What it did")).to_contain_text("updated: starts note_shown at every 7200 s")
    assert shop.do(shop.engine.get_schedule("handled").describe()).spec.every == (7_200_000_000,)
    say(page, "Delete")
    expect(page).to_have_title("Schedules · Keepstep")
    expect(line_of(page, "close/books")).to_be_visible()
    expect(line_of(page, "handled")).to_have_count(0)


@pytest.mark.parametrize("visitor", [DARK, PHONE], ids=["dark", "phone"], indirect=True)
def test_nothing_about_schedules_keeps_anybody_out(visitor: Visitor) -> None:
    page = visitor.goes_to("/schedules")
    expect(line_of(page, "weekly")).to_be_visible()
    visitor.finds_no_barrier()
    line_of(page, "weekly").get_by_role("link").click()
    expect(page.get_by_role("region", name="Next firings").get_by_role("row")).to_have_count(10)
    visitor.finds_no_barrier()
    if (menu := page.get_by_role("button", name="Schedules")).is_visible():
        menu.click()
        visitor.finds_no_barrier()
        page.get_by_role("navigation", name="Pages").get_by_role("link", name="Runs").click()
        expect(page).to_have_title("Runs · Keepstep")
