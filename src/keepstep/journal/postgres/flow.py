"""How many runs began and ended: see ``journal.flow``. Each stretch walks its own part of an index."""

from __future__ import annotations

from collections import defaultdict

from keepstep.journal.deciding.codes import STATUS_CODES, STATUSES
from keepstep.journal.flow import CLOSED, COUNTED_MAX, SAMPLED_MAX, Count, Ended, Sampled, Stretch, Window
from keepstep.journal.run import Status

from .statement import Statement
from .wire import Wire

_STRETCHES = "(SELECT i, $2 + i * $3 AS first, $2 + (i + 1) * $3 AS last FROM generate_series(0, $4 - 1) AS i) AS s"

STARTED = Statement(
    f"""
    SELECT s.i::int8, f.counted, f.last_at FROM {_STRETCHES} CROSS JOIN LATERAL (
        SELECT count(*) AS counted, max(started_at) AS last_at FROM (
            SELECT started_at FROM runs WHERE namespace = $1 AND started_at >= s.first AND started_at < s.last
            ORDER BY started_at LIMIT $5) AS few) AS f
    """,
    *("text", "int8", "int8", "int8", "int8"),
)

_STATUSES = ", ".join(f"({STATUS_CODES[status]}::smallint)" for status in CLOSED)

_ENDED_RUNS = """
    FROM runs WHERE namespace = $1 AND status = c.status AND closed_at > 0
        AND closed_at >= s.first AND closed_at < s.last
    ORDER BY closed_at
"""

ENDED = Statement(
    f"""
    SELECT s.i::int8, c.status::int8, f.counted, f.last_at
    FROM {_STRETCHES} CROSS JOIN (VALUES {_STATUSES}) AS c(status) CROSS JOIN LATERAL (
        SELECT count(*) AS counted, max(closed_at) AS last_at FROM (SELECT closed_at {_ENDED_RUNS} LIMIT $5) AS few
    ) AS f WHERE f.counted > 0
    """,
    *("text", "int8", "int8", "int8", "int8"),
)

SAMPLED = Statement(
    f"""
    SELECT s.i::int8, c.status::int8, f.type, f.took
    FROM {_STRETCHES} CROSS JOIN (VALUES {_STATUSES}) AS c(status) CROSS JOIN LATERAL (
        SELECT type, closed_at - started_at AS took {_ENDED_RUNS} LIMIT $5) AS f
    """,
    *("text", "int8", "int8", "int8", "int8"),
)


def read_flow(db: Wire, namespace: str, window: Window) -> list[Stretch]:
    asked = namespace, window.since, window.width, window.stretches
    found = [
        Stretch(Count(counted, last_at or 0), {})
        for _, counted, last_at in sorted(db.ask(STARTED, *asked, COUNTED_MAX))
    ]
    samples: defaultdict[tuple[int, Status], list[Sampled]] = defaultdict(list)
    for place, status, type_, took in db.ask(SAMPLED, *asked, SAMPLED_MAX):
        samples[place, STATUSES[status]].append(Sampled(type_, took))
    for place, status, counted, last_at in db.ask(ENDED, *asked, COUNTED_MAX):
        kind = STATUSES[status]
        found[place].ended[kind] = Ended(Count(counted, last_at), samples[place, kind])
    return found
