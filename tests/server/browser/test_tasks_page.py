"""Tasks for people, in a browser: found, answered in forms, refused, and told by whom."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from keepstep import WorkflowFailed

from .conftest import DARK, PHONE, SEEN_MILLISECONDS_MAX, Visitor
from .office import review_shown
from .served import Served

expect.set_options(timeout=SEEN_MILLISECONDS_MAX)


def ask(shop: Served, id: str, title: str, assignee: str | None = None, due_in: float = 86_400) -> None:
    shop.do(shop.engine.start(review_shown, title, assignee, due_in, id=id))


def line_of(page: Page, title: str) -> Locator:
    return page.get_by_role("row").filter(has_text=title)


def test_tasks_are_found_by_who_they_are_for_and_whether_they_are_late(visitor: Visitor, shop: Served) -> None:
    ask(shop, "found-1", "Look at the roof", "ann")
    ask(shop, "found-2", "Look at the cellar", "bob")
    ask(shop, "found-3", "Look at the door", due_in=-60)
    page = visitor.goes_to("/tasks")
    expect(line_of(page, "Look at the roof")).to_contain_text("ann")
    expect(line_of(page, "Look at the door")).to_contain_text("anybody")
    expect(line_of(page, "Look at the door")).to_contain_text("overdue")
    page.get_by_label("Whose").select_option("ann")
    expect(line_of(page, "Look at the cellar")).to_have_count(0)
    page.reload()
    expect(line_of(page, "Look at the roof")).to_be_visible()
    expect(page.get_by_label("Whose")).to_have_value("ann")
    page.get_by_label("Whose").select_option("Overdue")
    expect(line_of(page, "Look at the door")).to_be_visible()
    expect(line_of(page, "Look at the roof")).to_have_count(0)
    line_of(page, "Look at the door").get_by_role("link", name="found-3").click()
    expect(page.get_by_role("heading", name="found-3")).to_be_visible()


def test_a_task_is_answered_in_a_form_and_who_has_decided_is_told(visitor: Visitor, shop: Served) -> None:
    ask(shop, "answered", "Sign the contract", "ann")
    page = visitor.goes_to("/tasks")
    page.get_by_role("button", name="Answer Sign the contract of answered").click()
    dialog = page.get_by_role("dialog", name="Sign the contract")
    dialog.get_by_label("verdict").select_option("no")
    dialog.get_by_label("note").fill("too dear")
    dialog.get_by_label("Your name").fill("Ann Other")
    visitor.finds_no_barrier()
    dialog.get_by_role("button", name="Answer", exact=True).click()
    expect(dialog).to_have_count(0)
    expect(line_of(page, "Sign the contract")).to_have_count(0)
    assert shop.do(shop.engine.get("answered").result()) == "no: too dear"
    page.get_by_role("link", name="Decided").click()
    decided = line_of(page, "Sign the contract")
    expect(decided).to_contain_text("Ann Other")
    expect(decided).to_contain_text("too dear")
    decided.get_by_role("link", name="answered").click()
    expect(page.get_by_role("heading", name="answered")).to_be_visible()
    expect(page.get_by_text("Ann Other").first).to_be_visible()


def test_a_task_that_cannot_be_done_is_an_error_of_the_run(visitor: Visitor, shop: Served) -> None:
    ask(shop, "impossible", "Find the key")
    page = visitor.goes_to("/tasks")
    page.get_by_role("button", name="Answer Find the key of impossible").click()
    page.get_by_label("It cannot be done").check()
    page.get_by_label("Why not").fill("it was never there")
    page.get_by_role("button", name="Say so").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    with pytest.raises(WorkflowFailed, match="it was never there"):
        shop.do(shop.engine.get("impossible").result())
    page.get_by_role("link", name="Decided").click()
    expect(line_of(page, "Find the key")).to_contain_text("it was never there")


@pytest.mark.parametrize("visitor", [DARK, PHONE], ids=["dark", "phone"], indirect=True)
def test_nothing_about_tasks_keeps_anybody_out(visitor: Visitor, shop: Served) -> None:
    ask(shop, "open to all", "Read the letter", "eve", due_in=-60)
    page = visitor.goes_to("/tasks")
    expect(line_of(page, "Read the letter")).to_be_visible()
    visitor.finds_no_barrier()
    page.get_by_role("button", name="Answer Read the letter").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    visitor.finds_no_barrier()
    page.goto(page.url.replace("/tasks", "/decisions"))
    expect(page.get_by_role("searchbox")).to_be_visible()
    visitor.finds_no_barrier()
    wide = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide == 0
