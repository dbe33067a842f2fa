"""Updating: how updates of a run in memory are accepted, recorded and answered.

    asked ─► the run is settled ─► validator ─► update_accepted durable ─► handler ─► outcome durable ─► answered

An update is accepted by the commit of its event, and a rejected one has none. Its validator sees the run as it is with
everything recorded so far, and nothing else is on its way into the history then: the run is *settled*. A run that is so
busy that it never is would keep its updates waiting for ever; after ``PATIENCE_SECONDS`` one is accepted all the same,
and what is on its way comes between what its validator saw and what its handler finds.

What is asked for by an id that the history has is answered from there; one that a run before this one of its chain has
had (``keepstep.runtime.heard``) is for whoever asks to be read there. Nothing in here is durable: whoever asked and
got no answer, because this process died or gave the run back, asks again by the same id.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from keepstep.journal import InvalidInput, Message, NewEvent
from keepstep.runtime import history
from keepstep.runtime.data import describe, encode_failure
from keepstep.runtime.errors import Disturbed, UpdateRejected
from keepstep.runtime.handling import UpdateOutcome
from keepstep.runtime.history import pack

from .reply import UPDATE, Reply, ReplyKind, UpdateRequest, again, decode_request, earlier, reply_of

if TYPE_CHECKING:
    from .resident import Resident

Validate = Callable[[str, bytes], None]

PATIENCE_SECONDS = 0.5

UPDATE_OUTCOMES = (history.UPDATE_COMPLETED, history.UPDATE_FAILED)

WAITING_MAX = 10_000
"""Callers that wait for updates of one run; no more are listened to."""


class Wanted(msgspec.Struct, frozen=True):
    """An update that somebody has asked for, and that was neither accepted nor rejected yet."""

    name: str
    request: UpdateRequest


class Updating:
    """See the module's docstring; one for each resident that is asked for an update."""

    def __init__(self, resident: Resident) -> None:
        self._resident = resident
        self._handling = resident.execution.handling
        self._handling.on_outcome = self._tell
        self._wanted: deque[Wanted] = deque()
        self._wanted_since = 0.0
        self._accepting: set[str] = set()
        """Updates whose acceptance is on its way into the history."""
        self._callers: dict[str, list[asyncio.Future[Reply]]] = {}

    @property
    def is_busy(self) -> bool:
        """Somebody has asked for something that is not decided."""
        return bool(self._wanted)

    async def perform(self, name: str, request: UpdateRequest) -> Reply:
        """Have an update done, once by its id, and wait for what comes of it."""
        if (outcome := self._handling.updates.get(request.id)) is not None:
            return reply_of(outcome)
        if before := self._before(request.id):
            return earlier(before)
        if sum(map(len, self._callers.values())) >= WAITING_MAX:
            return again(f"{WAITING_MAX} callers wait for updates of this run")
        is_new = not self.knows(request.id) and request.id not in self._callers
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._callers.setdefault(request.id, []).append(answered)
        if is_new:
            self._want(Wanted(name, request))
        try:
            return await answered
        finally:
            callers = self._callers.get(request.id)
            if callers is not None:
                callers.remove(answered)
                if not callers:
                    del self._callers[request.id]

    def _want(self, wanted: Wanted) -> None:
        if not self._wanted:
            self._wanted_since = self._resident.worker.journal.clock.monotonic()
        self._wanted.append(wanted)
        self.decide()

    def knows(self, id: str) -> bool:
        """True if an update of that id was accepted, or is just being, by this run or one that it continues."""
        return id in self._handling.updates or id in self._accepting or bool(self._before(id))

    def _before(self, id: str) -> str:
        """The run id of a run that this one continues and that has had the update; empty if none has."""
        return self._resident.execution.heard.before(UPDATE, id)

    def decide(self) -> None:
        """Accept or reject what is wanted, one after the other, while the run is settled."""
        while self._wanted and not self._resident.is_dropped and self._may_decide():
            wanted = self._wanted.popleft()
            self._wanted_since = self._resident.worker.journal.clock.monotonic()
            refusal = self.refusal_of(wanted.name, wanted.request)
            if refusal is not None:
                self._answer(wanted.request.id, refusal)
            elif not self.knows(wanted.request.id):
                self._resident.append(self.acceptance_of(wanted.name, wanted.request))
            if self._resident.execution.loop.is_disturbed():
                self._resident.worker.reload(self._resident)

    def _may_decide(self) -> bool:
        if not self._resident.in_flight:
            return True
        return self._resident.worker.journal.clock.monotonic() - self._wanted_since > PATIENCE_SECONDS

    def refusal_of(self, name: str, request: UpdateRequest) -> Reply | None:
        """What is to be said against an update now; None if nothing is."""
        if self._resident.execution.is_continuing:
            return again("the run is just continuing as new")
        if self._resident.execution.has_returned:
            return Reply(ReplyKind.CLOSED, text="the run's function has ended; it takes no updates any more")
        if self._resident.parking.is_under_way or self._resident.is_closing:
            return again("the run is being given back")
        return None if request.is_accepted else judge(self._handling.validate, name, request.payload)

    def acceptance_of(self, name: str, request: UpdateRequest) -> NewEvent:
        """The event by which an update is accepted."""
        self._accepting.add(request.id)
        data = pack(history.UpdateAccepted(name, request.id, request.payload))
        return self._resident.event(history.UPDATE_ACCEPTED, None, data)

    # telling

    def _tell(self, id: str, outcome: UpdateOutcome) -> None:
        """An outcome is durable."""
        self._accepting.discard(id)
        self._answer(id, reply_of(outcome))

    def tell_all(self, outcomes: Mapping[str, UpdateOutcome]) -> None:
        """Outcomes that became durable together with the end of the run."""
        for id, outcome in outcomes.items():
            self._tell(id, outcome)

    def _answer(self, id: str, reply: Reply) -> None:
        for caller in self._callers.get(id, ()):
            if not caller.done():
                caller.set_result(reply)

    def drop(self) -> None:
        """The run leaves memory: whoever waits must ask whoever has it next."""
        self._wanted.clear()
        for id in list(self._callers):
            self._answer(id, again("the run has just left the memory of its worker"))


def judge(validate: Validate, name: str, payload: bytes) -> Reply | None:
    """What an update's validator has against it; None if nothing."""
    try:
        validate(name, payload)
        return None
    except UpdateRejected as rejected:
        return Reply(ReplyKind.REJECTED, encode_failure(describe(rejected.__cause__ or rejected)), str(rejected))
    except (InvalidInput, Disturbed) as error:
        return Reply(ReplyKind.INVALID, text=str(error))


def take_update(resident: Resident, message: Message, events: list[NewEvent]) -> None:
    """An update came as a message, with the start of its run or while it was asleep: accept it, or drop it.

    Its caller, who asks for the outcome by its id, is told why.
    """
    request, updating = decode_request(message.data), resident.updating
    if not updating.knows(request.id) and updating.refusal_of(message.name, request) is None:
        events.append(updating.acceptance_of(message.name, request))
    if resident.execution.loop.is_disturbed():
        resident.worker.loop.call_soon(resident.worker.reload, resident)


def outcome_events(resident: Resident) -> list[NewEvent]:
    """What is to be recorded of updates whose handlers have ended."""
    return [_outcome_event(resident, *each) for each in resident.execution.handling.take_unrecorded().items()]


def _outcome_event(resident: Resident, id: str, outcome: UpdateOutcome) -> NewEvent:
    if outcome.ok:
        return resident.event(history.UPDATE_COMPLETED, None, pack(history.UpdateCompleted(id, outcome.payload)))
    data = pack(history.UpdateFailed(id, outcome.payload, outcome.is_cut_off))
    return resident.event(history.UPDATE_FAILED, None, data)
