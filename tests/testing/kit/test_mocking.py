"""Mocks stand in for steps, record what they were called with, and are gone after the test."""

from __future__ import annotations

from typing import Any

import pytest

from keepstep import InvalidInput, Step, WorkflowFailed
from keepstep.testing.kit import Crash, Stage, forbid_steps, mock_step
from tests.testing.kit.programs import (
    EFFECTS,
    kit_book,
    kit_booking,
    kit_charge,
    kit_mail,
    kit_order,
    kit_stubborn,
    kit_stubbornly,
)


@pytest.fixture(autouse=True)
def no_effects() -> None:
    EFFECTS.clear()


def play(workflow: Any, *args: Any, crash: Crash | None = None) -> Any:
    """The result of a run."""
    with Stage(crash) as stage:

        async def act() -> Any:
            return await (await stage.engine.start(workflow, *args, id="kit")).result()

        return stage.play(act)


def test_a_mock_returns_and_tells_what_it_was_called_with() -> None:
    with mock_step(kit_charge, returns="mocked") as charge, mock_step(kit_mail) as mail:
        assert play(kit_order, 7) == "mocked"
    assert charge.arguments == [{"order": 7, "currency": "eur"}]
    assert mail.arguments == [{"receipt": "mocked"}]
    [call] = charge.calls
    assert (call.attempt, call.key, call.workflow_id) == (1, "kit_charge", "kit")
    assert call.idempotency_key.endswith("/kit_charge")
    assert EFFECTS == []


def test_a_mock_is_gone_after_its_block_even_if_that_fails() -> None:
    with pytest.raises(ZeroDivisionError), mock_step(kit_charge, returns="mocked"), mock_step(kit_mail):
        raise ZeroDivisionError
    assert play(kit_order, 7) == "receipt 7"
    assert {"fn", "run_options"}.isdisjoint(vars(Step))


def test_several_errors_are_those_of_the_first_attempts() -> None:
    with mock_step(kit_charge, raises=[OSError("one"), ValueError], returns="third") as charge, mock_step(kit_mail):
        assert play(kit_order, 7) == "third"
    assert [each.attempt for each in charge.calls] == [1, 2, 3]
    assert len(charge.idempotency_keys) == 1


def test_one_error_is_that_of_every_attempt() -> None:
    with (
        mock_step(kit_charge, raises=OSError("no network")) as charge,
        pytest.raises(WorkflowFailed, match="no network"),
    ):
        play(kit_order, 7)
    assert len(charge.calls) == 3


def test_a_side_effect_is_called_instead() -> None:
    async def charge_later(order: int, currency: str = "usd") -> str:
        return f"{order} {currency}"

    with mock_step(kit_charge, side_effect=charge_later), mock_step(kit_mail, side_effect=EFFECTS.append):
        assert play(kit_order, 7) == "7 usd"
    assert EFFECTS == ["7 usd"]


def test_a_step_with_options_is_mocked_too_even_if_they_were_given_before() -> None:
    given_before = kit_stubborn.options(timeout=9)
    with mock_step(kit_stubborn, returns="mocked"):
        assert play(kit_stubbornly) == "mocked"
        assert given_before.fn == kit_stubborn.fn != kit_stubborn.__wrapped__
    assert given_before.fn is kit_stubborn.__wrapped__


def test_a_mocked_transaction_wants_no_database() -> None:
    with mock_step(kit_book, side_effect=lambda receipt: len(receipt)) as book:
        assert play(kit_booking) == 1
    assert book.arguments == [{"receipt": "r"}]
    assert kit_book.run_options.transaction


def test_the_newer_of_two_mocks_counts_until_it_is_gone() -> None:
    with mock_step(kit_mail), mock_step(kit_charge, returns="old") as old:
        with mock_step(kit_charge, returns="new"):
            assert play(kit_order, 7) == "new"
        assert play(kit_order, 7) == "old"
    assert len(old.calls) == 1


def test_a_crash_repeats_an_attempt_under_the_same_idempotency_key() -> None:
    with mock_step(kit_charge, returns="mocked") as charge, mock_step(kit_mail):
        assert play(kit_order, 7, crash=Crash(1, "before")) == "mocked"
    assert [each.attempt for each in charge.calls] == [1, 1]
    assert len(charge.idempotency_keys) == 1


def test_steps_without_a_mock_can_be_forbidden() -> None:
    with forbid_steps(), mock_step(kit_charge, returns="mocked"):
        with pytest.raises(WorkflowFailed, match=r"after 1 attempt: .*'kit_mail' is not mocked, .*mock_step\(kit_mail"):
            play(kit_order, 7)
        with pytest.raises(WorkflowFailed, match="'kit_book' is not mocked"):
            play(kit_booking)
    assert play(kit_order, 7) == "receipt 7"


async def test_outside_of_a_worker_a_mocked_step_is_the_plain_mock() -> None:
    with mock_step(kit_charge, returns="mocked") as charge:
        assert await kit_charge(3) == "mocked"
    assert (charge.calls[0].attempt, charge.calls[0].idempotency_key) == (1, "")


def test_mocks_that_make_no_sense_are_refused() -> None:
    async def later(receipt: str) -> None: ...

    for step, answers, why in (
        (kit_order, {}, "decorated with @step"),
        (kit_mail, {"side_effect": later}, "plain def"),
        (kit_charge, {"side_effect": len, "returns": 1}, "leave out returns"),
    ):
        with pytest.raises(InvalidInput, match=why), mock_step(step, **answers):  # type: ignore[arg-type]
            pass
