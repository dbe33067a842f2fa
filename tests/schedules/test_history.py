"""What a schedule tells of itself: why something was started and why it was not, each once, whatever crashed."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

import keepstep
from keepstep import Engine, NotFound, workflow
from keepstep.codecs import Codec, Keys
from keepstep.journal import Unreadable
from keepstep.schedules import Overlap, diary
from keepstep.schedules.diary import Diary, Entry, Page, read_pages, write_page
from keepstep.schedules.plan import Action, Plan
from keepstep.schedules.spec import Spec
from keepstep.schedules.standing import Pending, Standing
from keepstep.schedules.turn import Decision, decide
from keepstep.testing import run
from tests.runtime.crashing import World, crash_at_every_commit

MINUTE = 60_000_000
MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)


@workflow
async def be_told_of(length: str) -> None:
    await keepstep.sleep(length)


async def told(engine: Engine, id: str) -> list[str]:
    return [f"{each.time:%H:%M:%S} {each.text}" async for each in engine.get_schedule(id).history()]


def test_a_schedule_tells_what_was_done_to_it_and_what_it_did() -> None:
    async def main() -> list[str]:
        world = World()
        engine = await world.open()
        schedule = await engine.schedule("told", be_told_of, "90s", every="60s", limit=9)
        await asyncio.sleep(130)
        await schedule.pause("holidays")
        await asyncio.sleep(1)
        await schedule.trigger(id="told-by-hand")
        await asyncio.sleep(60)
        await schedule.backfill(MIDNIGHT - timedelta(minutes=1), MIDNIGHT, "allow")
        await asyncio.sleep(1)
        await schedule.resume()
        await asyncio.sleep(1)
        await schedule.update(overlap="buffer_one")
        await schedule.update()
        await schedule.update(overlap="buffer_one")  # as it is: that is nothing to tell
        await asyncio.sleep(100)
        await schedule.delete()
        found = await told(engine, "told")
        with pytest.raises(NotFound, match="there was no schedule with the id 'other'"):
            await told(engine, "other")
        await world.close()
        return found

    day = "2026-01-01"
    assert run(main) == [
        "00:00:00 created: starts be_told_of at every 60 s (UTC), overlap skip, 9 times at most",
        f"00:01:00 fired for {day} 00:01:00 UTC: started told-{day}T00:01:00Z",
        f"00:02:00 skipped the firing for {day} 00:02:00 UTC: the run before it went on",
        "00:02:10 paused: holidays",
        "00:02:11 triggered: it was to fire once, now",
        "00:02:11 skipped the firing by hand: the run before it went on",
        f"00:02:30 told-{day}T00:01:00Z has ended: completed",
        f"00:03:11 backfilled: it was to make up for {MIDNIGHT - timedelta(minutes=1):%Y-%m-%dT%H:%M:%S}+00:00 to "
        f"{day}T00:00:00+00:00",
        "00:03:11 fired for 2025-12-31 23:59:00 UTC: started told-2025-12-31T23:59:00Z",
        f"00:03:11 fired for {day} 00:00:00 UTC: started told-{day}T00:00:00Z",
        "00:03:12 resumed",
        "00:03:13 updated: starts be_told_of at every 60 s (UTC), overlap buffer_one, 9 times at most",
        f"00:04:00 fired for {day} 00:04:00 UTC: started told-{day}T00:04:00Z",
        "00:04:53 deleted: what it had started went on",
    ]


@pytest.mark.parametrize("overlap", ["buffer_all", "cancel"])
def test_what_it_tells_is_what_has_happened_whatever_commit_the_process_dies_at(overlap: str) -> None:
    async def program(engine: Engine) -> tuple[Counter[str], list[str], list[str]]:
        end = MIDNIGHT + timedelta(seconds=31)
        handle = await engine.schedule("said", be_told_of, "15s", every="10s", overlap=overlap, end_at=end)
        while (info := await handle.describe()).upcoming or info.running or info.buffered:
            await asyncio.sleep(1)
        events = [each async for each in handle.history()]
        fired = [each.id for each in events if each.kind == "fired"]
        ended = [each.id for each in events if each.kind == "ended"]
        runs = sorted([each.id async for each in engine.list()])
        assert sorted(fired) == runs == sorted(ended)
        return Counter(each.kind for each in events), fired, runs

    def check(seen: tuple[Counter[str], list[str], list[str]], crashes: int) -> None:
        kinds, fired, runs = seen
        assert fired == runs
        assert len(fired) == 3
        assert kinds["buffered"] <= 2
        if not crashes:
            assert kinds["buffered"] == 2
            assert kinds["told"] == (2 if overlap == "cancel" else 0)

    assert crash_at_every_commit(program, check) > 15


def test_what_a_schedule_did_is_sealed_and_cannot_be_told_without_the_key() -> None:
    async def main() -> None:
        world = World()
        engine = await world.open(codec=Codec(keys=Keys({"k": bytes(32)})))
        await engine.schedule("sealed", be_told_of, "1s", every="60s")
        await asyncio.sleep(70)
        assert len(await told(engine, "sealed")) == 3
        await engine.close()
        world.engines.remove(engine)
        with pytest.raises(Unreadable):
            await told(await world.open(), "sealed")
        await world.close()

    run(main)


def look(overlap: Overlap, now: int, **where: object) -> Decision:
    plan = Plan(spec=Spec(every=(MINUTE,)), action=Action(type="any", arguments=b"{}"), overlap=overlap, catchup=MINUTE)
    there = Standing(plan=plan, plan_seq=1, **{"after": 0, **where})  # type: ignore[arg-type]
    return decide("s", there, (), now, lambda: "run")


def test_what_was_missed_in_a_row_is_told_in_one_entry() -> None:
    decision = look(Overlap.SKIP, 10 * MINUTE, pages=7)
    assert decision.page == Page(
        7,
        10 * MINUTE,
        (
            Entry("missed", MINUTE, "", "", 8, 8 * MINUTE),
            Entry("fired", 9 * MINUTE, "s-1970-01-01T00:09:00Z"),
            Entry("skipped", 10 * MINUTE, "", "the run before it went on"),
        ),
    )
    assert decision.standing.pages == 8


def test_what_takes_over_tells_whom_it_had_stopped_and_whose_place_it_took() -> None:
    waits = Pending(nominal=MINUTE, due=MINUTE, overlap=Overlap.TERMINATE)
    there = look(Overlap.ALLOW, 2 * MINUTE).standing
    running = look(Overlap.SKIP, MINUTE).standing.running
    decision = look(Overlap.TERMINATE, 2 * MINUTE, after=MINUTE, running=running, buffered=(waits,))
    assert [(each.kind, each.nominal, each.id) for each in decision.page.entries] == [  # type: ignore[union-attr]
        ("skipped", MINUTE, ""),
        ("buffered", 2 * MINUTE, ""),
        ("told", 0, "s-1970-01-01T00:01:00Z"),
    ]
    assert there.pages == 1


def test_a_turn_that_does_nothing_writes_no_page() -> None:
    decision = look(Overlap.SKIP, MINUTE // 2)
    assert (decision.page, decision.standing.pages) == (None, 0)


def test_a_page_of_very_many_entries_counts_what_is_beyond_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diary, "ENTRIES_MAX", 2)
    pages = Diary()
    for n in range(5):
        pages.note("fired", n, id=f"{n}")
    assert pages.entries() == (Entry("fired", 0, "0"), Entry("fired", 1, "1"), Entry("more", count=3))


def test_the_oldest_pages_are_written_over() -> None:
    state: dict[tuple[str, str], bytes] = {}
    for number in range(diary.PAGES_MAX + 3):
        change = write_page(Page(number, number, ()))
        state[change.kind, change.key] = change.data or b""
    assert [each.number for each in read_pages(state)] == list(range(3, diary.PAGES_MAX + 3))
