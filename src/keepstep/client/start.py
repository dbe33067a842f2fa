"""Start: what is asked for when a run is started, checked before anything is written.

A workflow that this process has is checked by its own signature; one that it knows by name alone, by what workers have
published of it. While nobody has published anything, a name and its arguments are taken as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from keepstep.journal import (
    Definition,
    Event,
    IfRunning,
    InvalidInput,
    Journal,
    NewEvent,
    NewRun,
    Started,
    unseal,
)
from keepstep.runtime import history
from keepstep.runtime.code_version import pinned_queue
from keepstep.runtime.data import are_comparable, encode, encode_value, parse_json_inputs, within_limit
from keepstep.runtime.data.signature import DIGEST_BYTES
from keepstep.runtime.registry import check_has_name, definition_of, find_workflow
from keepstep.runtime.workflow import RunsSync, Workflow
from keepstep.worker.publish import version_of

from .published import Published, schema_of, timeout_of

DEFAULT_QUEUE = "default"


class StartRequest(msgspec.Struct, frozen=True):
    """Which workflow, with what, on which queue."""

    name: str
    arguments: bytes
    queue: str
    timeout_seconds: float | None
    version: str = ""
    is_pinned: bool = False

    def offered_on(self, queue: str | None) -> str:
        """Where the run is offered to workers; ``queue`` overrides the workflow's own."""
        base = self.queue if queue is None else queue
        return pinned_queue(base, self.name, self.version) if self.is_pinned else base


async def start_request(
    workflow: Workflow[Any, Any] | type[RunsSync[Any, Any]] | str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    published: Published,
) -> StartRequest:
    """What a start asks for. Raises ``InvalidInput`` for a name that nobody serves or arguments that do not fit."""
    known = find_workflow(workflow) if isinstance(workflow, str) else definition_of(workflow)
    if known is None and isinstance(workflow, str):
        request = _by_name(workflow, args, kwargs, await published.find(workflow))
    elif known is None:
        raise InvalidInput(f"start takes a function or class decorated with @workflow, or a name, not {workflow!r}")
    else:
        check_has_name(known)
        request = _by_definition(known, args, kwargs)
    within_limit(request.arguments, "the arguments of workflow", request.name, published.value_bytes_max)
    return request


def _by_definition(known: Workflow[Any, Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> StartRequest:
    known.signature.check_args(args, kwargs)
    arguments = known.signature.encode_args(args, kwargs)
    known.signature.decode_args(arguments)  # what does not fit is the caller's error, not the run's
    return StartRequest(known.name, arguments, known.queue, known.timeout_seconds, known.version, known.is_pinned)


def _by_name(name: str, args: Sequence[Any], kwargs: Mapping[str, Any], served: Definition | None) -> StartRequest:
    if kwargs:
        raise InvalidInput(f"workflow {name!r} is not known in this process; pass its arguments in order")
    arguments = encode_value(list(args))
    if served is None:
        return StartRequest(name, arguments, DEFAULT_QUEUE, None)
    parse_json_inputs(schema_of(served), [encode(each).decode() for each in args])
    return StartRequest(name, arguments, served.queue, timeout_of(served), *version_of(served))


def policy(word: str) -> IfRunning:
    """What ``if_running`` or ``if_closed`` says. Raises ``InvalidInput`` for another word."""
    try:
        return IfRunning(word)
    except ValueError:
        raise InvalidInput(f'if_running and if_closed are "attach", "reject" or "restart", not {word!r}') from None


async def start_within(journal: Journal, connection: Any, new: NewRun) -> Started:
    """Start a run in a transaction of the user's own. Raises ``InvalidInput`` for what cannot be part of it."""
    if new.if_running is IfRunning.RESTART:
        raise InvalidInput(
            'if_running="restart" ends the run that is there by force, which cannot be part of your transaction; '
            "leave out connection=, or terminate it before"
        )
    if new.ticket is not None and new.ticket.is_asked_for:
        raise InvalidInput(
            "priority=, fairness_key=, delay= and start_at= cannot be part of your transaction; leave out connection="
        )
    return await journal.within(connection).start(new)


async def asks_for_the_same(journal: Journal, new: NewRun, started: Started) -> bool:
    """Whether a run that was there is of the type and input that a start asks for.

    Runs that were started by a function in SQL have no digest of their input, and one of an older version says nothing
    of a newer one; then it is compared itself.
    """
    if started.type != new.type:
        return False
    if started.input_digest and are_comparable(started.input_digest, new.input_digest, DIGEST_BYTES):
        return started.input_digest == new.input_digest
    there = await journal.read_events(started.run_id, limit=1)
    return bool(there) and _input_of(new.type, there[0]) == _input_of(new.type, new.events[0])


def _input_of(type_: str, first: Event | NewEvent) -> Any:
    """Its arguments as this code would write them, so that those of older versions can be compared."""
    payload = history.unpack(first.type, first.data).payload
    known = find_workflow(type_)
    if known is not None:
        payload = known.signature.encode_args(*known.signature.decode_args(payload))
    return msgspec.json.decode(unseal(payload).content)
