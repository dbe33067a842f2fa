"""Starting: one open run a workflow id, whoever starts it and however often."""

from __future__ import annotations

import msgspec
import pytest

from keepstep.journal import (
    AlreadyStarted,
    Commit,
    Conflict,
    IfRunning,
    Journal,
    NewMessage,
    NewTask,
    ParentLink,
    RunClosed,
    Started,
    Status,
    Timer,
)
from tests.journal.scene import START, Scene, advance, claim_one, event, get, lease, new_run, settle, start_owned


async def close(journal: Journal, started: Started, status: Status = Status.COMPLETED) -> None:
    await journal.commit(Commit(run_id=started.run_id, version=started.version, status=status))


async def test_a_started_run_is_as_it_was_asked_for(journal: Journal) -> None:
    new = new_run(
        "order-7",
        events=(event("started", b"input"), event("patched")),
        attributes={"customer": "c-1"},
        parent=ParentLink("parent", "child/1"),
        continued_from="before",
        format=3,
        started_at=START - 5,
    )
    started = await journal.start(new)
    assert (started.created, started.leased, started.version, started.status) == (True, False, 2, Status.RUNNING)
    run = await get(journal, new.run_id)
    assert (run.workflow_id, run.namespace, run.language, run.format) == ("order-7", "default", "python", 3)
    assert (run.type, run.queue, run.input_digest, run.attributes) == ("fulfil", "q", b"digest", {"customer": "c-1"})
    assert (run.parent_run_id, run.parent_key, run.continued_from) == ("parent", "child/1", "before")
    assert (run.started_at, run.closed_at, run.owner, run.epoch) == (START - 5, 0, None, started.epoch)
    assert (run.version, run.last_seq, run.strikes, run.detail) == (2, 2, 0, b"")
    assert [each.data for each in await journal.read_events(new.run_id)] == [b"input", b""]
    assert await journal.find_run("default", "order-7") == run
    assert await journal.find_run("other", "order-7") is None


async def test_a_run_may_start_leased_to_its_starter(journal: Journal) -> None:
    await journal.open_lease(lease())
    started = await journal.start(new_run(lease_id="L"))
    assert (started.leased, started.epoch) == (True, 1)
    assert await journal.claim_runs("L", 10) == []
    done = await journal.commit(Commit(run_id=started.run_id, epoch=started.epoch, events=(event(),), first_seq=2))
    assert done.version == started.version + 1


async def test_a_start_for_a_lease_that_is_over_leaves_the_run_to_all(journal: Journal) -> None:
    started = await journal.start(new_run(lease_id="gone"))
    assert (started.created, started.leased) == (True, False)
    await journal.open_lease(lease())
    assert (await claim_one(journal)).run_id == started.run_id


async def test_a_second_start_attaches_to_the_open_run(journal: Journal) -> None:
    first = await journal.start(new_run(type="fulfil", input_digest=b"one"))
    second = await journal.start(new_run(type="refund", input_digest=b"two"))
    assert (second.run_id, second.created, second.leased) == (first.run_id, False, False)
    assert (second.type, second.input_digest, second.status) == ("fulfil", b"one", Status.RUNNING)
    assert await journal.count_runs("default") == 1


async def test_a_second_start_attaches_to_the_newest_closed_run(journal: Journal) -> None:
    first = await journal.start(new_run())
    await close(journal, first, Status.FAILED)
    second = await journal.start(new_run())
    assert (second.run_id, second.created, second.status) == (first.run_id, False, Status.FAILED)


async def test_a_start_that_may_not_attach_is_refused(journal: Journal) -> None:
    first = await journal.start(new_run())
    with pytest.raises(AlreadyStarted):
        await journal.start(new_run(if_running=IfRunning.REJECT))
    await close(journal, first)
    with pytest.raises(AlreadyStarted):
        await journal.start(new_run(if_closed=IfRunning.REJECT))
    assert await journal.count_runs("default") == 1


async def test_a_closed_run_is_restarted_as_a_new_one_and_an_open_one_is_not(journal: Journal) -> None:
    first = await journal.start(new_run())
    with pytest.raises(Conflict):
        await journal.start(new_run(if_running=IfRunning.RESTART))
    await close(journal, first)
    second = await journal.start(new_run(if_closed=IfRunning.RESTART))
    assert second.created
    assert second.run_id != first.run_id
    found = await journal.find_run("default", "order-1")
    assert found is not None
    assert found.run_id == second.run_id


async def test_of_many_starts_of_one_id_at_once_one_creates_and_the_others_attach(scene: Scene) -> None:
    handles = [await scene.open(), await scene.open()]
    started = await settle(*(handles[n % 2].start(new_run()) for n in range(20)))
    assert sum(each.created for each in started) == 1
    assert len({each.run_id for each in started}) == 1


async def test_the_same_start_again_attaches_to_what_it_made_the_first_time(journal: Journal) -> None:
    new = new_run()
    first = await journal.start(new)
    again = await journal.start(new)
    assert (again.run_id, again.created) == (first.run_id, False)


async def test_one_workflow_id_in_two_namespaces_is_two_runs(journal: Journal) -> None:
    first = await journal.start(new_run())
    second = await journal.start(new_run(namespace="other"))
    assert second.created
    assert first.run_id != second.run_id
    assert await journal.count_runs("other") == 1


async def test_a_signal_sent_with_a_start_reaches_the_new_run_or_the_one_attached_to(journal: Journal) -> None:
    message = NewMessage(kind="signal", name="picked")
    first = await journal.start(new_run(messages=(message,)))
    second = await journal.start(new_run(messages=(message,)))
    assert second.run_id == first.run_id
    assert [each.name for each in await journal.read_messages(first.run_id)] == ["picked", "picked"]


async def test_a_signal_sent_with_a_start_that_attaches_to_a_closed_run_is_refused(journal: Journal) -> None:
    first = await journal.start(new_run())
    await close(journal, first)
    with pytest.raises(RunClosed):
        await journal.start(new_run(messages=(NewMessage(kind="signal"),)))


async def test_a_run_started_with_tasks_and_timers_has_them(journal: Journal) -> None:
    await journal.open_lease(lease())
    await journal.start(
        new_run(wake_at=None, tasks=(NewTask(kind="step", key="a", queue="q"),), timers=(Timer("t", START + 5),))
    )
    assert len(await journal.claim_tasks("L", ["q"], ["step"], 5)) == 1
    assert await journal.next_wake("L") == START + 5


async def test_a_commit_starts_children(journal: Journal) -> None:
    run = await start_owned(journal)
    child = new_run("child", parent=ParentLink(run.run_id, "child/1"), lease_id="L")
    other = new_run("other child")
    done = await advance(journal, run, events=(event(),), start=(child, other))
    assert [(each.run_id, each.created, each.leased) for each in done.started] == [
        (child.run_id, True, True),
        (other.run_id, True, False),
    ]
    assert (await get(journal, child.run_id)).parent_run_id == run.run_id
    assert (await claim_one(journal)).run_id == other.run_id


async def test_a_child_whose_workflow_id_is_open_is_refused_and_its_parent_is_told(journal: Journal) -> None:
    run = await start_owned(journal)
    taken = await journal.start(new_run("taken", lease_id="L"))
    child = new_run("taken", parent=ParentLink(run.run_id, "child/1"))
    done = await advance(journal, run, events=(event(),), start=(child,))
    assert not [each for each in done.started if each.created]
    assert [(each.kind, each.name) for each in await journal.read_messages(run.run_id)] == [
        ("start_refused", "child/1")
    ]
    assert await journal.read_run(child.run_id) is None
    assert (await get(journal, taken.run_id)).version == taken.version


async def test_a_parent_that_releases_with_a_refused_child_is_due_at_once(journal: Journal) -> None:
    run = await start_owned(journal)
    await journal.start(new_run("taken", lease_id="L"))
    child = new_run("taken", parent=ParentLink(run.run_id, "child/1"))
    await advance(journal, run, events=(event(),), start=(child,), release=True)
    assert (await claim_one(journal)).run_id == run.run_id


async def test_two_children_of_one_id_in_one_commit_are_one_child_and_one_refusal(journal: Journal) -> None:
    run = await start_owned(journal)
    children = tuple(new_run("twin", parent=ParentLink(run.run_id, key)) for key in ("a", "b"))
    await advance(journal, run, events=(event(),), start=children)
    assert [each.name for each in await journal.read_messages(run.run_id)] == ["b"]
    assert await journal.read_run(children[0].run_id) is not None


async def test_a_run_continues_as_new_in_the_commit_that_closes_it(journal: Journal) -> None:
    run = await start_owned(journal)
    following = new_run(run.workflow_id, continued_from=run.run_id, lease_id="L")
    done = await advance(journal, run, events=(event("continued"),), status=Status.CONTINUED, start=(following,))
    assert [(each.created, each.leased) for each in done.started] == [(True, True)]
    assert (await get(journal, run.run_id)).status is Status.CONTINUED
    found = await journal.find_run("default", run.workflow_id)
    assert found is not None
    assert (found.run_id, found.continued_from) == (following.run_id, run.run_id)


async def test_a_message_reaches_a_run_that_the_same_commit_starts(journal: Journal) -> None:
    run = await start_owned(journal)
    message = NewMessage(namespace="default", workflow_id="child", kind="signal")
    child = new_run("child")
    await advance(journal, run, start=(child,), send=(message,))
    assert len(await journal.read_messages(child.run_id)) == 1


async def test_attributes_given_at_the_start_are_the_runs_own(journal: Journal) -> None:
    attributes = {"tags": ["a"]}
    started = await journal.start(new_run(attributes=attributes))
    attributes["tags"].append("b")
    assert (await get(journal, started.run_id)).attributes == {"tags": ["a"]}


async def test_a_run_id_cannot_be_started_twice_under_different_workflow_ids(journal: Journal) -> None:
    new = new_run()
    await journal.start(new)
    with pytest.raises(Conflict):
        await journal.start(msgspec.structs.replace(new, workflow_id="another"))
    assert await journal.count_runs("default") == 1
