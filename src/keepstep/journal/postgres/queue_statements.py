"""The SQL statements about queues with limits, named: what locks queues, and what counts and finds what is on them."""

from __future__ import annotations

from keepstep.journal.queue import ANY_TYPE

from .statement import Statement
from .statements import shard_sql

LOCK_QUEUES = Statement(
    "SELECT body, progress FROM queues WHERE name = ANY($1) ORDER BY name FOR NO KEY UPDATE", "text[]"
)
"""Until the end of the transaction nobody else hands out anything of them."""

LOCK_ALL_QUEUES = Statement("LOCK TABLE queues IN EXCLUSIVE MODE")
"""Waits for all who are about to start runs, or to claim, and keeps others from it for a moment; but not for those who
start a run in a transaction of their own, however long that is open."""

QUEUES_THAT_HOLD_BACK = Statement(
    "SELECT name FROM queues WHERE holds_back <> 0 AND name = ANY($1) FOR KEY SHARE", "text[]"
)
"""The lock is for the table, which ``LOCK_ALL_QUEUES`` waits for, also where there is no such row."""

SAVE_QUEUE = Statement(
    """
    INSERT INTO queues (shard, name, holds_back, body, progress) VALUES ($1, $2, $3, $4, '{}')
    ON CONFLICT (shard, name) DO UPDATE SET holds_back = excluded.holds_back, body = excluded.body
    """,
    *("int2", "text", "int2", "bytea"),
)

KEEP_QUEUE = Statement(
    """
    INSERT INTO queues (shard, name, holds_back, body, progress) VALUES ($1, $2, $3, $4, '{}') ON CONFLICT DO NOTHING
    """,
    *("int2", "text", "int2", "bytea"),
)

SAVE_PROGRESS = Statement("UPDATE queues SET progress = $3 WHERE shard = $1 AND name = $2", "int2", "text", "bytea")

_OWNERS = "(SELECT lease AS owner FROM leases UNION ALL SELECT 0)"
"""All that can hold a task."""

SLOTS_HELD = Statement(
    f"SELECT count(*) FROM {_OWNERS} AS o JOIN tasks AS t ON t.owner = o.owner AND t.queue = $1", "text"
)

SLOTS_BY_KEY = Statement(
    f"""
    SELECT t.fairness_key, count(*) FROM {_OWNERS} AS o JOIN tasks AS t ON t.owner = o.owner AND t.queue = $1
    GROUP BY t.fairness_key
    """,
    "text",
)

SLOTS_OF_WORKER = Statement(
    """
    SELECT (SELECT count(*) FROM tasks WHERE owner = $2 AND queue = $1)
        + (SELECT count(*) FROM runs AS r JOIN tasks AS t ON t.shard = r.shard AND t.run = r.run AND t.kind = 'run'
           WHERE r.owner = $2 AND t.owner = 0 AND t.queue = $1)
    """,
    *("text", "int8"),
)

WAITING_PRIORITIES = Statement(
    """
    WITH RECURSIVE level (priority, nth) AS (
        (SELECT priority, 1 FROM tasks WHERE owner IS NULL AND queue = $1 ORDER BY priority DESC LIMIT 1)
        UNION ALL
        SELECT next.priority, level.nth + 1 FROM level CROSS JOIN LATERAL (
            SELECT t.priority FROM tasks AS t WHERE t.owner IS NULL AND t.queue = $1 AND t.priority < level.priority
            ORDER BY t.priority DESC LIMIT 1) AS next
        WHERE level.nth < $2)
    SELECT priority FROM level
    """,
    *("text", "int8"),
)
"""Each is one step down the index, however many tasks have it; so is each key."""

WAITING_KEYS = Statement(
    """
    WITH RECURSIVE found (key, nth) AS (
        (SELECT fairness_key, 1 FROM tasks WHERE owner IS NULL AND queue = $1 AND priority = $2 AND fairness_key >= $3
         ORDER BY fairness_key LIMIT 1)
        UNION ALL
        SELECT next.fairness_key, found.nth + 1 FROM found CROSS JOIN LATERAL (
            SELECT t.fairness_key FROM tasks AS t WHERE t.owner IS NULL AND t.queue = $1 AND t.priority = $2
            AND t.fairness_key > found.key ORDER BY t.fairness_key LIMIT 1) AS next
        WHERE found.nth < $4)
    SELECT key FROM found
    """,
    *("text", "int4", "text", "int8"),
)

FIRST_OF_KEYS = Statement(
    f"""
    SELECT wanted.key, first_ones.task FROM unnest($3) AS wanted(key) CROSS JOIN LATERAL (
        SELECT t.task FROM tasks AS t WHERE t.owner IS NULL AND t.queue = $1 AND t.priority = $2
        AND t.fairness_key = wanted.key AND (t.kind = ANY($4) OR (t.kind = 'run' AND (t.key = ANY($5)
            OR ('{ANY_TYPE}' = ANY($5) AND t.key = (
                SELECT r.type FROM runs AS r WHERE r.shard = t.shard AND r.run = t.run)))))
        AND t.visible_at <= $6 AND (t.deadline IS NULL OR t.deadline >= $6) ORDER BY t.task LIMIT $7) AS first_ones
    """,
    *("text", "int4", "text[]", "text[]", "text[]", "int8", "int8"),
)

FREE_TASKS = Statement(
    f"""
    SELECT t.task, t.kind, t.run FROM unnest($1) AS v(task)
    JOIN tasks AS t ON t.shard = {shard_sql("v.task")} AND t.task = v.task
    WHERE t.owner IS NULL FOR NO KEY UPDATE OF t SKIP LOCKED
    """,
    "int8[]",
)

FREE_RUNS = Statement(
    f"""
    SELECT r.run, r.run_id FROM unnest($1) AS v(run)
    JOIN runs AS r ON r.shard = {shard_sql("v.run")} AND r.run = v.run FOR NO KEY UPDATE OF r SKIP LOCKED
    """,
    "int8[]",
)

RUN_IDS = Statement(
    f"""
    SELECT r.run, r.run_id FROM unnest($1) AS v(run)
    JOIN runs AS r ON r.shard = {shard_sql("v.run")} AND r.run = v.run
    """,
    "int8[]",
)

HOLD_TICKETS = Statement(
    f"""
    UPDATE tasks AS t SET owner = 0, epoch = t.epoch + 1 FROM unnest($1) AS v(task)
    WHERE t.shard = {shard_sql("v.task")} AND t.task = v.task
    """,
    "int8[]",
)

NEXT_VISIBLE = Statement(
    """
    SELECT min(visible_at) FROM tasks
    WHERE owner IS NULL AND visible_at > 0 AND queue = $1 AND visible_at > $2
    """,
    *("text", "int8"),
)

IS_TICKET_HELD = Statement(
    f"""
    SELECT count(*) FROM tasks WHERE shard = {shard_sql("$1")} AND run = $1 AND kind = 'run' AND owner = 0
    """,
    "int8",
)

SAVED_TICKET = Statement(f"SELECT queue, type, ticket FROM runs WHERE shard = {shard_sql('$1')} AND run = $1", "int8")

SAVE_TICKET = Statement(f"UPDATE runs SET ticket = $2 WHERE shard = {shard_sql('$1')} AND run = $1", "int8", "text")

RUNS_THAT_LOST_TICKETS = Statement(
    """
    SELECT r.run_id FROM runs AS r WHERE r.status = 0 AND r.ticket IS NOT NULL
        AND NOT EXISTS (SELECT FROM tasks AS t WHERE t.shard = r.shard AND t.run = r.run AND t.kind = 'run')
    """
)

RUNS_WITHOUT_TICKET = Statement(
    """
    SELECT r.run_id, r.type FROM runs AS r WHERE r.status = 0 AND r.queue = $1
        AND NOT EXISTS (SELECT FROM tasks AS t WHERE t.shard = r.shard AND t.run = r.run AND t.kind = 'run')
    """,
    "text",
)
