"""What a schedule does as time passes, in virtual time: it fires at its times, once, whoever is there to do it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

import keepstep
from keepstep import AlreadyStarted, Engine, InvalidInput, NotFound, step, workflow
from keepstep.journal import Message, StoreUnavailable
from keepstep.testing import run
from tests.runtime.crashing import CrashingJournal, World, crash_at_every_commit

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)
"""When virtual time begins."""


@step
async def note_the_firing(what: str) -> str:
    return what


@workflow
async def fire_shortly(what: str) -> str:
    return await note_the_firing(what)


@workflow
async def fire_for(length: str) -> str:
    try:
        await keepstep.sleep(length)
    except asyncio.CancelledError:
        await note_the_firing("stopped")
        raise
    return "ended"


@workflow
async def fire_in_two_runs(length: str) -> None:
    await keepstep.sleep(length)
    if length == "100s":
        keepstep.continue_as_new("60s")


def played(play: Callable[[World], Awaitable[Any]]) -> Any:
    async def whole() -> Any:
        world = World()
        try:
            return await play(world)
        finally:
            await world.close()

    return run(whole)


async def times(engine: Engine, **only: Any) -> list[str]:
    """When the runs were started, in order, and how they are."""
    found = [each async for each in engine.list()]
    return [f"{each.started_at:%H:%M:%S} {each.status}" for each in reversed(found)]


def test_a_schedule_fires_at_its_times_and_tells_of_it() -> None:
    async def play(world: World) -> None:
        engine = await world.open()
        handle = await engine.schedule("tick", fire_shortly, "tick", cron="*/10 * * * *", attributes={"of": "tick"})
        await asyncio.sleep(31 * 60)
        assert await times(engine) == ["00:10:00 completed", "00:20:00 completed", "00:30:00 completed"]
        info = await handle.describe()
        assert [each.id for each in info.recent] == [f"tick-2026-01-01T00:{n}0:00Z" for n in (1, 2, 3)]
        assert [each.status for each in info.recent] == ["completed"] * 3
        assert max(each.lateness_seconds for each in info.recent) < 0.1
        assert info.upcoming[0] == MIDNIGHT + timedelta(minutes=40)
        assert (info.started, info.skipped, info.missed, info.running) == (3, 0, 0, ())
        run_info = await engine.get("tick-2026-01-01T00:10:00Z").describe()
        assert run_info.attributes == {"of": "tick"}
        assert await engine.get("tick-2026-01-01T00:10:00Z").result() == "tick"

    played(play)


def test_the_history_of_a_schedule_does_not_grow_with_its_firings(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(world: World) -> None:
        engine = await world.open()
        monkeypatch.setattr("keepstep.schedules.diary.PAGES_MAX", 20)
        await engine.schedule("often", fire_shortly, "x" * 10_000, every="1s")
        await asyncio.sleep(600.5)
        [run] = await engine.journal.list_runs("default:schedules")
        loaded = await engine.journal.load(run.run_id)
        assert (len(loaded.events), len(loaded.state), run.strikes) == (1, 20, 0)
        assert len(run.detail) < 3000
        assert await engine.count() == 600

    played(play)


def test_schedules_are_not_among_the_runs() -> None:
    async def play(world: World) -> None:
        engine = await world.open()
        await engine.schedule("hidden", fire_shortly, "x", cron="0 0 1 1 *")
        assert await engine.count() == 0
        assert [each.id async for each in engine.list_schedules()] == ["hidden"]
        with pytest.raises(NotFound):
            await engine.get("hidden").describe()

    played(play)


def test_the_same_words_attach_and_others_are_refused_or_update() -> None:
    async def play(world: World) -> None:
        engine = await world.open()
        await engine.schedule("one", fire_shortly, "a", cron="0 * * * *", note="first")
        handle = await engine.schedule("one", fire_shortly, "a", cron="0  *  * * *", note="second")
        assert (await handle.describe()).note == "first"
        with pytest.raises(AlreadyStarted, match=r'update\(\.\.\.\), or give if_exists="update"'):
            await engine.schedule("one", fire_shortly, "b", cron="0 * * * *")
        await engine.schedule("one", fire_shortly, "b", cron="30 * * * *", if_exists="update")
        await asyncio.sleep(3600)
        assert await times(engine) == ["00:30:00 completed"]
        assert await engine.get("one-2026-01-01T00:30:00Z").result() == "b"

    played(play)


OVERLAPS = {
    "skip": ["00:01:00 completed", "00:04:00 completed", "00:07:00 running"],
    "buffer_one": ["00:01:00 completed", "00:03:30 completed", "00:06:00 running"],
    "buffer_all": ["00:01:00 completed", "00:03:30 completed", "00:06:00 running"],
    "cancel": [*(f"00:0{n}:00 cancelled" for n in range(1, 8)), "00:08:00 running"],
    "terminate": [*(f"00:0{n}:00 terminated" for n in range(1, 8)), "00:08:00 running"],
    "allow": [*(f"00:0{n}:00 completed" for n in range(1, 6)), *(f"00:0{n}:00 running" for n in range(6, 9))],
}


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_what_a_firing_does_while_the_run_before_goes_on(overlap: str) -> None:
    async def play(world: World) -> None:
        engine = await world.open()
        handle = await engine.schedule("over", fire_for, "150s", every="60s", overlap=overlap)
        await asyncio.sleep(8 * 60 + 5)
        assert await times(engine) == OVERLAPS[overlap]
        info = await handle.describe()
        assert len(info.buffered) == {"buffer_one": 1, "buffer_all": 5}.get(overlap, 0)
        assert info.skipped == {"skip": 5, "buffer_one": 4}.get(overlap, 0)

    played(play)


@pytest.mark.parametrize("overlap", ["cancel", "terminate"])
@pytest.mark.parametrize("trouble", ["refused", "unknown"])
def test_the_run_before_is_ended_whatever_commit_fails(overlap: str, trouble: str) -> None:
    async def play(world: World, failing: int) -> int:
        engine = await world.open()
        await engine.schedule("ending", fire_for, "1h", every="60s", overlap=overlap, limit=2)
        CrashingJournal.commits, CrashingJournal.troubles = 0, {failing: trouble}
        await asyncio.sleep(180)
        assert [each.split()[1] for each in await times(engine)] == [ended, "running"]
        return CrashingJournal.commits

    ended = {"cancel": "cancelled", "terminate": "terminated"}[overlap]
    failing, commits = 0, 1
    while failing <= commits:
        failing += 1
        commits = played(partial(play, failing=failing))
    assert commits >= 5


def test_buffered_firings_are_of_the_times_that_they_were_due_at() -> None:
    async def play(world: World) -> None:
        engine = await world.open()
        handle = await engine.schedule("late", fire_for, "150s", every="60s", overlap="buffer_all", limit=4)
        await asyncio.sleep(3600)
        info = await handle.describe()
        assert [each.id for each in info.recent] == [f"late-2026-01-01T00:0{n}:00Z" for n in range(1, 5)]
        assert [round(each.lateness_seconds) for each in info.recent] == [0, 90, 180, 270]
        assert (info.left, info.upcoming) == (0, ())

    played(play)


def test_a_run_that_goes_on_as_another_is_still_the_one_that_is_minded() -> None:
    async def play(world: World) -> None:
        engine = await world.open()
        await engine.schedule("long", fire_in_two_runs, "100s", every="60s")
        await asyncio.sleep(5 * 60 - 5)
        assert await times(engine) == ["00:01:00 continued", "00:02:40 completed", "00:04:00 running"]

    played(play)


def test_what_was_missed_is_made_up_within_the_window_and_counted_beyond_it() -> None:
    async def play(world: World) -> None:
        engine = await world.open()
        await engine.schedule("down", fire_shortly, "x", every="1h", overlap="allow", catchup="3h")
        await asyncio.sleep(90 * 60)
        await engine.close()
        world.engines.remove(engine)
        await asyncio.sleep(9 * 3600)  # it is 10:30
        engine = await world.open()
        await asyncio.sleep(10)
        info = await engine.get_schedule("down").describe()
        assert [f"{each.scheduled_for:%H}" for each in info.recent] == ["01", "08", "09", "10"]
        assert (info.missed, info.started) == (6, 4)

    played(play)


def test_a_very_long_outage_is_not_counted_to_its_end() -> None:
    async def play(world: World) -> None:
        engine = await world.open()
        await engine.schedule("ages", fire_shortly, "x", every="1s", catchup="2s")
        await engine.close()
        world.engines.remove(engine)
        await asyncio.sleep(100 * 86_400)
        engine = await world.open()
        await asyncio.sleep(10.5)
        info = await engine.get_schedule("ages").describe()
        assert info.missed == 1000
        assert 10 <= info.started + info.skipped <= 14

    played(play)


def test_a_pause_leaves_out_what_would_have_been_and_a_trigger_fires_all_the_same() -> None:
    async def play(world: World) -> None:
        engine = await world.open()
        handle = await engine.schedule("still", fire_shortly, "x", every="1h", paused=True, note="not yet")
        await asyncio.sleep(90 * 60)
        assert await times(engine) == []
        triggered = await handle.trigger()
        await asyncio.sleep(1)
        assert await engine.get(triggered).result() == "x"
        info = await handle.describe()
        assert (info.paused, info.note, info.started) == (True, "not yet", 1)
        await handle.resume("go")
        await asyncio.sleep(3600)
        await handle.pause("enough")
        await asyncio.sleep(7200)
        assert await times(engine) == ["01:30:00 completed", "02:00:00 completed"]
        assert (await handle.describe()).note == "enough"

    played(play)


def test_a_trigger_minds_the_run_that_goes_on_as_it_is_told() -> None:
    async def play(world: World) -> None:
        engine = await world.open()
        handle = await engine.schedule("busy", fire_for, "100s", every="1h")
        await asyncio.sleep(3600)
        await handle.trigger()
        await handle.trigger(overlap="allow")
        await handle.trigger(overlap="buffer_one")
        await asyncio.sleep(500)
        assert await times(engine) == ["01:00:00 completed", "01:00:00 completed", "01:01:40 completed"]
        assert (await handle.describe()).skipped == 1

    played(play)


def test_what_is_asked_for_again_while_it_runs_is_refused_and_does_not_stop_itself() -> None:
    async def play(world: World) -> None:
        engine = await world.open()
        handle = await engine.schedule("again", fire_for, "100s", every="1h")
        await handle.trigger(overlap="terminate", id="asked-for-twice")
        await asyncio.sleep(1)
        await handle.trigger(overlap="terminate", id="asked-for-twice")
        await asyncio.sleep(200)
        assert await times(engine) == ["00:00:00 completed"]
        info = await handle.describe()
        assert (info.started, info.refused, info.skipped) == (1, 1, 0)

    played(play)


def test_a_schedule_is_in_time_however_seldom_anybody_polls() -> None:
    """Its run ends between two firings, so that it is looked at, and given back with the next one an hour away."""

    async def play(world: World) -> None:
        engine = await world.open(poll_seconds=86_400)
        await engine.schedule("unpolled", fire_for, "100s", every="1h")
        await asyncio.sleep(3 * 3600 + 200)
        assert await times(engine) == ["01:00:00 completed", "02:00:00 completed", "03:00:00 completed"]

    played(play)


def test_what_was_said_to_schedules_and_could_not_be_read_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(world: World) -> None:
        engine = await world.open()
        read, refused = engine.journal.read_messages_of, list[int]()

        async def refuse_twice(run_ids: Sequence[str]) -> list[Message]:
            if len(refused) < 2:
                refused.append(len(run_ids))
                raise StoreUnavailable("the disk is away")
            return await read(run_ids)

        monkeypatch.setattr(engine.journal, "read_messages_of", refuse_twice)
        handle = await engine.schedule("unheard", fire_shortly, "unheard", every="1m", limit=1)
        await asyncio.sleep(120)
        info = await handle.describe()
        assert len(refused) == 2
        assert [each.status for each in info.recent] == ["completed"]

    played(play)


def test_a_trigger_that_is_repeated_after_its_run_has_ended_does_not_end_another() -> None:
    async def play(world: World) -> None:
        engine = await world.open()
        handle = await engine.schedule("repeated", fire_for, "100s", every="1h")
        for _ in range(2):
            await handle.trigger(overlap="terminate", id="asked-for-long-ago")
            await asyncio.sleep(3601)  # the run of one o'clock goes on
        assert await times(engine) == ["00:00:00 completed", "01:00:00 completed", "02:00:00 running"]
        info = await handle.describe()
        assert (info.started, info.refused, info.skipped) == (3, 1, 0)

    played(play)


@pytest.mark.parametrize("overlap", ["cancel", "terminate"])
def test_a_firing_that_takes_over_leaves_what_waits_for_its_turn(overlap: str) -> None:
    async def play(world: World) -> None:
        engine = await world.open()
        handle = await engine.schedule("taking-over", fire_for, "100s", every="1h", overlap=overlap, limit=2)
        await asyncio.sleep(3600 - 10)
        await handle.trigger(overlap="buffer_all", id="now")
        await handle.trigger(overlap="buffer_all", id="later")
        await asyncio.sleep(600)
        ended = {"cancel": "cancelled", "terminate": "terminated"}[overlap]
        assert await times(engine) == [f"00:59:50 {ended}", "01:00:00 completed", "01:01:40 completed"]
        assert (await handle.describe()).skipped == 0

    played(play)


def test_a_backfill_of_the_run_that_goes_on_does_not_hide_that_it_goes_on() -> None:
    async def play(world: World) -> None:
        engine = await world.open()
        handle = await engine.schedule("hidden-run", fire_for, "100s", every="1h")
        await asyncio.sleep(3600.5)
        hour = MIDNIGHT + timedelta(hours=1)
        await handle.backfill(hour, hour, overlap="allow")
        await asyncio.sleep(1)
        assert (await handle.describe()).running == ("hidden-run-2026-01-01T01:00:00Z",)
        await handle.trigger(overlap="skip")
        await asyncio.sleep(200)
        assert await times(engine) == ["01:00:00 completed"]
        info = await handle.describe()
        assert (info.started, info.refused, info.skipped) == (1, 1, 1)

    played(play)


@pytest.mark.parametrize("overlap", ["skip", "buffer_one", "cancel"])
def test_a_trigger_does_not_mind_a_firing_that_a_pause_holds(overlap: str) -> None:
    async def play(world: World) -> None:
        engine = await world.open()
        handle = await engine.schedule("held", fire_for, "70s", every="60s", overlap="buffer_one")
        await asyncio.sleep(125)
        await handle.pause()
        await asyncio.sleep(60)
        assert len((await handle.describe()).buffered) == 1
        await handle.trigger(overlap=overlap)
        await asyncio.sleep(1)
        assert await times(engine) == ["00:01:00 completed", "00:03:05 running"]

    played(play)


def test_a_backfill_makes_up_what_is_not_there_one_after_the_other() -> None:
    async def play(world: World) -> None:
        engine = await world.open()
        handle = await engine.schedule("gap", fire_for, "10s", cron="0 * * * *", limit=1)
        await asyncio.sleep(3600 + 60)
        await handle.backfill(MIDNIGHT - timedelta(hours=200), MIDNIGHT + timedelta(hours=1))
        await asyncio.sleep(3600)
        infos = [each async for each in engine.list()]
        assert len(infos) == len({each.id for each in infos}) == 202
        assert {each.status for each in infos} == {"completed"}
        starts = sorted(each.started_at for each in infos)
        assert min(later - first for first, later in pairwise(starts)) >= timedelta(seconds=9)
        info = await handle.describe()
        assert (info.started, info.refused, info.asked, info.left) == (202, 1, 0, 0)

    played(play)


def test_a_backfill_may_do_all_at_once() -> None:
    async def play(world: World) -> None:
        engine = await world.open()
        handle = await engine.schedule("at-once", fire_for, "1h", cron="0 * * * *", paused=True)
        await handle.backfill(MIDNIGHT - timedelta(hours=299), MIDNIGHT, overlap="allow")
        await asyncio.sleep(5)
        assert await engine.count("Status = 'running'") == 300

    played(play)


def test_an_update_changes_what_is_given_and_goes_on_from_now() -> None:
    async def play(world: World) -> None:
        engine = await world.open()
        handle = await engine.schedule("new", fire_shortly, "a", every="1h", jitter="0s", tz="Asia/Kolkata")
        await asyncio.sleep(90 * 60)
        await handle.update(cron="45 7 * * *", args=("b",), overlap="allow")
        await asyncio.sleep(3600)
        info = await handle.describe()
        assert [each.id for each in info.recent] == ["new-2026-01-01T01:00:00Z", "new-2026-01-01T02:15:00Z"]
        assert await engine.get("new-2026-01-01T02:15:00Z").result() == "b"
        assert (info.overlap, info.spec.every) == ("allow", ())
        with pytest.raises(InvalidInput, match="update does not know crom"):
            await handle.update(crom="0 * * * *")
        with pytest.raises(InvalidInput, match="fire_shortly"):
            await handle.update(args=(1, 2, 3))

    played(play)


def test_updates_at_the_same_time_all_count() -> None:
    async def play(world: World) -> None:
        engine = await world.open()
        handle = await engine.schedule("by many", fire_shortly, "x", every="10m")
        await asyncio.gather(
            handle.update(every="5m"),
            handle.update(overlap="allow"),
            handle.update(attributes={"team": "red"}),
            handle.update(args=("y" * 10_000,)),
        )
        info = await handle.describe()
        assert (info.spec.every, info.overlap, info.action.attributes) == ((300_000_000,), "allow", {"team": "red"})
        await asyncio.sleep(301)
        run_id = info.id + "-2026-01-01T00:05:00Z"
        assert await engine.get(run_id).result() == "y" * 10_000

    played(play)


def test_an_update_is_of_the_schedule_that_is_there_and_not_of_one_that_was_deleted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def play(world: World) -> None:
        engine = await world.open()
        handle = await engine.schedule("twice", fire_shortly, "first", every="10m")

        think = handle._changed_action
        thoughts = list[Any]()

        async def think_while_it_is_made_again(*args: Any, **options: Any) -> Any:
            thoughts.append(args)
            if len(thoughts) == 1:
                await handle.delete()
                await engine.schedule("twice", fire_shortly, "second", every="20m", overlap="allow")
            return await think(*args, **options)

        monkeypatch.setattr(handle, "_changed_action", think_while_it_is_made_again)
        await handle.update(catchup="1h")
        info = await handle.describe()
        assert (info.spec.every, info.overlap, info.catchup_seconds) == ((1_200_000_000,), "allow", 3600)
        assert len(thoughts) == 2

    played(play)


def test_what_is_deleted_fires_no_more_and_its_id_is_free() -> None:
    async def play(world: World) -> None:
        engine = await world.open()
        handle = await engine.schedule("gone", fire_shortly, "a", every="1h")
        await asyncio.sleep(3601)
        await handle.delete()
        await asyncio.sleep(7200)
        with pytest.raises(NotFound, match="no schedule with the id 'gone'"):
            await handle.describe()
        await engine.schedule("gone", fire_shortly, "b", every="1h")
        await asyncio.sleep(3600)
        assert await times(engine) == ["01:00:00 completed", "04:00:00 completed"]

    played(play)


def test_a_firing_whose_id_is_taken_starts_nothing_and_the_next_one_does() -> None:
    async def play(world: World) -> None:
        engine = await world.open()
        await engine.start(fire_for, "10h", id="taken-2026-01-01T01:00:00Z")
        handle = await engine.schedule("taken", fire_shortly, "x", every="1h")
        await asyncio.sleep(2 * 3600 + 1)
        info = await handle.describe()
        assert [each.status for each in info.recent] == ["exists", "completed"]
        assert (info.started, info.refused, info.running) == (1, 1, ())

    played(play)


def test_two_engines_fire_once_and_go_on_when_one_is_killed() -> None:
    async def play(world: World) -> None:
        first, second = await world.open(), await world.open()
        for n in range(20):
            await first.schedule(f"both-{n}", fire_shortly, "x", every="10s")
        await asyncio.sleep(60.5)
        world.kill(first)
        await asyncio.sleep(60)
        infos = [each async for each in second.list()]
        assert len(infos) == len({each.id for each in infos}) == 20 * 12

    played(play)


def test_schedules_fire_while_there_is_no_room_for_more_runs() -> None:
    async def play(world: World) -> None:
        engine = await world.open(active_runs_max=1, concurrent_steps_max=1)
        handle = await engine.schedule("full", fire_shortly, "x", every="10s", overlap="allow")
        engine.worker.room_for_runs = lambda: 0  # type: ignore[union-attr, method-assign]
        await asyncio.sleep(35)
        info = await handle.describe()
        assert [each.lateness_seconds < 1 for each in info.recent] == [True] * 3

    played(play)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"overlap": "queue"}, "overlap is one of skip, buffer_one"),
    ({"catchup": "soon"}, "catchup: 'soon' is not a duration"),
    ({"limit": 0}, "limit is how many runs"),
    ({"if_exists": "ignore"}, 'if_exists is "attach" or "update"'),
    ({"note": 3}, "the note of a schedule must be text"),
    ({"crom": "0 * * * *"}, "crom"),
    ({"attributes": {"a": object()}}, "attributes"),
    ({"queue": ""}, "the queue of a schedule"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_what_does_not_fit_is_refused_before_anything_is_written(options: dict[str, Any], message: str) -> None:
    async def play(world: World) -> None:
        engine = await world.open()
        with pytest.raises(InvalidInput, match=message):
            await engine.schedule("bad", fire_shortly, "x", every="1h", **options)
        assert [each async for each in engine.list_schedules()] == []

    played(play)


@pytest.mark.parametrize("overlap", ["skip", "buffer_all", "cancel", "terminate"])
def test_each_firing_happens_once_whatever_commit_the_process_dies_at(overlap: str) -> None:
    async def program(engine: Engine) -> dict[str, str]:
        handle = await engine.schedule(
            "crash", fire_for, "15s", every="10s", overlap=overlap, limit=3, end_at=MIDNIGHT + timedelta(minutes=5)
        )
        await handle.trigger(overlap="allow", id="crash-by-hand")
        while True:
            info = await handle.describe()
            if info.left == 0 and not info.running and not info.buffered and not info.asked:
                break
            await asyncio.sleep(1)
        return {each.id: str(each.status) async for each in engine.list()}

    def check(runs: dict[str, str], crashes: int) -> None:
        assert runs.pop("crash-by-hand") == "completed"
        fired = sorted(runs)
        if overlap != "skip" or not crashes:
            expected = ["10", "30", "50"] if overlap == "skip" else ["10", "20", "30"]
            assert fired == [f"crash-2026-01-01T00:00:{second}Z" for second in expected]
        assert len(fired) == 3
        assert set(runs.values()) <= {"completed", "cancelled", "terminated"}

    assert crash_at_every_commit(program, check) > 20
