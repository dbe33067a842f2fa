"""The SQL statements of the store, named; those about queues with limits are in ``queue_statements``.

What is read inside a flush is locked where others could change it before the flush ends: runs in the order of their
keys, so that two processes never wait for each other in a circle. Lists go in as arrays and are unfolded by ``unnest``.
A run's or task's shard is in the lowest ten bits of its number, so that no statement needs to be told it.
"""

from __future__ import annotations

from keepstep.journal.line import FAR, SINCE

from .shard import SHARD_BITS, SHARD_MASK
from .statement import GUESS, Statement

_SHARD = f"({{run}} & {SHARD_MASK})::smallint"


def shard_sql(run: str) -> str:
    """The shard that a run's number holds."""
    return _SHARD.format(run=run)


def _unnested(columns: str, first: int = 1) -> str:
    """``unnest($1, $2 …) AS v(column, column …)``"""
    names = [name.strip() for name in columns.split(",")]
    parameters = ", ".join(f"${first + i}" for i in range(len(names)))
    return f"unnest({parameters}) AS v({', '.join(names)})"


# A flush begins and ends.

GUESSED_RIGHT = f"current_setting('{GUESS}', true) IS DISTINCT FROM 'wrong'"
"""In every statement that is sent together with a guess. It is looked at once in each, before anything else is done."""

MARK_FLUSH = Statement(
    f"""
    WITH marked AS (
        UPDATE processes SET flush = $3, seen_at = $4 WHERE process = $1 AND session = $2 AND {GUESSED_RIGHT}
        RETURNING 1)
    SELECT CAST(CASE WHEN count(*) = 1 OR NOT {GUESSED_RIGHT} THEN '1'
        ELSE 'keepstep: another connection writes for this process, or its row is gone; it connects anew' END AS int)
    FROM marked
    """,
    "int8",
    "int8",
    "int8",
    "int8",
)
"""Fails (the server says that the text above is no number) where this connection is not its process's any more, or the
process has no row. Marks nothing where a guess was wrong."""

TAKE_SESSION = Statement(
    "UPDATE processes SET session = $2, seen_at = $3 WHERE process = $1 RETURNING flush", "int8", "int8", "int8"
)
"""From here on no earlier connection of the process can commit; waits for one that is about to."""

INSERT_PROCESS = Statement(
    "INSERT INTO processes (process, identity, session, flush, seen_at) VALUES ($1, $2, $3, $4, $5)",
    "int8",
    "text",
    "int8",
    "int8",
    "int8",
)

DELETE_PROCESS = Statement("DELETE FROM processes WHERE process = $1", "int8")

LIST_PROCESSES = Statement("SELECT process, identity, seen_at FROM processes")

END_STALLED = Statement(
    """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = $1 AND pid <> pg_backend_pid()
        AND wait_event = 'ClientRead' AND state <> 'idle' AND state_change < clock_timestamp() - $2 * interval '1 ms'
        AND pg_has_role(usesysid, 'USAGE')
    """,
    "text",
    "int8",
)
"""End the sessions of writers that wait for the rest of what their process was about to say. The server does that by
itself where it has answered and hears no more, but not in the middle of a pipeline."""

SAVEPOINT = Statement("SAVEPOINT operation")
RETURN_TO_SAVEPOINT = Statement("ROLLBACK TO SAVEPOINT operation")
RELEASE_SAVEPOINT = Statement("RELEASE SAVEPOINT operation")

DRAW_RUNS = Statement("SELECT nextval('run_numbers') FROM generate_series(1, $1)", "int4")

DRAW_ARRIVALS = Statement("SELECT nextval('arrival_numbers') FROM generate_series(1, $1)", "int4")

# What decisions must know.

_HEAD = """
    r.run, r.run_id, r.namespace, r.workflow_id, r.status, r.condition, r.owner, r.epoch, r.wake_at, r.claimed_seq,
    r.strikes, r.bumps, r.closed_at, r.blocked_for, r.last_seq, r.timer_at, r.inbox_size, r.has_tasks
"""

VERIFY_HEADS = Statement(
    f"""
    SELECT CASE WHEN is_right THEN 'right' ELSE set_config('{GUESS}', 'wrong', true) END,
        CASE WHEN NOT is_right THEN set_config('synchronous_commit', 'off', true) END
    FROM (
        SELECT count(*) = cardinality($1) AS is_right FROM (
            SELECT FROM unnest($1, $2, $3, $4, $5) AS v(run, epoch, last_seq, bumps, inbox_size)
            JOIN runs AS r ON r.shard = {shard_sql("v.run")} AND r.run = v.run AND r.epoch = v.epoch
                AND r.last_seq = v.last_seq AND r.bumps = v.bumps AND r.inbox_size = v.inbox_size
            ORDER BY r.shard, r.run FOR NO KEY UPDATE OF r) AS unchanged) AS guess
    """,
    *("int8[]",) * 5,
)
"""Locks runs, and says whether all are as they were: whatever changes a run that somebody owns moves one of these.
Where they are not, nothing that is behind it in the transaction does anything, so that nobody waits for a disk."""

LOCK_HEADS = Statement(
    f"SELECT {_HEAD} FROM runs AS r WHERE r.run_id = ANY($1) ORDER BY r.shard, r.run FOR NO KEY UPDATE", "text[]"
)

NEWEST = """coalesce(
    (SELECT run FROM runs WHERE shard = {0}.shard AND namespace = {0}.namespace AND workflow_id = {0}.workflow_id
     AND status = 0),
    (SELECT run FROM runs WHERE shard = {0}.shard AND namespace = {0}.namespace AND workflow_id = {0}.workflow_id
     ORDER BY run DESC LIMIT 1))
"""

LOCK_HEADS_AND_NEWEST = Statement(
    f"""
    SELECT {_HEAD} FROM (
        SELECT run FROM runs WHERE run_id = ANY($1)
        UNION
        SELECT {NEWEST.format("w")} FROM unnest($2::bigint[], $3, $4) AS w(shard, namespace, workflow_id)
    ) AS wanted JOIN runs AS r ON r.shard = {shard_sql("wanted.run")} AND r.run = wanted.run
    ORDER BY r.shard, r.run FOR NO KEY UPDATE OF r
    """,
    "text[]",
    "int8[]",
    "text[]",
    "text[]",
)
"""The runs named, and the open or else the newest run of each workflow id named."""

INBOXES = Statement(
    f"""
    SELECT m.run, m.n, m.wakes FROM unnest($1) AS wanted(run)
    JOIN messages AS m ON m.shard = {shard_sql("wanted.run")} AND m.run = wanted.run
    """,
    "int8[]",
)

RECEIVED = Statement(
    f"""
    SELECT r.run, r.id, r.n FROM unnest($1, $2) AS wanted(run, id)
    JOIN received AS r ON r.shard = {shard_sql("wanted.run")} AND r.run = wanted.run AND r.id = wanted.id
    """,
    "int8[]",
    "text[]",
)

RUN_ORIGIN = Statement(f"SELECT type, input_digest FROM runs WHERE shard = {shard_sql('$1')} AND run = $1", "int8")

RUN_ATTRIBUTES = Statement(f"SELECT attributes FROM runs WHERE shard = {shard_sql('$1')} AND run = $1", "int8")

ATTRIBUTE_TYPES = Statement("SELECT name, type FROM attributes WHERE namespace = $1", "text")

REGISTER_ATTRIBUTES = Statement(
    """
    INSERT INTO attributes (namespace, name, type) SELECT $1, v.name, v.type FROM unnest($2, $3) AS v(name, type)
    ORDER BY v.name ON CONFLICT DO NOTHING
    """,
    *("text", "text[]", "text[]"),
)
"""In the order of names, so that two processes do not wait for each other in a circle."""

HISTORY_BYTES = Statement(
    f"SELECT coalesce(sum(length(data)), 0)::bigint FROM events WHERE shard = {shard_sql('$1')} AND run = $1", "int8"
)

# What one flush writes.

INSERT_RUNS = Statement(
    f"""
    INSERT INTO runs (
        shard, run, run_id, namespace, workflow_id, language, format, type, queue, started_at, parent_run_id,
        parent_key, continued_from, input_digest, ticket, status, condition, owner, epoch, wake_at, claimed_seq,
        strikes, bumps, closed_at, blocked_for, last_seq, timer_at, inbox_size, has_tasks, offered_at, parked, detail,
        status_text, attributes)
    SELECT {shard_sql("run")}, * FROM {
        _unnested(
            "run, run_id, namespace, workflow_id, language, format, type, queue, started_at, parent_run_id, "
            "parent_key, continued_from, input_digest, ticket, status, condition, owner, epoch, wake_at, claimed_seq, "
            "strikes, bumps, closed_at, blocked_for, last_seq, timer_at, inbox_size, has_tasks, offered_at, parked, "
            "detail, status_text, attributes"
        )
    }
    WHERE {GUESSED_RIGHT}
    """,
    *("int8[]", "text[]", "text[]", "text[]", "text[]", "int8[]", "text[]", "text[]", "int8[]", "text[]"),
    *("text[]", "text[]", "bytea[]", "text[]", "int8[]", "int8[]", "int8[]", "int8[]", "int8[]", "int8[]", "int8[]"),
    *("int8[]", "int8[]", "text[]", "int8[]", "int8[]", "int8[]", "int8[]", "int8[]", "int8[]", "bytea[]"),
    *("text[]", "text[]"),
)

MOVE_RUNS = Statement(
    f"""
    UPDATE runs AS r SET last_seq = v.last_seq, bumps = v.bumps, inbox_size = v.inbox_size, timer_at = v.timer_at,
        has_tasks = v.has_tasks
    FROM {_unnested("run, last_seq, bumps, inbox_size, timer_at, has_tasks")}
    WHERE r.shard = {shard_sql("v.run")} AND r.run = v.run AND {GUESSED_RIGHT}
    """,
    *("int8[]",) * 6,
)
"""What a step moves. No index knows these columns."""

CHANGE_RUNS = Statement(
    f"""
    UPDATE runs AS r SET status = v.status, condition = v.condition, owner = v.owner, epoch = v.epoch,
        wake_at = v.wake_at, claimed_seq = v.claimed_seq, strikes = v.strikes, bumps = v.bumps,
        closed_at = v.closed_at, blocked_for = v.blocked_for, last_seq = v.last_seq, timer_at = v.timer_at,
        inbox_size = v.inbox_size, has_tasks = v.has_tasks, offered_at = v.offered_at, parked = v.parked,
        detail = coalesce(v.detail, r.detail), status_text = coalesce(v.status_text, r.status_text),
        attributes = coalesce(v.attributes, r.attributes)
    FROM {
        _unnested(
            "run, status, condition, owner, epoch, wake_at, claimed_seq, strikes, bumps, closed_at, blocked_for, "
            "last_seq, timer_at, inbox_size, has_tasks, offered_at, parked, detail, status_text, attributes"
        )
    }
    WHERE r.shard = {shard_sql("v.run")} AND r.run = v.run AND {GUESSED_RIGHT}
    """,
    *("int8[]",) * 10,
    "text[]",
    *("int8[]",) * 6,
    *("bytea[]", "text[]", "text[]"),
)

VERIFY_ALONE = Statement(
    f"""
    INSERT INTO meta (name, value)
    SELECT 'journal', '' FROM {_unnested("shard, namespace, workflow_id, ours")}
    WHERE ours <> (SELECT count(*) FROM runs AS r
        WHERE r.shard = v.shard::smallint AND r.namespace = v.namespace AND r.workflow_id = v.workflow_id) LIMIT 1
    """,
    *("int8[]", "text[]", "text[]", "int8[]"),
)
"""Fails as an insertion does that another process was quicker with (every journal has a row of that name), unless these
workflow ids have as many runs as we have started."""

INSERT_EVENTS = Statement(
    f"""
    INSERT INTO events (shard, run, seq, type, time, key, data, nth, batch)
    SELECT {shard_sql("run")}, run, seq, type, time, key, data, nth, currval('batch_numbers')
    FROM {_unnested("run, seq, type, time, key, data, nth")} WHERE {GUESSED_RIGHT}
    """,
    *("int8[]", "int8[]", "text[]", "int8[]", "text[]", "bytea[]", "int8[]"),
)

INSERT_BATCHES = Statement(
    "INSERT INTO batches (batch, shard, events) SELECT currval('batch_numbers'), v.shard, v.events "
    f"FROM unnest($1, $2) AS v(shard, events) WHERE {GUESSED_RIGHT}",
    "int8[]",
    "int8[]",
)

DRAW_BATCH = Statement(f"SELECT nextval('batch_numbers') WHERE {GUESSED_RIGHT}")

INSERT_MESSAGES = Statement(
    f"""
    INSERT INTO messages (shard, n, run, kind, name, data, time, id, wakes)
    SELECT {shard_sql("run")}, * FROM {_unnested("n, run, kind, name, data, time, id, wakes")} WHERE {GUESSED_RIGHT}
    """,
    *("int8[]", "int8[]", "text[]", "text[]", "bytea[]", "int8[]", "text[]", "int8[]"),
)

DELETE_MESSAGES = Statement(
    f"""
    DELETE FROM messages AS m USING {_unnested("run, n")}
    WHERE m.shard = {shard_sql("v.run")} AND m.run = v.run AND m.n = v.n AND {GUESSED_RIGHT}
    """,
    "int8[]",
    "int8[]",
)

INSERT_RECEIVED = Statement(
    f"INSERT INTO received (shard, run, id, n) SELECT {shard_sql('run')}, * FROM {_unnested('run, id, n')} "
    f"WHERE {GUESSED_RIGHT}",
    "int8[]",
    "text[]",
    "int8[]",
)

UPSERT_STATE = Statement(
    f"""
    INSERT INTO state (shard, run, kind, key, data)
    SELECT {shard_sql("run")}, * FROM {_unnested("run, kind, key, data")} WHERE {GUESSED_RIGHT}
    ON CONFLICT (shard, run, kind, key) DO UPDATE SET data = excluded.data
    """,
    *("int8[]", "text[]", "text[]", "bytea[]"),
)

DELETE_STATE = Statement(
    f"""
    DELETE FROM state AS s USING {_unnested("run, kind, key")}
    WHERE s.shard = {shard_sql("v.run")} AND s.run = v.run AND s.kind = v.kind AND s.key = v.key AND {GUESSED_RIGHT}
    """,
    *("int8[]", "text[]", "text[]"),
)

DELETE_TIMERS = Statement(
    f"DELETE FROM timers AS t USING unnest($1) AS v(run) WHERE t.shard = {shard_sql('v.run')} AND t.run = v.run "
    f"AND {GUESSED_RIGHT}",
    "int8[]",
)

INSERT_TIMERS = Statement(
    f"""
    INSERT INTO timers (shard, run, key, fire_at)
    SELECT {shard_sql("run")}, * FROM {_unnested("run, key, fire_at")} WHERE {GUESSED_RIGHT}
    ON CONFLICT (shard, run, key) DO UPDATE SET fire_at = excluded.fire_at
    """,
    *("int8[]", "text[]", "int8[]"),
)

DELETE_TASKS_OF_RUNS = Statement(
    f"DELETE FROM tasks AS t USING unnest($1) AS v(run) WHERE t.shard = {shard_sql('v.run')} AND t.run = v.run "
    f"AND {GUESSED_RIGHT}",
    "int8[]",
)

INDEX_ATTRIBUTES = Statement(
    f"""
    SELECT count(index_attributes(r.shard, r.run, r.started_at, r.namespace, r.attributes)) FROM unnest($1) AS v(run)
    JOIN runs AS r ON r.shard = {shard_sql("v.run")} AND r.run = v.run WHERE {GUESSED_RIGHT}
    """,
    "int8[]",
)
"""What runs are searched by, behind the runs themselves."""

INSERT_COMMIT_IDS = Statement(
    f"""
    INSERT INTO commit_ids (shard, id, time)
    SELECT {shard_sql("run")}, id, time FROM {_unnested("run, id, time")} WHERE {GUESSED_RIGHT}
    ON CONFLICT (shard, id) DO UPDATE SET time = excluded.time
    """,
    *("int8[]", "text[]", "int8[]"),
)

FORGET_COMMIT_IDS = Statement("DELETE FROM commit_ids WHERE time < $1", "int8")

WAS_COMMITTED = Statement(
    "SELECT EXISTS (SELECT FROM shards AS s JOIN commit_ids AS c ON c.shard = s.shard AND c.id = $1)", "text"
)

INSERT_AUDIT = Statement(
    f"INSERT INTO audit (shard, run, time, text) SELECT {shard_sql('run')}, * FROM {_unnested('run, time, text')} "
    f"WHERE {GUESSED_RIGHT}",
    *("int8[]", "int8[]", "text[]"),
)

# Leases and claims.

INSERT_LEASE = Statement(
    "INSERT INTO leases (lease_id, counter, probing, body) VALUES ($1, 0, NULL, $2)", "text", "bytea"
)

RENEW_LEASES = Statement(
    "UPDATE leases SET counter = counter + 1 WHERE lease_id = ANY($1) RETURNING lease_id", "text[]"
)

WITHOUT_SYNC = Statement("SET LOCAL synchronous_commit TO off")

SET_PROBING = Statement("UPDATE leases SET probing = $2 WHERE lease_id = $1", "text", "text")

KEEP_LEASE = Statement("SELECT lease, body FROM leases WHERE lease_id = $1 FOR KEY SHARE", "text")
"""The lease stays open until the transaction ends; renewing it goes on."""

READ_LEASE = Statement("SELECT body FROM leases WHERE lease_id = $1", "text")

LOCK_LEASE = Statement(
    "SELECT lease FROM leases WHERE lease_id = $1 AND ($2 IS NULL OR counter = $2) FOR UPDATE", "text", "int8"
)

OPEN_LEASES = Statement("SELECT lease_id FROM leases")

DELETE_LEASE = Statement("DELETE FROM leases WHERE lease = $1", "int8")

RUN_IDS_OWNED = Statement("SELECT run_id FROM runs WHERE owner = $1", "int8")

GIVE_BACK_TASKS = Statement(
    "WITH given AS (UPDATE tasks SET owner = NULL, epoch = epoch + 1 WHERE owner = $1 RETURNING 1) "
    "SELECT count(*) FROM given",
    "int8",
)

_OFFER = """
    WITH chosen AS (
        SELECT shard, run FROM runs WHERE status = 0 AND owner IS NULL {which}
        ORDER BY shard, run FOR NO KEY UPDATE),
    offered AS (
        UPDATE runs AS r SET wake_at = CASE WHEN wake_at <= $1 THEN wake_at ELSE $2 END,
            offered_at = CASE WHEN condition IN (4, 5, 7) THEN NULL WHEN wake_at <= $1 THEN wake_at ELSE $2 END
        FROM chosen WHERE r.shard = chosen.shard AND r.run = chosen.run RETURNING 1)
    SELECT count(*) FROM offered
"""

OFFER_BLOCKED_RUNS = Statement(_OFFER.format(which="AND parked = 2"), "int8", "int8")

OFFER_ALL_RUNS = Statement(_OFFER.format(which="AND condition <> 7"), "int8", "int8")

LIST_LEASES = Statement(
    """
    SELECT body, counter, probing, (SELECT count(*) FROM runs WHERE owner = lease),
        (SELECT count(*) FROM tasks WHERE owner = lease)
    FROM leases
    """
)

CLAIMABLE = """
    offered_at IS NOT NULL AND ($4::text[] IS NULL OR type = ANY($4))
    AND (blocked_for IS NULL OR NOT blocked_for::jsonb ? $3)
"""

CLAIMABLE_RUNS = Statement(
    f"""
    SELECT chosen.* FROM unnest($1, $2) AS pair(queue, language)
    CROSS JOIN (VALUES (-{FAR}, 0), (1, $5)) AS due(first, last) CROSS JOIN LATERAL (
        SELECT {_HEAD}, r.offered_at FROM runs AS r
        WHERE queue = pair.queue AND language = pair.language AND offered_at BETWEEN due.first AND due.last
            AND {CLAIMABLE}
        ORDER BY offered_at, run LIMIT $6 FOR NO KEY UPDATE SKIP LOCKED) AS chosen
    ORDER BY {SINCE.format("chosen.offered_at")}, chosen.run LIMIT $6
    """,
    *("text[]", "text[]", "text", "text[]", "int8", "int8"),
)
"""The heads of runs that are due, longest due first, locked. Each pair of queue and language walks its own stretches
of the index."""

NEXT_WAKE_OF = f"""
    SELECT min(chosen.offered_at) FROM unnest($1, $2) AS pair(queue, language) CROSS JOIN LATERAL (
        SELECT offered_at FROM runs WHERE queue = pair.queue AND language = pair.language AND {CLAIMABLE}
        ORDER BY offered_at LIMIT 1) AS chosen
"""

NEXT_WAKE = Statement(
    f"{NEXT_WAKE_OF} WHERE EXISTS (SELECT FROM leases WHERE lease_id = $3)",
    *("text[]", "text[]", "text", "text[]"),
)

# Tasks.

LOCK_TASKS = Statement(
    f"""
    SELECT t.task, t.run, t.owner, t.epoch, EXISTS (SELECT FROM queues AS q WHERE q.name = t.queue)
    FROM unnest($1) AS v(task)
    JOIN tasks AS t ON t.shard = {shard_sql("v.task")} AND t.task = v.task
    ORDER BY t.shard, t.task FOR NO KEY UPDATE OF t
    """,
    "int8[]",
)

INSERT_TASK = Statement(
    f"""
    INSERT INTO tasks (shard, task, run, kind, key, queue, data, priority, fairness_key, fairness_weight, visible_at,
        deadline, attempt, fallback_queue, owner, epoch)
    SELECT {shard_sql("$1")}, nextval('task_numbers') << {SHARD_BITS} | ($1 & {SHARD_MASK}),
        $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14
    WHERE {GUESSED_RIGHT}
    ON CONFLICT (shard, run, kind, key) DO NOTHING
    """,
    *("int8", "text", "text", "text", "bytea", "int4", "text", "float8", "int8", "int8", "int4", "text"),
    *("int8", "int8"),
)

DELETE_TASK = Statement(f"DELETE FROM tasks WHERE shard = {shard_sql('$1')} AND task = $1 AND {GUESSED_RIGHT}", "int8")

DROP_TASK = Statement(
    f"DELETE FROM tasks WHERE shard = {shard_sql('$1')} AND run = $1 AND kind = $2 AND key = $3 AND {GUESSED_RIGHT}",
    *("int8", "text", "text"),
)

RELEASE_TASK = Statement(
    f"""
    UPDATE tasks SET owner = NULL, visible_at = $2, attempt = $3, data = coalesce($4, data)
    WHERE shard = {shard_sql("$1")} AND task = $1 AND {GUESSED_RIGHT}
    """,
    *("int8", "int8", "int4", "bytea"),
)

TASK_FEATURES = Statement(
    """
    SELECT EXISTS (SELECT FROM tasks WHERE queue = ANY($1) AND (fairness_key <> '' OR fairness_weight <> 1.0)),
        EXISTS (SELECT FROM tasks WHERE owner IS NULL AND fallback_queue IS NOT NULL AND fallback_queue = ANY($1))
    """,
    "text[]",
)
"""Whether any task of these queues asks for fairness, and whether any that waits falls back to them. Turns are counted
over all that wait there, which takes long where a million do."""

_VISIBLE = "kind = ANY($2) AND visible_at <= $3 AND (deadline IS NULL OR deadline >= $3)"

_ON_FALLBACK = f"""
    owner IS NULL AND fallback_queue IS NOT NULL AND fallback_queue = ANY($1) AND NOT queue = ANY($1)
    AND NOT EXISTS (SELECT FROM leases WHERE convert_from(body, 'UTF8')::jsonb -> 'queues' ? tasks.queue)
    AND NOT EXISTS (SELECT FROM queues WHERE name = tasks.queue)
    AND {_VISIBLE}
"""
"""Tasks that are handed out on their fallback queue, because no open lease serves their own, which has no limits."""

CLAIMABLE_TASKS = Statement(
    f"""
    SELECT chosen.task FROM unnest($1) AS served(queue) CROSS JOIN LATERAL (
        SELECT task, priority FROM tasks WHERE owner IS NULL AND queue = served.queue AND {_VISIBLE}
        ORDER BY priority DESC, fairness_key, task LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED) AS chosen
    ORDER BY chosen.priority DESC, chosen.task LIMIT $4
    """,
    *("text[]", "text[]", "int8", "int8"),
)
"""Tasks by priority, then age; each queue walks its own stretch of the index. Where no task asks for fairness, and
none that waits has a fallback queue."""

CLAIMABLE_TASKS_BY_TURN = Statement(
    f"""
    WITH waiting AS (
        SELECT task, priority, fairness_key, fairness_weight FROM tasks
        WHERE owner IS NULL AND queue = ANY($1) AND {_VISIBLE}
        UNION ALL
        SELECT task, priority, fairness_key, fairness_weight FROM tasks WHERE {_ON_FALLBACK}
    ),
    held AS (
        SELECT fairness_key, count(*) AS n FROM tasks
        WHERE owner IS NOT NULL AND (queue = ANY($1) OR fallback_queue = ANY($1)) GROUP BY fairness_key),
    turns AS (
        SELECT task, priority,
            (coalesce((SELECT n FROM held WHERE held.fairness_key = waiting.fairness_key), 0)
             + row_number() OVER (PARTITION BY fairness_key ORDER BY priority DESC, task))
            / greatest(fairness_weight, 1e-9) AS turn
        FROM waiting
    ),
    chosen AS MATERIALIZED (SELECT task, priority, turn FROM turns ORDER BY priority DESC, turn, task LIMIT $4)
    SELECT tasks.task FROM chosen JOIN tasks ON tasks.shard = {shard_sql("chosen.task")} AND tasks.task = chosen.task
    WHERE tasks.owner IS NULL
    ORDER BY chosen.priority DESC, chosen.turn, chosen.task FOR NO KEY UPDATE OF tasks SKIP LOCKED
    """,
    *("text[]", "text[]", "int8", "int8"),
)

_TASK = """
    t.task, t.epoch, r.run_id, r.workflow_id, r.namespace, t.kind, t.key, t.queue, t.data, t.priority, t.visible_at,
    t.deadline, t.attempt
"""

_RUN_OF_TASK = "JOIN runs AS r ON r.shard = t.shard AND r.run = t.run"

OWN_TASKS = Statement(
    f"""
    UPDATE tasks AS t SET owner = $2, epoch = t.epoch + 1 FROM unnest($1) AS v(task), runs AS r
    WHERE t.shard = {shard_sql("v.task")} AND t.task = v.task AND r.shard = t.shard AND r.run = t.run
    RETURNING {_TASK}
    """,
    "int8[]",
    "int8",
)

LIST_HELD_TASKS = Statement(
    f"SELECT {_TASK} FROM tasks AS t {_RUN_OF_TASK} WHERE t.owner = (SELECT lease FROM leases WHERE lease_id = $1)",
    "text",
)

# Asks.

INSERT_ASK = Statement(
    f"""
    INSERT INTO asks (shard, ask_id, run, kind, name, data, deadline)
    SELECT {shard_sql("$2")}, $1, $2, $3, $4, $5, $6
    """,
    *("text", "int8", "text", "text", "bytea", "int8"),
)

FORGET_ASKS = Statement("DELETE FROM asks WHERE deadline < $1", "int8")

FORGET_ANSWERS = Statement("DELETE FROM answers WHERE deadline < $1", "int8")

ANY_ASKS = Statement("SELECT EXISTS (SELECT FROM asks)")

TAKE_ASKS = Statement(
    """
    WITH taken AS (
        SELECT a.shard, a.ask_id, r.run_id FROM asks AS a JOIN runs AS r ON r.shard = a.shard AND r.run = a.run
        WHERE a.deadline >= $4 AND (r.owner = $1 OR (r.owner IS NULL AND r.language = ANY($3) AND r.queue = ANY($2)))
        ORDER BY a.deadline LIMIT $5 FOR UPDATE OF a SKIP LOCKED),
    gone AS (
        DELETE FROM asks AS a USING taken WHERE a.shard = taken.shard AND a.ask_id = taken.ask_id
        RETURNING a.ask_id, taken.run_id, a.kind, a.name, a.data, a.deadline)
    SELECT * FROM gone ORDER BY deadline
    """,
    *("int8", "text[]", "text[]", "int8", "int8"),
)

DELETE_ASKS = Statement("DELETE FROM asks WHERE ask_id = ANY($1)", "text[]")

INSERT_ANSWER = Statement(
    """
    INSERT INTO answers (ask_id, data, deadline) VALUES ($1, $2, $3)
    ON CONFLICT (ask_id) DO UPDATE SET data = excluded.data, deadline = excluded.deadline
    """,
    *("text", "bytea", "int8"),
)

READ_ANSWERS = Statement("SELECT ask_id, data FROM answers WHERE ask_id = ANY($1)", "text[]")

DELETE_ANSWERS = Statement("DELETE FROM answers WHERE ask_id = ANY($1)", "text[]")

# Subscribers, definitions, retention.

SAVE_CURSOR = Statement(
    """
    INSERT INTO cursors (shard, subscriber, n) VALUES ($1, $2, $3)
    ON CONFLICT (shard, subscriber) DO UPDATE SET n = excluded.n
    """,
    *("int2", "text", "int8"),
)

READ_CURSOR = Statement("SELECT n FROM cursors WHERE shard = $1 AND subscriber = $2", "int2", "text")

PUBLISH = Statement(
    """
    INSERT INTO definitions (namespace, language, kind, name, body) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (namespace, language, kind, name) DO UPDATE SET body = excluded.body
    """,
    *("text", "text", "text", "text", "bytea"),
)

LIST_DEFINITIONS = Statement("SELECT body FROM definitions WHERE namespace = $1", "text")

PURGEABLE_RUNS = Statement(
    """
    WITH oldest AS (
        SELECT shard, run, closed_at, last_seq FROM runs
        WHERE namespace = $1 AND closed_at > 0 AND closed_at < $2 ORDER BY closed_at, run LIMIT $4),
    read AS (SELECT shard, min(n) AS n FROM cursors GROUP BY shard),
    placed AS (
        SELECT o.*, CASE WHEN o.last_seq = 0 THEN 0 ELSE (
                SELECT l.first_n + e.nth FROM events AS e JOIN log AS l ON l.shard = e.shard AND l.batch = e.batch
                WHERE e.shard = o.shard AND e.run = o.run AND e.seq = o.last_seq) END AS last,
            coalesce((SELECT n FROM read WHERE read.shard = o.shard), 9223372036854775807) AS read
        FROM oldest AS o),
    free AS (
        SELECT *, sum(last_seq) OVER (ORDER BY closed_at, run) - last_seq AS events_before FROM placed
        WHERE last <= read ORDER BY closed_at, run LIMIT $3)
    SELECT shard, run, last FROM free WHERE events_before < $5 ORDER BY shard, run
    """,
    *("text", "int8", "int8", "int8", "int8"),
)
"""So many of the longest closed runs as have so many events; and not all closed ones are looked at, where it is a
subscriber that holds them back. Every batch has its position: the log was extended before."""

FREE_RUNS = Statement(
    f"""
    WITH read AS (SELECT shard, min(n) AS n FROM cursors GROUP BY shard)
    SELECT r.shard, r.run, coalesce(l.first_n + e.nth, 0) AS last
    FROM unnest($1) AS v(run) JOIN runs AS r ON r.shard = {shard_sql("v.run")} AND r.run = v.run
    LEFT JOIN events AS e ON e.shard = r.shard AND e.run = r.run AND e.seq = r.last_seq
    LEFT JOIN log AS l ON l.shard = e.shard AND l.batch = e.batch
    LEFT JOIN read ON read.shard = r.shard
    WHERE read.n IS NULL OR coalesce(l.first_n + e.nth, 0) <= read.n
    """,
    "int8[]",
)
"""Those of which every registered subscriber has read all events. Every batch has its position, likewise."""

LOCK_CLOSED_RUNS = Statement(
    f"""
    SELECT r.run FROM unnest($1) AS v(run) JOIN runs AS r ON r.shard = {shard_sql("v.run")} AND r.run = v.run
    WHERE r.closed_at > 0 AND r.closed_at < $2 ORDER BY r.shard, r.run FOR UPDATE OF r
    """,
    "int8[]",
    "int8",
)

PURGE_RUNS = tuple(
    Statement(
        f"DELETE FROM {table} AS t USING unnest($1) AS v(run) WHERE t.shard = {shard_sql('v.run')} AND t.run = v.run",
        "int8[]",
    )
    for table in (
        *("state", "messages", "received", "timers", "tasks", "asks", "audit"),
        *("attribute_values", "runs"),
    )
)
"""Their events go with the part that they lie in (parts.py)."""

MARK_PURGED = Statement(
    "UPDATE shards SET log_purged = greatest(log_purged, v.n) FROM unnest($1, $2) AS v(shard, n) "
    "WHERE shards.shard = v.shard",
    "int8[]",
    "int8[]",
)

# Facts.

OWN_TRANSACTION = Statement("SELECT pg_current_xact_id()::text::bigint")
"""Greater than that of every transaction that had written anything before."""

READ_META = Statement("SELECT value FROM meta WHERE name = $1", "text")

UPDATE_META = Statement("UPDATE meta SET value = $2 WHERE name = $1", "text", "text")

WRITE_META = Statement("INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING", "text", "text")

# Hints.
# Hints.

NOTIFY = Statement("SELECT pg_notify($1, $2)", "text", "text")
