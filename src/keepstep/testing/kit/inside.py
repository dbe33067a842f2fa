"""Inside: a test calls a step's function itself, and the function finds what it would find in a worker.

There is no engine, no run and no retry: one attempt, of which the test says everything. What heartbeats say goes
through JSON as it would on its way to the next attempt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from keepstep.journal import InvalidInput
from keepstep.runtime.data import encode_value, reader, within_limit
from keepstep.runtime.stream import Word
from keepstep.worker.attempt import StepInfo, enter_step, leave_step

_read = reader()


@contextmanager
def inside_step(
    *,
    attempt: int = 1,
    heartbeat_details: Any = None,
    key: str = "step",
    workflow_id: str = "workflow",
    run_id: str = "run",
    streams: dict[str, list[Any]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Iterator[list[Any]]:
    """Let ``step_info()`` and ``heartbeat()`` work in what is called within: ``with inside_step(attempt=2) as beats:``

    :param attempt: counts from 1. :param heartbeat_details: what the last heartbeat of an earlier attempt said.
    :param streams: gets what is written to streams, by their names.
    :param headers: what interceptors gave to the call.

    Yields a list, to which the details of each heartbeat are added. Raises ``InvalidInput`` for what cannot be.
    """
    if type(attempt) is not int or attempt < 1:
        raise InvalidInput(f"attempts count from 1; attempt cannot be {attempt!r:.60}")
    beats: list[Any] = []

    def beat(details: Any) -> None:
        beats.append(_read(within_limit(encode_value(details), "the heartbeat's details")))

    def say(word: Word) -> None:
        values = heard.setdefault(word.name, [])
        if word.payload is not None:
            values.append(_read(word.payload))

    heard = {} if streams is None else streams
    said_before = b"" if heartbeat_details is None else encode_value(heartbeat_details)
    entered = enter_step(StepInfo(run_id, workflow_id, key, attempt, said_before, beat, say, headers))
    try:
        yield beats
    finally:
        leave_step(entered)
