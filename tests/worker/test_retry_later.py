"""A step that says when it wants to be tried again is tried again then, wherever it is executed and whoever dies."""

from __future__ import annotations

from typing import Any

import pytest

import keepstep
from keepstep import Engine, InvalidInput, Retry, RetryLater, StepFailed, step, workflow
from keepstep.testing import run
from tests.runtime.crashing import World, crash_at_every_commit

PATIENT = Retry(max_attempts=3, initial=0.1, jitter=0)


@step(retry=PATIENT)
async def ask_a_busy_service(busy_until: int) -> int:
    attempt = keepstep.step_info().attempt
    if attempt < busy_until:
        raise RetryLater("429", after="10m")
    return attempt


@step(retry=PATIENT, queue="busy")
async def ask_a_busy_service_elsewhere(busy_until: int) -> int:
    return await ask_a_busy_service.fn(busy_until)  # type: ignore[no-any-return]


@workflow
async def ask_and_measure(busy_until: int, where: str, options: dict[str, Any]) -> list[Any]:
    began = keepstep.now()
    asked = ask_a_busy_service if where == "here" else ask_a_busy_service_elsewhere
    try:
        answer: Any = await asked.options(**options)(busy_until)
    except StepFailed as error:
        answer = f"{error.attempts}: {error.__cause__!r} {getattr(error.__cause__, 'after_seconds', None)}"
    return [answer, (keepstep.now() - began).total_seconds()]


def play(busy_until: int, where: str, **options: Any) -> Any:
    async def whole() -> Any:
        world = World()
        try:
            engine = await world.open(poll_seconds=10, queues=("default", "busy"))
            return await engine.run(ask_and_measure, busy_until, where, options)
        finally:
            await world.close()

    return run(whole)


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_the_pause_is_what_the_step_says_and_the_attempt_counts(where: str) -> None:
    answer, seconds = play(3, where)
    assert answer == 3
    assert seconds == pytest.approx(1200, abs=1)
    assert play(4, where)[0] == "3: RetryLater('429') 600.0"


def test_a_step_whose_time_would_be_over_by_then_has_failed_at_once() -> None:
    answer, seconds = play(3, "here", total_timeout="15m")
    assert answer == "2: RetryLater('429') 600.0"
    assert seconds == pytest.approx(600, abs=1)


def test_the_pause_outlives_a_crash_at_any_commit() -> None:
    async def program(engine: Engine) -> Any:
        return await (await engine.start(ask_and_measure, 3, "here", {}, id="ask")).result()

    def check(seen: list[Any], crashes: int) -> None:
        assert seen == [3, pytest.approx(1200, abs=1 + crashes * 20)]

    assert crash_at_every_commit(program, check, poll_seconds=5) >= 6


@pytest.mark.parametrize("after", ["soon", -1, None])
def test_a_time_that_is_none_is_refused(after: Any) -> None:
    with pytest.raises(InvalidInput, match="duration"):
        RetryLater(after=after)
