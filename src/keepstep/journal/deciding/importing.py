"""Importing: a closed run comes from elsewhere, whole, and is here as if it had been here all the time.

Its versions and times are those that it had. What it cannot bring is its place among the other runs of its workflow id:
the one that was created last counts as the newest, so that a run that is older than those which are here is refused.
"""

from __future__ import annotations

import msgspec

from keepstep.journal.errors import AlreadyStarted
from keepstep.journal.event import NewEvent
from keepstep.journal.port import AuditLine, Loaded
from keepstep.journal.run import Run

from . import attribute
from .codes import CONDITION_CODES, STATUS_CODES
from .head import Head
from .picture import Picture, Wants


class Imported(msgspec.Struct, frozen=True, gc=False):
    """A run with all that belongs to it."""

    loaded: Loaded
    audit: tuple[AuditLine, ...]


def want_import(wants: Wants, imported: Imported) -> None:
    run = imported.loaded.run
    wants.workflows.add((run.namespace, run.workflow_id))
    wants.run_ids.add(run.run_id)
    wants.starts += 1
    wants.arrivals += len(imported.loaded.messages)


def import_run(picture: Picture, imported: Imported) -> None:
    """Draw it, or raise and change nothing."""
    loaded, run = imported.loaded, imported.loaded.run
    _check_free(picture, run)
    if run.attributes:
        attribute.check_attributes(picture, run.namespace, run.attributes)
    head = _create(picture, run)
    picture.append(head, [NewEvent(each.type, each.time, each.key, each.data) for each in loaded.events])
    for (kind, key), data in loaded.state.items():
        picture.set_state(head, kind, key, data)
    for message in loaded.messages:
        picture.keep_message(head, message)
    for line in imported.audit:
        picture.drawing.audit += (head.run, line.time, line.text)


def _check_free(picture: Picture, run: Run) -> None:
    there = picture.find(run.run_id)
    if there is not None:
        raise AlreadyStarted(f"run {run.run_id} ({there.workflow_id!r}) is here already; there is nothing to import")
    newest = picture.newest(run.namespace, run.workflow_id)
    if newest is None:
        return
    if newest.is_open():
        raise AlreadyStarted(
            f"{run.workflow_id!r} is open here as run {newest.run_id}; import when that has ended, or under another id"
        )
    picture.write()
    [younger] = picture.tables.fetch_runs([newest.run_id])
    if younger.started_at > run.started_at:
        raise AlreadyStarted(
            f"{run.workflow_id!r} was started again here, as run {newest.run_id}, after the run that is to be imported "
            "and would count as its newest; import it under another id"
        )


def _create(picture: Picture, run: Run) -> Head:
    number = picture.tables.next_run(run.namespace, run.workflow_id)
    named = (number, run.run_id, run.namespace, run.workflow_id)
    status, condition = STATUS_CODES[run.status], CONDITION_CODES[run.condition]
    bumps = run.version - run.last_seq
    row = (status, condition, None, run.epoch, None, run.last_seq, run.strikes, bumps, run.closed_at)
    head = Head((*named, *row, None, 0, None, 0, False))
    kind = (run.language, run.format, run.type, run.queue)
    parent = (run.parent_run_id, run.parent_key)
    head.created = (*named, *kind, run.started_at, *parent, run.continued_from, run.input_digest, None)
    head.detail, head.status_text = run.detail, run.status_text
    picture.create(run.run_id, head)
    if run.attributes:
        attribute.give(picture, head, run.attributes)
    return head
