"""Messages: arrive in order, wait in the inbox, and are consumed by exactly one commit."""

from __future__ import annotations

import pytest

from keepstep.journal import (
    Commit,
    Condition,
    Conflict,
    IfClosed,
    InvalidInput,
    Journal,
    NewMessage,
    NotFound,
    RunClosed,
    Status,
)
from tests.journal.scene import Scene, advance, claim_one, event, get, lease, new_run, settle, start_owned


def signal(run_id: str, **changes: object) -> NewMessage:
    fields: dict[str, object] = {"run_id": run_id, "kind": "signal", "name": "picked", **changes}
    return NewMessage(**fields)  # type: ignore[arg-type]


async def test_messages_wait_in_order_of_arrival(journal: Journal) -> None:
    run = await start_owned(journal)
    sent = [await journal.send(signal(run.run_id, data=bytes([n]), id=f"m{n}")) for n in range(5)]
    messages = await journal.read_messages(run.run_id)
    assert [message.n for message in messages] == [each.n for each in sent]
    assert sorted({each.n for each in sent}) == [each.n for each in sent]
    assert [(each.kind, each.name, each.data, each.id) for each in messages] == [
        ("signal", "picked", bytes([n]), f"m{n}") for n in range(5)
    ]
    assert {message.time for message in messages} == {journal.clock.now()}


async def test_the_messages_of_several_runs_are_read_in_one_order_of_arrival(journal: Journal) -> None:
    first, second, third = [await start_owned(journal, f"L{n}", workflow_id=f"w{n}") for n in range(3)]
    for run in (second, first, third, second):
        await journal.send(signal(run.run_id, data=run.workflow_id.encode()))
    asked = [first.run_id, "no-such-run", second.run_id, first.run_id]
    messages = await journal.read_messages_of(asked)
    assert [each.run_id for each in messages] == [second.run_id, first.run_id, second.run_id]
    assert [each.data for each in messages] == [b"w1", b"w0", b"w1"]
    assert messages == sorted(messages, key=lambda each: each.n)
    assert [each for each in messages if each.run_id == second.run_id] == await journal.read_messages(second.run_id)
    await advance(journal, second, consume=tuple(each.n for each in messages if each.run_id == second.run_id))
    assert [each.run_id for each in await journal.read_messages_of(asked)] == [first.run_id]
    assert await journal.read_messages_of([]) == []


async def test_a_message_finds_the_newest_run_of_a_workflow_id(journal: Journal) -> None:
    run = await start_owned(journal)
    await advance(journal, run, status=Status.CONTINUED, start=(new_run(run.workflow_id, run_id="next"),))
    sent = await journal.send(NewMessage(namespace="default", workflow_id=run.workflow_id, kind="signal"))
    assert sent.run_id == "next"
    assert len(await journal.read_messages("next")) == 1


async def test_a_message_without_an_address_is_wrong(journal: Journal) -> None:
    with pytest.raises(InvalidInput):
        await journal.send(NewMessage(kind="signal"))


async def test_a_message_to_a_missing_run_is_not_found(journal: Journal) -> None:
    with pytest.raises(NotFound):
        await journal.send(signal("missing"))
    with pytest.raises(NotFound):
        await journal.send(NewMessage(namespace="default", workflow_id="missing", kind="signal"))


async def test_a_closed_run_refuses_messages(journal: Journal) -> None:
    run = await start_owned(journal)
    await advance(journal, run, status=Status.COMPLETED)
    with pytest.raises(RunClosed):
        await journal.send(signal(run.run_id))
    assert await journal.read_messages(run.run_id) == []


async def test_a_message_with_the_id_of_an_earlier_one_is_dropped_even_after_that_was_consumed(
    journal: Journal,
) -> None:
    run = await start_owned(journal)
    first = await journal.send(signal(run.run_id, id="webhook-1"))
    again = await journal.send(signal(run.run_id, id="webhook-1"))
    assert (first.duplicate, again.duplicate, again.n) == (False, True, first.n)
    await advance(journal, run, consume=(first.n,))
    assert (await journal.send(signal(run.run_id, id="webhook-1"))).duplicate
    assert await journal.read_messages(run.run_id) == []


async def test_of_the_same_message_sent_many_times_at_once_one_arrives(scene: Scene) -> None:
    handles = [await scene.open(), await scene.open()]
    run = await start_owned(handles[0])
    sent = await settle(*(handles[n % 2].send(signal(run.run_id, id="webhook")) for n in range(20)))
    assert sum(not each.duplicate for each in sent) == 1
    assert len({each.n for each in sent}) == 1
    assert len(await handles[1].read_messages(run.run_id)) == 1


async def test_ids_of_messages_to_different_runs_do_not_meet(journal: Journal) -> None:
    first = await journal.start(new_run("a"))
    second = await journal.start(new_run("b"))
    assert not (await journal.send(signal(first.run_id, id="m"))).duplicate
    assert not (await journal.send(signal(second.run_id, id="m"))).duplicate


async def test_a_message_is_consumed_by_one_of_many_racing_commits(scene: Scene) -> None:
    handles = [await scene.open(), await scene.open()]
    run = await start_owned(handles[0])
    sent = await handles[0].send(signal(run.run_id))
    outcomes = await settle(
        *(
            handles[n % 2].commit(
                Commit(run_id=run.run_id, epoch=run.epoch, consume=(sent.n,), events=(event(f"picked {n}"),))
            )
            for n in range(10)
        )
    )
    assert sum(not isinstance(outcome, Exception) for outcome in outcomes) == 1
    assert {type(outcome) for outcome in outcomes if isinstance(outcome, Exception)} == {Conflict}
    assert len(await handles[0].read_events(run.run_id)) == 2
    assert await handles[0].read_messages(run.run_id) == []


async def test_a_message_of_another_run_is_not_consumed(journal: Journal) -> None:
    run = await start_owned(journal)
    other = await journal.start(new_run("other"))
    sent = await journal.send(signal(other.run_id))
    with pytest.raises(Conflict):
        await advance(journal, run, consume=(sent.n,))
    assert len(await journal.read_messages(other.run_id)) == 1


async def test_consuming_one_message_twice_in_a_commit_is_refused(journal: Journal) -> None:
    run = await start_owned(journal)
    sent = await journal.send(signal(run.run_id))
    with pytest.raises(Conflict):
        await advance(journal, run, consume=(sent.n, sent.n))
    assert len(await journal.read_messages(run.run_id)) == 1


async def test_a_commit_that_has_not_seen_a_message_is_refused_until_it_has(journal: Journal) -> None:
    run = await start_owned(journal)
    first = await journal.send(signal(run.run_id))
    await advance(journal, run, inbox_seen=first.n, events=(event(),))
    second = await journal.send(signal(run.run_id))
    with pytest.raises(Conflict):
        await advance(journal, run, inbox_seen=first.n, events=(event("completed"),), status=Status.COMPLETED)
    assert (await get(journal, run.run_id)).status is Status.RUNNING
    await advance(journal, run, inbox_seen=second.n, consume=(first.n, second.n), status=Status.COMPLETED)


async def test_a_consumed_message_does_not_count_as_unseen(journal: Journal) -> None:
    run = await start_owned(journal)
    sent = await journal.send(signal(run.run_id))
    await advance(journal, run, consume=(sent.n,))
    await advance(journal, run, inbox_seen=0, events=(event(),))


async def test_a_send_and_a_close_at_once_never_lose_a_message_that_was_accepted(scene: Scene) -> None:
    handles = [await scene.open(), await scene.open()]
    await handles[0].open_lease(lease())
    for n in range(20):
        run = await get(handles[0], (await handles[0].start(new_run(f"w{n}", lease_id="L"))).run_id)
        sent, closed = await settle(
            handles[1].send(signal(run.run_id)),
            advance(handles[0], run, inbox_seen=0, status=Status.COMPLETED),
        )
        assert isinstance(sent, RunClosed) != isinstance(closed, Conflict)
        waiting = await handles[0].read_messages(run.run_id)
        assert bool(waiting) == (not isinstance(sent, RunClosed))


async def test_messages_that_a_commit_sends_arrive_with_it(journal: Journal) -> None:
    run = await start_owned(journal)
    other = await journal.start(new_run("other"))
    await advance(
        journal,
        run,
        events=(event(),),
        send=(
            signal(other.run_id, name="by run id"),
            NewMessage(namespace="default", workflow_id="other", kind="signal", name="by workflow id"),
        ),
    )
    assert [each.name for each in await journal.read_messages(other.run_id)] == ["by run id", "by workflow id"]


async def test_messages_that_a_commit_sends_to_closed_or_missing_runs_are_dropped(journal: Journal) -> None:
    run = await start_owned(journal)
    closed = await journal.start(new_run("closed"))
    await journal.commit(Commit(run_id=closed.run_id, version=closed.version, status=Status.COMPLETED))
    done = await advance(journal, run, events=(event(),), send=(signal(closed.run_id), signal("missing")))
    assert done.last_seq == 2
    assert await journal.read_messages(closed.run_id) == []


async def test_a_message_makes_a_sleeping_run_due(journal: Journal) -> None:
    run = await start_owned(journal)
    await advance(journal, run, release=True, condition=Condition.WAITING)
    assert await journal.claim_runs("L", 10) == []
    await journal.send(signal(run.run_id))
    assert (await claim_one(journal)).run_id == run.run_id


async def test_a_message_that_does_not_wake_waits_for_the_next_wake(journal: Journal) -> None:
    run = await start_owned(journal)
    await advance(journal, run, release=True)
    await journal.send(signal(run.run_id, wakes=False))
    assert await journal.claim_runs("L", 10) == []
    await journal.send(signal(run.run_id))
    await claim_one(journal)
    assert len(await journal.read_messages(run.run_id)) == 2


async def test_a_duplicate_wakes_nobody(journal: Journal) -> None:
    run = await start_owned(journal)
    sent = await journal.send(signal(run.run_id, id="m"))
    await advance(journal, run, consume=(sent.n,), release=True)
    assert (await journal.send(signal(run.run_id, id="m"))).duplicate
    assert await journal.claim_runs("L", 10) == []


@pytest.mark.parametrize("condition", [Condition.PAUSED, Condition.QUARANTINED])
async def test_a_parked_run_takes_messages_and_sleeps_on(journal: Journal, condition: Condition) -> None:
    run = await start_owned(journal)
    released = await advance(journal, run, release=True, condition=condition)
    await journal.send(signal(run.run_id))
    assert await journal.claim_runs("L", 10) == []
    assert await journal.next_wake("L") is None
    await journal.commit(Commit(run_id=run.run_id, version=released.version, condition=Condition.NONE))
    assert (await claim_one(journal)).run_id == run.run_id


async def test_an_owner_reads_the_messages_of_all_its_runs_in_order(journal: Journal) -> None:
    await journal.open_lease(lease())
    ids = [(await journal.start(new_run(f"w{n}", lease_id="L"))).run_id for n in range(3)]
    foreign = await journal.start(new_run("foreign"))
    sent = [await journal.send(signal(ids[n % 3])) for n in range(6)]
    await journal.send(signal(foreign.run_id))
    assert [each.n for each in await journal.read_inbox("L", 0)] == [each.n for each in sent]
    assert [each.run_id for each in await journal.read_inbox("L", sent[2].n, 2)] == [ids[0], ids[1]]
    assert await journal.read_inbox("L", sent[-1].n) == []
    assert await journal.read_inbox("unknown", 0) == []


async def test_arrival_numbers_are_never_reused(journal: Journal) -> None:
    run = await start_owned(journal)
    seen: list[int] = []
    for _ in range(5):
        sent = await journal.send(signal(run.run_id))
        await advance(journal, run, consume=(sent.n,))
        seen.append(sent.n)
    assert sorted(set(seen)) == seen


async def test_messages_of_a_closed_run_wait_for_its_reopening(journal: Journal) -> None:
    run = await start_owned(journal)
    sent = await journal.send(signal(run.run_id))
    closed = await advance(journal, run, status=Status.FAILED)
    await journal.commit(Commit(run_id=run.run_id, version=closed.version, status=Status.RUNNING))
    claimed = await claim_one(journal)
    assert [each.n for each in await journal.read_messages(run.run_id)] == [sent.n]
    await advance(journal, claimed, consume=(sent.n,))


async def test_a_workflow_id_means_the_run_that_was_just_reopened_until_that_is_closed(journal: Journal) -> None:
    await journal.open_lease(lease())
    for name in ("old", "young"):
        await journal.start(new_run(run_id=name, lease_id="L", if_closed=IfClosed.RESTART))
        await journal.commit(Commit(run_id=name, epoch=1, events=(event(),), status=Status.FAILED))
    say = NewMessage(namespace="default", workflow_id="order-1", kind="signal")
    reopen = Commit(run_id="old", version=2, status=Status.RUNNING)
    early, _, sent = await settle(journal.send(say), journal.commit(reopen), journal.send(say))
    assert isinstance(early, RunClosed)
    assert sent.run_id == "old"
    close = Commit(run_id="old", version=3, status=Status.FAILED)
    sent, _, attached = await settle(
        journal.send(say), journal.commit(close), journal.start(new_run(if_closed=IfClosed.ATTACH))
    )
    assert sent.run_id == "old"
    assert attached.run_id == "young", "the youngest of those that are closed"
