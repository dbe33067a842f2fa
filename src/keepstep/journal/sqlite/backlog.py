"""What waits on queues: see ``journal.backlog``.

Queues, and the languages of their runs, are found by leaps along the indexes by which work is claimed, one leap each.
"""

from __future__ import annotations

from sqlite3 import Connection

from keepstep.journal.backlog import COUNTED_MAX, QUEUES_MAX, Backlog
from keepstep.journal.deciding.codes import from_json
from keepstep.journal.line import SINCE

_OFFERED = "status = 0 AND owner IS NULL AND wake_at IS NOT NULL AND condition NOT IN (4, 5)"

_TASK_QUEUES = """
WITH RECURSIVE named(name, n) AS (
    SELECT (SELECT min(queue) FROM tasks INDEXED BY tasks_claimable WHERE owner IS NULL), 1
    UNION ALL
    SELECT (SELECT min(queue) FROM tasks INDEXED BY tasks_claimable WHERE owner IS NULL AND queue > named.name), n + 1
    FROM named WHERE name IS NOT NULL AND n < :queues_max)
"""

WAITING_TASKS = f"""
{_TASK_QUEUES}
SELECT json_group_array(json_array(w.name, w.counted, r.run_id, t.key)) FROM (
    SELECT name,
        (SELECT count(*) FROM (SELECT 1 FROM tasks INDEXED BY tasks_claimable
            WHERE owner IS NULL AND queue = named.name LIMIT :counted_max)) AS counted,
        (SELECT min(task) FROM (SELECT task FROM tasks INDEXED BY tasks_claimable
            WHERE owner IS NULL AND queue = named.name ORDER BY priority DESC, fairness_key, task LIMIT :counted_max)
        ) AS oldest
    FROM named WHERE name IS NOT NULL) AS w
JOIN tasks AS t ON t.task = w.oldest JOIN runs AS r ON r.run = t.run
"""

DUE_RUNS = f"""
WITH RECURSIVE named(name, n) AS (
    SELECT (SELECT min(queue) FROM runs INDEXED BY runs_claimable WHERE {_OFFERED}), 1
    UNION ALL
    SELECT (SELECT min(queue) FROM runs INDEXED BY runs_claimable WHERE {_OFFERED} AND queue > named.name), n + 1
    FROM named WHERE name IS NOT NULL AND n < :queues_max),
pairs(queue, language) AS (
    SELECT name, (SELECT min(language) FROM runs INDEXED BY runs_claimable WHERE {_OFFERED} AND queue = named.name)
    FROM named WHERE name IS NOT NULL
    UNION ALL
    SELECT queue, (SELECT min(language) FROM runs INDEXED BY runs_claimable
        WHERE {_OFFERED} AND queue = pairs.queue AND language > pairs.language)
    FROM pairs WHERE language IS NOT NULL)
SELECT json_group_array(json_array(queue, json(found))) FROM (
    SELECT queue, (SELECT json_array(count(*), min({SINCE.format("wake_at")})) FROM (
        SELECT wake_at FROM runs INDEXED BY runs_claimable
        WHERE {_OFFERED} AND queue = pairs.queue AND language = pairs.language AND wake_at <= :now
            AND condition NOT IN (2, 7)
        ORDER BY wake_at LIMIT :counted_max)) AS found
    FROM pairs WHERE language IS NOT NULL)
"""


def list_backlogs(db: Connection, now: int) -> list[Backlog]:
    limits = {"counted_max": COUNTED_MAX, "queues_max": QUEUES_MAX}
    tasks = {row[0]: row[1:] for row in from_json(db.execute(WAITING_TASKS, limits).fetchone()[0])}
    due = dict[str, tuple[int, int]]()
    for queue, (runs, since) in from_json(db.execute(DUE_RUNS, {**limits, "now": now}).fetchone()[0]):
        if runs:
            before, longest = due.get(queue, (0, since))
            due[queue] = before + runs, min(longest, since)
    return [_backlog(queue, tasks.get(queue), due.get(queue)) for queue in sorted({*tasks, *due})[:QUEUES_MAX]]


def _backlog(queue: str, tasks: tuple[int, str, str] | None, due: tuple[int, int] | None) -> Backlog:
    waiting, run_id, key = tasks or (0, "", "")
    runs, since = due or (0, None)
    return Backlog(
        queue=queue,
        tasks=waiting,
        oldest_run_id=run_id,
        oldest_key=key,
        runs=min(runs, COUNTED_MAX),
        due_since=since,
    )
