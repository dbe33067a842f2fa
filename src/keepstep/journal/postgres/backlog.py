"""What waits on queues: see ``journal.backlog``.

Queues, and the languages of their runs, are found by leaps along the indexes by which work is claimed, one leap each.
"""

from __future__ import annotations

from keepstep.journal.backlog import COUNTED_MAX, QUEUES_MAX, Backlog
from keepstep.journal.line import SINCE

from .statement import Statement
from .wire import Wire

WAITING_TASKS = Statement(
    """
    WITH RECURSIVE named(name, n) AS (
        SELECT (SELECT min(queue) FROM tasks WHERE owner IS NULL), 1
        UNION ALL
        SELECT (SELECT min(queue) FROM tasks WHERE owner IS NULL AND queue > named.name), n + 1
        FROM named WHERE name IS NOT NULL AND n < $2)
    SELECT w.name, f.counted, r.run_id, t.key
    FROM named AS w
    CROSS JOIN LATERAL (
        SELECT count(*) AS counted, min(task) AS oldest FROM (
            SELECT task FROM tasks WHERE owner IS NULL AND queue = w.name
            ORDER BY priority DESC, fairness_key, task LIMIT $1) AS few) AS f
    JOIN LATERAL (SELECT shard, run, key FROM tasks WHERE owner IS NULL AND queue = w.name AND task = f.oldest LIMIT 1)
        AS t ON true
    JOIN runs AS r ON r.shard = t.shard AND r.run = t.run
    WHERE w.name IS NOT NULL
    """,
    *("int8", "int8"),
)

DUE_RUNS = Statement(
    f"""
    WITH RECURSIVE named(name, n) AS (
        SELECT (SELECT min(queue) FROM runs WHERE offered_at IS NOT NULL), 1
        UNION ALL
        SELECT (SELECT min(queue) FROM runs WHERE offered_at IS NOT NULL AND queue > named.name), n + 1
        FROM named WHERE name IS NOT NULL AND n < $3),
    pairs(queue, language) AS (
        SELECT name, (SELECT min(language) FROM runs WHERE offered_at IS NOT NULL AND queue = named.name)
        FROM named WHERE name IS NOT NULL
        UNION ALL
        SELECT queue, (SELECT min(language) FROM runs
            WHERE offered_at IS NOT NULL AND queue = pairs.queue AND language > pairs.language)
        FROM pairs WHERE language IS NOT NULL)
    SELECT p.queue, f.runs, f.since FROM pairs AS p
    CROSS JOIN LATERAL (
        SELECT count(*) AS runs, min({SINCE.format("offered_at")}) AS since FROM (
            SELECT offered_at FROM runs
            WHERE queue = p.queue AND language = p.language AND offered_at IS NOT NULL AND offered_at <= $1
                AND condition <> 2
            ORDER BY offered_at LIMIT $2) AS few) AS f
    WHERE p.language IS NOT NULL AND f.runs > 0
    """,
    *("int8", "int8", "int8"),
)


def list_backlogs(db: Wire, now: int) -> list[Backlog]:
    tasks = {row[0]: row[1:] for row in db.ask(WAITING_TASKS, COUNTED_MAX, QUEUES_MAX)}
    due = dict[str, tuple[int, int]]()
    for queue, runs, since in db.ask(DUE_RUNS, now, COUNTED_MAX, QUEUES_MAX):
        before, longest = due.get(queue, (0, since))
        due[queue] = before + runs, min(longest, since)
    found = []
    for queue in sorted({*tasks, *due})[:QUEUES_MAX]:
        waiting, run_id, key = tasks.get(queue, (0, "", ""))
        runs, first = due.get(queue, (0, None))
        found.append(
            Backlog(
                queue=queue,
                tasks=waiting,
                oldest_run_id=run_id,
                oldest_key=key,
                runs=min(runs, COUNTED_MAX),
                due_since=first,
            )
        )
    return found
