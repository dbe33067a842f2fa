"""The front door: faults, idempotency, and the book of requests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from examples.order_fulfilment.world.mischief import Fault

from .town import Town

Build = Callable[..., Town]


async def test_a_repeated_key_gets_the_same_answer_and_has_no_second_effect(town: Town) -> None:
    first = await town.ask("/carrier/labels", "key-1")
    second = await town.ask("/carrier/labels", "key-1")
    assert second.body == first.body
    assert town.ledger() == ["labelled"]
    assert [(r["repeated"], r["had_effect"]) for r in town.requests()] == [(0, 1), (1, 0)]


async def test_another_key_is_another_request(town: Town) -> None:
    first = await town.ask("/carrier/labels", "key-1")
    second = await town.ask("/carrier/labels", "key-2")
    assert first.body != second.body
    assert town.ledger() == ["labelled", "labelled"]


async def test_one_key_at_two_endpoints_is_two_requests(town: Town) -> None:
    await town.ask("/carrier/labels", "key-1")
    await town.ask("/mailer/mails", "key-1", to="00001")
    assert town.ledger() == ["labelled", "mailed"]


async def test_a_refusal_is_remembered_too(town: Town) -> None:
    assert (await town.ask("/warehouse/reservations", "key-1", quantity=99)).status == 409
    assert (await town.ask("/warehouse/reservations", "key-1", quantity=1)).status == 409
    assert town.on_shelf() == 10


async def test_an_error_has_no_effect_and_the_next_attempt_has(build: Build) -> None:
    town = build(faults=(Fault.ERROR,))
    assert (await town.ask("/carrier/labels", "key-1")).status == 500
    assert town.ledger() == []
    assert (await town.ask("/carrier/labels", "key-1")).status == 201
    assert town.ledger() == ["labelled"]


async def test_a_broken_answer_hides_that_all_was_done(build: Build) -> None:
    town = build(faults=(Fault.BROKEN,))
    assert (await town.ask("/carrier/labels", "key-1")).status == 500
    assert town.ledger() == ["labelled"]
    assert (await town.ask("/carrier/labels", "key-1")).status == 201
    assert town.ledger() == ["labelled"]


async def test_a_late_answer_comes_after_the_work_and_after_the_callers_patience(build: Build) -> None:
    town = build(faults=(Fault.LATE,))
    await town.ask("/carrier/labels", "key-1")
    assert town.ledger() == ["labelled"]
    assert town.slept == [2.5]


async def test_a_slow_answer_takes_a_while(build: Build) -> None:
    town = build(faults=(Fault.SLOW,))
    assert (await town.ask("/carrier/labels", "key-1")).status == 201
    assert 0.2 <= town.slept[0] <= 0.8


@pytest.mark.parametrize("fault", list(Fault))
async def test_the_books_have_every_request_whatever_became_of_it(build: Build, fault: Fault) -> None:
    town = build(faults=(fault,))
    await town.ask("/mailer/mails", "key-1", to="00001")
    noted = town.requests()[0]
    assert noted["endpoint"] == "/mailer/mails"
    assert (noted["order_id"], noted["idempotency_key"], noted["worker"]) == ("a", "key-1", "worker-1")
    assert noted["fault"] == fault.value
    assert noted["status"] == (500 if fault in (Fault.ERROR, Fault.BROKEN) else 202)


async def test_work_that_breaks_off_in_the_middle_leaves_no_half_of_it(town: Town) -> None:
    with pytest.raises(KeyError):
        await town.ask("/no/such/department", "key-1")
    assert town.requests() == []
    await town.ask("/mailer/mails", "key-2", to="00001")
    assert town.ledger() == ["mailed"]


async def test_the_world_knows_whose_requests_it_is_working_on(build: Build) -> None:
    town = build(faults=(Fault.LATE,))
    seen: list[int] = []

    async def look(_: float) -> None:
        seen.append(town.front_door.requests_open["worker-1"])

    town.front_door._sleep = look
    await town.ask("/mailer/mails", "key-1", to="00001")
    assert seen == [1]
    assert town.front_door.requests_open["worker-1"] == 0
