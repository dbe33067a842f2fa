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

from keepstep import Cancelled, Engine, Error, RunHandle, Terminated, TimedOut
from keepstep.journal import IdFactory, StoreUnavailable

from .notes import keep_notes
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
    Ran,
    Refused,
    Result,
    Seen,
    Signal,
    Start,
    Terminate,
)
from .recording import Recorder

PROGRAM_SIZE_MAX = 3
CONCLUDING_SECONDS_MAX = 60.0
"""By then a run that has every reason to end must have ended."""
REPEATED = 0.3
"""Share of accepted cancels, and signals with a message id, that are said once more."""
REPEATS_MAX = 3

_KINDS: tuple[Kind, ...] = ("plain", "stepped", "careful")
_POLICIES: tuple[Policy, ...] = ("attach", "attach", "attach", "reject", "restart")

_PLAIN: dict[str, Callable[[str | None], Call]] = {
    "cancel": Cancel,
    "terminate": Terminate,
    "describe": Describe,
    "result": Result,
}

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
    programs = {
        each: tuple(
            Program(chance.choice(_KINDS), chance.choice((0, 1, 2, 2, PROGRAM_SIZE_MAX)))
            for _ in range(chance.choice((1, 2)))
        )
        for each in names
    }
    return Scenario(names, programs, calls, pause_seconds_max, result_seconds_max)


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
        await self._perform(subject, Cancel(None))
        for run_id in [None, *self._known.get(subject, ())]:
            await self._perform(subject, Result(run_id))
            await self._perform(subject, Describe(run_id))

    def _choose(self, subject: str) -> Call:
        run_id = self._chance.choice([None, *self._known.get(subject, ())[-3:]])
        kind = self._chance.choices(
            ("start", "signal", "cancel", "terminate", "describe", "result"), (26, 34, 7, 5, 14, 14)
        )[0]
        if kind == "start":
            program = self._chance.choice(self._scenario.programs[subject])
            return Start(self._ids(), program, self._chance.choice(_POLICIES), self._chance.choice(_POLICIES))
        if kind == "signal":
            return self._signal(run_id)
        return _PLAIN[kind](run_id)

    def _signal(self, run_id: str | None) -> Signal:
        self._notes += 1
        note = f"{self.name}.{self._notes}"
        return Signal(run_id, note, note if self._chance.random() < 0.5 else None)

    async def _perform(self, subject: str, call: Call) -> None:
        """Make a call; a cancel, and a signal with a message id, again while its outcome is unknown, and by chance."""
        is_repeatable = isinstance(call, Cancel) or (isinstance(call, Signal) and call.message_id is not None)
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
        except TimedOut as error:  # of the waiting for a result
            if not self._is_concluding:
                return True
            answer = Refused(type(error).__name__)
        self._recorder.answer(self.name, number, answer)
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
        except (StoreUnavailable, TimedOut):
            raise
        except Error as error:
            return Refused(type(error).__name__)

    async def _start(self, subject: str, call: Start) -> Ran:
        _proposed.set(call.run_id)
        run = await self._engine.start(
            keep_notes, call.program, id=subject, if_running=call.if_running, if_closed=call.if_closed
        )
        assert run.run_id is not None
        return Ran(run.run_id)


async def _ask(
    run: RunHandle[list[str]], call: Signal | Cancel | Terminate | Describe | Result, result_seconds_max: float
) -> Answer:
    match call:
        case Signal():
            await run.signal("note", call.note, id=call.message_id)
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
