"""Steps: attempts, pauses, timeouts, keys, and what workflow code sees of them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

import keepstep
import keepstep.testing
from keepstep import Engine, InvalidInput, Retry, StepFailed, TimedOut, WorkflowFailed, step, workflow
from keepstep.journal.limits import PAYLOAD_BYTES_MAX
from tests.runtime.crashing import World
from tests.runtime.programs import on_an_engine

times: list[float] = []
keys: list[str] = []


class Declined(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def note() -> None:
    times.append(asyncio.get_running_loop().time())
    keys.append(keepstep.step_info().idempotency_key)


@step(retry=Retry(max_attempts=4, initial=1.0, factor=2.0, max_interval=3.0, jitter=0.0))
async def fail_always() -> None:
    note()
    raise ConnectionError("down")


@step(retry=Retry(max_attempts=9, initial=1.0, non_retryable=(Declined,)))
async def decline() -> None:
    note()
    raise Declined(51)


@step(timeout=2.0, retry=Retry(max_attempts=2, initial=1.0, jitter=0.0))
async def hang() -> None:
    note()
    await asyncio.Event().wait()


@step(total_timeout=10.0, retry=Retry(max_attempts=None, initial=4.0, factor=1.0, jitter=0.0))
async def fail_until_total_timeout() -> None:
    note()
    raise ConnectionError("down")


@step(heartbeat_timeout=3.0, retry=Retry(max_attempts=2, initial=0.5, jitter=0.0))
async def beat_then_fall_silent() -> Any:
    note()
    if keepstep.step_info().attempt == 2:
        return keepstep.step_info().heartbeat_details
    for n in range(3):
        await asyncio.sleep(2)
        keepstep.heartbeat({"done": n})
    await asyncio.Event().wait()
    return None


@workflow
async def call(what: str) -> Any:
    try:
        return await {
            "fail_always": fail_always,
            "decline": decline,
            "hang": hang,
            "fail_until_total_timeout": fail_until_total_timeout,
            "beat_then_fall_silent": beat_then_fall_silent,
        }[what]()
    except StepFailed as error:
        cause = error.__cause__
        return [error.attempts, error.uncertain, type(cause).__name__, str(cause)]


def calling(what: str) -> Any:
    times.clear()
    keys.clear()
    return on_an_engine(lambda engine: engine.run(call, what, id="r"))


def pauses() -> list[float]:
    return [round(later - earlier, 3) for earlier, later in pairwise(times)]


def test_errors_are_retried_with_growing_pauses_under_one_idempotency_key() -> None:
    assert calling("fail_always") == [4, False, "ConnectionError", "down"]
    assert pauses() == [1.0, 2.0, 3.0]
    assert len(set(keys)) == 1
    assert keys[0].endswith("/fail_always")


def test_an_error_that_is_not_retryable_ends_the_step_at_once_with_its_own_class_as_cause() -> None:
    assert calling("decline") == [1, False, "Declined", "51"]


def test_a_timeout_ends_the_attempt_and_leaves_the_step_uncertain() -> None:
    attempts, uncertain, cause, text = calling("hang")
    assert (attempts, uncertain, cause) == (2, True, "TimedOut")
    assert "within 2 s" in text
    assert pauses() == [3.0]


def test_a_total_timeout_covers_all_attempts_and_the_pauses_between_them() -> None:
    assert calling("fail_until_total_timeout")[:2] == [3, False]
    assert pauses() == [4.0, 4.0]


def test_a_step_without_heartbeat_is_given_up_and_the_next_attempt_knows_how_far_it_was() -> None:
    assert calling("beat_then_fall_silent") == {"done": 2}
    assert pauses() == [9.5]


@dataclass
class Money:
    amount: Decimal
    currency: str = "EUR"


@step
async def double(money: Money) -> Money:
    return Money(money.amount * 2, money.currency)


@step
def on_a_thread(n: int) -> int:
    time.sleep(0.001)
    return n + 1


@step
async def return_a_socket() -> Any:
    return object()


@step
async def return_too_much() -> str:
    return "x" * (PAYLOAD_BYTES_MAX + 1)


@workflow
async def use_values() -> list[Any]:
    money = await double(Money(Decimal("19.99")))
    handle = on_a_thread.start(1)
    first = await on_a_thread.options(key="named")(10)
    return [str(money.amount), type(money).__name__, await handle, first]


async def keys_of(engine: Engine) -> list[str]:
    assert await engine.run(use_values, id="r") == ["39.98", "Money", 2, 11]
    return sorted([event.key or "" async for event in engine.get("r").history() if event.key])


def test_values_come_back_as_their_types_and_calls_have_the_keys_of_their_places() -> None:
    assert on_an_engine(keys_of) == ["double", "on_a_thread", "on_a_thread[named]"]


@step
async def tell_its_key() -> str:
    return keepstep.step_info().idempotency_key.partition("/")[2]


@workflow
async def name_several_calls_alike() -> list[str]:
    named = tell_its_key.options(key="k")
    one_by_one = [await named(), await named()]
    return [*one_by_one, *await asyncio.gather(named(), tell_its_key(), named())]


def test_calls_that_are_given_the_same_key_have_idempotency_keys_of_their_own() -> None:
    keys = on_an_engine(lambda engine: engine.run(name_several_calls_alike))
    assert keys == ["tell_its_key[k]", "tell_its_key[k]#2", "tell_its_key[k]#3", "tell_its_key", "tell_its_key[k]#4"]


@step(timeout=5)
async def exit_in_time() -> None:
    note()
    raise SystemExit(3)


@step(timeout=5)
def exit_on_a_thread() -> None:
    times.append(0)
    raise SystemExit(3)


@step(queue="default", timeout=5)
async def exit_on_a_queue() -> None:
    note()
    raise SystemExit(3)


@workflow
async def exit_everywhere() -> list[str]:
    said = []
    for call in (exit_in_time, exit_on_a_thread, exit_on_a_queue):
        try:
            await call()
        except StepFailed as error:
            said.append(f"{error.attempts} {error.__cause__}")
    return said


def test_a_step_that_asks_the_process_to_exit_has_failed_and_the_worker_lives() -> None:
    times.clear()
    said = on_an_engine(lambda engine: engine.run(exit_everywhere))
    assert [each[:12] for each in said] == ["1 exit_in_ti", "1 exit_on_a_", "1 exit_on_a_"]
    assert len(times) == 3


@workflow
async def misuse(what: str) -> Any:
    if what == "unencodable":
        return await return_a_socket()
    if what == "too large":
        return await return_too_much()
    return await double(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("unencodable", "object"),
        ("too large", "keep large data elsewhere"),
        ("wrong type", "Money"),
    ],
)
def test_misuse_fails_the_run_with_words_that_help(what: str, said: str) -> None:
    async def program(engine: Engine) -> str:
        with pytest.raises(WorkflowFailed) as failed:
            await engine.run(misuse, what)
        return str(failed.value)

    assert said in on_an_engine(program)


def test_outside_of_a_workflow_a_step_is_the_plain_function() -> None:
    assert asyncio.run(double(Money(Decimal(2)))).amount == 4
    assert on_a_thread(1) == 2  # type: ignore[comparison-overlap]
    with pytest.raises(RuntimeError, match="inside a step"):
        keepstep.step_info()


def test_two_steps_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidInput, match="two steps are named 'double'"):
        step(name="double")(return_a_socket.fn)


def test_options_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(InvalidInput, match="resolver"):
        double.options(resolver=print)
    with pytest.raises(InvalidInput, match="no option 'retries'"):
        double.options(retries=3)
    with pytest.raises(InvalidInput, match="queue"):
        double.options(once=True, queue="gpu")
    with pytest.raises(InvalidInput, match=r"the priority of step 'double' is a whole number.*small.*not 1\.5"):
        double.options(priority=1.5)
    with pytest.raises(InvalidInput, match="fairness_key= is about turns on a queue; name it: queue="):
        double.options(fairness_key="a customer")


@step(once=True, timeout=5)
async def pay_once() -> str:
    note()
    await asyncio.Event().wait()
    return "paid"


@step(once=True)
async def refuse_once() -> None:
    note()
    raise Declined(7)


@workflow
async def pay(refuse: bool) -> str:
    try:
        return await (refuse_once() if refuse else pay_once())  # type: ignore[return-value]
    except StepFailed as error:
        return f"{error.attempts}: {error.__cause__}"


async def until_uncertain(engine: Engine, id: str) -> keepstep.RunInfo:
    while (info := await engine.get(id).describe()).condition != "uncertain":
        await asyncio.sleep(0.2)
    return info


def test_a_once_step_that_timed_out_is_never_repeated_until_somebody_says_what_happened() -> None:
    async def program(engine: Engine) -> list[Any]:
        times.clear()
        by_value = await engine.start(pay, False, id="v")
        by_error = await engine.start(pay, False, id="e")
        info = await until_uncertain(engine, "v")
        await until_uncertain(engine, "e")
        assert info.waiting_for[0].parked == "uncertain"
        await asyncio.sleep(3600)
        await engine.resolve("v", info.waiting_for[0].key, "paid, says the bank")
        await engine.resolve("e", "pay_once", error="the bank knows nothing of it")
        return [await by_value.result(), await by_error.result(), len(times)]

    assert on_an_engine(program) == ["paid, says the bank", "1: the bank knows nothing of it", 2]


def test_an_error_of_a_once_step_is_its_answer() -> None:
    times.clear()
    assert on_an_engine(lambda engine: engine.run(pay, True)) == "1: 7"
    assert len(times) == 1


@step(queue="elsewhere", retry=Retry(max_attempts=3, initial=1.0, jitter=0.0))
async def on_a_queue(n: int) -> int:
    note()
    if keepstep.step_info().attempt < 3:
        raise ConnectionError("not yet")
    return n * 10


@workflow
async def use_queue() -> int:
    return await on_a_queue(4)


def test_a_step_with_a_queue_is_executed_by_a_worker_that_serves_it() -> None:
    async def main() -> Any:
        world = World()
        here = await world.open()
        handle = await here.start(use_queue, id="q")
        await asyncio.sleep(5)
        assert times == []
        await world.open(queues=("elsewhere",))
        result = await handle.result(timeout=60)
        await world.close()
        return result

    times.clear()
    keys.clear()
    assert keepstep.testing.run(main) == 40
    assert len(set(keys)) == 1
    assert pauses() == pytest.approx([1.0, 1.0], abs=1.1)


def test_steps_run_at_most_as_many_at_once_as_the_worker_may() -> None:
    running = most = 0

    @step
    async def count() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(1)
        running -= 1

    @workflow
    async def many() -> None:
        await asyncio.gather(*(count() for _ in range(30)))

    on_an_engine(lambda engine: engine.run(many), concurrent_steps_max=7)
    assert most == 7


def test_timed_out_is_a_timeout_error() -> None:
    assert issubclass(TimedOut, TimeoutError)


begun_at: list[float] = []


@step(total_timeout=10.0, retry=Retry(max_attempts=None))
async def hang_until_the_total_timeout() -> None:
    begun_at.append(asyncio.get_running_loop().time())
    await asyncio.sleep(3600)


@workflow
async def call_one_that_never_ends() -> str:
    try:
        await hang_until_the_total_timeout()
    except StepFailed as error:
        return type(error.__cause__).__name__
    return "ended"


def test_a_total_timeout_goes_on_counting_when_the_first_attempt_dies_with_its_worker() -> None:
    async def main() -> tuple[str, float]:
        world = World()
        first = await world.open(lease_seconds=2.0)
        began = world.loop.time()
        await first.start(call_one_that_never_ends, id="never")
        await asyncio.sleep(6)
        world.kill(first)
        second = await world.open(lease_seconds=2.0)
        result = await second.get("never").result()
        took = world.loop.time() - began
        await world.close()
        return str(result), took

    begun_at.clear()
    result, took = keepstep.testing.run(main)
    assert result == "TimedOut"
    assert len(begun_at) == 2
    assert 10 <= took < 11
