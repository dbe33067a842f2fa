"""Admission: how a run that this worker owns comes into its memory, and begins.

It was claimed, or left by a claim whose answer was lost, and is read from the journal; or it was started here, under
this worker's lease, and is known already. What is said to it in the meantime is kept until it begins. Whatever is wrong
with one run, the others are admitted; a suspect is admitted alone (``probe``).
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from keepstep.journal import (
    PROBE_STRIKES,
    Condition,
    JournalError,
    Loaded,
    Message,
    NewEvent,
    NewRun,
    NotFound,
    ParentLink,
    Run,
    Started,
    Unreadable,
)
from keepstep.runtime import history
from keepstep.runtime.blocked import Diff
from keepstep.runtime.code_version import split_queue
from keepstep.runtime.execution import Execution, Identity
from keepstep.runtime.history import pack
from keepstep.runtime.workflow import Workflow

from .debounced import begins_as, go_on_as
from .identity import identity_of
from .pause import is_paused
from .resident import WORKFLOW_TIMEOUT_KEY, Resident

if TYPE_CHECKING:
    from .worker import Worker

logger = logging.getLogger("keepstep.worker")

EARLY_RUNS_MAX = 10_000
"""Runs for which messages are kept before they have begun."""


class Admission:
    """See the module."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._early: OrderedDict[str, dict[int, Message]] = OrderedDict()
        """Messages to runs that are just being brought into memory."""

    # what is said too early

    def keep_early(self, run_id: str, said: Iterable[Message]) -> None:
        """Keep what was said to a run that has not begun."""
        self._early.setdefault(run_id, {}).update((each.n, each) for each in said)

    def forget_early_if_too_many(self) -> bool:
        """Forget everything that was kept, if it is too much; then it must be read again."""
        if len(self._early) <= EARLY_RUNS_MAX:
            return False
        self._early.clear()
        return True

    # runs that the journal knows

    async def take_up(self, owned: Sequence[Run]) -> None:
        """Bring runs into memory that this worker owns, as far as they are not there."""
        fine: list[Run] = []
        for run in owned:
            if self._is_in_hand(run.run_id, run.epoch):
                continue
            if run.strikes >= PROBE_STRIKES:  # nobody else waits for its turn to be probed, which may be long in coming
                self._worker.spawn(self.load(run))
            else:
                fine.append(run)
        if fine:
            await asyncio.gather(*(self.load(run) for run in fine))

    def _is_in_hand(self, run_id: str, epoch: int) -> bool:
        """Whether an owning of a run is in memory already.

        What is there of an earlier owning is forgotten: it was given back or taken away, and has not heard of it yet.
        """
        resident = self._worker.residents.get(run_id)
        if resident is None:
            return False
        if resident.epoch >= epoch:
            return True
        self._worker.drop(resident)
        return False

    async def load(self, run: Run) -> Resident | None:
        """Bring a claimed run into memory."""
        workflow = self._worker.served.find(run.type, run.queue)
        if workflow is None or self._is_in_hand(run.run_id, run.epoch):
            return None
        self._early.pop(run.run_id, None)  # of an earlier owning; the journal knows what is left of that
        await self._worker.until_heard(run.run_id)
        try:
            loaded = await self._worker.journal.load(run.run_id)
        except NotFound:
            return None
        except Unreadable as error:
            await self._worker.unreadable.park(run, error)
            return None
        except JournalError as error:
            logger.warning("run %s could not be read (%s); it is read again", run.run_id, error)
            self._worker.spawn(self._load_later(run))
            return None
        if run.strikes < PROBE_STRIKES:
            return self._take_in(run, workflow, loaded)
        logger.warning("run %s has been claimed by %d workers that died; it is probed", run.run_id, run.strikes)
        await self._worker.probe.begin(run.run_id)
        try:
            return self._take_in(run, workflow, loaded)
        finally:
            await self._worker.probe.end()

    def _take_in(self, run: Run, workflow: Workflow[Any, Any], loaded: Loaded) -> Resident | None:
        is_ours = loaded.run.owner == self._worker.lease_id and loaded.run.epoch == run.epoch
        if not is_ours or self._is_in_hand(run.run_id, run.epoch):
            return None
        if begins_as(loaded):
            self._worker.spawn(self._go_on(run, workflow, loaded))
            return None
        try:
            return self._admit(workflow, loaded)
        except Exception:  # whatever is wrong with one run must not stop the others
            logger.exception(
                "run %s cannot be brought into memory; it stays as it is until this worker ends", run.run_id
            )
            self._worker.residents.pop(run.run_id, None)
            return None

    async def _go_on(self, run: Run, workflow: Workflow[Any, Any], loaded: Loaded) -> None:
        if not await go_on_as(self._worker, run, workflow, loaded):
            await self._load_later(run)

    async def _load_later(self, run: Run) -> None:
        await asyncio.sleep(1.0)
        if self._worker.is_open:
            await self.load(run)

    def _admit(self, workflow: Workflow[Any, Any], loaded: Loaded) -> Resident:
        run = loaded.run
        parent = None
        if run.parent_run_id is not None:
            parent = ParentLink(run.parent_run_id, run.parent_key or "")
        identity = identity_of(run, self._worker.options.callback_base)
        execution = Execution(workflow, identity, self._worker.interceptors)
        execution.value_bytes_max = self._worker.journal.value_bytes_max
        resident = Resident(self._worker, execution, epoch=run.epoch, last_seq=run.last_seq, parent=parent)
        resident.attributes, resident.input_digest = dict(run.attributes), run.input_digest
        resident.is_suspect = run.strikes > 0
        resident.is_probed = run.strikes >= PROBE_STRIKES
        resident.is_shown = bool(run.condition)
        self._worker.residents[run.run_id] = resident
        try:
            self._set_timeout(resident, loaded.events[0].data)
        except Exception as error:
            self._park_unreadable(resident, error)
            return resident
        if run.epoch == 1 and run.last_seq == 1 and self._is_late(run.started_at):
            resumed = resident.event(history.RESUMED, None, pack(history.Resumed()))
            self._worker.spawn(self._begin_late(resident, loaded, resumed))
        else:
            self._begin_loaded(resident, loaded)
        return resident

    def _begin_loaded(self, resident: Resident, loaded: Loaded) -> None:
        try:
            self._begin(resident, loaded)
        except Exception as error:
            self._park_unreadable(resident, error)

    def _park_unreadable(self, resident: Resident, error: Exception) -> None:
        """Whatever is wrong with what one run has recorded must not stop the others, and must be told."""
        logger.error("run %s cannot be brought into memory: %r", resident.run_id, error, exc_info=error)
        resident.parking.block(Diff(f"what is recorded of this run cannot be read: {error!r}"))
        resident.parking.finish()

    def _begin(self, resident: Resident, loaded: Loaded) -> None:
        said = {each.n: each for each in loaded.messages} | self._early.pop(resident.run_id, {})
        messages = [said[n] for n in sorted(said)]
        if is_paused(loaded.run.condition, messages):
            resident.parking.stay_paused(messages)
            return
        resident.begin(loaded.events, loaded.state, is_first=loaded.run.epoch == 1)
        resident.take_messages(messages)
        resident.offer_tasks()
        if loaded.run.condition is Condition.BLOCKED:
            resident.show_unblocked()

    def _is_late(self, started_at: int) -> bool:
        return self._worker.journal.clock.now() - started_at > 1_000_000

    async def _begin_late(self, resident: Resident, loaded: Loaded, resumed: NewEvent) -> None:
        """The first turn comes long after the start: its time is recorded first, so that ``now()`` is true."""
        try:
            await asyncio.shield(resident.append(resumed))
            loaded = await self._worker.journal.load(resident.run_id)
        except JournalError as error:
            logger.warning("run %s could not be begun (%s); it is read again", resident.run_id, error)
            self._worker.reload(resident)
            return
        if not resident.is_dropped:
            self._begin_loaded(resident, loaded)

    def _set_timeout(self, resident: Resident, started: bytes) -> None:
        seconds = history.unpack(history.WORKFLOW_STARTED, started).timeout_seconds
        if seconds is not None:
            deadline = resident.execution.identity.started_at + round(seconds * 1e6)
            resident.wake_at(WORKFLOW_TIMEOUT_KEY, deadline)

    # runs that were started here

    def adopt(self, new: NewRun, started: Started) -> None:
        """A run was started under this worker's lease: advance it, without reading it back."""
        workflow = self._worker.served.find(new.type, new.queue)
        if workflow is None or not self._worker.is_open or self._is_in_hand(started.run_id, started.epoch):
            return
        if new.lease_id != self._worker.lease_id:  # the answer was long in coming, and the lease is another one by now
            return
        identity = Identity(
            run_id=new.run_id,
            workflow_id=new.workflow_id,
            namespace=new.namespace,
            type=new.type,
            queue=split_queue(new.queue, new.type)[0],
            started_at=new.started_at,
            callback_base=self._worker.options.callback_base,
        )
        execution = Execution(workflow, identity, self._worker.interceptors)
        execution.value_bytes_max = self._worker.journal.value_bytes_max
        resident = Resident(self._worker, execution, epoch=started.epoch, last_seq=len(new.events), parent=new.parent)
        resident.attributes, resident.input_digest = dict(new.attributes), new.input_digest
        self._worker.residents[new.run_id] = resident
        self._set_timeout(resident, new.events[0].data)
        asyncio.get_running_loop().call_soon(self._begin_adopted, resident, new.events)

    def _begin_adopted(self, resident: Resident, events: Sequence[NewEvent]) -> None:
        if not resident.is_dropped:
            resident.begin([history.recorded(seq, each) for seq, each in enumerate(events, 1)], {}, is_first=True)
            resident.take_messages(list(self._early.pop(resident.run_id, {}).values()))
            resident.offer_tasks()
