"""Every SQL statement by which is read beside the writer, and those of the log and of the parts of its table.

What is listed is walked along an index: each of several statuses (or conditions) walks its own stretch of it.
"""

from __future__ import annotations

from .statement import Statement
from .statements import NEWEST, NEXT_WAKE_OF, shard_sql

# Reading.

_RUN = """
    r.run_id, r.workflow_id, r.namespace, r.shard, r.language, r.format, r.type, r.queue, r.status, r.condition,
    r.detail, r.bumps, r.last_seq, r.epoch, (SELECT lease_id FROM leases WHERE lease = r.owner), r.wake_at,
    r.started_at, r.closed_at, r.parent_run_id, r.parent_key, r.input_digest, r.attributes, r.status_text, r.strikes,
    r.continued_from
"""

READ_RUN = Statement(f"SELECT {_RUN} FROM runs AS r WHERE r.run_id = $1", "text")

READ_RUNS = Statement(f"SELECT {_RUN} FROM runs AS r WHERE r.run_id = ANY($1)", "text[]")

PLAN_EACH = Statement("SET LOCAL plan_cache_mode TO force_custom_plan")
"""Which index serves a search hangs on what is sought: how many runs have it."""

ATTRIBUTE_NUMBERS = Statement("SELECT name, attribute FROM attributes WHERE namespace = $1", "text")

LIST_ATTRIBUTES = Statement("SELECT name, type FROM attributes WHERE namespace = $1 ORDER BY name", "text")

RUNS_OF = f"""
SELECT {_RUN} FROM ({{numbers}}) AS page JOIN runs AS r ON r.shard = {shard_sql("page.run")} AND r.run = page.run
"""
"""The runs whose numbers another statement selects."""

LIST_CLOSED = Statement(
    """
    WITH oldest AS (
        SELECT shard, run, run_id, last_seq, bumps, closed_at FROM runs
        WHERE namespace = $1 AND status = $2 AND closed_at > 0 AND closed_at < $3
        ORDER BY closed_at, run LIMIT $5),
    read AS (SELECT shard, min(n) AS n FROM cursors GROUP BY shard)
    SELECT o.run_id, o.last_seq + o.bumps, o.closed_at, o.last_seq
    FROM oldest AS o LEFT JOIN read ON read.shard = o.shard
    WHERE read.n IS NULL OR o.last_seq = 0 OR coalesce((
        SELECT l.first_n + e.nth FROM events AS e JOIN log AS l ON l.shard = e.shard AND l.batch = e.batch
        WHERE e.shard = o.shard AND e.run = o.run AND e.seq = o.last_seq) <= read.n, false)
    ORDER BY o.closed_at, o.run LIMIT $4
    """,
    *("text", "int2", "int8", "int8", "int8"),
)
"""An event without a position yet was read by nobody who reads the log."""

LIST_OWNED_RUNS = Statement(
    f"""
    SELECT {_RUN} FROM runs AS r WHERE r.owner = (SELECT lease FROM leases WHERE lease_id = $1) AND r.status = 0
    """,
    "text",
)

FIND_RUN = Statement(
    f"""
    SELECT {_RUN} FROM (SELECT $1::smallint, $2, $3) AS w(shard, namespace, workflow_id), runs AS r
    WHERE r.shard = w.shard AND r.run = {NEWEST.format("w")}
    """,
    *("int2", "text", "text"),
)

_HELD_SLOTS = """
    (SELECT lease AS owner FROM leases UNION ALL SELECT 0) AS o
    JOIN tasks AS h ON h.owner = o.owner AND h.queue = {queue}
"""

LIST_QUEUES = Statement(
    f"""
    SELECT q.body, (SELECT count(*) FROM tasks WHERE owner IS NULL AND queue = q.name),
        (SELECT count(*) FROM {_HELD_SLOTS.format(queue="q.name")})
    FROM queues AS q ORDER BY q.name
    """
)

FIND_PLACE = Statement(
    f"""
    SELECT t.queue, t.fairness_key, t.visible_at, t.priority,
        (SELECT count(*) FROM (SELECT FROM tasks AS o WHERE o.owner IS NULL AND o.queue = t.queue
            AND o.visible_at <= $2 AND (o.priority > t.priority OR (o.priority = t.priority AND o.task < t.task))
            LIMIT $3) AS earlier),
        (SELECT count(*) FROM {_HELD_SLOTS.format(queue="t.queue")} AND h.fairness_key = t.fairness_key),
        (SELECT r.workflow_id FROM {_HELD_SLOTS.format(queue="t.queue")} AND h.fairness_key = t.fairness_key
            JOIN runs AS r ON r.shard = h.shard AND r.run = h.run ORDER BY h.task LIMIT 1),
        (SELECT body FROM queues AS q WHERE q.name = t.queue)
    FROM runs JOIN tasks AS t ON t.shard = runs.shard AND t.run = runs.run AND t.kind = 'run' AND t.owner IS NULL
    WHERE runs.run_id = $1
    """,
    *("text", "int8", "int8"),
)

_ANY_TASKS = """
    (NOT EXISTS (SELECT FROM leases WHERE lease_id = {lease})
        OR EXISTS (SELECT FROM tasks WHERE owner IS NULL AND (queue = ANY({queues}) OR fallback_queue = ANY({queues}))
                   AND kind = ANY({kinds}) AND visible_at <= {now}))
"""

ANY_TASKS = Statement(
    "SELECT " + _ANY_TASKS.format(lease="$1", queues="$2", kinds="$3", now="$4"),
    *("text", "text[]", "text[]", "int8"),
)
"""Whether a claim of tasks may bring any, or has to be refused."""

PULSE = Statement(
    f"""
    WITH renewed AS (UPDATE leases SET counter = counter + 1 WHERE lease_id = ANY($5) RETURNING lease_id)
    SELECT l.body, l.counter, l.probing, (SELECT count(*) FROM runs WHERE owner = l.lease),
        (SELECT count(*) FROM tasks WHERE owner = l.lease), l.lease_id, l.lease_id IN (SELECT lease_id FROM renewed),
        ({NEXT_WAKE_OF}), EXISTS (SELECT FROM asks), {_ANY_TASKS.format(lease="$3", queues="$6", kinds="$7", now="$8")}
    FROM leases AS l
    """,
    *("text[]", "text[]", "text", "text[]", "text[]", "text[]", "text[]", "int8"),
)
"""All that a process without work wants to know, once a second, in one statement: who is there, when the next run is
due that its worker could claim, and whether there are asks and tasks. It also renews the leases that are due."""

_RUN_NUMBER = "(SELECT run FROM runs WHERE run_id = $1)"


def _of_run(table: str) -> str:
    return f"{table}.shard = {shard_sql(_RUN_NUMBER)} AND {table}.run = {_RUN_NUMBER}"


READ_EVENTS = Statement(
    f"""
    SELECT e.seq, e.type, e.time, e.key, e.data FROM events AS e WHERE {_of_run("e")} AND e.seq > $2
    ORDER BY e.seq LIMIT $3
    """,
    *("text", "int8", "int8"),
)

READ_STATE = Statement(
    f"""
    SELECT s.kind, s.key, s.data FROM state AS s WHERE {_of_run("s")} AND ($2::text IS NULL OR s.kind = $2)
    ORDER BY s.kind, s.key
    """,
    *("text", "text"),
)

LIST_STATE = Statement(
    """
    SELECT r.run_id, s.key, s.data FROM state AS s JOIN runs AS r ON r.shard = s.shard AND r.run = s.run
    WHERE s.kind = $2 AND r.namespace = $1 AND r.status = 0 AND ($3::text IS NULL OR (r.run_id, s.key) > ($3, $4))
    ORDER BY r.run_id, s.key LIMIT $5
    """,
    *("text", "text", "text", "text", "int8"),
)

READ_MESSAGES = Statement(
    f"""
    SELECT $1, m.n, m.kind, m.name, m.data, m.time, m.id FROM messages AS m WHERE {_of_run("m")} ORDER BY m.n
    """,
    "text",
)

READ_MESSAGES_OF = Statement(
    """
    SELECT r.run_id, m.n, m.kind, m.name, m.data, m.time, m.id
    FROM runs AS r JOIN messages AS m ON m.shard = r.shard AND m.run = r.run
    WHERE r.run_id = ANY($1) AND r.inbox_size > 0 ORDER BY m.n
    """,
    "text[]",
)

READ_INBOX = Statement(
    """
    SELECT r.run_id, m.n, m.kind, m.name, m.data, m.time, m.id
    FROM messages AS m JOIN runs AS r ON r.shard = m.shard AND r.run = m.run
    WHERE r.owner = (SELECT lease FROM leases WHERE lease_id = $1) AND m.n > $2 AND (m.n > $4 OR NOT m.n = ANY($5))
    ORDER BY m.n LIMIT $3
    """,
    *("text", "int8", "int8", "int8", "int8[]"),
)

READ_WHOLE_INBOX = Statement(
    """
    SELECT r.run_id, m.n, m.kind, m.name, m.data, m.time, m.id
    FROM runs AS r JOIN messages AS m ON m.shard = r.shard AND m.run = r.run
    WHERE r.owner = (SELECT lease FROM leases WHERE lease_id = $1) AND r.inbox_size > 0 ORDER BY m.n LIMIT $2
    """,
    *("text", "int8"),
)
"""By the lease's runs, because so many messages may lie with others."""

LAST_ARRIVAL = Statement("SELECT last_value FROM arrival_numbers")

OLDEST_TRANSACTION = Statement("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
"""All older ones have ended, and what they committed is there for later statements."""

READ_AUDIT = Statement(
    f"SELECT a.time, a.text FROM audit AS a WHERE {_of_run('a')} ORDER BY a.line",
    "text",
)

# The log.

ANY_BATCHES = Statement("SELECT EXISTS (SELECT FROM batches WHERE shard = $1)", "int2")

LOCK_LOG = Statement("SELECT pg_advisory_xact_lock(hashtext(current_schema() || '.log'), $1)", "int4")
"""Until the end of the transaction nobody else gives out positions of this shard."""

EXTEND_LOG = Statement(
    """
    WITH found AS (
        DELETE FROM batches WHERE shard = $1 AND batch <= (
            SELECT max(batch) FROM (SELECT batch FROM batches WHERE shard = $1 ORDER BY batch LIMIT $2) AS first_ones)
        RETURNING batch, events),
    reached AS (
        SELECT greatest((SELECT first_n + events FROM log WHERE shard = $1 ORDER BY first_n DESC LIMIT 1),
                        (SELECT log_purged + 1 FROM shards WHERE shard = $1)) AS next_n)
    INSERT INTO log (shard, first_n, events, batch)
    SELECT $1, next_n + sum(events) OVER (ORDER BY batch) - events, events, batch FROM found, reached
    """,
    "int2",
    "int8",
)
"""Give positions to committed batches of a shard: behind all earlier ones, in a transaction that has ``LOCK_LOG``. They
are named by the last of them, because a join with the list of them would compare each with each."""

LOG_STRETCH = Statement(
    """
    SELECT first_n, events, batch FROM log
    WHERE shard = $1 AND first_n + events > $2 + 1
        AND first_n >= coalesce((SELECT max(first_n) FROM log WHERE shard = $1 AND first_n <= $2 + 1), 0)
    ORDER BY first_n LIMIT $3
    """,
    *("int2", "int8", "int8"),
)
"""The batches behind a position, that which it lies in included."""

EVENTS_OF_BATCHES = Statement(
    """
    SELECT s.first_n + e.nth AS n, r.run_id, e.seq, e.type, e.time, e.key, e.data
    FROM unnest($2, $3) AS s(first_n, batch)
    CROSS JOIN LATERAL (SELECT * FROM events WHERE shard = $1 AND batch = s.batch OFFSET 0) AS e
    CROSS JOIN LATERAL (SELECT run_id FROM runs WHERE shard = $1 AND run = e.run OFFSET 0) AS r
    WHERE s.first_n + e.nth > $4 ORDER BY 1 LIMIT $5
    """,
    *("int2", "int8[]", "int8[]", "int8", "int8"),
)
"""``OFFSET 0`` keeps each batch a look-up of its own: a plan made while tables are small may compare each with each."""

LOG_PURGED = Statement("SELECT log_purged FROM shards WHERE shard = $1", "int4")
"""How far retention has removed the log."""

LIST_NAMESPACES = Statement(
    """
    WITH RECURSIVE found (name) AS (
        (SELECT namespace FROM runs WHERE namespace > $1 ORDER BY namespace LIMIT 1)
        UNION ALL
        SELECT (SELECT namespace FROM runs WHERE namespace > found.name ORDER BY namespace LIMIT 1)
        FROM found WHERE found.name IS NOT NULL)
    SELECT name FROM found WHERE name IS NOT NULL LIMIT $2
    """,
    *("text", "int8"),
)
"""From each name to the next one along an index, however many runs there are of each."""

LOG_ENDS = Statement(
    """
    SELECT s.shard, greatest(s.log_purged, coalesce(l.n, 0)) FROM shards AS s LEFT JOIN LATERAL (
        SELECT first_n + events - 1 AS n FROM log WHERE shard = s.shard ORDER BY first_n DESC LIMIT 1) AS l ON true
    ORDER BY s.shard
    """
)
"""Of what has positions by now."""

SHARDS_BEHIND = Statement("SELECT DISTINCT shard FROM batches ORDER BY shard")

LIST_SHARDS = Statement("SELECT shard FROM shards ORDER BY shard")

FORGET_LOG = Statement(
    """
    WITH purged AS (SELECT log_purged AS n FROM shards WHERE shard = $1),
    looked_at AS (
        SELECT first_n FROM log
        WHERE shard = $1 AND first_n > $2 AND first_n <= (SELECT n FROM purged) ORDER BY first_n LIMIT $3),
    forgotten AS (
        DELETE FROM log
        WHERE shard = $1 AND first_n > $2 AND first_n <= (SELECT max(first_n) FROM looked_at)
            AND first_n + events - 1 <= (SELECT n FROM purged)
            AND (SELECT 1 FROM events AS e WHERE e.shard = $1 AND e.batch = log.batch LIMIT 1) IS NULL)
    SELECT count(*), max(first_n) FROM looked_at
    """,
    *("int4", "int8", "int8"),
)
"""Of so many batches behind a position, those that lie where retention has been and have no event left; how many were
looked at, and up to where. No join: planned while tables are small, one may compare each with each for ever after."""

# Parts of the table of events.

LOCK_PARTS = Statement("SELECT pg_advisory_xact_lock(hashtext(current_schema() || '.parts'))")

LAST_RUN = Statement("SELECT last_value FROM run_numbers")

LIST_PARTS = Statement(
    "SELECT c.relname::text FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid "
    "WHERE i.inhparent = 'events'::regclass"
)

LOOSE_PARTS = Statement(
    """
    SELECT c.relname::text FROM pg_class AS c
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND c.relname ~ '^events_[0-9]{6,}$'
        AND NOT EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = c.oid)
    """
)
"""Parts that somebody has detached, and not dropped."""

RUNS_BETWEEN = Statement(
    """
    SELECT coalesce(sum(found.runs), 0)::bigint, coalesce(sum(found.closed), 0)::bigint
    FROM shards AS s CROSS JOIN LATERAL (
        SELECT count(*) AS runs, count(*) FILTER (WHERE closed_at > 0) AS closed FROM (
            SELECT closed_at FROM runs WHERE runs.shard = s.shard AND run >= $1 AND run < $2 LIMIT 1000) AS first_ones
    ) AS found
    """,
    "int8",
    "int8",
)
"""How many runs have numbers in between, and how many of them are closed; of each shard up to a thousand."""

SWEEP_PART = """
    WITH gone AS (
        SELECT e.shard, e.run, e.seq FROM {part} AS e
        WHERE NOT EXISTS (SELECT FROM runs AS r WHERE r.shard = e.shard AND r.run = e.run) LIMIT $1),
    deleted AS (
        DELETE FROM {part} AS e USING gone WHERE e.shard = gone.shard AND e.run = gone.run AND e.seq = gone.seq
        RETURNING 1)
    SELECT count(*) FROM deleted
"""

JUMP_TO_RUN = Statement(
    "SELECT setval('run_numbers', $1) FROM run_numbers WHERE last_value < $2 AND last_value > $3",
    *("int8", "int8", "int8"),
)
