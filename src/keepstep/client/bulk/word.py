"""Word: what a bulk says to one run. It returns why nothing had to be done, or "" if it was done now.

What it raises is why the run refuses. ``RunClosed`` and ``NotFound`` are no refusal: the run was quicker.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from keepstep.client.ending import terminate
from keepstep.client.retrying import has_exhausted_undo, retry
from keepstep.journal import Condition, InvalidInput, Journal, NewMessage, Run, RunClosed, Status
from keepstep.runtime import history
from keepstep.worker.observer import Observers
from keepstep.worker.revival import failure_of

from .continued import current, goes_on_as

Word = Callable[[Run], Awaitable[str]]

EVENTS_PAGE = 1000

RECEIVED = (history.SIGNAL_RECEIVED, history.CANCEL_REQUESTED)


class Letter:
    """A message to each run, with an id made of the bulk's and the run's, by which a second one is dropped.

    It follows a run that has continued as new. Signals that nobody has received go over with their ids; what was
    received is in the history.
    """

    def __init__(self, journal: Journal, bulk_id: str, kind: str, name: str, data: bytes) -> None:
        self._journal = journal
        self._bulk_id = bulk_id
        self._kind = kind
        self._name = name
        self._data = data

    async def send(self, run: Run) -> str:
        id, goes_on = message_id(self._bulk_id, run), run
        while True:
            message = NewMessage(run_id=goes_on.run_id, kind=self._kind, name=self._name, data=self._data, id=id)
            try:
                sent = await self._journal.send(message)
                return "it was told so before" if sent.duplicate else ""
            except RunClosed:
                following = await goes_on_as(self._journal, goes_on)
                if following is None:
                    raise
                if await self._was_received(goes_on, id):
                    return "it was told so before"
                goes_on = following

    async def _was_received(self, run: Run, id: str) -> bool:
        seq = 0
        while page := await self._journal.read_events(run.run_id, seq, EVENTS_PAGE):
            for event in page:
                if event.type in RECEIVED and history.unpack(event.type, event.data).message_id == id:
                    return True
            seq = page[-1].seq
        return False


class Termination:
    """The end of each run, by force."""

    def __init__(self, journal: Journal, reason: str, observers: Observers | None = None) -> None:
        self._journal = journal
        self._observers = observers
        self._reason = reason

    async def end(self, run: Run) -> str:
        """The run as it was found is tried first; if it went on, it is read again."""
        goes_on = [run]

        async def read() -> Run:
            if goes_on and goes_on[0].status is Status.RUNNING:
                return goes_on.pop()
            return await current(self._journal, run)

        await terminate(self._journal, read, self._reason, is_certain=True, observers=self._observers)
        return ""


class Retrial:
    """Another try for each run."""

    def __init__(self, journal: Journal, bulk_id: str) -> None:
        self._journal = journal
        self._bulk_id = bulk_id

    async def judge(self, run: Run) -> str:
        """What would come of it, as far as can be told without doing it."""
        if run.condition is Condition.UNCERTAIN and not has_exhausted_undo(run):
            raise InvalidInput(f"run {run.workflow_id!r} is uncertain: somebody must say what happened (resolve)")
        if run.condition is Condition.COMPENSATING and not has_exhausted_undo(run):
            return "it is undoing what it did, and nothing in it waits for a retry"
        if run.status is Status.FAILED:
            await self._check_newest(run)
            await failure_of(self._journal, run)
        return ""

    async def _check_newest(self, run: Run) -> None:
        """What a later run of the same id has done must not be done once more; of one run somebody may know better."""
        newest = await self._journal.find_run(run.namespace, run.workflow_id)
        if newest is not None and newest.run_id != run.run_id:
            raise InvalidInput(
                f"{run.workflow_id!r} was started again, as run {newest.run_id}; if this one is to go on all the same, "
                f"retry it by its run id, {run.run_id}"
            )

    async def begin(self, run: Run) -> str:
        if run.status is Status.FAILED:
            await self._check_newest(run)
        elif run.status is Status.RUNNING and (why := await self.judge(run)):
            return why
        is_new = await retry(self._journal, run, message_id(self._bulk_id, run))
        return "" if is_new else "it was told so before"


def message_id(bulk_id: str, run: Run) -> str:
    """By which the run knows what this bulk says to it."""
    return f"{bulk_id}/{run.run_id}"
