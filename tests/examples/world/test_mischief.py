"""The dice."""

from __future__ import annotations

from collections import Counter

from examples.order_fulfilment.world.mischief import FATES, FAULTY_REQUESTS_MAX, Fate, Fault, Mischief

ORDERS = [f"order-{number:05}" for number in range(1, 301)]


def test_one_seed_always_decides_the_same() -> None:
    def decisions(seed: int) -> list[object]:
        dice = Mischief(seed)
        return [(dice.fate(o), dice.fault("/mailer/mails", o, 1), dice.seconds((0, 9), "van", o)) for o in ORDERS]

    assert decisions(7) == decisions(7)
    assert decisions(7) != decisions(8)


def test_every_fate_and_every_fault_comes_up_among_three_hundred_orders() -> None:
    dice = Mischief(seed=1)
    assert set(map(dice.fate, ORDERS)) == set(FATES)
    endpoints = ("/mailer/mails", "/warehouse/reservations", "/carrier/pickups", "/pickers/tasks")
    assert {dice.fault(endpoint, order, 1) for endpoint in endpoints for order in ORDERS} == set(Fault)


def test_most_orders_go_smoothly() -> None:
    dice = Mischief(seed=1)
    assert Counter(map(dice.fate, ORDERS))[Fate.SMOOTH] > 200


def test_a_request_that_is_not_fated_to_fail_gets_through_in_the_end() -> None:
    dice = Mischief(seed=3)
    for order in ORDERS:
        assert dice.fault("/warehouse/reservations", order, FAULTY_REQUESTS_MAX + 1) is Fault.NONE


def test_what_is_fated_to_fail_never_gets_through() -> None:
    dice = Mischief(seed=3)
    unheard = next(order for order in ORDERS if dice.fate(order) is Fate.CHARGED_UNHEARD)
    unlabelled = next(order for order in ORDERS if dice.fate(order) is Fate.NO_LABEL)
    assert {dice.fault("/payments/charges", unheard, nth) for nth in range(1, 20)} == {Fault.LATE}
    assert {dice.fault("/carrier/labels", unlabelled, nth) for nth in range(1, 20)} == {Fault.ERROR}


def test_about_a_tenth_of_all_webhooks_is_said_twice() -> None:
    dice = Mischief(seed=5)
    assert 10 < sum(dice.says_it_twice("item picked", order) for order in ORDERS) < 60
