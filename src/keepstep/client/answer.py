"""Answer: what somebody outside says to a run that waits for it: a callback, a task for a person, an uncertain step.

An answer that does not fit is the answerer's error: it is refused here, so that it does not fail or block the run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import msgspec

from keepstep.journal import InvalidInput, Journal, NewMessage, NotFound, RunClosed, Status
from keepstep.journal.search import Predicate, holds
from keepstep.runtime import history
from keepstep.runtime.callback import is_genuine, parse_token
from keepstep.runtime.data import describe, encode_failure, encode_value, plain_text, reader, within_limit
from keepstep.runtime.data.schema import Misfit
from keepstep.runtime.data.schema import check as check_json
from keepstep.runtime.human_task import HumanTask
from keepstep.worker.attempt import ATTEMPT, decode_attempt
from keepstep.worker.inbox import CALLBACK_ANSWER, StepAnswer
from keepstep.worker.opening import HUMAN_TASK

from .published import Published, schema_of
from .tasks import values_of_task

if TYPE_CHECKING:
    from .info import RunInfo

PAGE = 200
EVENTS_PAGE = 1000
BY_CHARS_MAX = 200
CALLBACK = "callback"
CALLBACK_FAILED = "callback_failed"
ANSWERED = (history.CALLBACK_COMPLETED, history.CALLBACK_FAILED)


def sealed_error(error: BaseException | str) -> bytes:
    """An error that somebody hands in, as it is recorded; a text becomes a ``RuntimeError``."""
    return encode_failure(describe(RuntimeError(error) if isinstance(error, str) else error))


async def answer_callback(journal: Journal, kind: str, token: str, data: bytes, by: str = "") -> None:
    """Complete a callback or a human task, or fail it. A second answer is accepted and has no effect.

    ``by``: who has answered, for the run's history.
    Raises ``NotFound`` for a token that no run made, ``RunClosed`` if the run ended before the answer came, and
    ``InvalidInput`` for one that does not fit a human task's form.
    """
    run_id, key, _ = parse_token(token)
    first = await journal.read_events(run_id, 0, 1)
    if not first or first[0].type != history.WORKFLOW_STARTED:
        raise NotFound("no run has made this callback token")
    if not is_genuine(token, history.unpack(first[0].type, first[0].data).seed):
        raise NotFound("no run has made this callback token")
    if kind == CALLBACK:
        await _check_form(journal, run_id, key, data)
    try:
        await journal.send(_message(run_id, kind, token, data, checked_by(by)))
    except RunClosed:
        if not await _was_answered(journal, run_id, key):
            raise


def checked_by(by: str) -> str:
    """Who has answered, if that can be kept. Raises ``InvalidInput``."""
    plain_text(by, "who has answered")
    if len(by) > BY_CHARS_MAX:
        raise InvalidInput(f"who has answered is a name of {BY_CHARS_MAX} characters at most, not of {len(by)}")
    return by


def _message(run_id: str, kind: str, token: str, data: bytes, by: str) -> NewMessage:
    if by:
        data = msgspec.msgpack.encode(StepAnswer(kind == CALLBACK, data, by=by))
        kind = CALLBACK_ANSWER
    return NewMessage(run_id=run_id, kind=kind, name=token, data=data)


async def _check_form(journal: Journal, run_id: str, key: str, payload: bytes) -> None:
    if "human_task:" not in key:
        return
    task = (await journal.read_state(run_id, HUMAN_TASK)).get((HUMAN_TASK, key))
    if task is None:
        return
    form = msgspec.json.decode(task, type=HumanTask).form
    check_fit(payload, form, "the answer does not fit the task's form")


def check_fit(payload: bytes, schema: dict[str, Any], complaint: str) -> None:
    """Raises ``InvalidInput`` for a sealed value that does not fit a published schema."""
    try:
        check_json(reader()(payload), schema)
    except Misfit as misfit:
        raise InvalidInput(f"{complaint}: {misfit}") from None


async def _was_answered(journal: Journal, run_id: str, key: str) -> bool:
    seq = 0
    while page := await journal.read_events(run_id, seq, EVENTS_PAGE):
        if any(event.key == key and event.type in ANSWERED for event in page):
            return True
        seq = page[-1].seq
    return False


async def list_human_tasks(journal: Journal, namespace: str, wanted: Predicate, limit: int) -> AsyncIterator[HumanTask]:
    """Up to ``limit`` of the open tasks for people that are wanted, oldest first."""
    after: tuple[str, str] | None = None
    while limit > 0:
        page = await journal.list_state(namespace, HUMAN_TASK, after=after, limit=PAGE)
        tasks = [msgspec.json.decode(data, type=HumanTask) for _, _, data in page]
        fitting = [task for task in tasks if holds(wanted, values_of_task(task))][:limit]
        for task in fitting:
            yield task
        if len(page) < PAGE:
            return
        limit -= len(fitting)
        after = page[-1][:2]


async def resolve_step(
    journal: Journal, published: Published, info: RunInfo, key: str, *, value: Any, error: BaseException | str | None
) -> None:
    """Say what became of an uncertain step of the run: its ``value`` or, where that is ``UNSET``, its ``error``.

    An undo that has used up its attempts can be said to be done, with its ``value``. Raises ``RunClosed``, and
    ``InvalidInput`` for a key at which no step is parked, or a value that the step could not have returned.
    """
    if (value is msgspec.UNSET) == (error is None):
        raise InvalidInput("resolve needs either a value or an error")
    if info.status is not Status.RUNNING:
        raise RunClosed(f"run {info.id!r} is closed already ({info.status})")
    await _check_parked(journal, info, key, is_done=error is None)
    if error is None:
        payload = within_limit(encode_value(value), "the result of step", key, journal.value_bytes_max)
        await _check_result(published, info, key, payload)
        said = StepAnswer(True, payload, by="resolve")
    else:
        said = StepAnswer(False, sealed_error(error), by="resolve")
    data = msgspec.msgpack.encode(said)
    await journal.send(NewMessage(run_id=info.run_id, kind="resolve", name=key, data=data))


async def _check_parked(journal: Journal, info: RunInfo, key: str, *, is_done: bool) -> None:
    """A worker in this process may know a little earlier than the journal that a step has been parked."""
    is_uncertain = {each.key: each.parked == "uncertain" for each in info.waiting_for if each.parked}
    for (_, its_key), data in (await journal.read_state(info.run_id, ATTEMPT)).items():
        record = decode_attempt(data)
        if record.is_parked:
            is_uncertain[its_key] = record.once_begun
    if key not in is_uncertain:
        those = f"parked are: {', '.join(sorted(is_uncertain))}" if is_uncertain else "nothing in it is parked"
        raise InvalidInput(f"run {info.id!r} has no uncertain step with the key {key!r}; {those}")
    if not is_done and not is_uncertain[key]:
        raise InvalidInput(
            f"undo {key!r} of run {info.id!r} has failed already, and must be done: retry the run, or, once somebody "
            "has done it by hand, resolve it with a value"
        )


async def _check_result(published: Published, info: RunInfo, key: str, payload: bytes) -> None:
    """As far as it is known here which step that is, and what it returns."""
    name = next((each.name for each in info.waiting_for if each.key == key), "")
    definition = await published.find_step(name)
    if definition is not None:
        check_fit(payload, schema_of(definition).get("result", {}), f"step {name!r} could not have returned this")
