"""What a store refuses, it refuses in words that name what was wrong: every store in the same ones."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from keepstep.journal import (
    Commit,
    Committed,
    IfRunning,
    InvalidInput,
    Journal,
    JournalError,
    NewMessage,
    NewTask,
    Position,
    Run,
    Status,
    TaskToken,
    TooLarge,
    limits,
)
from tests.journal.scene import advance, event, get, lease, new_run, settle, start_owned

Refusal = Callable[[Journal, Run], Awaitable[Any]]

ID = r"run-\d{8}"


async def _close(journal: Journal, run: Run) -> None:
    await advance(journal, run, status=Status.COMPLETED, events=(event("closed"),))


async def _commit_by_a_stale_epoch(journal: Journal, run: Run) -> None:
    await journal.commit(Commit(run_id=run.run_id, epoch=run.epoch + 1))


async def _commit_by_a_stale_version(journal: Journal, run: Run) -> None:
    await journal.commit(Commit(run_id=run.run_id, version=7, seize=True))


async def _commit_without_owning(journal: Journal, run: Run) -> None:
    await journal.commit(Commit(run_id=run.run_id, version=run.version))


async def _commit_to_a_closed_run(journal: Journal, run: Run) -> None:
    await _close(journal, run)
    await journal.commit(Commit(run_id=run.run_id, version=2))


async def _commit_to_nobody(journal: Journal, _: Run) -> None:
    await journal.commit(Commit(run_id="nobody", version=1))


async def _commit_another_seq(journal: Journal, run: Run) -> None:
    await advance(journal, run, events=(event(),), first_seq=9)


async def _commit_with_an_unseen_message(journal: Journal, run: Run) -> None:
    await journal.send(NewMessage(run_id=run.run_id, kind="signal"))
    await advance(journal, run, inbox_seen=0)


async def _consume_what_is_gone(journal: Journal, run: Run) -> None:
    sent = await journal.send(NewMessage(run_id=run.run_id, kind="signal"))
    await advance(journal, run, consume=(sent.n,))
    await advance(journal, run, consume=(sent.n,))


async def _consume_twice_at_once(journal: Journal, run: Run) -> None:
    sent = await journal.send(NewMessage(run_id=run.run_id, kind="signal"))
    await advance(journal, run, consume=(sent.n, sent.n))


async def _seize_for_a_lease_that_is_over(journal: Journal, run: Run) -> None:
    await journal.commit(Commit(run_id=run.run_id, version=run.version, seize=True, lease_id="over"))


async def _reopen_beside_another(journal: Journal, run: Run) -> None:
    await _close(journal, run)
    await journal.start(new_run(if_closed=IfRunning.RESTART))
    await journal.commit(Commit(run_id=run.run_id, version=2, status=Status.RUNNING))


async def _start_where_one_is(journal: Journal, _: Run) -> None:
    await journal.start(new_run(if_running=IfRunning.REJECT))


async def _start_where_one_was(journal: Journal, run: Run) -> None:
    await _close(journal, run)
    await journal.start(new_run(if_closed=IfRunning.REJECT))


async def _restart_an_open_run(journal: Journal, _: Run) -> None:
    await journal.start(new_run(if_running=IfRunning.RESTART))


async def _start_under_a_taken_run_id(journal: Journal, run: Run) -> None:
    await journal.start(new_run("another", run_id=run.run_id))


async def _send_to_nobody(journal: Journal, _: Run) -> None:
    await journal.send(NewMessage(run_id="nobody", kind="signal"))


async def _send_to_a_closed_run(journal: Journal, run: Run) -> None:
    await _close(journal, run)
    await journal.send(NewMessage(run_id=run.run_id, kind="signal"))


async def _claim_by_a_lease_that_is_over(journal: Journal, _: Run) -> None:
    await journal.claim_runs("over", 1)


async def _claim_tasks_by_a_lease_that_is_over(journal: Journal, _: Run) -> None:
    await journal.claim_tasks("over", ("q",), ("step",), 1)


async def _probe_by_a_lease_that_is_over(journal: Journal, run: Run) -> None:
    await journal.probe("over", run.run_id)


async def _open_a_lease_twice(journal: Journal, _: Run) -> None:
    await journal.open_lease(lease("L"))


async def _complete_a_task_that_is_not_held(journal: Journal, run: Run) -> None:
    await journal.commit(Commit(run_id=run.run_id, task_token=TaskToken(5, 1)))


async def _load_nobody(journal: Journal, _: Run) -> None:
    await journal.load("nobody")


async def _read_what_was_purged(journal: Journal, run: Run) -> None:
    await _close(journal, run)
    await journal.purge("default", 1 << 62)
    await journal.read_log(Position(0, 0))


REFUSALS: list[tuple[Refusal, str]] = [
    (_commit_by_a_stale_epoch, rf"run {ID} is not owned under epoch 2 any more \(now 1\); forget it"),
    (_commit_by_a_stale_version, rf"run {ID} is at version 1, not 7; read it again"),
    (_commit_without_owning, rf"run {ID} is owned by (a )?lease( L)?; seize it, or leave it to its owner"),
    (_commit_to_a_closed_run, rf"'order-1' \(run {ID}\) is completed; nothing can be changed"),
    (_commit_to_nobody, "there is no run nobody"),
    (_commit_another_seq, rf"the next event of run {ID} gets seq 2, not 9"),
    (_commit_with_an_unseen_message, rf"run {ID} has message \d+; only those up to 0 were seen"),
    (_consume_what_is_gone, rf"message \[\d+\] of run {ID} was consumed before"),
    (_consume_twice_at_once, rf"message \(\d+, \d+\) of run {ID} was consumed before"),
    (_seize_for_a_lease_that_is_over, rf"lease over is over; it cannot seize run {ID}"),
    (_reopen_beside_another, rf"run {ID} cannot be reopened: 'order-1' (runs again as|is open as run) {ID}"),
    (_start_where_one_is, rf"'order-1' exists \(run {ID}, running\); choose another id, or allow to attach to it"),
    (_start_where_one_was, rf"'order-1' exists \(run {ID}, completed\); choose another id, or allow to attach to it"),
    (_restart_an_open_run, rf"'order-1' is open \(run {ID}\); close it before it is restarted"),
    (_start_under_a_taken_run_id, rf"run id {ID} is taken; make a new one for every start"),
    (_send_to_nobody, "there is no run 'nobody' to send 'signal' to"),
    (_send_to_a_closed_run, "'order-1' is completed; it takes no 'signal' any more"),
    (_claim_by_a_lease_that_is_over, "lease over is over; open another"),
    (_claim_tasks_by_a_lease_that_is_over, "lease over is over; open another"),
    (_probe_by_a_lease_that_is_over, "lease over is over; it can probe nothing"),
    (_open_a_lease_twice, "lease L is open; every opening needs an id of its own"),
    (
        _complete_a_task_that_is_not_held,
        "task 5 is not held under epoch 1 any more: it was done, dropped or taken over",
    ),
    (_load_nobody, "there is no run nobody"),
    (_read_what_was_purged, r"position 0 lies behind what retention has kept; go on after 2 at the earliest"),
]


@pytest.mark.parametrize(("refusal", "words"), REFUSALS, ids=[each.__name__.strip("_") for each, _ in REFUSALS])
async def test_a_refusal_says_what_was_wrong(journal: Journal, refusal: Refusal, words: str) -> None:
    run = await start_owned(journal)
    with pytest.raises(JournalError) as refused:
        await refusal(journal, run)
    assert re.fullmatch(words, str(refused.value)), str(refused.value)


async def test_a_full_queue_and_a_full_inbox_say_how_full_they_are(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await start_owned(journal)
    monkeypatch.setattr(limits, "INBOX_MESSAGES_MAX", 2)
    said = NewMessage(run_id=run.run_id, kind="signal")
    await journal.send(said)
    await journal.send(said)
    with pytest.raises(JournalError, match=r"^the inbox of 'order-1' is full \(2 messages\); try again later$"):
        await journal.send(said)
    monkeypatch.setattr(limits, "QUEUE_OPERATIONS_MAX", 1)
    outcomes = await asyncio.gather(*(get(journal, run.run_id) for _ in range(2)), return_exceptions=True)
    assert [type(each) for each in outcomes] == [Run, Run]
    told = await asyncio.gather(*(_append(journal, run) for _ in range(200)), return_exceptions=True)
    refusals = {str(each) for each in told if isinstance(each, Exception)}
    assert refusals == {"1 operations wait for the store; try again later"}


async def _append(journal: Journal, run: Run) -> None:
    await advance(journal, run, events=(event(),))


async def test_several_messages_of_one_commit_fill_an_inbox_together(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "INBOX_MESSAGES_MAX", 2)
    run = await start_owned(journal)
    other = await journal.start(new_run("other", lease_id="L"))
    said = NewMessage(run_id=other.run_id, kind="signal")
    with pytest.raises(JournalError, match="the inbox of 'other' is full"):
        await advance(journal, run, send=(said, said, said))
    assert await journal.read_messages(other.run_id) == []
    await advance(journal, run, send=(said, said))
    assert len(await journal.read_messages(other.run_id)) == 2


async def test_a_task_that_is_there_already_keeps_none_of_its_siblings_out(journal: Journal) -> None:
    def task(key: str) -> NewTask:
        return NewTask(kind="step", key=key, queue="q")

    run = await start_owned(journal, tasks=(task("a"),))
    await advance(journal, run, tasks=(task("a"), task("b")))
    claimed = await journal.claim_tasks("L", ("q",), ("step",), 10)
    assert [each.key for each in claimed] == ["a", "b"]


async def test_each_tenant_gets_its_turn_before_anyone_gets_a_third(journal: Journal) -> None:
    def task(tenant: str, n: int) -> NewTask:
        return NewTask(kind="step", key=f"{tenant}{n}", queue="q", fairness_key=tenant)

    tasks = (*(task("a", n) for n in range(3)), *(task("b", n) for n in range(2)))
    await start_owned(journal, tasks=tasks)
    claimed = await journal.claim_tasks("L", ("q",), ("step",), 10)
    assert [each.key for each in claimed] == ["a0", "b0", "a1", "b1", "a2"]


async def test_a_page_of_a_history_has_a_thousand_events_unless_told_otherwise(journal: Journal) -> None:
    started = await journal.start(new_run(events=tuple(event() for _ in range(1001))))
    assert len(await journal.read_events(started.run_id)) == 1000
    assert len(await journal.read_events(started.run_id, 1000)) == 1
    assert len(await journal.read_events(started.run_id, 0, 2000)) == 1001
    assert await journal.read_events(started.run_id, -5, 1) == await journal.read_events(started.run_id, 0, 1)
    assert await journal.read_events("nobody") == []


async def test_an_inbox_has_room_again_for_as_many_as_were_consumed(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "INBOX_MESSAGES_MAX", 3)
    run = await start_owned(journal)
    said = NewMessage(run_id=run.run_id, kind="signal")
    sent = [await journal.send(said) for _ in range(3)]
    await advance(journal, run, consume=(sent[0].n,))
    await journal.send(said)
    with pytest.raises(JournalError, match="is full"):
        await journal.send(said)
    await advance(journal, run, consume=(sent[1].n, sent[2].n))
    await journal.send(said)
    await journal.send(said)
    with pytest.raises(JournalError, match="is full"):
        await journal.send(said)


async def test_a_history_that_would_be_too_large_says_how_large(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await start_owned(journal)
    monkeypatch.setattr(limits, "HISTORY_BYTES_MAX", 1_000_000)
    await advance(journal, run, events=(event(data=b"x" * 600_000),))
    with pytest.raises(TooLarge) as refused:
        await advance(journal, run, events=(event(data=b"y" * 500_000),))
    assert re.match(r"the history of 'order-1' would have (3 events and )?11\d{5} bytes, more than", str(refused.value))
    monkeypatch.setattr(limits, "HISTORY_EVENTS_MAX", 2)
    with pytest.raises(TooLarge, match=r"the history of 'order-1' would have 3 events.*, more than.*; continue as new"):
        await advance(journal, run, events=(event(),))


async def test_what_travels_in_one_group_counts_for_its_own_run_only(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await start_owned(journal)
    started = await journal.start(new_run("other", lease_id="L"))
    second = await get(journal, started.run_id)
    monkeypatch.setattr(limits, "HISTORY_BYTES_MAX", 1_000_000)
    large = (event(data=b"x" * 600_000),)
    outcomes = await settle(
        advance(journal, first, events=large),
        advance(journal, second, events=large),
        advance(journal, first, events=large),
    )
    assert [type(each) for each in outcomes] == [Committed, Committed, TooLarge]


@pytest.mark.parametrize("address", [{}, {"namespace": "default"}, {"workflow_id": "order-1"}])
async def test_a_message_without_a_whole_address_is_wrong(journal: Journal, address: dict[str, str]) -> None:
    await start_owned(journal)
    with pytest.raises(InvalidInput):
        await journal.send(NewMessage(kind="signal", **address))  # type: ignore[arg-type]


async def test_what_is_loaded_is_what_was_written(journal: Journal) -> None:
    run = await start_owned(journal)
    written = tuple(event(f"event-{n}", bytes([n]) * n, f"key-{n}" if n % 2 else None) for n in range(5))
    await advance(journal, run, events=written)
    loaded = await journal.load(run.run_id)
    assert [(each.type, each.data, each.key) for each in loaded.events[1:]] == [
        (each.type, each.data, each.key) for each in written
    ]
    assert loaded.events == await journal.read_events(run.run_id)
    assert [entry.event for entry in await journal.read_log(Position(0, 0))] == loaded.events


async def test_tasks_in_hand_count_as_turns_of_their_tenant(journal: Journal) -> None:
    def task(tenant: str, n: int) -> NewTask:
        return NewTask(kind="step", key=f"{tenant}{n}", queue="q", fairness_key=tenant)

    await start_owned(journal, tasks=(*(task("a", n) for n in range(3)), task("b", 0), task("b", 1)))
    one_by_one = [(await journal.claim_tasks("L", ("q",), ("step",), 1))[0].key for _ in range(5)]
    assert one_by_one == ["a0", "b0", "a1", "b1", "a2"]


async def test_texts_that_no_store_can_hold_are_named(journal: Journal) -> None:
    for wrong in ("a\0b", "half of \ud800"):
        with pytest.raises(
            InvalidInput, match=r"^workflow id '.*' holds a NUL or half of a surrogate pair; leave that"
        ):
            await journal.start(new_run(wrong))


async def test_an_event_that_is_too_large_is_named_by_its_type_and_key(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await start_owned(journal)
    monkeypatch.setattr(limits, "EVENT_BYTES_MAX", 100)
    with pytest.raises(TooLarge, match=r"^event step_completed charge#2 has 1\d\d bytes, more than 100; "):
        await advance(journal, run, events=(event(data=b"x" * 101, key="charge#2"),))
