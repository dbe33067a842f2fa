"""All of a language's data can be walked through, and swapped for bytes that mean the same, beside those that write."""

from __future__ import annotations

from keepstep.journal import Journal, NewMessage, NewTask, StateChange
from keepstep.journal.kept import Kept, KeptIn, Spot, Swap
from tests.journal.scene import Scene, advance, event, get, start_owned


async def all_kept(journal: Journal, where: KeptIn) -> list[Kept]:
    kept: list[Kept] = []
    after: Spot | None = None
    while page := await journal.read_kept(where, after):
        kept += page
        after = page[-1].spot
    return kept


async def write_everything(journal: Journal, name: str) -> str:
    run = await start_owned(journal, f"lease of {name}", workflow_id=name, run_id=f"run of {name}")
    await advance(
        journal,
        run,
        events=(event("first", key="k", data=b"event data"),),
        state=(StateChange("kind", "key", b"state data"), StateChange("kind", "other", b"")),
        tasks=(NewTask(kind="step", key="task", queue="q", data=b"task data"),),
        detail=b"detail data",
    )
    await journal.send(
        NewMessage(run_id=run.run_id, kind="signal", name="picked", id="m", data=b"message data", wakes=False)
    )
    return run.run_id


async def test_every_piece_of_data_is_found_with_all_that_it_is_bound_to(journal: Journal) -> None:
    run_ids = [await write_everything(journal, f"w{n}") for n in range(3)]
    found = {where: await all_kept(journal, where) for where in KeptIn}
    for n, run_id in enumerate(run_ids):
        mine = {where: [each for each in kept if each.run_id == run_id] for where, kept in found.items()}
        assert {(each.namespace, each.workflow_id) for kept in mine.values() for each in kept} == {("default", f"w{n}")}
        [said] = [each for each in mine[KeptIn.EVENTS] if each.kind == "first"]
        assert (said.key, said.time, said.data) == ("k", journal.clock.now(), b"event data")
        states = {(each.kind, each.key, each.data) for each in mine[KeptIn.STATE]}
        assert states == {("kind", "key", b"state data"), ("kind", "other", b"")}
        assert [(each.kind, each.key, each.data) for each in mine[KeptIn.TASKS]] == [("step", "task", b"task data")]
        [message] = mine[KeptIn.MESSAGES]
        assert (message.kind, message.key, message.id, message.data) == ("signal", "picked", "m", b"message data")
        assert [each.data for each in mine[KeptIn.DETAILS]] == [b"detail data"]
        assert [each.data for each in mine[KeptIn.INPUTS]] == [(await get(journal, run_id)).input_digest]
    assert all(len({each.spot for each in kept}) == len(kept) for kept in found.values())


async def test_many_events_come_in_pages_and_each_of_them_once(journal: Journal) -> None:
    run = await start_owned(journal)
    await advance(journal, run, events=tuple(event("many", data=bytes([n % 256])) for n in range(450)))
    page = await journal.read_kept(KeptIn.EVENTS)
    assert len(page) < 450
    many = [each for each in await all_kept(journal, KeptIn.EVENTS) if each.kind == "many"]
    assert [each.data for each in many] == [bytes([n % 256]) for n in range(450)]


async def test_what_is_swapped_reads_so_everywhere_and_moves_nothing_else(scene: Scene) -> None:
    journal = await scene.open()
    run_id = await write_everything(journal, "w")
    before, log = await get(journal, run_id), len((await journal.load(run_id)).events)
    for where in KeptIn:
        swaps = [Swap(each.spot, each.data, b"new " + each.data) for each in await all_kept(journal, where)]
        await journal.swap_kept(where, swaps)
    other = await scene.open()
    for reader in (journal, other):
        loaded = await reader.load(run_id)
        assert all(each.data.startswith(b"new ") for each in loaded.events)
        assert [message.data for message in loaded.messages] == [b"new message data"]
        assert set(loaded.state.values()) == {b"new state data", b"new "}
        assert loaded.run.detail == b"new detail data"
        assert loaded.run.input_digest == b"new " + before.input_digest
        assert (loaded.run.version, loaded.run.last_seq) == (before.version, before.last_seq)
    assert len((await journal.load(run_id)).events) == log
    [task] = await all_kept(other, KeptIn.TASKS)
    assert task.data == b"new task data"


async def test_what_has_changed_meanwhile_is_left_as_it_is(journal: Journal) -> None:
    run = await start_owned(journal)
    await advance(journal, run, state=(StateChange("kind", "key", b"old"),))
    [seen] = await journal.read_kept(KeptIn.STATE)
    await advance(journal, await get(journal, run.run_id), state=(StateChange("kind", "key", b"newer"),))
    await journal.swap_kept(KeptIn.STATE, [Swap(seen.spot, seen.data, b"swapped")])
    assert await journal.read_state(run.run_id) == {("kind", "key"): b"newer"}


async def test_a_run_goes_on_after_its_data_were_swapped(journal: Journal) -> None:
    """The writer knows runs from its last flush; what it knows stays true."""
    run = await start_owned(journal)
    await advance(journal, run, detail=b"one", events=(event("a"),))
    await journal.swap_kept(KeptIn.DETAILS, [Swap((await all_kept(journal, KeptIn.DETAILS))[0].spot, b"one", b"1")])
    run = await get(journal, run.run_id)
    await advance(journal, run, events=(event("b"),))
    assert [each.type for each in (await journal.load(run.run_id)).events][-2:] == ["a", "b"]
