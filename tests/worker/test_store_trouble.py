"""A worker whose store fails goes on when the store is back, loses nothing, and says what went wrong."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

import keepstep
from keepstep import Engine, step, workflow
from keepstep.journal import Commit, Condition, Fenced, JournalError, NewMessage, Promise, StoreUnavailable, TooLarge
from keepstep.journal.memory import inbox
from keepstep.runtime import history
from keepstep.runtime.data import encode
from keepstep.testing import run
from tests.worker.troubled import LEASE_SECONDS, TroubledJournal, World, broken, in_trouble

calls: list[str] = []


@step
async def repeat_in_a_step(what: str) -> str:
    calls.append(what)
    return what


@step(queue="elsewhere")
async def repeat_elsewhere(what: str) -> str:
    calls.append(what)
    return what


@workflow
async def repeat_one_word() -> str:
    return await repeat_in_a_step(await keepstep.receive("word", str))


@workflow
async def have_it_repeated_elsewhere(what: str) -> str:
    return await repeat_elsewhere(what)


@workflow
async def greet_after_a_moment(name: str) -> str:
    await keepstep.sleep(0.1)
    return f"hello {name}"


@workflow
async def await_a_named_child() -> str:
    child = await keepstep.start_child(greet_after_a_moment, "child", id="the-child")
    return str(await child)


@workflow
async def repeat_two_words() -> list[str]:
    return list(await asyncio.gather(repeat_in_a_step("first"), repeat_in_a_step("second")))


@workflow
async def end_in_no_time() -> str:
    return "over"


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


def fails_once(what: str) -> Any:
    """Refuses the first commit that has an event of that type."""
    left = [StoreUnavailable("the disk is in trouble")]
    return lambda commit: left.pop() if left and any(each.type == what for each in commit.events) else None


@pytest.mark.parametrize("method", ["reap", "next_wake", "claim_runs"])
def test_what_could_not_be_claimed_is_claimed_when_the_store_is_back(method: str) -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> None:
        journal.trouble[method] = broken(3)
        async with Engine(journal=another(journal), workers=False) as client:
            handle = await client.start(greet_after_a_moment, "x", id="x")
            assert await handle.result(timeout=30) == "hello x"
        while journal.trouble[method]:
            await asyncio.sleep(0.1)

    in_trouble(program)


def another(journal: TroubledJournal) -> TroubledJournal:
    """Another process on the same disk."""
    return TroubledJournal(journal.disk, clock=journal.clock)  # type: ignore[arg-type]


def test_a_fenced_claim_is_tried_again_under_the_next_lease() -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> None:
        journal.trouble["claim_runs"] = [Fenced("the lease is over")]
        client = Engine(journal=another(journal), workers=False)
        async with client:
            assert await (await client.start(greet_after_a_moment, "x", id="x")).result(timeout=30) == "hello x"

    in_trouble(program)


def test_a_run_is_not_read_again_while_something_is_on_its_way_for_it() -> None:
    """Else what is submitted then gets mixed with that, event by event, under the same epoch."""

    async def program(engine: Engine, journal: TroubledJournal) -> None:
        loop, submit, refusals = asyncio.get_running_loop(), journal.submit, broken(1)
        waiting: list[tuple[Commit, Promise]] = []

        def submit_slowly(commit: Commit) -> Promise:
            """The store takes its time; what comes second is refused at once."""
            told = Promise(loop=loop)
            if waiting and refusals:
                loop.call_soon(told.settle, None, refusals.pop())
            else:
                waiting.append((commit, told))
            return told

        journal.submit = submit_slowly  # type: ignore[method-assign]
        handle = await engine.start(repeat_two_words, id="x")
        await asyncio.sleep(3.0)
        journal.submit = submit  # type: ignore[method-assign]
        for commit, told in waiting:
            await pass_on(submit(commit), told)
        assert await handle.result(timeout=30) == ["first", "second"]
        assert refusals == []
        keys = [event.key async for event in handle.history() if event.type == history.STEP_COMPLETED]
        assert keys == ["repeat_in_a_step", "repeat_in_a_step#2"]
        assert sorted(calls) == ["first", "second", "second"]

    async def pass_on(done: Promise, told: Promise) -> None:
        try:
            told.settle(await done, None)
        except JournalError as error:
            told.settle(None, error)

    in_trouble(program)


def test_a_run_that_could_not_be_read_is_read_again() -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> None:
        journal.trouble["load"] = broken(2)
        async with Engine(journal=another(journal), workers=False) as client:
            handle = await client.start(repeat_one_word, id="x")
            await handle.signal("word", "heard")
            assert await handle.result(timeout=30) == "heard"
        assert calls == ["heard"]

    in_trouble(program)


def test_a_message_that_could_not_be_read_is_read_again() -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> None:
        handle = await engine.start(repeat_one_word, id="x")
        await asyncio.sleep(0.1)
        journal.trouble["read_inbox"] = broken(2)
        await handle.signal("word", "heard")
        assert await handle.result(timeout=30) == "heard"

    in_trouble(program)


@pytest.mark.parametrize("event", ["signal_received", "step_completed", "workflow_completed"])
def test_what_could_not_be_recorded_is_done_again_from_the_journal(event: str) -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> None:
        handle = await engine.start(repeat_one_word, id="x")
        journal.refuse = fails_once(event)
        await handle.signal("word", "heard")
        journal.trouble["read_run"] = broken(2)  # reading it back fails at first, too
        assert await handle.result(timeout=30) == "heard"
        assert len(calls) == (2 if event == "step_completed" else 1)

    in_trouble(program)


def test_a_named_child_whose_id_could_not_be_looked_up_is_started_once() -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> None:
        journal.trouble["find_run"] = broken()
        handle = await engine.start(await_a_named_child, id="parent")
        assert await handle.result(timeout=30) == "hello child"
        assert await engine.count("type = 'greet_after_a_moment'") == 1

    in_trouble(program)


def test_a_message_that_comes_while_a_run_closes_is_looked_for_until_the_store_answers() -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> None:
        handle = await engine.start(repeat_one_word, id="x")
        await handle.signal("word", "heard")

        def say_more(commit: Commit) -> None:
            if commit.status is not None:
                journal.refuse = lambda _: None
                journal.trouble["read_messages"] = broken()
                more = NewMessage(run_id=commit.run_id, kind="signal", name="word", data=encode("too late"))
                journal._flusher.submit(lambda tx: inbox.send(tx, more))

        journal.refuse = say_more
        assert await handle.result(timeout=30) == "heard"
        events = [each.type async for each in handle.history()]
        assert events.count("signal_received") == 2
        assert calls == ["heard"]

    in_trouble(program)


def test_a_start_whose_answer_was_lost_goes_on_all_the_same() -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> None:
        start = journal.start

        async def start_and_lose_the_answer(new: Any) -> Any:
            await start(new)
            raise StoreUnavailable("the answer was lost")

        journal.start = start_and_lose_the_answer  # type: ignore[method-assign]
        with pytest.raises(StoreUnavailable):
            await engine.start(greet_after_a_moment, "x", id="x")
        assert await engine.get("x").result(timeout=30) == "hello x"

    in_trouble(program)


def test_a_start_that_never_happened_is_looked_for_and_given_up() -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> None:
        journal.trouble["start"] = broken()
        with pytest.raises(StoreUnavailable):
            await engine.start(greet_after_a_moment, "x", id="x")
        journal.called.clear()
        await asyncio.sleep(60)
        assert journal.called.count("read_run") == 7
        assert await engine.count() == 0

    in_trouble(program)


def test_a_step_for_a_queue_is_claimed_when_the_store_is_back() -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> None:
        journal.trouble["claim_work"] = broken(2)
        handle = await engine.start(have_it_repeated_elsewhere, "far", id="x")
        assert await handle.result(timeout=30) == "far"
        assert calls == ["far"]

    in_trouble(program, queues=("default", "elsewhere"))


def test_a_worker_stops_although_its_lease_cannot_be_closed(caplog: pytest.LogCaptureFixture) -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> None:
        await engine.start(repeat_one_word, id="x")
        journal.trouble["close_lease"] = broken()

    in_trouble(program)
    assert "the lease could not be closed (the disk is in trouble)" in caplog.text


def test_a_run_that_could_not_be_given_back_is_taken_over_when_the_lease_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> str:
        world = World()
        async with Engine(journal=world.journal(), lease_seconds=LEASE_SECONDS) as other:
            journal = world.journal()
            async with Engine(journal=journal, lease_seconds=LEASE_SECONDS) as engine:
                await engine.start(repeat_one_word, id="x")
                journal.refuse = lambda commit: StoreUnavailable("full") if commit.release else None
            await other.get("x").signal("word", "heard")
            return str(await other.get("x").result(timeout=60))

    assert run(main) == "heard"
    assert "a run could not be given back (full)" in caplog.text


def test_a_worker_that_lost_its_lease_opens_another_one_when_the_store_is_back() -> None:
    async def main() -> str:
        world = World()
        journal = world.journal()
        async with Engine(journal=journal, lease_seconds=LEASE_SECONDS) as engine:
            handle = await engine.start(repeat_one_word, id="x")
            worker = engine.worker
            assert worker is not None
            before = worker.lease_id
            journal.trouble["open_lease"] = broken(3)
            journal._renewals.end(before)  # it renews no more, and somebody else notices
            journal._renewals._timers[before] = world.loop.call_later(1e9, print)
            async with Engine(journal=world.journal(), lease_seconds=LEASE_SECONDS, queues=("other",)):
                while worker.lease_id == before or journal.trouble["open_lease"]:
                    await asyncio.sleep(0.1)
                await handle.signal("word", "heard")
                return str(await handle.result(timeout=60))

    assert run(main) == "heard"


def test_an_event_that_is_too_large_for_the_store_blocks_the_run_and_says_why() -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> str:
        handle = await engine.start(repeat_one_word, id="x")
        journal.refuse = lambda commit: TooLarge("an event of 3 GiB") if commit.consume else None
        await handle.signal("word", "heard")
        while (await handle.describe()).condition is not Condition.BLOCKED:
            await asyncio.sleep(0.1)
        return str((await handle.describe()).error)

    assert "an event of 3 GiB" in in_trouble(program)


def test_a_result_that_is_too_large_for_the_store_blocks_the_run_and_says_why() -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> str:
        journal.refuse = lambda commit: TooLarge("a result of 3 GiB") if commit.status is not None else None
        handle = await engine.start(end_in_no_time, id="x")
        while (await handle.describe()).condition is not Condition.BLOCKED:
            await asyncio.sleep(0.1)
        return str((await handle.describe()).error)

    assert "the result cannot be recorded: a result of 3 GiB" in in_trouble(program)


def test_a_run_that_cannot_be_brought_into_memory_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> None:
        client_journal = another(journal)
        load = journal.load

        async def load_without_events(run_id: str) -> Any:
            loaded = await load(run_id)
            if loaded.run.workflow_id == "damaged":
                loaded.events.clear()
            return loaded

        journal.load = load_without_events  # type: ignore[method-assign]
        async with Engine(journal=client_journal, workers=False) as client:
            await client.start(greet_after_a_moment, "x", id="damaged")
            healthy = await client.start(greet_after_a_moment, "y", id="healthy")
            assert await healthy.result(timeout=30) == "hello y"

    in_trouble(program)
    assert "cannot be brought into memory" in caplog.text


def test_a_clock_that_jumps_is_reported_and_disturbs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> None:
        handle = await engine.start(repeat_one_word, id="x")
        journal.clock.move_wall(-3_600_000_000)  # type: ignore[attr-defined]
        await asyncio.sleep(LEASE_SECONDS)
        await handle.signal("word", "heard")
        assert await handle.result(timeout=30) == "heard"

    with caplog.at_level(logging.WARNING):
        in_trouble(program)
    assert "the wall clock jumped by -3600.0 s" in caplog.text


def test_a_message_to_runs_that_are_only_being_read_is_kept_within_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keepstep.worker.admission.EARLY_RUNS_MAX", 1)

    async def program(engine: Engine, journal: TroubledJournal) -> None:
        load = journal.load

        async def load_slowly(run_id: str) -> Any:
            loaded = await load(run_id)
            await asyncio.sleep(1)
            return loaded

        journal.load = load_slowly  # type: ignore[method-assign]
        async with Engine(journal=another(journal), workers=False) as client:
            handles = [await client.start(repeat_one_word, id=f"x{n}") for n in range(4)]
            await engine.start(repeat_one_word, id="in memory")
            await asyncio.sleep(0.5)
            for handle in handles:
                await handle.signal("word", "heard")
            results = await asyncio.gather(*(each.result(timeout=30) for each in handles))
        assert results == ["heard"] * 4

    in_trouble(program)
