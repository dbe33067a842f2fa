"""Asks: a question finds the run's owner, an answer finds who asked, and nothing is left behind."""

from __future__ import annotations

import asyncio

import pytest

from keepstep.journal import Ask, HintKind, Journal, NotFound
from tests.journal.scene import Ears, Scene, get, lease, new_run, start_owned, wait_until


async def take_one(journal: Journal, lease_id: str = "L") -> Ask:
    """Take asks until one is there."""
    taken: list[Ask] = []

    async def look() -> bool:
        taken.extend(await journal.take_asks(lease_id, 10))
        return bool(taken)

    await wait_until(look)
    [ask] = taken
    return ask


async def test_an_ask_is_answered_across_processes(scene: Scene) -> None:
    asker, owner = await scene.open(), await scene.open()
    run = await start_owned(owner)
    asking = asyncio.create_task(asker.ask(run.run_id, "query", "status", b"args", 10))
    ask = await take_one(owner)
    assert (ask.run_id, ask.kind, ask.name, ask.data) == (run.run_id, "query", "status", b"args")
    await owner.answer(ask.ask_id, b"picking")
    assert await asking == b"picking"


async def test_an_ask_is_given_out_once_and_to_the_owner_only(journal: Journal) -> None:
    run = await start_owned(journal)
    await journal.open_lease(lease("M"))
    asking = asyncio.create_task(journal.ask(run.run_id, "query", "status", b"", 10))
    ask = await take_one(journal)
    assert await journal.take_asks("L", 10) == []
    assert await journal.take_asks("M", 10) == []
    await journal.answer(ask.ask_id, b"a")
    assert await asking == b"a"


async def test_an_ask_to_a_run_that_another_owns_is_not_taken(journal: Journal) -> None:
    run = await start_owned(journal)
    await journal.open_lease(lease("M"))
    ears = Ears(journal)
    asking = asyncio.create_task(journal.ask(run.run_id, "query", "status", b"", 10))
    await ears.wait_for(HintKind.ASKS)
    assert await journal.take_asks("M", 10) == []
    ask = await take_one(journal)
    await journal.answer(ask.ask_id, b"a")
    await asking


async def test_an_ask_to_a_run_that_nobody_owns_goes_to_anyone(journal: Journal) -> None:
    started = await journal.start(new_run())
    await journal.open_lease(lease())
    asking = asyncio.create_task(journal.ask(started.run_id, "query", "status", b"", 10))
    ask = await take_one(journal)
    await journal.answer(ask.ask_id, b"asleep")
    assert await asking == b"asleep"


async def test_an_ask_that_nobody_answers_times_out_and_its_late_answer_is_dropped(journal: Journal) -> None:
    run = await start_owned(journal)
    asking = asyncio.create_task(journal.ask(run.run_id, "query", "status", b"", 0.2))
    ask = await take_one(journal)
    with pytest.raises(TimeoutError):
        await asking
    await journal.answer(ask.ask_id, b"late")
    assert await journal.take_asks("L", 10) == []


async def test_each_of_many_askers_gets_its_own_answer(scene: Scene) -> None:
    askers, owner = [await scene.open(), await scene.open()], await scene.open()
    run = await start_owned(owner)
    asking = [asyncio.create_task(askers[n % 2].ask(run.run_id, "query", f"q{n}", b"", 20)) for n in range(10)]
    answered = 0

    async def answer_all() -> bool:
        nonlocal answered
        for ask in await owner.take_asks("L", 3):
            await owner.answer(ask.ask_id, ask.name.encode())
            answered += 1
        return answered == 10

    await wait_until(answer_all)
    assert await asyncio.gather(*asking) == [f"q{n}".encode() for n in range(10)]


async def test_an_ask_to_a_missing_run_is_not_found(journal: Journal) -> None:
    with pytest.raises(NotFound):
        await journal.ask("missing", "query", "status", b"", 1)


async def test_an_ask_changes_nothing_of_the_run(journal: Journal) -> None:
    run = await start_owned(journal)
    asking = asyncio.create_task(journal.ask(run.run_id, "query", "status", b"", 10))
    ask = await take_one(journal)
    await journal.answer(ask.ask_id, b"")
    assert await asking == b""
    assert await get(journal, run.run_id) == run


async def test_an_ask_to_a_run_that_nobody_owns_goes_to_whoever_could_claim_it(journal: Journal) -> None:
    started = await journal.start(new_run(queue="gpu"))
    await journal.open_lease(lease("elsewhere"))
    await journal.open_lease(lease("foreign", queues=("gpu",), languages=("states",)))
    await journal.open_lease(lease("here", queues=("gpu",)))
    ears = Ears(journal)
    asking = asyncio.create_task(journal.ask(started.run_id, "query", "status", b"", 10))
    await ears.wait_for(HintKind.ASKS)
    assert await journal.take_asks("elsewhere", 10) == []
    assert await journal.take_asks("foreign", 10) == []
    ask = await take_one(journal, "here")
    await journal.answer(ask.ask_id, b"asleep")
    assert await asking == b"asleep"


async def test_of_two_answers_the_first_counts_and_the_second_is_dropped(journal: Journal) -> None:
    run = await start_owned(journal)
    asking = asyncio.create_task(journal.ask(run.run_id, "query", "status", b"", 10))
    ask = await take_one(journal)
    await journal.answer(ask.ask_id, b"first")
    await journal.answer(ask.ask_id, b"second")
    assert await asking == b"first"
    await journal.answer(ask.ask_id, b"third")
    assert await journal.take_asks("L", 10) == []
