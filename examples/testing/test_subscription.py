"""The tests of the subscription: three months of it, in virtual time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from examples.testing.subscription import PRICE_CENTS, CardDeclined, send_mail, subscription, take_payment
from keepstep import BlockingEngine, Engine
from keepstep.testing.kit import StepMock, VirtualTime
from keepstep.testing.kit.blocking import BlockingVirtualTime

MockStep = Callable[..., StepMock]


async def test_nothing_is_paid_during_the_trial(
    keepstep_engine: Engine, keepstep_time: VirtualTime, mock_step: MockStep
) -> None:
    payment = mock_step(take_payment, returns="p1")
    await keepstep_engine.start(subscription, "ann")
    await keepstep_time.advance("13d")
    assert payment.calls == []
    await keepstep_time.advance("2d")
    assert payment.arguments == [{"customer": "ann", "cents": PRICE_CENTS}]


@pytest.mark.keepstep_chaos
async def test_a_customer_who_leaves_has_paid_for_each_month_once(
    keepstep_engine: Engine, keepstep_time: VirtualTime, mock_step: MockStep
) -> None:
    payment = mock_step(take_payment, returns="p1")
    mail = mock_step(send_mail)
    run = await keepstep_engine.start(subscription, "ann")
    await keepstep_time.advance("80d")
    await run.signal("leave")
    assert await run.result() == 3
    assert len(payment.idempotency_keys) == 3
    assert len(mail.idempotency_keys) == 1


def test_a_declined_card_is_tried_three_times_and_ends_the_subscription(
    keepstep_blocking_engine: BlockingEngine, mock_step: MockStep
) -> None:
    payment = mock_step(take_payment, raises=CardDeclined("no funds"))
    mail = mock_step(send_mail)
    assert keepstep_blocking_engine.run(subscription, "ann") == 0
    assert [call.attempt for call in payment.calls] == [1, 2, 3]
    assert "could not charge" in mail.arguments[0]["subject"]


def test_a_network_that_fails_once_is_not_noticed(
    keepstep_blocking_engine: BlockingEngine, keepstep_blocking_time: BlockingVirtualTime, mock_step: MockStep
) -> None:
    payment = mock_step(take_payment, raises=[ConnectionError("reset")], returns="p1")
    mock_step(send_mail)
    run = keepstep_blocking_engine.start(subscription, "ann")
    keepstep_blocking_time.advance("15d")
    run.signal("leave")
    assert run.result() == 1
    assert [call.attempt for call in payment.calls] == [1, 2]


def test_runs_of_last_year_still_fit_the_code(keepstep_replay: Callable[..., None]) -> None:
    keepstep_replay("after_two_payments.json")
