"""The page of runs, in a browser: words that complete a filter, saved views, and one word to many runs."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Locator, Page, expect

from .conftest import DARK, PHONE, SEEN_MILLISECONDS_MAX, Visitor
from .served import Served
from .shop import remind_shown

expect.set_options(timeout=SEEN_MILLISECONDS_MAX)


def start(shop: Served, *ids: str) -> None:
    for id in ids:
        shop.do(shop.engine.start(remind_shown, 3, id=id))


def row_of(page: Page, id: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=id, exact=True))


def listed(prefix: str) -> str:
    return "/?filter=" + quote(f"WorkflowId STARTS_WITH '{prefix}'")


def status_of(shop: Served, id: str) -> str:
    return str(shop.do(shop.engine.get(id).describe()).status)


def test_a_filter_is_completed_word_by_word_with_the_keyboard(visitor: Visitor, shop: Served) -> None:
    start(shop, "completed-by-key")
    page = visitor.goes_to()
    expect(row_of(page, "completed-by-key")).to_be_visible()
    page.keyboard.press("/")
    box = page.get_by_role("combobox", name="Filter")
    options = page.get_by_role("listbox", name="What may come next").get_by_role("option")
    page.keyboard.type("workflowt")
    expect(options).to_have_text([re.compile("WorkflowType")])
    visitor.finds_no_barrier()
    page.keyboard.press("ArrowDown")
    expect(options.first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    expect(box).to_have_value("WorkflowType ")
    page.keyboard.type("= ")
    expect(options.filter(has_text="remind_shown")).to_have_count(1)
    page.keyboard.type("'remin")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    expect(box).to_have_value("WorkflowType = 'remind_shown' ")
    expect(options).to_have_text(["AND", "OR", "ORDER BY"])
    page.keyboard.press("Escape")
    expect(options).to_have_count(0)
    expect(box).to_be_focused()
    expect(page).to_have_url(re.compile("remind_shown"))
    expect(row_of(page, "completed-by-key")).to_be_visible()


def test_a_view_is_saved_for_everybody_found_again_and_deleted(visitor: Visitor, shop: Served) -> None:
    start(shop, "viewed-1")
    page = visitor.goes_to(listed("viewed-"))
    page.get_by_role("button", name="Views").click()
    page.get_by_role("button", name="Save this filter").click()
    page.get_by_label("Name").fill("What is viewed")
    page.get_by_role("button", name="Save it").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    visitor.goes_to()
    page.get_by_role("button", name="Views").click()
    visitor.finds_no_barrier()
    page.get_by_role("button", name="What is viewed", exact=True).click()
    expect(page).to_have_url(re.compile("viewed-"))
    expect(row_of(page, "viewed-1")).to_be_visible()
    page.get_by_role("button", name="Views").click()
    expect(page.get_by_role("button", name="What is viewed", exact=True)).to_have_attribute("aria-current", "true")
    page.get_by_role("button", name="Delete the view What is viewed").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Views").click()
    expect(page.get_by_text("No view is saved yet")).to_be_visible()


def test_all_runs_that_fit_are_looked_at_first_and_ended_then(visitor: Visitor, shop: Served) -> None:
    start(shop, *(f"ended-together-{n}" for n in range(5)), "left-alone-together")
    page = visitor.goes_to(listed("ended-together-"))
    expect(row_of(page, "ended-together-0")).to_be_visible()
    page.keyboard.press("b")
    dialog = page.get_by_role("dialog", name="Act on all runs that fit")
    dialog.get_by_label("What to do").select_option("Terminate")
    dialog.get_by_label("Reason").fill("enough of them")
    dialog.get_by_role("button", name="Look first").click()
    expect(dialog.get_by_role("status")).to_contain_text("Terminate 5 runs?")
    expect(dialog.get_by_role("list", name="The first of them")).to_contain_text("ended-together-4")
    visitor.finds_no_barrier()
    assert status_of(shop, "ended-together-0") == "running"
    dialog.get_by_role("button", name="Terminate 5 runs").click()
    expect(dialog.get_by_role("status")).to_contain_text("It is over. 5 runs done, of 5.")
    dialog.get_by_role("button", name="Close").last.click()
    expect(row_of(page, "ended-together-3")).to_contain_text("terminated")
    assert [status_of(shop, f"ended-together-{n}") for n in range(5)] == ["terminated"] * 5
    assert status_of(shop, "left-alone-together") == "running"


def test_runs_are_chosen_one_by_one_and_what_is_wrong_is_said_before_anything_is_done(
    visitor: Visitor, shop: Served
) -> None:
    start(shop, *(f"chosen-{n}" for n in range(4)))
    page = visitor.goes_to(listed("chosen-"))
    page.get_by_role("checkbox", name="Choose chosen-1").check()
    page.get_by_role("checkbox", name="Choose chosen-3").check()
    expect(page.get_by_text("2 chosen")).to_be_visible()
    page.get_by_role("button", name="Act on these").click()
    dialog = page.get_by_role("dialog", name="Act on the chosen runs")
    dialog.get_by_label("What to do").select_option("Signal")
    dialog.get_by_label("Signal", exact=True).fill("go")
    dialog.get_by_label("Value, as JSON").fill("yes")
    dialog.get_by_role("button", name="Look first").click()
    expect(dialog.get_by_role("alert")).to_contain_text("That is no JSON")
    dialog.get_by_label("What to do").select_option("Cancel")
    dialog.get_by_role("button", name="Look first").click()
    dialog.get_by_role("button", name="Cancel 2 runs").click()
    expect(dialog.get_by_role("status")).to_contain_text("2 runs done")
    dialog.get_by_role("button", name="Close").last.click()
    expect(row_of(page, "chosen-3")).to_contain_text("cancelled")
    expect(page.get_by_text("2 chosen")).to_have_count(0)
    assert [status_of(shop, f"chosen-{n}") for n in (0, 2)] == ["running"] * 2


@pytest.mark.parametrize("visitor", [DARK, PHONE], ids=["dark", "phone"], indirect=True)
def test_nothing_of_it_keeps_anybody_out_or_is_wider_than_the_window(visitor: Visitor, shop: Served) -> None:
    start(shop, "for-everybody")
    page = visitor.goes_to(listed("for-every"))
    page.get_by_role("checkbox", name="Choose for-everybody").check()
    expect(page.get_by_text("1 chosen")).to_be_visible()
    page.get_by_role("button", name="Views").click()
    visitor.finds_no_barrier()
    wide = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide == 0


def test_everything_is_found_by_its_words_from_everywhere(visitor: Visitor, shop: Served) -> None:
    start(shop, "palette/run 7")
    shop.do(shop.engine.schedule("palette-of-mondays", remind_shown, 1, cron="0 9 * * MON"))
    page = visitor.goes_to("/workers")
    expect(page.get_by_role("heading", name="Workers", exact=True)).to_be_visible()
    page.keyboard.press("Control+k")
    box = page.get_by_role("combobox", name="Where to")
    found = page.get_by_role("listbox", name="What was found").get_by_role("option")
    expect(box).to_be_focused()
    page.keyboard.type("palette/r")
    expect(found).to_have_text([re.compile("palette/run 7")])
    visitor.finds_no_barrier()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="palette/run 7")).to_be_visible()
    page.keyboard.press("Control+k")
    page.keyboard.type("mondays")
    expect(found).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="palette-of-mondays")).to_be_visible()
    page.get_by_role("button", name="Go to").click()
    box.fill("queues")
    expect(found.first).to_contain_text("Queues")
    found.first.click()
    expect(page).to_have_title("Queues · Keepstep")
    page.keyboard.press("Control+k")
    page.keyboard.type("theme")
    page.keyboard.press("Enter")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")


def test_a_run_is_saved_as_one_file_that_needs_nothing_else(visitor: Visitor, shop: Served, tmp_path: Path) -> None:
    start(shop, "kept/as a file")
    page = visitor.goes_to("/runs/kept%2Fas%20a%20file")
    with page.expect_download() as saving:
        page.get_by_role("button", name="Save as HTML").click()
    assert saving.value.suggested_filename == "kept-as-a-file.html"
    saving.value.save_as(tmp_path / "run.html")
    page.goto((tmp_path / "run.html").as_uri())
    expect(page.get_by_role("heading", name="kept/as a file")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="timer_started")).to_have_count(1)
    visitor.finds_no_barrier()
    visitor.hosts.discard("")  # the file itself
