"""Importing: a closed run from elsewhere is taken in whole, once, and never beside one that it could be taken for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from keepstep.journal import (
    AlreadyStarted,
    AttributeRefused,
    AuditLine,
    Commit,
    InvalidInput,
    Journal,
    Loaded,
    NewMessage,
    Position,
    StateChange,
    Status,
    TooLarge,
    limits,
)
from keepstep.search.binding import read_search, runs_vocabulary
from tests.journal.scene import START, Scene, event, get, new_run

AUDIT = (AuditLine(START, "closed"), AuditLine(START + 1, "exported"))


async def closed_run(journal: Journal, workflow_id: str = "order-1", status: Status = Status.FAILED) -> Loaded:
    """One with everything that a run can have."""
    new = msgspec.structs.replace(new_run(workflow_id), attributes={"customer": "c7", "shown": {"n": 1}})
    started = await journal.start(new)
    await journal.send(NewMessage(run_id=started.run_id, kind="signal", name="late", data=b"!", id="m"))
    await journal.commit(Commit(run_id=started.run_id, version=1, status_text="half way", detail=b"why"))
    await journal.commit(
        Commit(
            run_id=started.run_id,
            version=2,
            events=(event("one"), event("two")),
            state=(StateChange("attempts", "k", b"3"),),
            status=status,
        )
    )
    return await journal.load(started.run_id)


async def moved(scene: Scene, journal: Journal) -> Loaded:
    """A run that was here and is not any more, as somebody has kept it."""
    loaded = await closed_run(journal)
    scene.clock.time += 1_000_000
    await journal.remove_runs(await journal.list_closed("default", Status.FAILED, scene.clock.time))
    assert await journal.read_run(loaded.run.run_id) is None
    return loaded


def changed(loaded: Loaded, **changes: Any) -> Loaded:
    return msgspec.structs.replace(loaded, run=msgspec.structs.replace(loaded.run, **changes))


async def test_an_imported_run_is_as_it_was(scene: Scene) -> None:
    journal = await scene.open()
    loaded = await moved(scene, journal)
    await journal.import_run(loaded, AUDIT)
    there = await journal.load(loaded.run.run_id)
    assert there.run == loaded.run
    assert (there.events, there.state) == (loaded.events, loaded.state)
    assert [msgspec.structs.replace(each, n=0) for each in there.messages] == [
        msgspec.structs.replace(each, n=0) for each in loaded.messages
    ]
    assert await journal.read_audit(loaded.run.run_id) == list(AUDIT)
    assert await journal.find_run("default", "order-1") == loaded.run


async def test_it_is_found_by_its_attributes_and_is_due_to_be_removed_from_the_time_of_its_close(scene: Scene) -> None:
    journal = await scene.open()
    loaded = await moved(scene, journal)
    await journal.import_run(loaded)
    known = {each.name: each.type for each in await journal.list_attributes("default")}
    search = read_search("customer = 'c7'", runs_vocabulary(known), scene.clock.time)
    assert [run.run_id for run in (await journal.search_runs("default", search)).runs] == [loaded.run.run_id]
    [listed] = await journal.list_closed("default", Status.FAILED, loaded.run.closed_at + 1)
    assert listed.run_id == loaded.run.run_id


async def test_subscribers_read_its_events_at_new_positions(scene: Scene) -> None:
    journal = await scene.open()
    loaded = await moved(scene, journal)
    await journal.import_run(loaded)
    entries = await journal.read_log(Position(0, 3))
    assert [(each.position.n, each.event) for each in entries] == list(zip((4, 5, 6), loaded.events, strict=True))


async def test_it_can_be_reopened_as_any_closed_run_and_has_its_inbox_then(scene: Scene) -> None:
    journal = await scene.open()
    loaded = await moved(scene, journal)
    await journal.import_run(loaded)
    run_id = loaded.run.run_id
    await journal.commit(Commit(run_id=run_id, version=loaded.run.version, status=Status.RUNNING))
    duplicate = await journal.send(NewMessage(run_id=run_id, kind="signal", name="late", id="m"))
    assert duplicate.duplicate
    assert (await get(journal, run_id)).wake_at == 0


async def test_a_run_that_is_here_is_not_imported_again(scene: Scene) -> None:
    journal = await scene.open()
    loaded = await moved(scene, journal)
    await journal.import_run(loaded)
    for other in (loaded, changed(loaded, workflow_id="another"), changed(loaded, namespace="elsewhere")):
        with pytest.raises(AlreadyStarted, match="is here already"):
            await (await scene.open()).import_run(other)
    assert await journal.count_runs("default") == 1


async def test_a_run_is_refused_while_one_of_its_workflow_id_is_open(scene: Scene) -> None:
    journal = await scene.open()
    loaded = await moved(scene, journal)
    opened = await journal.start(new_run())
    with pytest.raises(AlreadyStarted, match=f"open here as run {opened.run_id}"):
        await journal.import_run(loaded)
    await journal.import_run(changed(loaded, workflow_id="order-1 (old)"))
    found = await journal.find_run("default", "order-1")
    assert found is not None
    assert found.run_id == opened.run_id


async def test_a_run_is_refused_if_it_would_count_as_newer_than_one_that_was_started_after_it(scene: Scene) -> None:
    journal = await scene.open()
    loaded = await moved(scene, journal)
    younger = await closed_run(journal)
    with pytest.raises(AlreadyStarted, match=f"started again here, as run {younger.run.run_id}"):
        await journal.import_run(changed(loaded, started_at=younger.run.started_at - 1))
    assert await journal.find_run("default", "order-1") == younger.run


def open_again(loaded: Loaded) -> Loaded:
    return changed(loaded, status=Status.RUNNING, closed_at=0)


def without_an_event(loaded: Loaded) -> Loaded:
    return msgspec.structs.replace(loaded, events=loaded.events[:1] + loaded.events[2:])


def without_the_last(loaded: Loaded) -> Loaded:
    return msgspec.structs.replace(loaded, events=loaded.events[:-1])


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (open_again, "is open"),
        (without_an_event, "does not have all of its 3 events"),
        (without_the_last, "does not have all of its 3 events"),
        (lambda loaded: changed(loaded, workflow_id=""), "has no workflow id"),
    ],
)
async def test_what_is_not_a_whole_closed_run_is_refused(
    scene: Scene, spoil: Callable[[Loaded], Loaded], why: str
) -> None:
    journal = await scene.open()
    loaded = await moved(scene, journal)
    with pytest.raises(InvalidInput, match=why):
        await journal.import_run(spoil(loaded))
    assert await journal.count_runs("default") == 0


def with_first(loaded: Loaded, **changes: Any) -> Loaded:
    first, *others = loaded.events
    return msgspec.structs.replace(loaded, events=[msgspec.structs.replace(first, **changes), *others])


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda loaded: changed(loaded, last_seq=1 << 62, version=1 << 62), "does not have all of its"),
        (lambda loaded: changed(loaded, closed_at=limits.MOMENT_MAX + 1), "has a time that no run can have"),
        (lambda loaded: changed(loaded, started_at=-1), "has a time that no run can have"),
        (lambda loaded: with_first(loaded, time=1 << 63), "has a time that no run can have"),
        (lambda loaded: changed(loaded, version=1 << 63), "has a count that no run can have"),
        (lambda loaded: changed(loaded, strikes=-1), "has a count that no run can have"),
        (lambda loaded: with_first(loaded, key="a\0b"), "holds a NUL"),
        (lambda loaded: changed(loaded, status_text="a\0b"), "holds a NUL"),
        (lambda loaded: changed(loaded, language=""), "has no language"),
        (lambda loaded: msgspec.structs.replace(loaded, messages=loaded.messages * 2), "two messages of the same id"),
    ],
)
async def test_what_a_store_would_stumble_over_is_refused_before_it_comes_to_its_writer(
    scene: Scene, spoil: Callable[[Loaded], Loaded], why: str
) -> None:
    journal = await scene.open()
    loaded = await moved(scene, journal)
    with pytest.raises(InvalidInput, match=why):
        await journal.import_run(spoil(loaded), AUDIT)
    with pytest.raises(InvalidInput, match="has a time"):
        await journal.import_run(loaded, (AuditLine(1 << 70, "forged"),))
    await journal.import_run(loaded, AUDIT)


async def test_attributes_that_do_not_fit_here_and_runs_that_are_too_large_are_refused_and_leave_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = await scene.open()
    loaded = await moved(scene, journal)
    with pytest.raises(AttributeRefused, match="customer"):
        await journal.import_run(changed(loaded, attributes={"customer": 7}))
    monkeypatch.setattr(limits, "IMPORT_BYTES_MAX", 1)
    with pytest.raises(TooLarge, match="more than 1"):
        await journal.import_run(loaded)
    assert await journal.count_runs("default") == 0
