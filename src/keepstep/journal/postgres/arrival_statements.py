"""Every SQL statement of a move into this store (``arriving``), named. They are asked plainly, one at a time."""

from __future__ import annotations

from keepstep.journal.moving import EVENTS, RUNS, TASKS, Noun

from .shard import SHARD_BITS

READ = "SELECT value FROM meta WHERE name = %s"

WRITE = "INSERT INTO meta (name, value) VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET value = excluded.value"

SWAP = "UPDATE meta SET value = %s WHERE name = %s AND value = %s"

# What an empty journal has nothing of.

_CONTENT = (
    *("runs", "events", "state", "messages", "received", "timers", "tasks", "audit", "asks", "answers"),
    *("batches", "log", "leases", "definitions", "queues", "cursors", "commit_ids", "attributes", "attribute_values"),
)

ANYTHING = " UNION ALL ".join(f"(SELECT '{table}' FROM {table} LIMIT 1)" for table in _CONTENT)
"""Names a table that is not empty."""

_SEQUENCES = ("run_numbers", "arrival_numbers", "task_numbers", "batch_numbers")

CLEAR = (
    f"TRUNCATE {', '.join(_CONTENT)} RESTART IDENTITY",
    *(f"SELECT setval('{sequence}', 1, false)" for sequence in _SEQUENCES),
    "UPDATE shards SET log_purged = 0",
    "DELETE FROM meta WHERE name IN ('arriving', 'arrived') OR name LIKE 'clock %'",
)

# Taking rows.

_COPIED = {
    "runs": (
        "shard run run_id namespace workflow_id language format type queue status condition epoch wake_at claimed_seq "
        "strikes bumps started_at closed_at parent_run_id parent_key continued_from input_digest ticket detail "
        "status_text attributes blocked_for last_seq timer_at inbox_size has_tasks offered_at parked",
        "int2 int8 text text text text int4 text text int2 int2 int8 int8 int4 "
        "int4 int8 int8 int8 text text text bytea text bytea text "
        "text text int4 int8 int4 int2 int8 int2",
    ),
    "events": ("shard run seq batch time nth type key data", "int2 int8 int4 int8 int8 int4 text text bytea"),
    "state": ("shard run kind key data", "int2 int8 text text bytea"),
    "messages": ("shard n run kind name data time id wakes", "int2 int8 int8 text text bytea int8 text int2"),
    "received": ("shard run id n", "int2 int8 text int8"),
    "timers": ("shard run key fire_at", "int2 int8 text int8"),
    "tasks": (
        "shard task run kind key queue data priority fairness_key fairness_weight visible_at deadline attempt "
        "fallback_queue owner epoch",
        "int2 int8 int8 text text text bytea int4 text float8 int8 int8 int4 text int8 int8",
    ),
    "audit": ("shard line run time text", "int2 int8 int8 int8 text"),
    "attributes": ("namespace name type", "text text text"),
    "definitions": ("namespace language kind name body", "text text text text bytea"),
    "queues": ("shard name holds_back body progress", "int2 text int2 bytea bytea"),
    "cursors": ("shard subscriber n", "int2 text int8"),
    "commit_ids": ("shard id time", "int2 text int8"),
}

COPY = {
    table: (f"COPY {table} ({', '.join(columns.split())}) FROM STDIN (FORMAT BINARY)", types.split())
    for table, (columns, types) in _COPIED.items()
}
"""Of each noun: the statement, and the types of its columns."""

PARTS = """
SELECT c.relname::text FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'events'::regclass
"""

PLACE = """
WITH drawn AS (SELECT nextval('batch_numbers') AS batch),
placed AS (
    INSERT INTO log (shard, first_n, events, batch) SELECT shard, %s, %s, batch FROM shards, drawn)
SELECT batch FROM drawn
"""
"""Positions for a batch, the same in every shard. What a shard has no event for is a gap in its log."""

REACH = """
INSERT INTO log (shard, first_n, events, batch)
SELECT s.shard, %(last)s, 1, nextval('batch_numbers') FROM shards AS s
WHERE %(last)s > s.log_purged
    AND %(last)s >= coalesce((SELECT max(first_n + events) FROM log AS l WHERE l.shard = s.shard), 0)
"""
"""Every shard's log goes on behind the last position that was ever given out, or a cursor that stands there would skip
what comes next."""

CONTINUE = """
SELECT setval(%(sequence)s::regclass, greatest(%(last)s, 1), %(last)s > 0)
WHERE %(last)s > coalesce(pg_sequence_last_value(%(sequence)s::regclass), 0)
"""
"""Go on counting behind the source's last number."""

INDEX_ATTRIBUTES = r"""
SELECT count(index_attributes(shard, run, started_at, namespace, attributes))
FROM runs WHERE attributes IS NOT NULL AND attributes NOT LIKE '%\\u0000%'
"""
"""What runs are searched by is derived from what they have."""

CONTINUE_LINES = "SELECT setval(pg_get_serial_sequence('audit', 'line'), %s, false)"

# Saying what has arrived, in the source's terms.

COUNT = {"cursors": "SELECT count(DISTINCT subscriber) FROM cursors"}

_SAID = {"run": f"t.run >> {SHARD_BITS}"}

_SAID_OF = {
    EVENTS.name: {"n": "l.first_n + t.nth"},
    TASKS.name: {"task": f"t.task >> {SHARD_BITS}"},
}


def of_runs(noun: Noun) -> str:
    """All rows of the runs with numbers from … to before …; those of runs themselves with their shards behind."""
    said = _SAID | _SAID_OF.get(noun.name, {})
    columns = [said.get(column, f"t.{column}") for column in noun.columns]
    placed = "JOIN log AS l ON l.shard = t.shard AND l.batch = t.batch" if noun is EVENTS else ""
    return f"""
        WITH t AS MATERIALIZED (
            SELECT o.* FROM shards AS s CROSS JOIN LATERAL (
                SELECT * FROM {noun.name} AS o WHERE o.shard = s.shard AND o.run >= %s AND o.run < %s) AS o)
        SELECT {", ".join([*columns, "t.shard"] if noun is RUNS else columns)} FROM t {placed}
    """


def whole(noun: Noun) -> str:
    """All rows of a noun that belongs to no run; a cursor that is not the same in all shards is none."""
    columns = ", ".join(noun.columns)
    same = f"GROUP BY {columns} HAVING count(*) = (SELECT count(*) FROM shards)" if noun.name == "cursors" else ""
    return f"SELECT {columns} FROM {noun.name} {same}"
