"""Continuing as new: a run ends, and goes on under the same id as a new run with a history of its own."""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

from keepstep.journal import InvalidInput

from .call import required
from .data import within_limit

CONTINUE_AFTER_EVENTS = 10_000
"""From so many events on it is suggested: a longer history takes longer to replay, and more memory meanwhile."""


class ContinueAsNew(BaseException):
    """Ends the function of a run that continues. Not to be caught; no ``Exception``, so that few do."""

    def __init__(self, arguments: bytes) -> None:
        super().__init__("the run continues as new")
        self.arguments = arguments


def continue_as_new(*args: Any, **kwargs: Any) -> NoReturn:
    """End this run and go on as a new one of the same id, called with these arguments, with an empty history.

    Signals that nobody has received go over to it, in their order; its parent, and whoever waits for its result, goes
    on waiting. Handlers at work are waited for first. Raises ``InvalidInput`` for arguments that do not fit, inside of
    a saga, which would be left with what it has to undo, and elsewhere than in the run's own function.
    """
    execution = required("continue_as_new")
    if asyncio.current_task() is not execution.main:
        raise InvalidInput("continue_as_new ends the run's own function; it has no place in handlers and other tasks")
    if execution.open_sagas:
        raise InvalidInput("a run cannot continue as new inside of a saga; leave the block before")
    workflow = execution.workflow
    arguments = workflow.signature.encode_args(args, kwargs)
    workflow.signature.decode_args(arguments)
    within_limit(arguments, "the arguments of workflow", workflow.name, execution.value_bytes_max)
    raise ContinueAsNew(arguments)
