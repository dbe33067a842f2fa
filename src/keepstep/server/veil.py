"""Veil: what who may only look does not see of a journal: whatever it takes to complete a callback.

That is a token where a run waits for one, the address that was handed out with it, and the seed that all tokens of a
run can be made from. Where one of these may be in a cell that this server cannot open, the cell is shown without its
content: who asks may have the key.
"""

from __future__ import annotations

import msgspec

from keepstep.journal import Cell, Event, Run, cell_of, seal_cell
from keepstep.queues.starting import LANGUAGE
from keepstep.runtime import history
from keepstep.runtime.human_task import HumanTask
from keepstep.worker.opening import HUMAN_TASK
from keepstep.worker.words import decode_detail, encode_detail

replace = msgspec.structs.replace

NO_SEED = bytes(16)

TELLING = (history.WORKFLOW_STARTED, history.FORKED, history.CALLBACK_CREATED)
"""Types of the events that have a seed or an address."""


def veiled_run(run: Run) -> Run:
    """A run without tokens. What cannot be read here is left out, too."""
    if run.language != LANGUAGE or not run.detail:
        return run
    if (cell := cell_of(run.detail)) is not None:
        return replace(run, detail=_emptied(cell))
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
    if event.type not in TELLING:
        return event
    if (cell := cell_of(event.data)) is not None:
        return replace(event, data=_emptied(cell))
    if event.type in (history.WORKFLOW_STARTED, history.FORKED):
        data = history.unpack(event.type, event.data)
        return replace(event, data=history.pack(replace(data, seed=NO_SEED)))
    data = history.unpack(event.type, event.data)
    return replace(event, data=history.pack(replace(data, url="")))


def veiled_state(kind: str, data: bytes) -> bytes:
    """A task for a person without what completes it."""
    if kind != HUMAN_TASK:
        return data
    if (cell := cell_of(data)) is not None:
        return _emptied(cell)
    task = msgspec.json.decode(data, type=HumanTask)
    return msgspec.json.encode(replace(task, token="", url=""))


def _emptied(cell: Cell) -> bytes:
    return seal_cell(Cell(encoding=cell.encoding, key_id=cell.key_id))
