"""Gateway, warehouse, carrier, pickers and mailer."""

from __future__ import annotations

from collections.abc import Callable

from examples.order_fulfilment.world.mischief import Fate

from .town import Town

Build = Callable[..., Town]


async def test_the_gateway_says_later_that_it_has_charged(town: Town) -> None:
    answer = await town.ask("/payments/charges", "k1", amount="11.77")
    assert (answer.status, town.ledger(), town.called) == (202, ["charge asked for"], [])
    await town.time_passes()
    assert town.ledger() == ["charge asked for", "charged"]
    verdict = {"approved": True, "reason": ""}
    assert town.called == [("a", "payment verdict", "http://worker/callbacks/token", verdict)]


async def test_a_declined_card_is_not_charged(build: Build) -> None:
    town = build(Fate.DECLINED)
    await town.ask("/payments/charges", "k1", amount="11.77")
    await town.time_passes()
    assert town.ledger() == ["charge asked for", "declined"]
    assert town.called[0][3] == {"approved": False, "reason": "insufficient funds"}


async def test_two_keys_are_two_charges(town: Town) -> None:
    await town.ask("/payments/charges", "k1", amount="11.77")
    await town.ask("/payments/charges", "k2", amount="11.77")
    await town.time_passes()
    assert town.ledger().count("charged") == 2


async def test_a_refund_gives_back_once(town: Town) -> None:
    await town.ask("/payments/charges", "k1", amount="11.77")
    await town.time_passes()
    await town.ask("/payments/refunds", "k2")
    await town.ask("/payments/refunds", "k3")
    assert town.ledger() == ["charge asked for", "charged", "refunded"]


async def test_a_refund_before_the_bank_has_decided_calls_the_charge_off(town: Town) -> None:
    await town.ask("/payments/charges", "k1", amount="11.77")
    await town.ask("/payments/refunds", "k2")
    await town.time_passes()
    assert town.ledger() == ["charge asked for", "charge called off"]


async def test_a_charge_that_comes_after_its_refund_is_refused(town: Town) -> None:
    await town.ask("/payments/refunds", "k1")
    assert (await town.ask("/payments/charges", "k2", amount="11.77")).status == 409
    await town.time_passes()
    assert town.ledger() == ["charge called off"]


async def test_the_warehouse_reserves_while_there_is_stock(town: Town) -> None:
    assert (await town.ask("/warehouse/reservations", "k1", order="a", quantity=7)).status == 201
    refused = await town.ask("/warehouse/reservations", "k2", order="b", quantity=4)
    assert (refused.status, refused.body) == (409, {"error": "out_of_stock"})
    assert town.on_shelf() == 3


async def test_released_goods_are_for_the_next_order(town: Town) -> None:
    await town.ask("/warehouse/reservations", "k1", order="a", quantity=7)
    await town.ask("/warehouse/releases", "k2", order="a")
    await town.ask("/warehouse/releases", "k3", order="a")
    assert town.on_shelf() == 10
    assert (await town.ask("/warehouse/reservations", "k4", order="b", quantity=10)).status == 201


async def test_a_reservation_that_comes_after_its_release_is_refused(town: Town) -> None:
    await town.ask("/warehouse/releases", "k1")
    assert (await town.ask("/warehouse/reservations", "k2", quantity=1)).status == 409
    assert town.on_shelf() == 10


async def test_goods_are_handed_out_once(town: Town) -> None:
    await town.ask("/warehouse/reservations", "k1", quantity=7)
    await town.ask("/warehouse/shipments", "k2")
    await town.ask("/warehouse/shipments", "k3")
    await town.ask("/warehouse/releases", "k4")
    assert town.ledger() == ["reserved", "shipped", "reservation called off"]
    assert town.on_shelf() == 3


async def test_the_carrier_collects_and_says_so(town: Town) -> None:
    await town.ask("/carrier/labels", "k1")
    await town.ask("/carrier/pickups", "k2", label="PX-a-1")
    await town.time_passes()
    assert town.ledger() == ["labelled", "pickup booked", "collected"]
    assert town.called[0][:2] == ("a", "parcel collected")


async def test_a_forgetful_carrier_comes_when_reminded(build: Build) -> None:
    town = build(Fate.CARRIER_FORGETS)
    await town.ask("/carrier/pickups", "k1", label="PX-a-1")
    await town.time_passes()
    assert town.called == []
    await town.ask("/carrier/reminders", "k2")
    await town.time_passes()
    assert town.ledger() == ["pickup booked", "carrier reminded", "collected"]


async def test_some_carriers_never_come(build: Build) -> None:
    town = build(Fate.CARRIER_NEVER_COMES)
    await town.ask("/carrier/pickups", "k1", label="PX-a-1")
    await town.ask("/carrier/reminders", "k2")
    await town.time_passes()
    assert "collected" not in town.ledger()


async def test_a_cancelled_pickup_is_not_collected_any_more(town: Town) -> None:
    await town.ask("/carrier/pickups", "k1", label="PX-a-1")
    assert (await town.ask("/carrier/cancellations", "k2")).body == {"collected": False}
    await town.time_passes()
    assert town.ledger() == ["pickup booked", "pickup cancelled"]
    assert town.called == []


async def test_a_cancellation_after_the_van_learns_that_it_came_too_late(town: Town) -> None:
    await town.ask("/carrier/pickups", "k1", label="PX-a-1")
    await town.time_passes()
    assert (await town.ask("/carrier/cancellations", "k2")).body == {"collected": True}


async def test_a_voided_label_is_not_collected(town: Town) -> None:
    await town.ask("/carrier/labels", "k1")
    await town.ask("/carrier/pickups", "k2", label="PX-a-1")
    await town.ask("/carrier/voids", "k3")
    await town.time_passes()
    assert town.ledger() == ["labelled", "pickup booked", "label voided"]


async def test_a_label_cannot_be_voided_once_its_parcel_is_on_the_van(town: Town) -> None:
    await town.ask("/carrier/labels", "k1")
    await town.ask("/carrier/pickups", "k2", label="PX-a-1")
    await town.time_passes()
    refused = await town.ask("/carrier/voids", "k3")
    assert (refused.status, refused.body) == (409, {"error": "already_collected"})


async def test_a_label_that_is_bought_after_it_was_voided_is_refused(town: Town) -> None:
    await town.ask("/carrier/voids", "k1")
    assert (await town.ask("/carrier/labels", "k2")).status == 409
    assert town.ledger() == ["label voided"]


async def test_a_person_picks_the_item_and_says_who(town: Town) -> None:
    await town.ask("/pickers/tasks", "k1", title="a: fetch 2 CDs")
    await town.time_passes()
    assert town.ledger() == ["task shown", "picked"]
    assert set(town.called[0][3]) == {"by"}


async def test_the_mailer_sends_once_for_each_key(town: Town) -> None:
    await town.ask("/mailer/mails", "k1", to="00001", label="PX-a-1")
    await town.ask("/mailer/mails", "k1", to="00001", label="PX-a-1")
    assert town.ledger() == ["mailed"]
