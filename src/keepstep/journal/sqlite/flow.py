"""How many runs began and ended: see ``journal.flow``. Each stretch walks its own part of an index."""

from __future__ import annotations

from sqlite3 import Connection
from typing import Any

from keepstep.journal.deciding.codes import STATUS_CODES, STATUSES, from_json, json_text
from keepstep.journal.flow import CLOSED, COUNTED_MAX, SAMPLED_MAX, Count, Ended, Sampled, Stretch, Window

_STRETCHES = """
WITH RECURSIVE stretches(i, first, end) AS (
    SELECT 0, :since, :since + :width
    UNION ALL SELECT i + 1, end, end + :width FROM stretches WHERE i + 1 < :stretches)
"""

STARTED = f"""
{_STRETCHES}
SELECT json_group_array(json(found)) FROM (
    SELECT (SELECT json_array(s.i, count(*), max(started_at)) FROM (
        SELECT started_at FROM runs INDEXED BY runs_newest
        WHERE namespace = :namespace AND started_at >= s.first AND started_at < s.end
        ORDER BY started_at LIMIT :counted_max)) AS found
    FROM stretches AS s)
"""

ENDED = f"""
{_STRETCHES}
SELECT json_group_array(json_array(i, status, json(found), json(sample))) FROM (
    SELECT i, status, found,
        (SELECT json_group_array(json_array(type, took)) FROM (
            SELECT type, closed_at - started_at AS took FROM runs INDEXED BY runs_closed
            WHERE namespace = :namespace AND status = f.status AND closed_at >= f.first AND closed_at < f.end
                AND closed_at > 0
            ORDER BY closed_at LIMIT :sampled_max)) AS sample
    FROM (
        SELECT s.i, s.first, s.end, c.value AS status,
            (SELECT CASE WHEN count(*) THEN json_array(count(*), max(closed_at)) END FROM (
                SELECT closed_at FROM runs INDEXED BY runs_closed
                WHERE namespace = :namespace AND status = c.value AND closed_at >= s.first AND closed_at < s.end
                    AND closed_at > 0
                ORDER BY closed_at LIMIT :counted_max)) AS found
        FROM stretches AS s CROSS JOIN json_each(:statuses) AS c LIMIT -1) AS f
    WHERE found IS NOT NULL)
"""
"""Of two bounds from below SQLite leaps to the first that is named; the index is for those above 0. The LIMIT keeps the
inner statement one of its own, so that what is found is not sought once more for each word about it."""

_STATUSES = json_text([STATUS_CODES[status] for status in CLOSED])


def read_flow(db: Connection, namespace: str, window: Window) -> list[Stretch]:
    asked: dict[str, Any] = {"namespace": namespace, "counted_max": COUNTED_MAX, "sampled_max": SAMPLED_MAX}
    asked |= {"since": window.since, "width": window.width, "stretches": window.stretches, "statuses": _STATUSES}
    found = [
        Stretch(Count(counted, last_at or 0), {})
        for _, counted, last_at in sorted(from_json(db.execute(STARTED, asked).fetchone()[0]))
    ]
    for place, status, (counted, last_at), sample in from_json(db.execute(ENDED, asked).fetchone()[0]):
        ended = Ended(Count(counted, last_at), [Sampled(*each) for each in sample])
        found[place].ended[STATUSES[status]] = ended
    return found
