"""Kept: all data of languages in the schema, page by page, and other bytes for them (``journal.kept``)."""

from __future__ import annotations

from collections.abc import Sequence

from keepstep.journal.kept import PAGE_ROWS, Kept, KeptIn, Spot, Swap

from .statement import Statement
from .statements import shard_sql
from .wire import Wire

_RUN = "r.run_id, r.namespace, r.workflow_id"
_OF_RUN = "JOIN runs AS r ON r.shard = t.shard AND r.run = t.run"

_READ = {
    KeptIn.EVENTS: Statement(
        f"SELECT t.run, t.seq, {_RUN}, t.type, coalesce(t.key, ''), '', t.time, t.data FROM events AS t {_OF_RUN} "
        f"WHERE (t.run, t.seq) > ($1, $2) ORDER BY t.run, t.seq LIMIT {PAGE_ROWS}",
        *("int8", "int8"),
    ),
    KeptIn.MESSAGES: Statement(
        f"SELECT t.run, t.n, {_RUN}, t.kind, t.name, coalesce(t.id, ''), 0, t.data FROM messages AS t {_OF_RUN} "
        f"WHERE (t.run, t.n) > ($1, $2) ORDER BY t.run, t.n LIMIT {PAGE_ROWS}",
        *("int8", "int8"),
    ),
    KeptIn.STATE: Statement(
        f"SELECT t.run, t.kind, t.key, {_RUN}, t.kind, t.key, '', 0, t.data FROM state AS t {_OF_RUN} "
        f"WHERE (t.run, t.kind, t.key) > ($1, $2, $3) ORDER BY t.run, t.kind, t.key LIMIT {PAGE_ROWS}",
        *("int8", "text", "text"),
    ),
    KeptIn.TASKS: Statement(
        f"SELECT t.task, {_RUN}, t.kind, t.key, '', 0, t.data FROM tasks AS t {_OF_RUN} "
        f"WHERE t.task > $1 ORDER BY t.task LIMIT {PAGE_ROWS}",
        "int8",
    ),
    KeptIn.DETAILS: Statement(
        f"SELECT r.run, {_RUN}, '', '', '', 0, r.detail FROM runs AS r WHERE r.run > $1 "
        f"ORDER BY r.run LIMIT {PAGE_ROWS}",
        "int8",
    ),
    KeptIn.INPUTS: Statement(
        f"SELECT r.run, {_RUN}, '', '', '', 0, r.input_digest FROM runs AS r WHERE r.run > $1 "
        f"ORDER BY r.run LIMIT {PAGE_ROWS}",
        "int8",
    ),
}

_FIRST: dict[KeptIn, Spot] = {
    KeptIn.EVENTS: (-1, 0),
    KeptIn.STATE: (-1, "", ""),
    KeptIn.MESSAGES: (-1, 0),
    KeptIn.TASKS: (-1,),
    KeptIn.DETAILS: (-1,),
    KeptIn.INPUTS: (-1,),
}


def _swap(table: str, column: str, *key: tuple[str, str]) -> Statement:
    """``key``: the columns of a spot, of which the first one holds the shard, and their types."""
    names = [name for name, _ in key]
    parameters = ", ".join(f"${n}" for n in range(1, len(key) + 3))
    same = " AND ".join(f"t.{name} = v.{name}" for name in names)
    return Statement(
        f"UPDATE {table} AS t SET {column} = v.new FROM unnest({parameters}) AS v({', '.join(names)}, was, new) "
        f"WHERE t.shard = {shard_sql('v.' + names[0])} AND {same} AND t.{column} = v.was",
        *(type_ for _, type_ in key),
        *("bytea[]", "bytea[]"),
    )


_SWAP = {
    KeptIn.EVENTS: _swap("events", "data", ("run", "int8[]"), ("seq", "int8[]")),
    KeptIn.MESSAGES: _swap("messages", "data", ("run", "int8[]"), ("n", "int8[]")),
    KeptIn.STATE: _swap("state", "data", ("run", "int8[]"), ("kind", "text[]"), ("key", "text[]")),
    KeptIn.TASKS: _swap("tasks", "data", ("task", "int8[]")),
    KeptIn.DETAILS: _swap("runs", "detail", ("run", "int8[]")),
    KeptIn.INPUTS: _swap("runs", "input_digest", ("run", "int8[]")),
}


def read_kept(db: Wire, where: KeptIn, after: Spot | None) -> list[Kept]:
    """The next pieces behind a spot, in the order of spots; none at the end."""
    width = len(_FIRST[where])
    kept: list[Kept] = []
    for row in db.ask(_READ[where], *(after or _FIRST[where])):
        run_id, namespace, workflow_id, kind, key, id, time, data = row[width:]
        kept.append(
            Kept(
                spot=tuple(row[:width]),
                run_id=run_id,
                namespace=namespace,
                workflow_id=workflow_id,
                kind=kind,
                key=key,
                id=id,
                time=time,
                data=bytes(data),
            )
        )
    return kept


def swap_kept(db: Wire, where: KeptIn, swaps: Sequence[Swap]) -> None:
    """In the order of spots, so that two who do it at the same time do not wait for each other in a circle."""
    ordered = sorted(swaps, key=lambda swap: swap.spot)
    spots = zip(*(swap.spot for swap in ordered), strict=True)
    db.queue(_SWAP[where], *map(list, spots), [swap.was for swap in ordered], [swap.data for swap in ordered])
