"""The audit against books written by hand, each with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.order_fulfilment.audit import Audit, audit
from examples.order_fulfilment.world.books import Books

OPENING_STOCK = 20
SOLD = [
    ("charge asked for", 1),
    ("charged", 1),
    ("reserved", 3),
    ("labelled", 1),
    ("mailed", 1),
    ("collected", 1),
    ("shipped", 3),
]


class Ledger:
    """Books being written by hand."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.books = Books(path, OPENING_STOCK)

    def write(self, order: str, entries: list[tuple[str, int]]) -> None:
        """Adds entries, and moves the goods on the shelf accordingly."""
        for what, quantity in entries:
            self.books.enter(order, what, quantity)
            if what == "reserved":
                assert self.books.take_from_shelf(quantity)
            if what == "released":
                self.books.put_on_shelf(quantity)

    def audited(self, *orders: str) -> Audit:
        return audit(self.path, orders or ("a",))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "books.db")
    yield ledger
    ledger.books.close()


def without(*missing: str) -> list[tuple[str, int]]:
    return [entry for entry in SOLD if entry[0] not in missing]


def wrongs(found: Audit) -> set[str]:
    return {wrong for wrong, orders in found.wrongs.items() if orders}


def test_an_order_that_was_paid_sent_and_announced_once_is_completed(ledger: Ledger) -> None:
    ledger.write("a", SOLD)
    found = ledger.audited()
    assert (found.completed, found.compensated, found.turned_away) == (1, 0, 0)
    assert found.is_clean


def test_an_order_that_was_undone_in_full_is_compensated(ledger: Ledger) -> None:
    undone = [("released", 3), ("label voided", 1), ("refunded", 1)]
    ledger.write("a", without("collected", "shipped") + undone)
    found = ledger.audited()
    assert (found.completed, found.compensated, found.turned_away) == (0, 1, 0)
    assert found.is_clean


def test_a_charge_that_was_called_off_in_time_is_compensated(ledger: Ledger) -> None:
    ledger.write("a", [("charge asked for", 1), ("charge called off", 1)])
    found = ledger.audited()
    assert found.compensated == 1
    assert found.is_clean


def test_a_declined_card_turns_the_order_away(ledger: Ledger) -> None:
    ledger.write("a", [("charge asked for", 1), ("declined", 1)])
    found = ledger.audited()
    assert (found.completed, found.compensated, found.turned_away) == (0, 0, 1)
    assert found.is_clean


@pytest.mark.parametrize(
    ("entries", "wrong"),
    [
        ([*SOLD, ("charged", 1)], "charged twice"),
        ([*SOLD, ("charged", 1), ("refunded", 1)], "charged twice"),
        (without("collected", "shipped"), "charged but neither shipped nor refunded"),
        ([*SOLD, ("refunded", 1), ("refunded", 1)], "refunded more than charged"),
        ([*SOLD, ("refunded", 1)], "shipped without being paid"),
        (without("charged"), "shipped without being paid"),
        (without("shipped"), "collected but not booked out"),
        ([*SOLD, ("collected", 1)], "collected twice"),
        ([*SOLD, ("labelled", 1)], "labels neither used nor voided"),
        ([*SOLD, ("mailed", 1)], "e-mails sent twice"),
        (without("mailed"), "not finished"),
        ([("charge asked for", 1)], "not finished"),
        ([], "not finished"),
    ],
)
def test_each_planted_wrong_is_found_and_named(ledger: Ledger, entries: list[tuple[str, int]], wrong: str) -> None:
    ledger.write("a", entries)
    found = ledger.audited()
    assert found.wrongs[wrong] == ["a"]
    assert not found.is_clean


def test_a_wrong_names_only_the_orders_where_it_is(ledger: Ledger) -> None:
    ledger.write("good", SOLD)
    ledger.write("bad", [*SOLD, ("charged", 1)])
    assert ledger.audited("good", "bad").wrongs["charged twice"] == ["bad"]


def test_an_order_that_the_books_have_never_heard_of_is_not_finished(ledger: Ledger) -> None:
    ledger.write("a", SOLD)
    found = ledger.audited("a", "lost")
    assert found.wrongs["not finished"] == ["lost"]
    assert found.compensated == 0


@pytest.mark.parametrize(
    ("entries", "lost"),
    [
        ([*without("collected", "shipped"), ("label voided", 1), ("refunded", 1)], 3),
        ([*SOLD, ("released", 3)], 3),
        ([*SOLD, ("shipped", 3)], 3),
        ([*without("collected", "shipped"), ("released", 2), ("label voided", 1), ("refunded", 1)], 1),
    ],
)
def test_goods_that_went_neither_out_nor_back_are_lost(
    ledger: Ledger, entries: list[tuple[str, int]], lost: int
) -> None:
    ledger.write("a", entries)
    found = ledger.audited()
    assert found.stock_lost == lost
    assert not found.is_clean


def test_goods_that_the_shelf_lacks_without_an_entry_are_lost(ledger: Ledger) -> None:
    ledger.write("a", SOLD)
    assert ledger.books.take_from_shelf(2)
    assert ledger.audited().stock_lost == 2


def test_a_repeated_request_is_counted_though_it_had_no_effect(ledger: Ledger) -> None:
    for effect in (True, False):
        ledger.books.add_request("/payments/charges", "a", "key", 1, "worker-1", "none", 202, effect)
    ledger.books.add_request("/payments/refunds", "a", "other", 1, "worker-1", "error", 500, False)
    found = ledger.audited()
    assert (found.requests, found.requests_repeated, found.requests_failed) == (3, 1, 1)


def test_deliveries_that_nobody_took_are_counted(ledger: Ledger) -> None:
    for outcome in ("ConnectError", "503", "202", "409"):
        ledger.books.add_delivery("a", "item picked", "http://127.0.0.1/callbacks/x", 1, outcome)
    found = ledger.audited()
    assert (found.deliveries, found.deliveries_in_vain) == (4, 2)


def test_kills_count_only_as_far_as_the_world_was_busy_with_the_worker(ledger: Ledger) -> None:
    ledger.books.add_kill("worker-1", 4)
    ledger.books.add_kill("worker-2", 0)
    found = ledger.audited()
    assert (found.kills, found.kills_of_busy_workers, found.requests_cut_off) == (2, 1, 4)
