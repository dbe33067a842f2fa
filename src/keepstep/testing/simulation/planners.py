"""Planners: they make schedules, and pause, trigger, backfill, update and delete them while everything goes wrong.

Some of what is deleted is made again under its old name, as another schedule, which must not go on where that one was.

A third of the seeds has some. All is drawn from a random stream of its own, so that the other stories are those that
they would be without. A schedule has an end within the story: what was due until then must have happened when the story
is over, or have been left out for a reason. What a planner did, and when, is noted for the checker ``firings``.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

from keepstep.client.engine import Engine
from keepstep.client.schedule import ScheduleHandle
from keepstep.journal import NotFound
from keepstep.schedules import Overlap
from keepstep.testing.virtual import EPOCH_MICROSECONDS

from .asking import Asking
from .fleet import Fleet
from .language import TALK, WALK, WALK_IN_TIME
from .programs import draw_errand
from .record import Deed, Planned
from .trace import Trace

SHARE = 1 / 3
"""Of all seeds."""

SCHEDULES_MAX = 3
MAKING_SECONDS = 3.0
"""Over which they are made."""

END_SECONDS = (7, 10, 13)
INTERVALS = (1, 2, 2, 3, 5)
OFFSETS = (0.0, 0.25, 1.5)
JITTERS = (0.0, 0.0, 0.8)
CATCHUPS = (1.5, 3.0, 86_400.0, 86_400.0)
LENGTHS = (0.0, 0.0, 1.5, 4.0)
"""Seconds that a run takes at least."""

NODES_MAX = 3
PAUSED_AT_FIRST, TRIGGERS_MAX, BACKFILLS_MAX, DELETED = 0.15, 2, 2, 0.1
PAUSES = (0, 0, 0, 1, 2)
BACKFILLED = ("buffer_all", "buffer_all", "allow", "skip")
BACKFILL_SECONDS = 6

CHANGING, REPOLICED, DELETED_TOO, MADE_AGAIN = 0.5, 0.4, 0.3, 0.7
"""Of the seeds with schedules, those whose planners change their minds, so that the stories of the others are those
that they were before planners did; there, of the schedules, those that are told another overlap, and that are deleted
beside those above; and of the deleted, those that are made again."""

AGAIN_SECONDS = (3, 5, 8)
"""So long a schedule that is made again fires."""

UPDATED, LIMITED, LIMIT_MAX, LARGE, LARGE_CHARS = 0.2, 0.1, 4, 0.05, 5000
"""Shares of the schedules; and how long arguments are that do not travel with where a schedule is."""


def draw_planners(fleet: Fleet, seed: str, chance: random.Random, trace: Trace) -> list[Planner]:
    """Nobody, in most seeds."""
    if chance.random() >= SHARE:
        return []
    schedules = [draw_schedule(n, chance, seed) for n in range(chance.randint(1, SCHEDULES_MAX))]
    return [Planner(each, fleet, seed, chance, trace) for each in schedules]


def draw_schedule(number: int, chance: random.Random, seed: str) -> Planned:
    """A schedule with few firings, whose runs end by themselves."""
    planned = _draw(f"plan-{number}", chance, lambda: EPOCH_MICROSECONDS + chance.choice(END_SECONDS) * 1_000_000)
    _make_special(planned, random.Random(f"{seed}/{planned.id}/special"))
    return planned


def draw_schedule_again(before: Planned, chance: random.Random, now: int) -> Planned:
    """Another schedule, of the name of one that was deleted."""
    planned = _draw(before.id, chance, lambda: now + chance.choice(AGAIN_SECONDS) * 1_000_000)
    planned.is_paused, planned.life = False, before.life + 1
    return planned


def _draw(id: str, chance: random.Random, draw_end: Callable[[], int]) -> Planned:
    every, jitter, catchup = chance.choice(INTERVALS), chance.choice(JITTERS), chance.choice(CATCHUPS)
    offset, end = 0.0, draw_end()
    words: dict[str, Any] = {"cron": f"*/{every} * * * * *"}
    if chance.random() < 0.5:
        offset = chance.choice(OFFSETS)
        words = {"every": every, "offset": offset}
    overlap = chance.choice(list(Overlap))
    return Planned(
        id=id,
        words={**words, "jitter": jitter, "catchup": catchup, "overlap": overlap, "end_at": moment(end)},
        every=every * 1_000_000,
        offset=round(offset * 1e6),
        jitter=round(jitter * 1e6),
        end=end,
        catchup=round(catchup * 1e6),
        overlap=overlap,
        workflow=chance.choice((WALK, WALK, WALK, WALK_IN_TIME, TALK)),
        program=draw_errand(chance, NODES_MAX, chance.choice(LENGTHS)),
        is_paused=chance.random() < PAUSED_AT_FIRST,
    )


def _make_special(planned: Planned, chance: random.Random) -> None:
    """What few schedules have."""
    if chance.random() < LIMITED:
        planned.limit = planned.words["limit"] = chance.randint(1, LIMIT_MAX)
    if chance.random() < LARGE:
        planned.program = ["sequence", [planned.program, ["step", "x" * LARGE_CHARS, 0.0, False]]]


def moment(microseconds: int) -> datetime:
    """Engine time as callers say it."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


class Planner:
    """Who wants one schedule."""

    def __init__(self, planned: Planned, fleet: Fleet, seed: str, chance: random.Random, trace: Trace) -> None:
        self._planned = planned
        self._seed = seed
        self._revision = random.Random(f"{seed}/{planned.id}/revision")
        self._changes_its_mind = random.Random(f"{seed}/changes of mind").random() < CHANGING
        self._policy = random.Random(f"{seed}/{planned.id}/policy {planned.life}")
        self._rebirth = random.Random(f"{seed}/{planned.id}/rebirth")
        self._fleet = fleet
        self._chance = chance
        self._trace = trace
        self._ask = Asking(fleet, chance).ask
        fleet.record.plan(planned)

    async def visit(self) -> None:
        """All that this planner does, from making the schedule on."""
        chance = self._chance
        await asyncio.sleep(chance.random() * MAKING_SECONDS)
        await self._ask(self._make)
        self._trace(f"{self._planned.id} is planned: {self._planned.words}")
        triggers = (self._trigger(n) for n in range(chance.randint(0, TRIGGERS_MAX)))
        backfills = (self._backfill() for _ in range(chance.randint(0, BACKFILLS_MAX)))
        updates = [self._update()] if self._revision.random() < UPDATED else []
        await asyncio.gather(self._pause_and_resume(), *triggers, *backfills, *updates, *self._policies())
        too = self._changes_its_mind and self._rebirth.random() < DELETED_TOO
        if chance.random() < DELETED or too:
            await self._do(Deed("delete", self._fleet.now()), lambda handle: handle.delete())
            await self._make_again()

    async def _make_again(self) -> None:
        """Perhaps, after a while, by somebody who wants something else of that name."""
        chance = self._rebirth
        if not self._changes_its_mind or chance.random() >= MADE_AGAIN:
            return
        await asyncio.sleep(chance.choice((0.0, 0.0, 1.5)))
        again = draw_schedule_again(self._planned, chance, self._fleet.now())
        await Planner(again, self._fleet, self._seed, chance, self._trace).visit_again()

    async def visit_again(self) -> None:
        """Make it, and have what lay before it made up, some of which has happened under its name already."""
        await self._ask(self._make)
        self._trace(f"{self._planned.id} is planned again: {self._planned.words}")
        chance = self._chance
        backfills = (self._backfill(3.0) for _ in range(chance.randint(0, 1)))
        triggers = (self._trigger(n, 3.0) for n in range(chance.randint(0, 1)))
        await asyncio.gather(*triggers, *backfills, *self._policies(3.0))

    async def visit_in_peace(self) -> None:
        """Only make it, and trigger it once while a run of it goes on."""
        await self._ask(self._make)
        await asyncio.sleep((self._planned.end - self._fleet.now()) / 2e6)
        await self._trigger(0, seconds=0.1)

    async def _make(self, engine: Engine) -> None:
        planned = self._planned
        await engine.schedule(
            planned.id, planned.workflow, planned.program, paused=planned.is_paused, **planned.words
        )  # fmt: skip

    async def _pause_and_resume(self) -> None:
        chance = self._chance
        if self._planned.is_paused:
            await asyncio.sleep(chance.random() * 4.0)
            await self._do(Deed("resume", self._fleet.now()), lambda handle: handle.resume())
        for _ in range(chance.choice(PAUSES)):
            await asyncio.sleep(chance.random() * 3.0)
            await self._do(Deed("pause", self._fleet.now()), lambda handle: handle.pause())
            await asyncio.sleep(chance.random() * 3.0)
            await self._do(Deed("resume", self._fleet.now()), lambda handle: handle.resume())

    async def _trigger(self, n: int, seconds: float = 8.0) -> None:
        await asyncio.sleep(self._chance.random() * seconds)
        overlap = self._chance.choice(list(Overlap)) if self._chance.random() < 0.5 else self._planned.overlap
        run = f"{self._planned.id}-by-hand-{n}{'-again' * (self._planned.life - 1)}"
        deed = Deed("trigger", self._fleet.now(), run=run, overlap=overlap)
        await self._do(deed, lambda handle: handle.trigger(overlap, id=run))

    async def _backfill(self, seconds: float = 8.0) -> None:
        """Make up for a few seconds, some of which may lie before the schedule was made; never ahead of time."""
        await asyncio.sleep(self._chance.random() * seconds)
        last = self._fleet.now() - round(self._chance.random() * BACKFILL_SECONDS * 1e6)
        first = last - round(self._chance.random() * BACKFILL_SECONDS * 1e6)
        overlap = self._chance.choice(BACKFILLED)
        deed = Deed("backfill", self._fleet.now(), first=first, last=last, overlap=overlap)
        await self._do(deed, lambda handle: handle.backfill(moment(first), moment(last), overlap))

    async def _update(self) -> None:
        """Have it fire at other times from then on."""
        chance = self._revision
        await asyncio.sleep(chance.random() * 6.0)
        every, offset = chance.choice(INTERVALS), chance.choice(OFFSETS)
        deed = Deed("update", self._fleet.now(), every=every * 1_000_000, offset=round(offset * 1e6))
        await self._do(deed, lambda handle: handle.update(every=every, offset=offset))

    def _policies(self, seconds: float = 6.0) -> list[Coroutine[Any, Any, None]]:
        wants = self._changes_its_mind and self._policy.random() < REPOLICED
        return [self._change_policy(seconds)] if wants else []

    async def _change_policy(self, seconds: float) -> None:
        """Have its firings do something else from then on while the run before goes on."""
        chance = self._policy
        await asyncio.sleep(chance.random() * seconds)
        policy = chance.choice([each for each in Overlap if each != self._planned.overlap])
        await self._do(Deed("policy", self._fleet.now(), policy=policy), lambda handle: handle.update(overlap=policy))

    async def _do(self, deed: Deed, what: Callable[[ScheduleHandle], Awaitable[Any]]) -> None:
        """Have it done, and note when. A delete that went through unheard is told that there is nothing any more."""
        self._planned.deeds.append(deed)

        async def do(engine: Engine) -> None:
            try:
                await what(engine.get_schedule(self._planned.id))
            except NotFound:
                if deed.kind != "delete":
                    raise

        await self._ask(do)
        deed.told = self._fleet.now()
        self._trace(f"{self._planned.id}: {deed}")
