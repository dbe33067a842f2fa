"""Limits: whatever is too large is refused with a typed error and changes nothing."""

from __future__ import annotations

import asyncio

import pytest

from keepstep.journal import (
    Commit,
    InvalidInput,
    Journal,
    NewMessage,
    Overloaded,
    StateChange,
    StoreUnavailable,
    TooLarge,
    limits,
)
from tests.journal.scene import Scene, advance, event, get, new_run, picture, settle, start_owned


async def test_an_event_may_be_as_large_as_its_limit_and_no_larger(journal: Journal) -> None:
    run = await start_owned(journal)
    await advance(journal, run, events=(event(data=bytes(limits.EVENT_BYTES_MAX)),))
    with pytest.raises(TooLarge):
        await advance(journal, run, events=(event(data=bytes(limits.EVENT_BYTES_MAX + 1)),))
    events = await journal.read_events(run.run_id)
    assert [len(each.data) for each in events] == [0, limits.EVENT_BYTES_MAX]


async def test_a_commit_that_carries_too_much_is_refused(journal: Journal) -> None:
    run = await start_owned(journal)
    before = await picture(journal, run.run_id)
    part = bytes(limits.COMMIT_BYTES_MAX // 8 + 1)
    with pytest.raises(TooLarge):
        await advance(journal, run, events=(event(data=part),) * 8)
    with pytest.raises(TooLarge):
        await advance(journal, run, state=tuple(StateChange("k", str(n), part) for n in range(8)))
    assert await picture(journal, run.run_id) == before


async def test_a_message_larger_than_a_payload_is_refused(journal: Journal) -> None:
    run = await start_owned(journal)
    large = NewMessage(run_id=run.run_id, kind="signal", data=bytes(limits.PAYLOAD_BYTES_MAX + 1))
    with pytest.raises(TooLarge):
        await journal.send(large)
    with pytest.raises(TooLarge):
        await advance(journal, run, send=(large,))
    with pytest.raises(TooLarge):
        await journal.start(new_run("other", messages=(large,)))
    assert await journal.read_messages(run.run_id) == []
    assert await journal.find_run("default", "other") is None


async def test_ids_and_names_have_lengths(journal: Journal) -> None:
    with pytest.raises(TooLarge):
        await journal.start(new_run("w" * (limits.WORKFLOW_ID_CHARS_MAX + 1)))
    with pytest.raises(TooLarge):
        await journal.start(new_run(type="t" * (limits.NAME_CHARS_MAX + 1)))
    started = await journal.start(new_run("ü" * limits.WORKFLOW_ID_CHARS_MAX))
    with pytest.raises(TooLarge):
        await journal.send(NewMessage(run_id=started.run_id, kind="signal", name="n" * (limits.NAME_CHARS_MAX + 1)))
    assert issubclass(TooLarge, InvalidInput)


async def test_a_run_without_an_id_is_wrong(journal: Journal) -> None:
    with pytest.raises(InvalidInput):
        await journal.start(new_run(""))


async def test_a_history_has_a_number_of_events(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HISTORY_EVENTS_MAX", 5)
    run = await start_owned(journal)
    await advance(journal, run, events=(event(),) * 4)
    with pytest.raises(TooLarge):
        await advance(journal, run, events=(event(),))
    await advance(journal, run, status_text="a commit without events is no growth")
    with pytest.raises(TooLarge):
        await journal.start(new_run("other", events=(event(),) * 6))
    assert (await get(journal, run.run_id)).last_seq == 5


async def test_a_history_has_a_size(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HISTORY_BYTES_MAX", 1_000_000)
    run = await start_owned(journal)
    await advance(journal, run, events=(event(data=bytes(400_000)),) * 2)
    with pytest.raises(TooLarge):
        await advance(journal, run, events=(event(data=bytes(400_000)),))
    await advance(journal, run, events=(event(data=bytes(200_000)),))
    assert (await get(journal, run.run_id)).last_seq == 4


async def test_an_inbox_has_a_number_of_messages(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "INBOX_MESSAGES_MAX", 3)
    run = await start_owned(journal)
    other = await journal.start(new_run("other", lease_id="L"))
    message = NewMessage(run_id=run.run_id, kind="signal")
    sent = [await journal.send(message) for _ in range(3)]
    with pytest.raises(Overloaded):
        await journal.send(message)
    with pytest.raises(Overloaded):
        await journal.commit(Commit(run_id=other.run_id, epoch=other.epoch, events=(event(),), send=(message,)))
    assert (await get(journal, other.run_id)).last_seq == 1
    await advance(journal, run, consume=(sent[0].n,))
    await journal.send(message)
    assert len(await journal.read_messages(run.run_id)) == 3


async def test_the_queue_before_the_store_is_bounded(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "QUEUE_OPERATIONS_MAX", 10)
    run = await start_owned(journal)
    outcomes = await settle(*(advance(journal, run, events=(event(),)) for _ in range(500)))
    refused = [each for each in outcomes if isinstance(each, Overloaded)]
    done = [each for each in outcomes if not isinstance(each, Exception)]
    assert refused
    assert len(done) >= 10
    assert len(refused) + len(done) == 500
    assert (await get(journal, run.run_id)).last_seq == 1 + len(done)
    await advance(journal, run, events=(event(),))


async def test_a_closed_journal_says_so(scene: Scene) -> None:
    journal = await scene.open()
    await journal.close()
    await journal.close()
    with pytest.raises(StoreUnavailable):
        await journal.start(new_run())
    with pytest.raises(StoreUnavailable):
        await journal.read_run("any")


async def test_what_was_submitted_before_the_close_is_done(scene: Scene) -> None:
    journal, other = await scene.open(), await scene.open()
    starts = [asyncio.create_task(journal.start(new_run(f"w{n}"))) for n in range(20)]
    await asyncio.sleep(0)
    await journal.close()
    done = await settle(*starts)
    assert all(each.created for each in done)
    assert await other.count_runs("default") == 20


async def test_a_cancelled_commit_leaves_the_store_sound(journal: Journal) -> None:
    run = await start_owned(journal)
    commits = [asyncio.create_task(advance(journal, run, events=(event(str(n)),))) for n in range(20)]
    await asyncio.sleep(0)
    for commit in commits[::2]:
        commit.cancel()
    outcomes = await settle(*commits)
    assert all(isinstance(each, asyncio.CancelledError) for each in outcomes[::2])
    assert not [each for each in outcomes[1::2] if isinstance(each, BaseException)]
    types = [each.type for each in await journal.read_events(run.run_id, 1)]
    assert set(types) >= {str(n) for n in range(1, 20, 2)}
    assert types == sorted(types, key=int)


async def test_what_a_run_says_of_itself_counts_into_what_a_commit_carries(journal: Journal) -> None:
    run = await start_owned(journal)
    before = await picture(journal, run.run_id)
    size = limits.COMMIT_BYTES_MAX + 1
    for texts in ({"detail": bytes(size)}, {"status_text": "x" * size}, {"audit": "x" * size}):
        with pytest.raises(TooLarge):
            await advance(journal, run, events=(event(),), **texts)
    assert await picture(journal, run.run_id) == before


async def test_whoever_gives_up_waiting_for_the_store_leaves_it_sound(journal: Journal) -> None:
    starting = asyncio.ensure_future(journal.start(new_run("given-up")))
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await journal.start(new_run("after"))
    found = await journal.find_run("default", "given-up")
    assert found is None or found.status == "running"
