"""Strikes: a run that kills its workers becomes a suspect, is probed alone, and at last quarantined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from keepstep.journal import (
    PROBE_STRIKES,
    QUARANTINE_STRIKES,
    Commit,
    Condition,
    Fenced,
    Journal,
    Run,
    Started,
    Status,
)
from tests.journal.scene import Scene, advance, claim_one, event, get, lease, new_run


async def die(
    scene: Scene, lease_id: str, *, probing: str | None = None, changes: Sequence[dict[str, Any]] = ()
) -> Journal:
    """A worker claims everything, commits ``changes`` to each run, and dies. Another process reaps it."""
    dying, other = await scene.open(), await scene.open()
    await dying.open_lease(lease(lease_id, mortal=True))
    if probing is not None:
        await dying.probe(lease_id, probing)
    for run in await dying.claim_runs(lease_id, 100):
        for change in changes:
            await advance(dying, run, **change)
    scene.kill(dying)
    assert await other.reap() == [lease_id]
    return other


async def start(scene: Scene, workflow_id: str = "order-1") -> Started:
    journal = await scene.open()
    return await journal.start(new_run(workflow_id))


async def test_a_run_that_was_claimed_and_not_advanced_gets_a_strike(scene: Scene) -> None:
    started = await start(scene)
    journal = await die(scene, "L")
    assert (await get(journal, started.run_id)).strikes == 1


async def test_a_run_that_was_advanced_by_an_event_gets_none(scene: Scene) -> None:
    started = await start(scene)
    journal = await die(scene, "L", changes=[{"events": (event(),)}])
    assert (await get(journal, started.run_id)).strikes == 0


async def test_a_commit_without_an_event_is_no_progress(scene: Scene) -> None:
    started = await start(scene)
    journal = await die(scene, "L", changes=[{"status_text": "busy"}])
    assert (await get(journal, started.run_id)).strikes == 1


async def test_an_event_that_only_says_something_is_no_progress(scene: Scene) -> None:
    started = await start(scene)
    said = {"events": (event("stream_written"),), "is_progress": False}
    journal = await die(scene, "L", changes=[said, said])
    assert (await get(journal, started.run_id)).strikes == 1
    assert (await get(journal, started.run_id)).last_seq == 3


async def test_what_is_said_beside_progress_takes_nothing_from_it(scene: Scene) -> None:
    started = await start(scene)
    said = {"events": (event("stream_written"),), "is_progress": False}
    journal = await die(scene, "L", changes=[said, {"events": (event(),)}, said])
    assert (await get(journal, started.run_id)).strikes == 0


async def test_a_waiting_run_gets_none(scene: Scene) -> None:
    started = await start(scene)
    journal = await die(scene, "L", changes=[{"condition": Condition.WAITING}])
    assert (await get(journal, started.run_id)).strikes == 0


async def test_strikes_of_bystanders_stop_at_suspicion(scene: Scene) -> None:
    started = await start(scene)
    for n in range(PROBE_STRIKES + 3):
        journal = await die(scene, f"L{n}")
    run = await get(journal, started.run_id)
    assert (run.strikes, run.condition) == (PROBE_STRIKES, Condition.NONE)


async def test_the_probed_run_gets_a_strike_however_many_it_has_and_is_quarantined_at_last(scene: Scene) -> None:
    started, bystander = await start(scene), await start(scene, "bystander")
    strikes = []
    for n in range(QUARANTINE_STRIKES):
        journal = await die(scene, f"L{n}", probing=started.run_id)
        strikes.append((await get(journal, started.run_id)).strikes)
    assert strikes == list(range(1, QUARANTINE_STRIKES + 1))
    run = await get(journal, started.run_id)
    assert (run.condition, run.owner) == (Condition.QUARANTINED, None)
    await journal.open_lease(lease("M"))
    assert (await claim_one(journal, "M")).run_id == bystander.run_id
    assert (await get(journal, bystander.run_id)).strikes == PROBE_STRIKES


async def test_a_probed_run_gets_its_strike_even_if_it_was_advanced(scene: Scene) -> None:
    started = await start(scene)
    journal = await die(scene, "L", probing=started.run_id, changes=[{"events": (event(),)}])
    assert (await get(journal, started.run_id)).strikes == 1


async def test_a_run_that_survived_its_probe_is_not_struck_for_it(scene: Scene) -> None:
    started = await start(scene)
    dying, other = await scene.open(), await scene.open()
    await dying.open_lease(lease("L", mortal=True))
    run = await claim_one(dying)
    await dying.probe("L", run.run_id)
    await advance(dying, run, events=(event(),), clear_strikes=True, release=True)
    await dying.probe("L", None)
    scene.kill(dying)
    await other.reap()
    assert (await get(other, started.run_id)).strikes == 0


async def test_others_see_what_a_lease_is_probing(scene: Scene) -> None:
    journal, other = await scene.open(), await scene.open()
    started = await journal.start(new_run())
    await journal.open_lease(lease())
    await journal.probe("L", started.run_id)
    assert [state.probing for state in await other.list_leases()] == [started.run_id]
    await journal.probe("L", None)
    assert [state.probing for state in await other.list_leases()] == [None]


async def test_a_lease_that_is_over_probes_nothing(journal: Journal) -> None:
    started = await journal.start(new_run())
    with pytest.raises(Fenced):
        await journal.probe("gone", started.run_id)


async def test_progress_clears_strikes(scene: Scene) -> None:
    started = await start(scene)
    await die(scene, "L1")
    journal = await die(scene, "L2")
    await journal.open_lease(lease("M"))
    run: Run = await claim_one(journal, "M")
    assert run.strikes == 2
    await advance(journal, run, events=(event(),), clear_strikes=True)
    assert (await get(journal, started.run_id)).strikes == 0


async def test_a_closed_lease_strikes_nobody(scene: Scene) -> None:
    started = await start(scene)
    journal = await scene.open()
    await journal.open_lease(lease())
    await journal.probe("L", started.run_id)
    await claim_one(journal)
    await journal.close_lease("L")
    assert (await get(journal, started.run_id)).strikes == 0


async def test_a_probed_run_that_was_closed_meanwhile_is_left_alone(scene: Scene) -> None:
    started = await start(scene)
    closing: list[dict[str, Any]] = [{"status": Status.COMPLETED, "events": (event("completed"),)}]
    journal = await die(scene, "L", probing=started.run_id, changes=closing)
    run = await get(journal, started.run_id)
    assert (run.status, run.condition) == (Status.COMPLETED, Condition.NONE)


async def test_a_quarantined_run_goes_on_when_an_operator_says_so(scene: Scene) -> None:
    started = await start(scene)
    for n in range(QUARANTINE_STRIKES):
        journal = await die(scene, f"L{n}", probing=started.run_id)
    run = await get(journal, started.run_id)
    await journal.commit(
        Commit(
            run_id=run.run_id,
            version=run.version,
            condition=Condition.NONE,
            clear_strikes=True,
            wake_at=0,
            audit="retried",
        )
    )
    await journal.open_lease(lease("M"))
    claimed = await claim_one(journal, "M")
    assert (claimed.run_id, claimed.strikes) == (run.run_id, 0)
