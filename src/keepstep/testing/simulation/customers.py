"""Customers: they start runs, say something to them, sometimes cancel them, and repeat what was not answered.

A customer turns to any process that is alive, and to another one if that dies or its store is in trouble, as client
code that retries does. Starts carry an id, and signals too, so that repeating them is harmless; the customer notes what
was acknowledged, since that must hold.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, NamedTuple

from keepstep.client.engine import Engine
from keepstep.client.handle import RunHandle
from keepstep.journal import Condition, InvalidInput, JournalError, NotFound, RunClosed
from keepstep.runtime.errors import Blocked, NoWorker, TimedOut, UpdateFailed, UpdateRejected, WorkflowFailed

from .asking import Asking
from .features import Feature, vary
from .fleet import Fleet
from .language import ACTS, RATED_QUEUE, REFUSED, TALK, TOLD, WALK, WALK_IN_TIME, rated_key_of
from .listening import listen
from .process import Died, Process
from .programs import CHAPTERS, SPEAKING, Node, count_changes, count_musts, draw_chapters, draw_program
from .record import Answer, Change, Hearing, Record, RunPause, Signal, Start
from .trace import Trace

ARRIVAL_SECONDS = 6.0
"""Over which the runs are started."""

IN_TIME, TALKING, WORDS_MAX, CANCELLED, TERMINATED = 0.15, 0.3, 3, 0.12, 0.03

CONTINUED, CHAPTER_NODES_MAX = 0.3, 4
"""Of the runs that continue as new, in stories with that; and the nodes of what is walked by those that follow them."""

SPEAKING_TOO, HEARD = 0.3, 0.8
"""Of the runs that write to streams, in stories with that; and of those, the ones listened to."""

RATED_RUNS = 0.4
"""Of the runs that are not spoken to, those that wait on a queue with rates, in stories with these."""

PRIORITIES, DELAYED, DELAYS = (-1, 0, 0, 1), 0.2, (0.5, 2.0)
"""Of runs on the queue of those that are spoken to; and, in seconds, of others, as many as that."""

PAUSED = 0.4
"""Of the runs that are paused, in stories with that."""

CHANGES_MAX = 3
MUST = "must"
"""Updates whose names begin with it are waited for by the program."""

UPDATE_SECONDS, QUERY_SECONDS, RESULT_SECONDS = 5.0, 2.0, 5.0
"""So long a customer waits for an answer before asking again."""


class Promised(NamedTuple):
    """An update: its name, how long it takes, and whether it fails."""

    name: str
    seconds: float
    fails: bool


def _has(feature: Feature, fleet: Fleet, seed: str, number: int, share: float) -> bool:
    """Whether that run has what its story has."""
    chance = random.Random(f"{seed}/customer {number}/{feature}")
    return feature in fleet.record.features and chance.random() < share


def _give_features(start: Start, features: frozenset[Feature], chance: random.Random) -> None:
    """What the story has beside the rest, as far as it is in what one run is started with."""
    start.program = vary(start.program, features, chance)
    if Feature.RATES in features and start.type == WALK and chance.random() < RATED_RUNS:
        start.options |= {"queue": RATED_QUEUE, "fairness_key": rated_key_of(start.workflow_id)}
    if Feature.TURNS in features and start.type == TALK:
        start.options["priority"] = chance.choice(PRIORITIES)
    elif Feature.TURNS in features and not start.options and chance.random() < DELAYED:
        start.options["delay"] = chance.choice(DELAYS)


class Customer:
    """Who wants one run."""

    def __init__(
        self, start: Start, fleet: Fleet, chance: random.Random, trace: Trace, through: Process | None = None
    ) -> None:
        """``through``: the one process to ask; by default any worker's that is alive."""
        self._start = start
        self._fleet = fleet
        self._record: Record = fleet.record
        self._chance = chance
        self._trace = trace
        self._ask = Asking(fleet, chance, through).ask
        self._promised: list[asyncio.Task[None]] = []
        self._interrupting = random.Random(f"{fleet.seed}/{start.workflow_id}/interrupting")
        self._listening: list[asyncio.Task[None]] = []
        self._record.starts[start.workflow_id] = start

    @classmethod
    def draw(cls, number: int, fleet: Fleet, seed: str, trace: Trace) -> Customer:
        """A customer with a program of their own."""
        chance = random.Random(f"{seed}/customer {number}")
        program = draw_program(chance, transactions=fleet.store.has_transactions)
        type_ = WALK_IN_TIME if chance.random() < IN_TIME else WALK
        last: Node | None = None
        if type_ == WALK and chance.random() < TALKING:
            type_, last = TALK, ["until_changed", chance.randint(0, 2)]
        if type_ != WALK_IN_TIME and _has(Feature.CHAPTERS, fleet, seed, number, CONTINUED):
            chapters = draw_chapters(random.Random(f"{seed}/customer {number}/chapters"), program, CHAPTER_NODES_MAX)
            program = [CHAPTERS, [*chapters, *([last] if last else [])], [], []]
        elif last:
            program = ["sequence", [program, last]]
        if program[0] != CHAPTERS and _has(Feature.SPEECH, fleet, seed, number, SPEAKING_TOO):
            program = [SPEAKING, program]
        start = Start(f"run-{number}", type_, program)
        _give_features(start, fleet.record.features, random.Random(f"{seed}/customer {number}/features"))
        return cls(start, fleet, chance, trace)

    async def visit(self) -> None:
        """All that this customer does, from the start on."""
        chance = self._chance
        await asyncio.sleep(chance.random() * ARRIVAL_SECONDS)
        await self._ask(self._begin)
        self._listen()
        if Feature.PAUSES in self._record.features and self._interrupting.random() < PAUSED:
            self._promised.append(asyncio.create_task(self._interrupt()))
        await asyncio.gather(*(self._say(n, "word") for n in range(chance.randint(0, WORDS_MAX))))
        if self._start.type == TALK:
            changes = (self._change(self._draw_change(n)) for n in range(chance.randint(0, CHANGES_MAX)))
            await asyncio.gather(*changes, self._query(), self._say(0, "note"))
        dice = chance.random()
        if dice < CANCELLED:
            await self._end(lambda engine: engine.get(self._start.workflow_id).cancel("a customer changed their mind"))
        elif dice < CANCELLED + TERMINATED:
            await self._end(lambda engine: engine.get(self._start.workflow_id).terminate("an operator had enough"))
        await self.keep_promises()

    async def begin(self) -> None:
        """Only start the run."""
        await self._ask(self._begin)

    async def visit_in_peace(self) -> None:
        """Only what the program needs to come to its end."""
        await self._ask(self._begin)
        self._listen()
        await self.keep_promises(0.1)

    async def keep_promises(self, seconds: float = 3.0) -> None:
        """Say all that the program waits for without an end."""
        musts = count_musts(self._start.program)
        changes = count_changes(self._start.program)
        self._promised += [
            asyncio.create_task(self._change(Promised(f"{MUST}-{n}", 0.0, False), seconds)) for n in range(changes)
        ]
        await asyncio.gather(*(self._say(n, "must", seconds) for n in range(musts)))

    async def wait_for_promises(self) -> None:
        """An update of a run that is parked has to wait until an operator has looked after that."""
        await asyncio.gather(*self._promised)
        if count_changes(self._start.program):
            await self._query()

    async def _interrupt(self) -> None:
        """Have the run stand still for a while."""
        chance, pause = self._interrupting, RunPause(self._start.workflow_id)
        ask = Asking(self._fleet, chance).ask
        await asyncio.sleep(chance.random() * 3.0)
        self._record.run_pauses.append(pause)

        async def stop(engine: Engine) -> None:
            with suppress(InvalidInput):  # nobody runs it
                await engine.get(pause.workflow_id).pause()
            described = await engine.get(pause.workflow_id).describe()
            if described.condition is Condition.PAUSED:
                pause.run_id, pause.seen = described.run_id, self._fleet.now()

        async def go_on(engine: Engine) -> None:
            with suppress(InvalidInput):  # an answer was lost, and it goes on already
                await engine.get(pause.workflow_id).resume()
            pause.told = self._fleet.now()

        await ask(stop)
        await asyncio.sleep(chance.random() * 2.0)
        pause.resumed = self._fleet.now()
        self._trace(f"{pause.workflow_id} goes on: {pause}")
        await ask(go_on)

    async def hear_the_end(self) -> None:
        """Hear streams out, and ask for the result of a run that has continued, by the run that was begun with."""
        await asyncio.gather(*self._listening)
        if self._start.program[0] == CHAPTERS and not self._start.is_to_be_ended:
            await self._ask(self._hear)

    async def _hear(self, engine: Engine) -> None:
        start = self._start
        try:
            start.told = await engine.get(start.workflow_id, start.run_id).result(timeout=RESULT_SECONDS)
        except WorkflowFailed as error:
            start.told = str(error)

    def _listen(self) -> None:
        """Read along what the run says on its way."""
        start = self._start
        chance = random.Random(f"{self._fleet.seed}/{start.workflow_id}/listening")
        if start.program[0] == SPEAKING and start.run_id is not None and chance.random() < HEARD:
            hearing = Hearing(start.workflow_id, start.run_id, chance.choice((TOLD, ACTS)))
            self._record.hearings.append(hearing)
            self._listening.append(asyncio.create_task(listen(hearing, self._ask, chance)))

    async def _begin(self, engine: Engine) -> None:
        start = self._start
        start.asked = start.asked or self._fleet.now()
        handle: RunHandle[Any] = await engine.start(start.type, start.program, id=start.workflow_id, **start.options)
        start.is_acknowledged, start.run_id = True, start.run_id or handle.run_id
        start.acknowledged = start.acknowledged or self._fleet.now()
        self._trace(f"{start.workflow_id} is acknowledged as {handle.run_id}")

    async def _say(self, n: int, name: str, seconds: float = 3.0) -> None:
        await asyncio.sleep(self._chance.random() * seconds)
        signal = Signal(self._start.workflow_id, name, f"{name}-{n}")
        self._record.signals.append(signal)

        async def say(engine: Engine) -> None:
            await engine.get(signal.workflow_id).signal(name, n, id=signal.id)
            signal.is_acknowledged = True
            if self._chance.random() < 0.1:  # the network repeats it
                await engine.get(signal.workflow_id).signal(name, n, id=signal.id)

        await self._ask(say)

    def _draw_change(self, n: int) -> Promised:
        chance = self._chance
        name = f"{REFUSED}-{n}" if chance.random() < 0.25 else f"{n}"
        return Promised(name, chance.choice((0.0, 0.0, 0.3, 2.0)), chance.random() < 0.15)

    async def _change(self, wanted: Promised, seconds: float = 3.0) -> None:
        """Have an update done; what came of it is noted."""
        await asyncio.sleep(self._chance.random() * seconds)
        change = Change(self._start.workflow_id, wanted.name, f"change-{wanted.name}")
        self._record.changes.append(change)

        async def ask(engine: Engine) -> None:
            handle = engine.get(change.workflow_id)
            try:
                change.value = await handle.update("change", *wanted, id=change.id, timeout=UPDATE_SECONDS)
                change.answer = "value"
            except UpdateRejected:
                change.answer = "rejected"
            except UpdateFailed:
                change.answer = "failed"
            except RunClosed:
                change.answer = "closed"
            except TimedOut:
                if wanted.name.startswith(MUST):
                    raise

        await self._ask(ask)

    async def _query(self) -> None:
        """Ask what the run has done of what this customer knows of, once, if it can be asked just then."""
        await asyncio.sleep(self._chance.random() * 3.0)
        workflow_id = self._start.workflow_id

        async def ask(engine: Engine) -> None:
            known = [each.name for each in self._record.changes if self._has_made(each)]
            try:
                changes = await engine.get(workflow_id).query("changed", timeout=QUERY_SECONDS)
            except (Blocked, NoWorker, TimedOut):
                return
            self._record.answers.append(Answer(workflow_id, changes, known))

        await self._ask(ask)

    def _has_made(self, change: Change) -> bool:
        return change.workflow_id == self._start.workflow_id and change.answer == "value"

    async def _end(self, end: Callable[[Engine], Awaitable[None]]) -> None:
        await asyncio.sleep(self._chance.random() * 3.0)
        self._start.is_to_be_ended = True
        await self._ask(end)


class Caller:
    """The other side of callbacks: completes what steps were asked to have completed, some of it twice, some never."""

    def __init__(self, fleet: Fleet, seed: str) -> None:
        self._fleet = fleet
        self._chance = random.Random(f"{seed}/caller")
        self._seen = 0

    async def run(self) -> None:
        """Call back for ever."""
        while True:
            await asyncio.sleep(0.25)
            asked = self._fleet.record.executions[self._seen :]
            self._seen += len(asked)
            for each in asked:
                if each.name.startswith("ask ") and self._chance.random() < 0.7:
                    await self._call_back(each.name.removeprefix("ask "))

    async def _call_back(self, token: str) -> None:
        alive = [each for each in self._fleet.alive() if each.is_open]
        if not alive:
            return
        process = self._chance.choice(alive)
        try:
            for _ in range(self._chance.choice((1, 1, 2))):
                await process.call(process.engine.complete_callback(token, "called back"))
        except (Died, JournalError, NotFound, InvalidInput):
            return
