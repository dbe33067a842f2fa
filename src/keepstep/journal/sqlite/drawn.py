"""Drawn: writes what a flush has drawn, by multi-row statements."""

from __future__ import annotations

from collections.abc import Container
from sqlite3 import Connection
from typing import Any

from keepstep.journal.deciding.codes import json_text
from keepstep.journal.deciding.drawing import Drawing

from . import statements as sql


def write_drawing(db: Connection, drawing: Drawing) -> None:
    """All of it. Heads are clean afterwards."""
    created = {head.run for head in drawing.created} if drawing.attributes else ()
    _write_changed(db, drawing)  # before the new runs: a continuation's workflow id is free once its ancestor is closed
    if drawing.created:
        _write_created(db, drawing)
    if drawing.events:
        sql.INSERT_EVENTS.execute(db, drawing.events)
    if drawing.messages:
        sql.INSERT_MESSAGES.execute(db, drawing.messages)
    if drawing.consumed:
        db.execute(sql.DELETE_MESSAGES, (json_text([n for _, n in drawing.consumed]),))
    if drawing.received:
        sql.INSERT_RECEIVED.execute(db, drawing.received)
    if drawing.state:
        _write_state(db, drawing)
    if drawing.cleared_timers or drawing.timers:
        _write_timers(db, drawing)
    if drawing.cleared_tasks:
        db.execute(sql.DELETE_TASKS_OF_RUNS, (json_text(drawing.cleared_tasks),))
    if drawing.attributes:
        _write_attributes(db, drawing, created)
    if drawing.commit_ids:
        named = zip(drawing.commit_ids[1::3], drawing.commit_ids[2::3], strict=True)
        sql.INSERT_COMMIT_IDS.execute(db, [value for row in named for value in row])
    if drawing.audit:
        sql.INSERT_AUDIT.execute(db, drawing.audit)


def _write_created(db: Connection, drawing: Drawing) -> None:
    values: list[Any] = []
    for head in drawing.created:
        assert head.created is not None
        values += (*head.created[:8], *head.mutable(), head.created[8], head.closed_at, *head.created[9:])
        values += (head.detail or b"", head.status_text or "", head.attributes, head.blocked_for)
        head.clean()
    sql.INSERT_RUNS.execute(db, values)


def _write_changed(db: Connection, drawing: Drawing) -> None:
    values: list[Any] = []
    for head in drawing.changed:
        values += (head.run, *head.mutable(), head.closed_at, head.blocked_for)
        values += (head.detail, head.status_text, head.attributes)
        head.clean()
        drawing.bumped.pop(head.run_id, None)
    if values:
        sql.UPDATE_RUNS.execute(db, values)
    if drawing.bumped:  # a run created in this flush is inserted with its bumps
        bumps = [value for head in drawing.bumped.values() for value in (head.run, head.bumps)]
        sql.UPDATE_BUMPS.execute(db, bumps)


def _write_state(db: Connection, drawing: Drawing) -> None:
    values: list[Any] = []
    deleted: list[tuple[int, str, str]] = []
    for key, data in drawing.state.items():
        if data is None:
            deleted.append(key)
        else:
            values += (*key, data)
    if values:
        sql.UPSERT_STATE.execute(db, values)
    if deleted:
        db.execute(sql.DELETE_STATE, (json_text(deleted),))


def _write_timers(db: Connection, drawing: Drawing) -> None:
    if drawing.cleared_timers:
        db.execute(sql.DELETE_TIMERS, (json_text(list(drawing.cleared_timers)),))
    values: list[Any] = []
    for run, timers in drawing.timers.items():
        for timer in timers:
            values += (run, timer.key, timer.fire_at)
    if values:
        sql.INSERT_TIMERS.execute(db, values)


def _write_attributes(db: Connection, drawing: Drawing, created: Container[int]) -> None:
    """What runs are searched by, behind the runs themselves."""
    values: list[Any] = []
    gone: list[tuple[int, str, str]] = []
    for (run, name), (head, found) in drawing.attributes.items():
        if run not in created:
            gone.append((run, head.namespace, name))
        for value in found:
            values += (head.namespace, name, value, run)
    if gone:
        db.execute(sql.DELETE_ATTRIBUTE_VALUES, (json_text(gone),))
    if values:
        sql.INSERT_ATTRIBUTE_VALUES.execute(db, values)
