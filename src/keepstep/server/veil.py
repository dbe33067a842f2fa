"""Veil: what who may only look does not see of a journal: whatever it takes to complete a callback.

That is a token where a run waits for one, the address that was handed out with it, and the seed that all tokens of a
run can be made from.
"""

from __future__ import annotations

import msgspec

from keepstep.journal import Event, Run
from keepstep.queues.starting import LANGUAGE
from keepstep.runtime import history
from keepstep.runtime.human_task import HumanTask
from keepstep.worker.opening import HUMAN_TASK
from keepstep.worker.words import decode_detail, encode_detail

replace = msgspec.structs.replace

NO_SEED = bytes(16)


def veiled_run(run: Run) -> Run:
    """A run without tokens. What cannot be read here is left out, too."""
    if run.language != LANGUAGE or not run.detail:
        return run
    try:
        detail = decode_detail(run.detail)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return replace(run, detail=b"")
    if not any(each.token for each in detail.waits):
        return run
    waits = tuple(replace(each, token="") for each in detail.waits)
    return replace(run, detail=encode_detail(replace(detail, waits=waits)))


def veiled_event(event: Event) -> Event:
    """An event of a Python run without seed and address."""
    if event.type in (history.WORKFLOW_STARTED, history.FORKED):
        data = history.unpack(event.type, event.data)
        return replace(event, data=history.pack(replace(data, seed=NO_SEED)))
    if event.type == history.CALLBACK_CREATED:
        data = history.unpack(event.type, event.data)
        return replace(event, data=history.pack(replace(data, url="")))
    return event


def veiled_state(kind: str, data: bytes) -> bytes:
    """A task for a person without what completes it."""
    if kind != HUMAN_TASK:
        return data
    task = msgspec.json.decode(data, type=HumanTask)
    return msgspec.json.encode(replace(task, token="", url=""))
