"""What operators did is kept beside history, never in it."""

from __future__ import annotations

import pytest

from keepstep.journal import Commit, Fenced, Journal
from tests.journal.scene import START, Scene, advance, event, start_owned


async def test_audit_lines_are_kept_in_order_with_their_times(scene: Scene) -> None:
    journal = await scene.open()
    run = await start_owned(journal)
    paused = await journal.commit(Commit(run_id=run.run_id, version=run.version, seize=True, audit="paused by ann"))
    scene.clock.time += 5
    await journal.commit(
        Commit(run_id=run.run_id, version=paused.version, events=(event("note"),), audit="resumed by bob")
    )
    lines = await journal.read_audit(run.run_id)
    assert [(line.time, line.text) for line in lines] == [(START, "paused by ann"), (START + 5, "resumed by bob")]
    assert [each.type for each in await journal.read_events(run.run_id)] == ["started", "note"]


async def test_a_refused_commit_leaves_no_audit_line(journal: Journal) -> None:
    run = await start_owned(journal)
    with pytest.raises(Fenced):
        await advance(journal, run, task_token=None, lease_id="gone", seize=True, version=run.version, audit="never")
    assert await journal.read_audit(run.run_id) == []
    assert await journal.read_audit("missing") == []
