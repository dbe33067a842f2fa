"""Forms made of what workers have published: a run is started with one, and spoken to with others."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from .conftest import DARK, PHONE, SEEN_MILLISECONDS_MAX, Visitor
from .served import Served
from .shop import (
    BasketShown,
    LineShown,
    OrderShown,
    PickupShown,
    Wrapping,
    book_all_shown,
    collect_shown,
    pay_out_shown,
)

expect.set_options(timeout=SEEN_MILLISECONDS_MAX)


def an_order() -> OrderShown:
    return OrderShown("ann", [LineShown("tea", 2)])


def asks_for(page: Page, action: str) -> Locator:
    page.get_by_role("group", name="Actions").get_by_role("button", name=action, exact=True).click()
    return page.get_by_role("dialog")


def press(dialog: Locator, word: str) -> None:
    dialog.get_by_role("button", name=word, exact=True).click()


def test_a_run_is_started_with_a_form_that_its_workflow_has_published(visitor: Visitor, shop: Served) -> None:
    page = visitor.goes_to()
    page.keyboard.press("n")
    dialog = page.get_by_role("dialog", name="Start a run")
    expect(dialog.get_by_label("Workflow", exact=True)).to_be_focused()
    dialog.get_by_label("Workflow", exact=True).fill("BasketShown")
    expect(dialog).to_contain_text("A basket that things are put into")
    dialog.get_by_label("Id", exact=True).fill("started / by hand")
    press(dialog, "Start")
    expect(dialog.get_by_role("alert")).to_contain_text("order.customer: This is needed.")
    expect(dialog.get_by_label("customer")).to_be_focused()
    expect(dialog.get_by_label("customer")).to_have_attribute("aria-invalid", "true")
    visitor.finds_no_barrier()
    dialog.get_by_label("customer").fill("ann")
    press(dialog, "Add to lines")
    dialog.get_by_label("sku").fill("tea")
    dialog.get_by_label("pieces").fill("two")
    expect(dialog).to_contain_text("That is no number.")
    dialog.get_by_label("pieces").fill("2")
    dialog.get_by_label("due").fill("2026-12-24")
    dialog.get_by_label("wrapping").select_option("silk")
    dialog.get_by_label("express").select_option("yes")
    press(dialog, "Give labels")
    dialog.get_by_label("New name in labels").fill("colour")
    press(dialog, "Add")
    dialog.get_by_label("colour", exact=True).fill("red")
    dialog.get_by_text("Queue and attributes").click()
    dialog.get_by_label("New name in Attributes").fill("customer")
    dialog.get_by_role("button", name="Add", exact=True).last.click()
    dialog.get_by_label("customer", exact=True).last.fill('"c7"')
    dialog.get_by_text("The same from elsewhere").click()
    expect(dialog.get_by_role("region", name="To copy")).to_contain_text(
        'keepstep start BasketShown --input \'{"customer"'
    )
    press(dialog, "Start")
    expect(page.get_by_role("heading", name="started / by hand")).to_be_visible()
    asked = shop.do(shop.engine.get("started / by hand").query("contents", "labels"))
    assert asked == {"colour": "red"}
    info = shop.do(shop.engine.get("started / by hand").describe())
    assert info.attributes == {"customer": "c7"}
    [first] = shop.do(events_of(shop, "started / by hand"))
    assert first["payload"] == [
        {
            "customer": "ann",
            "lines": [{"sku": "tea", "pieces": 2}],
            "due": "2026-12-24",
            "wrapping": Wrapping.SILK.value,
            "express": True,
            "labels": {"colour": "red"},
        }
    ]


async def events_of(shop: Served, id: str) -> list[dict[str, object]]:
    return [event.data async for event in shop.engine.get(id).history()][:1]


def test_an_update_is_given_its_arguments_and_a_query_shows_its_answer(visitor: Visitor, shop: Served) -> None:
    shop.do(shop.engine.start(BasketShown, an_order(), id="basket"))
    page = visitor.goes_to("/runs/basket")
    dialog = asks_for(page, "Update")
    expect(dialog).to_contain_text("Puts one more thing into the basket.")
    dialog.get_by_label("sku").fill("jam")
    dialog.get_by_label("Kind of note").select_option("LineShown")
    dialog.get_by_label("sku").last.fill("for the jam")
    press(dialog, "As JSON")
    text = dialog.get_by_label("Arguments, as JSON")
    expect(text).to_have_value(re.compile(r'"sku": "for the jam"'))
    text.fill('{"line": {"sku": 7}}')
    press(dialog, "As a form")
    expect(dialog).to_contain_text("The form cannot show that. line.sku: A text is expected.")
    visitor.finds_no_barrier()
    text.fill('{"line": {"sku": "jam"}, "place": 0}')
    press(dialog, "As a form")
    expect(dialog.get_by_label("place")).to_have_value("0")
    press(dialog, "Update")
    expect(dialog.get_by_role("region", name="Answer")).to_have_text("2")
    press(dialog, "Done")
    expect(dialog).to_have_count(0)
    dialog = asks_for(page, "Query")
    dialog.get_by_label("of", exact=True).select_option("lines")
    press(dialog, "Query")
    expect(dialog.get_by_role("region", name="Answer")).to_contain_text('"sku": "jam"')
    press(dialog, "Done")
    dialog = asks_for(page, "Signal")
    dialog.get_by_label("Signal", exact=True).fill("send_off")
    expect(dialog).to_contain_text("It takes nothing.")
    press(dialog, "Signal")
    expect(page.get_by_role("region", name="About the run")).to_contain_text("It completed.")
    result = shop.do(shop.engine.get("basket").result())
    assert [line.sku for line in result.lines] == ["jam", "tea"]


def test_a_run_that_has_ended_is_started_again_with_what_it_was_given(visitor: Visitor, shop: Served) -> None:
    shop.do(shop.engine.run(book_all_shown, ["tea", "jam"], 4, id="again"))
    first = shop.do(shop.engine.get("again").describe())
    page = visitor.goes_to("/runs/again")
    dialog = asks_for(page, "Start again")
    expect(dialog.get_by_label("Id", exact=True)).to_have_value("again")
    expect(dialog.get_by_label("2", exact=True)).to_have_value("jam")
    dialog.get_by_label("pieces").fill("5")
    dialog.get_by_text("The same from elsewhere").click()
    command = dialog.get_by_role("region", name="To copy")
    expect(command).to_contain_text("--input 5 --id again")
    press(dialog, "Copy")
    expect(dialog.get_by_role("button", name="Copied")).to_be_visible()
    id = dialog.get_by_label("Id", exact=True)
    id.press("ControlOrMeta+a")
    id.press("ControlOrMeta+v")
    expect(id).to_have_value(re.compile(r"keepstep start book_all_shown .*restart"))
    id.fill("again")
    visitor.finds_no_barrier()
    press(dialog, "Start")
    expect(dialog).to_have_count(0)
    assert shop.do(shop.engine.get("again").result()) == ["5 × tea booked", "5 × jam booked"]
    page.get_by_role("link", name="Relatives").click()
    origin = page.get_by_role("complementary", name="Where it is from")
    expect(origin.get_by_role("listitem")).to_have_count(2)
    origin.get_by_role("link", name="Compare").click()
    expect(page.get_by_role("table", name="Differences").get_by_role("row").filter(has_text="input")).to_be_visible()
    assert first.run_id in page.url


def test_a_signal_that_a_function_receives_has_a_form_of_its_type(visitor: Visitor, shop: Served) -> None:
    run = shop.do(shop.engine.start(collect_shown, id="collected"))
    page = visitor.goes_to("/runs/collected")
    dialog = asks_for(page, "Signal")
    expect(dialog.get_by_label("Signal", exact=True)).to_have_value("picked")
    dialog.get_by_label("by", exact=True).fill("ann")
    press(dialog, "Signal")
    expect(page.get_by_role("region", name="About the run")).to_contain_text("It completed.")
    assert shop.do(run.result()) == PickupShown("ann")


@pytest.mark.parametrize("visitor", [DARK, PHONE], ids=["dark", "phone"], indirect=True)
def test_what_became_of_an_uncertain_step_is_said_in_a_form_of_its_result(
    visitor: Visitor, shop: Served, request: pytest.FixtureRequest
) -> None:
    id = f"uncertain-{request.node.callspec.id}"
    run = shop.do(shop.engine.start(pay_out_shown, 12.5, id=id))
    page = visitor.goes_to(f"/runs/{id}")
    dialog = asks_for(page, "Resolve")
    expect(dialog).to_contain_text("wire_money_shown")
    expect(dialog.get_by_label("customer")).to_be_focused()
    visitor.finds_no_barrier()
    if id == "uncertain-dark":
        dialog.get_by_label("customer").fill("bob")
        press(dialog, "Resolve")
        expect(page.get_by_role("region", name="About the run")).to_contain_text("It completed.")
        assert shop.do(run.result()) == "bob"
        return
    dialog.get_by_label("It did not happen, or failed").check()
    dialog.get_by_label("Error").fill("the bank says no")
    press(dialog, "Resolve")
    expect(page.get_by_role("region", name="About the run")).to_contain_text("the bank says no")
    wide = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide == 0
