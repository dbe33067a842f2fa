"""Streams: what a run says is told once, in the order in which it was said, and so is what its steps say.

Code that contradicts others' says other things at the same places; of runs that it has taken a step further only what
their steps say is looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from keepstep.journal import Event, Loaded, Status
from keepstep.runtime import history
from keepstep.runtime.stream import position_of
from keepstep.testing.simulation.language import ACTS, CONTRADICTION, TOLD
from keepstep.testing.simulation.programs import SPEAKING
from keepstep.testing.simulation.record import Execution, Hearing, Record
from keepstep.worker.inbox import STREAM

Words = tuple[history.StreamWritten, ...]
"""What a message of a step on a queue has."""

Said = tuple[int, Any, Event]
"""Position and value, and the event that has it."""


def check(record: Record) -> Iterator[str]:
    contradicted = {each.run_id for each in record.executions if each.name == CONTRADICTION}
    for start in record.starts.values():
        if start.program[0] != SPEAKING or start.run_id not in record.runs:
            continue
        loaded = record.runs[start.run_id]
        if start.run_id not in contradicted:
            yield from _check_told(start.workflow_id, loaded)
        executions = [each for each in record.executions if each.run_id == start.run_id]
        yield from _check_acts(start.workflow_id, loaded, executions)
    for hearing in record.hearings:
        if hearing.run_id in record.runs:
            yield from _check_hearing(hearing, record.runs[hearing.run_id])


def _said(loaded: Loaded, stream: str) -> list[Said]:
    return [
        (position_of(event.seq, number), msgspec.json.decode(payload), event)
        for event in loaded.events
        if event.type == history.STREAM_WRITTEN and history.unpack(event.type, event.data).name == stream
        for number, payload in enumerate(history.unpack(event.type, event.data).payloads)
    ]


def _check_told(name: str, loaded: Loaded) -> Iterator[str]:
    """The trace is what the run itself believes to have said."""
    if loaded.run.status is not Status.COMPLETED:
        return
    last = loaded.events[-1]
    trace = msgspec.json.decode(history.unpack(last.type, last.data).payload)[1:]
    told = [value for _, value, _ in _said(loaded, TOLD)]
    if told[: len(trace)] != trace:
        yield f"{name} has told {told}, and its trace is {trace}"


def _unread(loaded: Loaded) -> set[Any]:
    """What steps on queues had said when the run was ended by force, before anybody had read it."""
    if loaded.run.status is not Status.TERMINATED:
        return set()
    said = [msgspec.msgpack.decode(each.data, type=Words) for each in loaded.messages if each.kind == STREAM]
    return {msgspec.json.decode(payload) for words in said for each in words for payload in each.payloads}


def _check_acts(name: str, loaded: Loaded, executions: list[Execution]) -> Iterator[str]:
    said = _said(loaded, ACTS)
    counted = Counter(value for _, value, _ in said)
    by_number = {each.number: each for each in executions}
    for number, times in counted.items():
        if times > 1:
            yield f"{name} has {times} times what execution {number} has said once"
        if number not in by_number:
            yield f"{name} has what execution {number} has said, which is none of its own"
    unread = _unread(loaded)
    for each in executions:
        if each.is_said and each.number not in counted and each.number not in unread:
            yield f"{each} was told that what it said is durable, and it is not there"
    results = {
        (event.key, history.unpack(event.type, event.data).payload): event.seq
        for event in loaded.events
        if event.type == history.STEP_COMPLETED
    }
    for _, number, event in said:
        execution = by_number.get(number)
        if execution is None:
            continue
        data = history.unpack(event.type, event.data)
        if (data.step, data.attempt) != (execution.key, execution.attempt):
            yield f"what {execution} said is marked as of attempt {data.attempt} of {data.step}"
        seq = results.get((execution.key, msgspec.json.encode(execution.receipt)))
        if seq is not None and seq < event.seq:
            yield f"what {execution} said was recorded behind its result"


def _check_hearing(hearing: Hearing, loaded: Loaded) -> Iterator[str]:
    """Who has read a stream to its end has heard each value of it once, whatever befell the processes they asked."""
    said = [(position, value) for position, value, _ in _said(loaded, hearing.stream)]
    if hearing.is_over and hearing.heard != said:
        yield f"of {hearing.stream} of {hearing.workflow_id} was heard {hearing.heard}, and it has {said}"
