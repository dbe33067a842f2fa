"""Logging in and out, in a browser: with a key, and at an identity provider on a socket of its own."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Page, expect

from keepstep.client.access import KeyRing, Role
from keepstep.journal import Journal, uuid7
from keepstep.server.guard import Guard
from keepstep.server.oidc import OidcSettings, Provider, read_rule
from tests.cli.command import free_port
from tests.server.oidc.identity import CLIENT, SECRET, Identity

from .conftest import PHONE, SEEN_MILLISECONDS_MAX, Visitor
from .served import Served, served
from .shop import approve_shown

expect.set_options(timeout=SEEN_MILLISECONDS_MAX)


class House(NamedTuple):
    """A server that asks who calls, an identity provider, and a key."""

    served: Served
    identity: Identity
    key: str
    key_to_read: str


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    identity = Identity(free_port())

    rings: list[KeyRing] = []

    def make_guard(store: Journal, address: str) -> Guard:
        identity.redirect_uri = f"{address}/login/oidc/callback"
        settings = OidcSettings(
            issuer=identity.issuer, client_id=CLIENT, client_secret=SECRET, public_url=address,
            rules=(read_rule("operate=staff"),),
        )  # fmt: skip
        rings.append(KeyRing(store, os.urandom, uuid7))
        return Guard(rings[0], store.clock, provider=Provider(settings, store.clock.monotonic))

    with served(tmp_path_factory.mktemp("house"), make_guard) as found:
        _, key = found.do(rings[0].create("browser", Role.OPERATE))
        found.do(identity.start())
        _, key_to_read = found.do(rings[0].create("looker", Role.READ))
        yield House(found, identity, key, key_to_read)
        found.do(identity.stop())


@pytest.fixture
def guest(browser: Browser, house: House, request: pytest.FixtureRequest) -> Iterator[Visitor]:
    context = browser.new_context(**getattr(request, "param", {}))
    context.set_default_timeout(SEEN_MILLISECONDS_MAX)
    visitor = Visitor(context.new_page(), house.served)
    yield visitor
    context.close()
    assert visitor.troubles == []


def is_inside(page: Page, name: str) -> None:
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    expect(page.get_by_text(name, exact=True)).to_be_attached()
    expect(page.get_by_role("heading", name="Log in")).to_have_count(0)


def test_somebody_logs_in_with_a_key_sees_the_page_that_was_asked_for_and_logs_out(
    guest: Visitor, house: House
) -> None:
    page = guest.goes_to("/schedules")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    guest.finds_no_barrier()
    page.get_by_label("Key", exact=True).fill("ks_wrong")
    page.get_by_role("button", name="Log in with the key").click()
    expect(page.get_by_role("alert")).to_contain_text("show a key")
    page.get_by_label("Key", exact=True).fill(house.key)
    page.keyboard.press("Enter")
    is_inside(page, "browser")
    expect(page).to_have_url(f"{house.served.address}/schedules")
    page.reload()
    is_inside(page, "browser")
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_somebody_logs_in_at_the_provider_starts_a_run_and_is_led_there_to_log_out(
    guest: Visitor, house: House
) -> None:
    page = guest.goes_to("/?filter=Status%3D'running'")
    page.get_by_role("link", name=re.compile("Log in with")).click()
    is_inside(page, "ann@example.org")
    expect(page).to_have_url(re.compile(r"/\?filter="))
    body = json.dumps({"type": approve_shown.name, "input": ["a desk"]})
    told = page.evaluate("(body) => fetch('api/v1/runs', {method: 'POST', body}).then((answer) => answer.text())", body)
    assert '"status":"running"' in told
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_url(re.compile(re.escape(house.identity.issuer) + "/logout"))


def test_somebody_whose_session_has_ended_meanwhile_is_asked_to_log_in_again(guest: Visitor, house: House) -> None:
    page = guest.goes_to("/")
    page.get_by_role("link", name=re.compile("Log in with")).click()
    is_inside(page, "ann@example.org")
    page.context.clear_cookies()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_what_somebody_may_not_do_is_not_offered(guest: Visitor, house: House) -> None:
    page = guest.goes_to("/queues")
    page.get_by_label("Key", exact=True).fill(house.key_to_read)
    page.keyboard.press("Enter")
    is_inside(page, "looker")
    expect(page.get_by_role("row").filter(has_text="default")).to_be_visible()
    for button in ("Pause default", "Limits of default"):
        expect(page.get_by_role("button", name=button)).to_have_count(0)
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Schedules").click()
    expect(page.get_by_text("There is no schedule yet")).to_be_visible()
    expect(page.get_by_role("button", name="New schedule")).to_have_count(0)
    page.get_by_role("button", name="Log out").click()
    page.get_by_label("Key", exact=True).fill(house.key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="New schedule")).to_be_visible()
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Queues").click()
    expect(page.get_by_role("button", name="Pause default")).to_be_visible()
    expect(page.get_by_role("button", name="Limits of default")).to_have_count(0)


@pytest.mark.parametrize("guest", [PHONE], indirect=True)
def test_on_a_telephone_nothing_is_cut_off(guest: Visitor) -> None:
    page = guest.goes_to("/")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    guest.finds_no_barrier()
