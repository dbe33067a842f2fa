"""Client: one caller among many, who does at random what the API offers to few workflow ids, and records it all.

A client whose store says ``StoreUnavailable`` does not know what happened. Where the second time must not count it
says the same thing again, as a careful caller would.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextvars import ContextVar

import msgspec

from keepstep import Cancelled, Engine, Error, NoWorker, RunHandle, Terminated, TimedOut
from keepstep.journal import IdFactory, StoreUnavailable

from .notes import workflow_of
from .operation import (
    Answer,
    Call,
    Cancel,
    Describe,
    Done,
    Ended,
    Kind,
    Policy,
    Program,
    Query,
    Ran,
    Refused,
    Result,
    Seen,
    Signal,
    Start,
    Terminate,
    Told,
    Update,
)
from .recording import Recorder

PROGRAM_SIZE_MAX = 3
ASKED_SIZE_MAX = 6
"""Of runs that are asked: they should be open for some time."""
CONCLUDING_SECONDS_MAX = 60.0
"""By then a run that has every reason to end must have ended."""
REPEATED = 0.3
"""Share of accepted cancels, updates, and signals with a message id, that are said once more."""
REFUSABLE = 0.2
"""Share of updates whose note the client knows to be there already, if that run is still the one that took it."""
REPEATS_MAX = 3

_KINDS: tuple[Kind, ...] = ("plain", "stepped", "careful", "asked", "asked")
_POLICIES: tuple[Policy, ...] = ("attach", "attach", "attach", "reject", "restart")

_PLAIN: dict[str, Callable[[str | None], Call]] = {
    "cancel": Cancel,
    "terminate": Terminate,
    "query": Query,
    "describe": Describe,
    "result": Result,
}

_CHOICES = {"start": 26, "signal": 34, "cancel": 7, "terminate": 5, "describe": 14, "result": 14}
"""How often each call is chosen."""
_CHOICES_WHERE_ASKED = {"start": 18, "signal": 14, "update": 34, "query": 16, "cancel": 3, "terminate": 2}
_CHOICES_WHERE_ASKED |= {"describe": 8, "result": 6}

_proposed: ContextVar[str] = ContextVar("proposed_run_id", default="")


def proposing(ids: IdFactory) -> IdFactory:
    """An id factory for an engine that gives a client's start the run id which the client has recorded for it."""

    def make() -> str:
        proposed = _proposed.get()
        _proposed.set("")
        return proposed or ids()

    return make


class Scenario(msgspec.Struct, frozen=True):
    """What the clients of one history have in common."""

    subjects: tuple[str, ...]
    programs: dict[str, tuple[Program, ...]]
    """Few for each id, so that starts of one input meet."""
    calls: int
    """Of each client."""
    pause_seconds_max: float
    result_seconds_max: float
    """How long a client waits for a result before it turns to something else."""


def draw_scenario(
    chance: random.Random, *, subjects: int, calls: int, pause_seconds_max: float, result_seconds_max: float
) -> Scenario:
    """A scenario by chance."""
    names = tuple(f"id-{n}" for n in range(subjects))
    programs = {each: tuple(_draw_program(chance) for _ in range(chance.choice((1, 2)))) for each in names}
    return Scenario(names, programs, calls, pause_seconds_max, result_seconds_max)


def _draw_program(chance: random.Random) -> Program:
    kind = chance.choice(_KINDS)
    return Program(kind, chance.choice((2, 4, ASKED_SIZE_MAX) if kind == "asked" else (0, 1, 2, 2, PROGRAM_SIZE_MAX)))


class Client:
    """See the module's docstring. ``known`` is shared by the clients of a process: run ids they have heard of."""

    def __init__(
        self,
        name: str,
        engine: Engine,
        scenario: Scenario,
        recorder: Recorder,
        chance: random.Random,
        ids: IdFactory,
        known: dict[str, list[str]],
    ) -> None:
        self.name = name
        self.calls_left = scenario.calls
        self._engine = engine
        self._scenario = scenario
        self._recorder = recorder
        self._chance = chance
        self._ids = ids
        self._known = known
        self._notes = 0
        self._added: dict[str, list[str]] = {}
        """Notes of its own updates that were accepted, of each workflow id."""
        self._is_concluding = False

    async def run(self) -> None:
        """Make all calls, one after the other."""
        while self.calls_left > 0:
            self.calls_left -= 1
            await asyncio.sleep(self._chance.uniform(0, self._scenario.pause_seconds_max))
            subject = self._chance.choice(self._scenario.subjects)
            await self._perform(subject, self._choose(subject))

    async def conclude(self, subject: str) -> None:
        """Bring an id to its end and ask how each of its runs ended: whatever was lost before shows now."""
        self._is_concluding = True
        await self._perform(subject, self._signal(None))
        await self._perform(subject, self._update(subject, None))
        await self._perform(subject, Cancel(None))
        for run_id in [None, *self._known.get(subject, ())]:
            await self._perform(subject, Result(run_id))
            await self._perform(subject, Describe(run_id))
            await self._perform(subject, Query(run_id))

    def _choose(self, subject: str) -> Call:
        run_id = self._chance.choice([None, *self._known.get(subject, ())[-3:]])
        is_asked = any(each.kind == "asked" for each in self._scenario.programs[subject])
        choices = _CHOICES_WHERE_ASKED if is_asked else _CHOICES
        [kind] = self._chance.choices(tuple(choices), tuple(choices.values()))
        if kind == "start":
            program = self._chance.choice(self._scenario.programs[subject])
            return Start(self._ids(), program, self._chance.choice(_POLICIES), self._chance.choice(_POLICIES))
        if kind == "signal":
            return self._signal(run_id)
        if kind == "update":
            return self._update(subject, run_id)
        return _PLAIN[kind](run_id)

    def _signal(self, run_id: str | None) -> Signal:
        note = self._next_note()
        return Signal(run_id, note, note if self._chance.random() < 0.5 else None)

    def _update(self, subject: str, run_id: str | None) -> Update:
        note = update_id = self._next_note()
        added = self._added.get(subject, [])
        if added and self._chance.random() < REFUSABLE:
            note = added[-1]
        return Update(run_id, note, update_id)

    def _next_note(self) -> str:
        self._notes += 1
        return f"{self.name}.{self._notes}"

    async def _perform(self, subject: str, call: Call) -> None:
        """Make a call; what counts once however often it is said, again while its outcome is unknown, and by chance."""
        is_repeatable = isinstance(call, Cancel | Update) or (isinstance(call, Signal) and call.message_id is not None)
        for _ in range(REPEATS_MAX):
            is_known = await self._record(subject, call)
            if not is_repeatable or (is_known and self._chance.random() >= REPEATED):
                return

    async def _record(self, subject: str, call: Call) -> bool:
        """Make a call; False if nobody knows what came of it."""
        number = self._recorder.call(self.name, subject, call)
        try:
            answer = await self._answer(subject, call)
        except StoreUnavailable:
            return False
        except (TimedOut, NoWorker) as error:  # the waiting has ended, not what is waited for
            if not self._is_concluding:
                return not isinstance(call, Update)
            answer = Refused(type(error).__name__)
        self._recorder.answer(self.name, number, answer)
        if isinstance(call, Update) and isinstance(answer, Told):
            self._added.setdefault(subject, []).append(call.note)
        if isinstance(answer, Ran) and answer.run_id not in self._known.setdefault(subject, []):
            self._known[subject].append(answer.run_id)
        return True

    async def _answer(self, subject: str, call: Call) -> Answer:
        """Make a call, and its outcome an answer. Errors that the model does not expect are answers that never fit."""
        try:
            if isinstance(call, Start):
                return await self._start(subject, call)
            patience = CONCLUDING_SECONDS_MAX if self._is_concluding else self._scenario.result_seconds_max
            return await _ask(self._engine.get(subject, call.run_id), call, patience)
        except (StoreUnavailable, TimedOut, NoWorker):
            raise
        except Error as error:
            return Refused(type(error).__name__)

    async def _start(self, subject: str, call: Start) -> Ran:
        _proposed.set(call.run_id)
        run = await self._engine.start(
            workflow_of(call.program),
            call.program,
            id=subject,
            if_running=call.if_running,
            if_closed=call.if_closed,
        )
        assert run.run_id is not None
        return Ran(run.run_id)


async def _ask(
    run: RunHandle[list[str]],
    call: Signal | Update | Query | Cancel | Terminate | Describe | Result,
    result_seconds_max: float,
) -> Answer:
    match call:
        case Signal():
            await run.signal("note", call.note, id=call.message_id)
        case Update():
            return Told(tuple(await run.update("add", call.note, id=call.update_id, timeout=result_seconds_max)))
        case Query():
            return Told(tuple(await run.query("seen", timeout=result_seconds_max)))
        case Cancel():
            await run.cancel()
        case Terminate():
            await run.terminate()
        case Describe():
            info = await run.describe()
            return Seen(info.run_id, info.status.value)
        case Result():
            return await _result(run, result_seconds_max)
    return Done()


async def _result(run: RunHandle[list[str]], seconds_max: float) -> Ended:
    try:
        return Ended("completed", tuple(await run.result(seconds_max)))
    except Terminated:
        return Ended("terminated")
    except Cancelled:
        return Ended("cancelled")
