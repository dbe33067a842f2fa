"""Questions: queries and updates, from the side of who asks.

A run in the memory of a worker of this process is asked directly, any other through the journal. A question that is
lost, because who took it up died, or that cannot be answered just then, is asked again until there is an answer or the
time is up; a query asks again from the start, an update by its id, so that it happens once.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from keepstep.journal import Event, InvalidInput, Journal, NotFound, Run, RunClosed, Status
from keepstep.journal.payload import with_headers
from keepstep.runtime import history
from keepstep.runtime.data import decode_failure, encode, encode_value, parse_json_inputs, reader, rebuild, within_limit
from keepstep.runtime.errors import Blocked, NoWorker, QueryFailed, TimedOut, UpdateFailed, UpdateRejected
from keepstep.runtime.handler import Handler, handler_name
from keepstep.runtime.heard import run_that_heard
from keepstep.runtime.interceptor import checked_headers
from keepstep.runtime.registry import ANY, find_code
from keepstep.worker.last_event import last_event
from keepstep.worker.reply import UPDATE, Reply, ReplyKind, UpdateRequest, decode_reply, encode_request

from .published import schema_of

if TYPE_CHECKING:
    from .engine import Engine

SLICE_SECONDS, SLICE_SECONDS_MAX = 1.0, 10.0
"""How long one asking waits for its answer; the later ones longer."""

PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.01, 1.0
"""Between one asking and the next."""

EVENTS_PAGE = 1000


class Patience:
    """How long somebody waits for an answer, for ever if ``seconds`` is None. It begins now."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._began = asyncio.get_running_loop().time()

    @property
    def left(self) -> float:
        """Seconds that are left; may be negative. Less than a microsecond is nothing: no clock of a loop gets there."""
        if self.seconds is None:
            return math.inf
        return round(self._began + self.seconds - asyncio.get_running_loop().time(), 6)


class Question:
    """One question to runs of one type: which handler, with what, and who reads the answer."""

    def __init__(
        self, engine: Engine, type_: str, kind: str, handler: Handler[Any, Any] | str, args: Sequence[Any],
        kwargs: Mapping[str, Any], queue: str = "",
    ) -> None:  # fmt: skip
        """``queue``: where such a run is offered, which tells the version of its code that it stays with."""
        self.engine = engine
        self.type = type_
        self.run_id = ""
        """Of the run that is asked."""
        self.kind = kind
        self.name = handler_name(handler, kind)
        self._handler = handler if isinstance(handler, Handler) else _known_handler(type_, queue, kind, self.name)
        self.args = args
        self._kwargs = kwargs
        self.headers: Mapping[str, str] = {}
        """What the question carries."""

    async def arguments(self) -> bytes:
        """The sealed arguments. Raises ``InvalidInput`` for what does not fit, as far as it is known here."""
        if self._handler is not None:
            signature = self._handler.signature
            signature.check_args(self.args, self._kwargs)
            data = signature.encode_args(self.args, self._kwargs)
            signature.decode_args(data)
        elif self._kwargs:
            raise InvalidInput(f"workflow {self.type!r} is not known in this process; pass the arguments in order")
        else:
            data = encode_value(list(self.args))
            await self._check_published()
        what = f"the arguments of {self.kind}"
        data = within_limit(data, what, self.name, self.engine.journal.value_bytes_max)
        return with_headers(data, checked_headers(self.headers))

    async def _check_published(self) -> None:
        definition = (await self.engine.published.workflows()).get(self.type)
        known = None if definition is None else schema_of(definition).get("handlers", {}).get(self.kind)
        if known is None:
            return
        if self.name not in known and ANY not in known:
            there = f"it has: {', '.join(sorted(known))}" if known else "it has none"
            raise InvalidInput(f"workflow {self.type!r} has no {self.kind} {self.name!r}; {there}")
        parse_json_inputs(known.get(self.name) or known[ANY], [encode(each).decode() for each in self.args])

    def read(self, payload: bytes) -> Any:
        """What the handler returned."""
        return (reader() if self._handler is None else self._handler.signature.decode_result)(payload)


def _known_handler(type_: str, queue: str, kind: str, name: str) -> Handler[Any, Any] | None:
    """The handler, if this process has the workflow. Raises ``InvalidInput`` if that has no such handler."""
    workflow = find_code(type_, queue)
    if workflow is None:
        return None
    handler = workflow.handlers.find(kind, name)
    if handler is None:
        known = workflow.handlers.schema()[kind]
        there = f"it has: {', '.join(sorted(known))}" if known else "it has none"
        raise InvalidInput(f"workflow {type_!r} has no {kind} {name!r}; {there}")
    return handler


async def query(question: Question, run: Run, patience: Patience) -> Any:
    """Ask a query. Raises what ``RunHandle.query`` does."""
    data = await question.arguments()
    question.run_id = run.run_id
    what = f"query {question.name!r} of run {run.workflow_id!r}"
    async for reply in _replies(question, data, patience):
        if reply.kind is ReplyKind.VALUE:
            return question.read(reply.payload)
        if reply.kind is ReplyKind.FAILED:
            failure = decode_failure(reply.payload)
            raise QueryFailed(f"{what} failed: {failure.summary()}") from rebuild(failure)
        if reply.kind is ReplyKind.BLOCKED:
            raise Blocked(f"{what} cannot be answered: {reply.text}")
        if reply.kind is ReplyKind.INVALID:
            raise InvalidInput(reply.text)
        if reply.kind is ReplyKind.AGAIN and not reply.text and not await _has_worker(question.engine, run):
            raise NoWorker(f"{what} cannot be answered: no worker serves queue {run.queue!r}")
    raise TimedOut(f"{what} was not answered within {patience.seconds:g} s")


async def update(question: Question, run: Run, id: str, patience: Patience) -> Any:
    """Have an update done, and wait for its result. Raises what ``RunHandle.update`` does."""
    data = encode_request(UpdateRequest(id, await question.arguments()))
    question.run_id = run.run_id
    what = f"update {question.name!r} of run {run.workflow_id!r}"
    last = ""
    known = None if run.status is Status.RUNNING else await _recorded(question, id)
    while known is not None:
        if known.kind is not ReplyKind.AGAIN:
            return _told(question, what, known)
        known = await _recorded(question, id)
    async for reply in _replies(question, data, patience):
        last = reply.text or last
        if reply.kind is ReplyKind.CLOSED or (reply.kind is ReplyKind.AGAIN and not reply.text):
            reply = await _recorded(question, id) or reply
        if reply.kind is ReplyKind.EARLIER:
            reply = await _outcome_before(question.engine.journal, reply.text, id)
        if reply.kind not in (ReplyKind.AGAIN, ReplyKind.BLOCKED):
            return _told(question, what, reply)
    because = f": {last}" if last else ""
    raise TimedOut(f"{what} has no outcome after {patience.seconds:g} s{because}; ask again by its id, {id!r}")


def _told(question: Question, what: str, reply: Reply) -> Any:
    """The result of an update, or the error that stands for what came of it."""
    if reply.kind is ReplyKind.VALUE:
        return question.read(reply.payload)
    if reply.kind is ReplyKind.FAILED:
        failure = decode_failure(reply.payload)
        raise UpdateFailed(f"{what} failed: {failure.summary()}") from rebuild(failure)
    if reply.kind is ReplyKind.REJECTED:
        failure = decode_failure(reply.payload)
        raise UpdateRejected(f"{what} was rejected: {failure.summary()}") from rebuild(failure)
    if reply.kind is ReplyKind.CLOSED:
        raise RunClosed(f"{what} has no result: {reply.text}")
    raise InvalidInput(reply.text)


async def is_superseded(question: Question, id: str) -> bool:
    """Whether another run of that workflow id has taken the place of the one that was asked, which has not accepted
    the update: who means the newest run has to ask once more."""
    journal = question.engine.journal
    asked = await journal.read_run(question.run_id)
    newest = None if asked is None else await journal.find_run(asked.namespace, asked.workflow_id)
    if asked is None or newest is None or newest.run_id == asked.run_id:
        return False
    return await outcome_in(journal, asked, id) is None


async def _replies(question: Question, data: bytes, patience: Patience) -> AsyncIterator[Reply]:
    """Ask, and ask again, until the time is up. A question that nobody answered has an *again* without words."""
    wait, pause = SLICE_SECONDS, PAUSE_SECONDS
    while (left := patience.left) > 0:
        reply = await _ask(question, data, min(wait, left))
        yield reply or Reply(ReplyKind.AGAIN)
        if reply is None:
            wait = min(wait * 2, SLICE_SECONDS_MAX)
            continue
        await asyncio.sleep(max(min(pause, patience.left), 0))
        pause = min(pause * 2, PAUSE_SECONDS_MAX)


async def _ask(question: Question, data: bytes, seconds: float) -> Reply | None:
    """The reply to one asking; None if there was none in time."""
    engine, run_id = question.engine, question.run_id
    worker = engine.worker
    try:
        if worker is not None and worker.asks.is_here(run_id):
            async with asyncio.timeout(seconds):
                return await worker.asks.reply(run_id, question.kind, question.name, data)
        return decode_reply(await engine.journal.ask(run_id, question.kind, question.name, data, seconds))
    except TimeoutError:
        return None


async def _has_worker(engine: Engine, run: Run) -> bool:
    """Whether anybody is there who could answer; a worker that died is there until its lease is over."""
    leases = [each.lease for each in await engine.journal.list_leases()]
    return any(run.queue in each.queues and run.language in each.languages for each in leases)


async def _recorded(question: Question, id: str) -> Reply | None:
    """What the history of a closed run has of an update; None while the run is open.

    Where the run has continued as new, the run that goes on is asked from now on.
    """
    journal = question.engine.journal
    run = await journal.read_run(question.run_id)
    if run is None:
        raise NotFound(f"run {question.run_id} is not there any more; its retention has ended")
    if run.status is Status.RUNNING:
        return None
    found = await outcome_in(journal, run, id)
    if run.status is Status.CONTINUED and (found is None or found.kind is ReplyKind.CLOSED):
        event = await last_event(journal, run)
        question.run_id = history.unpack(event.type, event.data).run_id
        return Reply(ReplyKind.AGAIN, text="the run has continued as new")
    return found or Reply(ReplyKind.CLOSED, text=f"it was not accepted, the run is closed ({run.status})")


async def outcome_in(journal: Journal, run: Run, id: str) -> Reply | None:
    """What the history of a closed run has of an update, or that of a run which it continues."""
    was_accepted, seq, before = False, 0, ""
    while page := await journal.read_events(run.run_id, seq, EVENTS_PAGE):
        for event in page:
            if event.type == history.UPDATE_ACCEPTED:
                was_accepted |= history.unpack(event.type, event.data).id == id
            elif event.type == history.WORKFLOW_STARTED:
                before = run_that_heard(history.unpack(event.type, event.data).heard, UPDATE, id)
            elif (found := _outcome(event, id)) is not None:
                return found
        seq = page[-1].seq
    if not was_accepted:
        return await _outcome_before(journal, before, id) if before else None
    return Reply(ReplyKind.CLOSED, text=f"it was accepted, and the run was {run.status} before its handler had ended")


async def _outcome_before(journal: Journal, run_id: str, id: str) -> Reply:
    """What came of an update that a run of an earlier round has had. Raises ``NotFound`` if nobody can tell."""
    run = await journal.read_run(run_id)
    found = None if run is None else await outcome_in(journal, run, id)
    if found is None:
        raise NotFound(f"update {id!r} was done by run {run_id}, whose retention has ended: its outcome is not there")
    return found


def _outcome(event: Event, id: str) -> Reply | None:
    if event.type not in (history.UPDATE_COMPLETED, history.UPDATE_FAILED):
        return None
    data = history.unpack(event.type, event.data)
    if data.id != id:
        return None
    if event.type == history.UPDATE_COMPLETED:
        return Reply(ReplyKind.VALUE, data.payload)
    return Reply(ReplyKind.FAILED, data.failure)
