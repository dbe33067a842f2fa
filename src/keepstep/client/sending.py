"""Sending: what a client says goes through the interceptors of its engine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

from keepstep.journal import InvalidInput
from keepstep.runtime.interceptor import Interceptors, Sending, through
from keepstep.runtime.registry import definition_of


async def send(
    interceptors: Interceptors,
    kind: Literal["start", "schedule", "signal", "query", "update"],
    name: str,
    workflow_id: str | None,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    go: Callable[[Sending], Awaitable[Any]],
) -> Any:
    """What ``go`` gives, which does what is said, once for each time that an interceptor goes on."""
    call = Sending(kind=kind, name=name, workflow_id=workflow_id, args=args, kwargs=dict(kwargs), headers={})
    if not interceptors.send:
        return await go(call)
    return await through(interceptors.send, call, go)


def name_of(workflow: Any) -> str:
    """The name of a workflow that is given by itself or by its name."""
    definition = definition_of(workflow)
    return str(workflow) if definition is None else definition.name


def value_of(call: Sending) -> Any:
    """The one value that a signal carries. Raises ``InvalidInput`` where interceptors have left none, or more."""
    if len(call.args) != 1 or call.kwargs:
        raise InvalidInput(f"signal {call.name!r} carries one value; an interceptor has given it other arguments")
    return call.args[0]
