"""Operator: the person who looks after runs that wait for one, when all else is quiet.

Whatever keeps a run from its end without anything being wrong with the engine must be visible in ``describe()`` and be
something that an operator can do: say what happened to an uncertain step, let an exhausted undo or a quarantined run
try again, deploy code that fits a blocked run.
"""

from __future__ import annotations

import asyncio

from keepstep.client.info import RunInfo
from keepstep.journal import Condition, InvalidInput, JournalError

from .fleet import Fleet
from .language import CONTRADICTING, NEWEST
from .process import Died, Process
from .record import Deed, Planned
from .trace import Trace

LOOK_SECONDS = 2.0
SETTLING_MICROSECONDS = 10_000_000
"""So long after the end of a schedule its last firing, with the jitter, has been made up for sure."""

PATIENCE_SECONDS = 240.0


class Operator:
    """See the module's docstring."""

    def __init__(self, fleet: Fleet, trace: Trace) -> None:
        self._fleet = fleet
        self._trace = trace
        self._is_to_be_deployed = False

    async def deploy_newest(self) -> None:
        """The newest code everywhere. Processes that have it live on: what they hold must come to its end with them."""
        self._fleet.version = NEWEST
        for place, process in enumerate(list(self._fleet.places)):
            if process is None or process.is_dead or process.version != NEWEST:
                await self._fleet.restart(place)

    async def look_after_runs(self) -> None:
        """Look after runs until none is open; give up after a while."""
        fleet = self._fleet
        deadline = fleet.loop.time() + PATIENCE_SECONDS
        while fleet.loop.time() < deadline:
            await asyncio.sleep(LOOK_SECONDS)
            open_ = [each for each in fleet.alive() if each.is_open]
            try:
                if open_ and not await open_[0].call(self._look(open_[0])):
                    return
            except (JournalError, Died) as error:
                self._trace(f"the operator was refused: {error}")
            if self._is_to_be_deployed:
                self._is_to_be_deployed = False
                await fleet.restart(len(fleet.places) - 1)

    async def _look(self, process: Process) -> int:
        """Look once at every open run; how many there are."""
        count = 0
        is_blocked = False
        async for info in process.engine.list("status = 'running'"):
            count += 1
            try:
                await self._tend(process, info)
            except (JournalError, Died) as error:
                self._trace(f"the operator was refused: {error}")
            is_blocked = is_blocked or info.condition is Condition.BLOCKED
        if is_blocked and self._fleet.version == NEWEST:
            self._fleet.version = CONTRADICTING
            self._note("deployed the code that began what is blocked")
            self._is_to_be_deployed = True
        return count + await self._count_schedules(process)

    async def _count_schedules(self, process: Process) -> int:
        """Schedules that have something to do yet. What was due a moment ago is in none of their lists."""
        planned = self._fleet.record.planned
        if not planned:
            return 0
        count = 0
        async for info in process.engine.list_schedules():
            plan = planned[info.id][-1]
            if info.paused:
                await self._resume(process, plan)
            is_over = self._fleet.now() > plan.end + SETTLING_MICROSECONDS
            count += info.paused or not is_over or bool(info.upcoming or info.running or info.buffered or info.asked)
        return count

    async def _resume(self, process: Process, planned: Planned) -> None:
        self._note(f"resumed {planned.id}")
        deed = Deed("resume", self._fleet.now())
        planned.deeds.append(deed)
        await process.engine.get_schedule(planned.id).resume()
        deed.told = self._fleet.now()

    async def _tend(self, process: Process, info: RunInfo) -> None:
        handle = process.engine.get(info.id, info.run_id)
        if info.condition is Condition.QUARANTINED:
            self._note(f"let {info.id} out of quarantine")
            await handle.retry()
        if info.condition is Condition.PAUSED:
            await self._have_go_on(process, info)
        for waiting in info.waiting_for:
            if waiting.parked == "uncertain":
                self._note(f"said what became of {waiting.key} of {info.id}")
                await process.engine.resolve(info.id, waiting.key, "said by an operator")
            elif waiting.parked == "undo_exhausted":
                self._note(f"had {info.id} go on undoing")
                await handle.retry()

    async def _have_go_on(self, process: Process, info: RunInfo) -> None:
        """A run that stands still although whoever has paused it had it go on."""
        pauses = [each for each in self._fleet.record.run_pauses if each.workflow_id == info.id]
        if any(each.told is None for each in pauses):
            return
        try:
            await process.engine.get(info.id, info.run_id).resume()
        except InvalidInput:  # it goes on by now
            return
        self._note(f"had {info.id} go on")
        for each in pauses:
            each.is_found = True

    def _note(self, what: str) -> None:
        self._fleet.record.operator.append(what)
        self._trace(f"the operator {what}")
