"""Kept: all data of languages in the file, page by page, and other bytes for them (``journal.kept``)."""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection

from keepstep.journal.kept import PAGE_BYTES_MAX, PAGE_ROWS, Kept, KeptIn, Spot, Swap

FETCHED_AT_ONCE = 20

_RUN = "r.run_id, r.namespace, r.workflow_id"
_OF_RUN = "JOIN runs AS r ON r.run = t.run"

_READ = {
    KeptIn.EVENTS: f"SELECT t.run, t.seq, {_RUN}, t.type, coalesce(t.key, ''), '', t.time, t.data FROM events AS t "
    f"{_OF_RUN} WHERE (t.run, t.seq) > (?, ?) ORDER BY t.run, t.seq",
    KeptIn.MESSAGES: f"SELECT t.n, {_RUN}, t.kind, t.name, coalesce(t.id, ''), 0, t.data FROM messages AS t "
    f"{_OF_RUN} WHERE t.n > ? ORDER BY t.n",
    KeptIn.STATE: f"SELECT t.run, t.kind, t.key, {_RUN}, t.kind, t.key, '', 0, t.data FROM state AS t "
    f"{_OF_RUN} WHERE (t.run, t.kind, t.key) > (?, ?, ?) ORDER BY t.run, t.kind, t.key",
    KeptIn.TASKS: f"SELECT t.task, {_RUN}, t.kind, t.key, '', 0, t.data FROM tasks AS t "
    f"{_OF_RUN} WHERE t.task > ? ORDER BY t.task",
    KeptIn.DETAILS: f"SELECT r.run, {_RUN}, '', '', '', 0, r.detail FROM runs AS r WHERE r.run > ? ORDER BY r.run",
    KeptIn.INPUTS: f"SELECT r.run, {_RUN}, '', '', '', 0, r.input_digest FROM runs AS r WHERE r.run > ? ORDER BY r.run",
}

_SWAP = {
    KeptIn.EVENTS: "UPDATE events SET data = ? WHERE run = ? AND seq = ? AND data = ?",
    KeptIn.MESSAGES: "UPDATE messages SET data = ? WHERE n = ? AND data = ?",
    KeptIn.STATE: "UPDATE state SET data = ? WHERE run = ? AND kind = ? AND key = ? AND data = ?",
    KeptIn.TASKS: "UPDATE tasks SET data = ? WHERE task = ? AND data = ?",
    KeptIn.DETAILS: "UPDATE runs SET detail = ? WHERE run = ? AND detail = ?",
    KeptIn.INPUTS: "UPDATE runs SET input_digest = ? WHERE run = ? AND input_digest = ?",
}

_FIRST: dict[KeptIn, Spot] = {
    KeptIn.EVENTS: (-1, 0),
    KeptIn.STATE: (-1, "", ""),
    KeptIn.MESSAGES: (-1,),
    KeptIn.TASKS: (-1,),
    KeptIn.DETAILS: (-1,),
    KeptIn.INPUTS: (-1,),
}


def read_kept(db: Connection, where: KeptIn, after: Spot | None) -> list[Kept]:
    """The next pieces behind a spot, in the order of spots; none at the end."""
    cursor = db.execute(_READ[where], after or _FIRST[where])
    width = len(_FIRST[where])
    kept: list[Kept] = []
    weight = 0
    while weight < PAGE_BYTES_MAX and len(kept) < PAGE_ROWS and (rows := cursor.fetchmany(FETCHED_AT_ONCE)):
        for row in rows:
            run_id, namespace, workflow_id, kind, key, id, time, data = row[width:]
            kept.append(
                Kept(
                    spot=row[:width],
                    run_id=run_id,
                    namespace=namespace,
                    workflow_id=workflow_id,
                    kind=kind,
                    key=key,
                    id=id,
                    time=time,
                    data=data,
                )
            )
            weight += len(data)
    cursor.close()
    return kept


def swap_kept(db: Connection, where: KeptIn, swaps: Sequence[Swap]) -> None:
    for swap in swaps:
        db.execute(_SWAP[where], (swap.data, *swap.spot, swap.was))
