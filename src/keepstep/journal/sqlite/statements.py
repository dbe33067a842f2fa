"""Every SQL statement of the store, named.

Two habits run through all of them, both because Python's ``sqlite3`` lets go of the interpreter lock at every single
step of a statement, and getting it back from a busy event loop can take up to the switch interval of 5 ms:

* *Writing* is done by multi-row statements (``MultiRow``), whose texts come in powers of two, so that the statement
  cache hits. What is missing to the next power of two is padded with NULL rows, which the statement leaves out.
* *Reading* returns one row: JSON arrays of everything, with bytes as hex, or joined to one blob beside a list of their
  lengths. One row is one step.

Lists go in as one JSON parameter and are unfolded by ``json_each``.
"""

from __future__ import annotations

from functools import cache
from sqlite3 import Connection
from typing import Any

from keepstep.journal.line import SINCE

ROWS_MAX = 256
"""Rows of one multi-row statement. 256 rows of 26 columns stay well under SQLite's 32,766 parameters."""


class MultiRow:
    """A statement that takes many rows at once. ``{rows}`` in its text stands for the rows' VALUES."""

    def __init__(self, text: str, columns: int) -> None:
        self._text = text
        self._columns = columns
        self._row = "(" + ",".join("?" * columns) + ")"
        self._for_size = cache(self._build)

    def _build(self, size: int) -> str:
        return self._text.format(rows=",".join([self._row] * size))

    def execute(self, connection: Connection, values: list[Any]) -> None:
        """Run for all rows; ``values`` holds their columns one after another."""
        width = ROWS_MAX * self._columns
        for begin in range(0, len(values), width):
            part = values if len(values) <= width else values[begin : begin + width]
            rows = len(part) // self._columns
            size = 1 << (rows - 1).bit_length()
            if size > rows:
                part = part + [None] * ((size - rows) * self._columns)
            connection.execute(self._for_size(size), part)


def _insert(table: str, columns: str, tail: str = "", verb: str = "INSERT") -> MultiRow:
    text = f"{verb} INTO {table} ({columns}) SELECT * FROM (VALUES {{rows}}) WHERE column1 IS NOT NULL {tail}"
    return MultiRow(text, columns.count(",") + 1)


# What one flush writes.

INSERT_RUNS = _insert(
    "runs",
    "run, run_id, namespace, workflow_id, language, format, type, queue, status, condition, owner, epoch, wake_at, "
    "claimed_seq, strikes, bumps, started_at, closed_at, parent_run_id, parent_key, continued_from, input_digest, "
    "ticket, detail, status_text, attributes, blocked_for",
)

UPDATE_RUNS = MultiRow(
    "UPDATE runs SET status = v.column2, condition = v.column3, owner = v.column4, epoch = v.column5, "
    "wake_at = v.column6, claimed_seq = v.column7, strikes = v.column8, bumps = v.column9, closed_at = v.column10, "
    "blocked_for = v.column11, detail = coalesce(v.column12, detail), "
    "status_text = coalesce(v.column13, status_text), attributes = coalesce(v.column14, attributes) "
    "FROM (VALUES {rows}) AS v WHERE runs.run = v.column1",
    14,
)

UPDATE_BUMPS = MultiRow("UPDATE runs SET bumps = v.column2 FROM (VALUES {rows}) AS v WHERE runs.run = v.column1", 2)
"""For commits that changed nothing of the run's row but its version."""

INSERT_EVENTS = _insert("events", "n, run, seq, type, time, key, data")

INSERT_MESSAGES = _insert("messages", "n, run, kind, name, data, time, id, wakes")

DELETE_MESSAGES = "DELETE FROM messages WHERE n IN (SELECT value FROM json_each(?))"

INSERT_RECEIVED = _insert("received", "run, id, n")

UPSERT_STATE = _insert("state", "run, kind, key, data", "ON CONFLICT DO UPDATE SET data = excluded.data")

DELETE_STATE = """
DELETE FROM state WHERE (run, kind, key) IN (
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(?))
"""

DELETE_TIMERS = "DELETE FROM timers WHERE run IN (SELECT value FROM json_each(?))"

INSERT_TIMERS = _insert("timers", "run, key, fire_at", "ON CONFLICT DO UPDATE SET fire_at = excluded.fire_at")

DELETE_TASKS_OF_RUNS = "DELETE FROM tasks WHERE run IN (SELECT value FROM json_each(?))"

INSERT_ATTRIBUTE_VALUES = MultiRow(
    "INSERT INTO attribute_values (attribute, value, started_at, run) "
    "SELECT a.attribute, v.column3, r.started_at, r.run FROM (VALUES {rows}) AS v "
    "CROSS JOIN attributes AS a ON a.namespace = v.column1 AND a.name = v.column2 "
    "CROSS JOIN runs AS r ON r.run = v.column4 WHERE v.column1 IS NOT NULL",
    4,
)

DELETE_ATTRIBUTE_VALUES = """
DELETE FROM attribute_values WHERE (run, attribute) IN (
    SELECT json_extract(gone.value, '$[0]'), a.attribute FROM json_each(?) AS gone CROSS JOIN attributes AS a
    ON a.namespace = json_extract(gone.value, '$[1]') AND a.name = json_extract(gone.value, '$[2]'))
"""

ATTRIBUTE_TYPES = "SELECT json_group_array(json_array(name, type)) FROM attributes WHERE namespace = ?"

ATTRIBUTE_NUMBERS = "SELECT json_group_array(json_array(name, attribute)) FROM attributes WHERE namespace = ?"

LIST_ATTRIBUTES = """
SELECT json_group_array(json_array(name, type))
FROM (SELECT name, type FROM attributes WHERE namespace = ? ORDER BY name)
"""

REGISTER_ATTRIBUTES = """
INSERT INTO attributes (namespace, name, type)
SELECT ?1, json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?2) WHERE TRUE ON CONFLICT DO NOTHING
"""

INSERT_COMMIT_IDS = _insert("commit_ids", "id, time", "ON CONFLICT DO UPDATE SET time = excluded.time")

FORGET_COMMIT_IDS = "DELETE FROM commit_ids WHERE time < ?"

WAS_COMMITTED = "SELECT EXISTS (SELECT 1 FROM commit_ids WHERE id = ?)"

INSERT_AUDIT = MultiRow(
    "INSERT INTO audit (run, time, text) SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL", 3
)

MARK_FLUSH = "UPDATE processes SET flush = ?2 WHERE process = ?1"

LAST_FLUSH = "SELECT flush FROM processes WHERE process = ?"

PROCESS_IDENTITY = "SELECT identity FROM processes WHERE process = ?"

INSERT_PROCESS = "INSERT INTO processes (process, identity, flush) VALUES (?, ?, ?)"

DELETE_PROCESS = "DELETE FROM processes WHERE process = ?"

LIST_PROCESSES = "SELECT process, identity FROM processes"

# What the writer must know before it decides.

COUNTERS = """
SELECT (SELECT coalesce(max(run), 0) FROM runs),
       max((SELECT coalesce(max(n), 0) FROM events), (SELECT value FROM meta WHERE name = 'log_purged')),
       coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'messages'), 0)
"""

HEADS = """
SELECT json_group_array(json_array(
    r.run, r.run_id, r.namespace, r.workflow_id, r.status, r.condition, r.owner, r.epoch, r.wake_at, r.claimed_seq,
    r.strikes, r.bumps, r.closed_at, r.blocked_for,
    (SELECT coalesce(max(e.seq), 0) FROM events AS e WHERE e.run = r.run),
    (SELECT min(t.fire_at) FROM timers AS t WHERE t.run = r.run),
    (SELECT count(*) FROM messages AS m WHERE m.run = r.run),
    EXISTS (SELECT 1 FROM tasks AS k WHERE k.run = r.run)))
FROM json_each(?) AS wanted CROSS JOIN runs AS r ON r.run_id = wanted.value
"""

_PAIRS = "SELECT json_extract(value, '$[0]') AS first, json_extract(value, '$[1]') AS second FROM json_each(?)"

NEWEST_OF_WORKFLOWS = f"""
SELECT json_group_array(json_array(w.first, w.second, coalesce(
    (SELECT run_id FROM runs WHERE namespace = w.first AND workflow_id = w.second AND status = 0),
    (SELECT run_id FROM runs WHERE namespace = w.first AND workflow_id = w.second ORDER BY run DESC LIMIT 1))))
FROM ({_PAIRS}) AS w
"""

RUN_ORIGIN = "SELECT type, input_digest FROM runs WHERE run = ?"

RUN_ATTRIBUTES = "SELECT attributes FROM runs WHERE run = ?"

HISTORY_BYTES = "SELECT coalesce(sum(length(data)), 0) FROM events WHERE run = ?"

INBOXES = """
SELECT json_group_array(json_array(m.run, m.n, m.wakes))
FROM json_each(?) AS wanted CROSS JOIN messages AS m ON m.run = wanted.value
"""

RECEIVED = f"""
SELECT json_group_array(json_array(r.run, r.id, r.n))
FROM ({_PAIRS}) AS wanted CROSS JOIN received AS r ON r.run = wanted.first AND r.id = wanted.second
"""

LEASE_NUMBER = "SELECT lease FROM leases WHERE lease_id = ?"

# Leases and claims.

INSERT_LEASE = "INSERT INTO leases (lease_id, counter, body) VALUES (?, 0, ?)"

RENEW_LEASES = "UPDATE leases SET counter = counter + 1 WHERE lease_id IN (SELECT value FROM json_each(?))"

KNOWN_LEASES = "SELECT json_group_array(lease_id) FROM leases WHERE lease_id IN (SELECT value FROM json_each(?))"

LEASE_BODY = "SELECT lease, body FROM leases WHERE lease_id = ?"

OPEN_LEASES = "SELECT json_group_array(lease_id) FROM leases"

LEASE_AT_COUNTER = "SELECT lease FROM leases WHERE lease_id = ? AND (?2 IS NULL OR counter = ?2)"

DELETE_LEASE = "DELETE FROM leases WHERE lease = ?"

RUN_IDS_OWNED = "SELECT json_group_array(run_id) FROM runs WHERE owner = ?"

TASK_RUNS_OWNED = "SELECT json_group_array(run_id) FROM runs WHERE run IN (SELECT run FROM tasks WHERE owner = ?)"

GIVE_BACK_TASKS = "UPDATE tasks SET owner = NULL, epoch = epoch + 1 WHERE owner = ?"

_OFFER = "UPDATE runs SET wake_at = CASE WHEN wake_at <= ?1 THEN wake_at ELSE ?2 END WHERE status = 0 AND owner IS NULL"

OFFER_BLOCKED_RUNS = f"{_OFFER} AND condition = 2 AND condition > 1"

OFFER_ALL_RUNS = f"{_OFFER} AND condition <> 7"

LIST_LEASES = """
SELECT json_group_array(json_array(hex(body), counter,
    (SELECT count(*) FROM runs WHERE owner = lease), (SELECT count(*) FROM tasks WHERE owner = lease)))
FROM leases
"""

_CLAIMABLE = """
    status = 0 AND owner IS NULL AND wake_at IS NOT NULL AND condition NOT IN (4, 5) AND condition <> 7
    AND (:types IS NULL OR type IN (SELECT value FROM json_each(:types)))
    AND (blocked_for IS NULL OR NOT EXISTS (SELECT 1 FROM json_each(blocked_for) WHERE value = :lease_id))
"""


@cache
def claimable_runs(pairs: int) -> str:
    """Run ids that are due, longest due first. Each pair of queue and language walks its own stretches of the index."""
    stretches = " UNION ALL ".join(
        f"SELECT * FROM (SELECT run_id, wake_at FROM runs INDEXED BY runs_claimable WHERE {_CLAIMABLE} "
        f"AND queue = :queue{i} AND language = :language{i} AND {due} ORDER BY wake_at LIMIT :limit)"
        for i in range(pairs)
        for due in ("wake_at <= 0", "wake_at > 0 AND wake_at <= :now")
    )
    since = SINCE.format("wake_at")
    return f"SELECT json_group_array(run_id) FROM (SELECT run_id FROM ({stretches}) ORDER BY {since} LIMIT :limit)"


@cache
def next_wake(pairs: int) -> str:
    """The earliest wake time of the runs that a lease could claim."""
    stretches = " UNION ALL ".join(
        f"SELECT * FROM (SELECT wake_at FROM runs INDEXED BY runs_claimable WHERE {_CLAIMABLE} "
        f"AND queue = :queue{i} AND language = :language{i} ORDER BY wake_at LIMIT 1)"
        for i in range(pairs)
    )
    return f"SELECT min(wake_at) FROM ({stretches})"


# Tasks.

TASK = """
SELECT run, owner, epoch, EXISTS (SELECT 1 FROM queues WHERE name = tasks.queue) FROM tasks WHERE task = ?
"""

INSERT_TASK = """
INSERT INTO tasks (run, kind, key, queue, data, priority, fairness_key, fairness_weight, visible_at, deadline, attempt,
                   fallback_queue, owner, epoch)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run, kind, key) DO NOTHING
"""

DELETE_TASK = "DELETE FROM tasks WHERE task = ?"

DROP_TASK = "DELETE FROM tasks WHERE run = ? AND kind = ? AND key = ?"

RELEASE_TASK = "UPDATE tasks SET owner = NULL, visible_at = ?2, attempt = ?3, data = coalesce(?4, data) WHERE task = ?1"

ANY_FAIR_TASKS = """
SELECT EXISTS (
    SELECT 1 FROM json_each(:queues) AS served CROSS JOIN tasks INDEXED BY tasks_fair_of_queue
    WHERE tasks.queue = served.value AND (fairness_key <> '' OR fairness_weight <> 1.0)
) OR EXISTS (
    SELECT 1 FROM tasks INDEXED BY tasks_fallback
    WHERE owner IS NULL AND fallback_queue IS NOT NULL AND fallback_queue IN (SELECT value FROM json_each(:queues))
        AND (fairness_key <> '' OR fairness_weight <> 1.0)
)
"""
"""Whether any task of these queues asks for fairness. Turns are counted over all that wait there, which takes long
where a million do."""

_VISIBLE = """
    kind IN (SELECT value FROM json_each(:kinds)) AND visible_at <= :now AND (deadline IS NULL OR deadline >= :now)
"""

_ON_FALLBACK = f"""
    owner IS NULL AND fallback_queue IS NOT NULL AND fallback_queue IN (SELECT value FROM json_each(:queues))
    AND queue NOT IN (SELECT value FROM json_each(:queues))
    AND queue NOT IN (SELECT q.value FROM leases, json_each(CAST(leases.body AS TEXT), '$.queues') AS q)
    AND queue NOT IN (SELECT name FROM queues)
    AND {_VISIBLE}
"""
"""Tasks that are handed out on their fallback queue, because no open lease serves their own, which has no limits."""


@cache
def claimable_tasks(queues: int) -> str:
    """Tasks by priority, then age; each queue walks its own stretch of the index. Where no task asks for fairness."""
    stretches = " UNION ALL ".join(
        f"SELECT * FROM (SELECT task, priority FROM tasks INDEXED BY tasks_claimable WHERE owner IS NULL "
        f"AND queue = :queue{i} AND {_VISIBLE} ORDER BY priority DESC, fairness_key, task LIMIT :limit)"
        for i in range(queues)
    )
    return (
        "SELECT json_group_array(task) FROM (SELECT task FROM ("
        f"{stretches} UNION ALL SELECT task, priority FROM tasks INDEXED BY tasks_fallback WHERE {_ON_FALLBACK}"
        ") ORDER BY priority DESC, task LIMIT :limit)"
    )


CLAIMABLE_TASKS_BY_TURN = f"""
WITH waiting AS (
    SELECT task, priority, fairness_key, fairness_weight FROM tasks INDEXED BY tasks_claimable
    WHERE owner IS NULL AND queue IN (SELECT value FROM json_each(:queues)) AND {_VISIBLE}
    UNION ALL
    SELECT task, priority, fairness_key, fairness_weight FROM tasks INDEXED BY tasks_fallback WHERE {_ON_FALLBACK}
),
held AS (
    SELECT fairness_key, count(*) AS n FROM tasks
    WHERE owner IS NOT NULL AND (queue IN (SELECT value FROM json_each(:queues))
        OR fallback_queue IN (SELECT value FROM json_each(:queues)))
    GROUP BY fairness_key
),
turns AS (
    SELECT task, priority,
        (coalesce((SELECT n FROM held WHERE held.fairness_key = waiting.fairness_key), 0)
         + row_number() OVER (PARTITION BY fairness_key ORDER BY priority DESC, task)) / max(fairness_weight, 1e-9)
        AS turn
    FROM waiting
)
SELECT json_group_array(task) FROM (SELECT task FROM turns ORDER BY priority DESC, turn, task LIMIT :limit)
"""

OWN_TASKS = "UPDATE tasks SET owner = ?2, epoch = epoch + 1 WHERE task IN (SELECT value FROM json_each(?1))"

_TASK = """json_array(t.task, t.epoch, r.run_id, r.workflow_id, r.namespace, t.kind, t.key, t.queue,
    hex(t.data), t.priority, t.visible_at, t.deadline, t.attempt)"""

LIST_HELD_TASKS = f"""
SELECT json_group_array({_TASK}) FROM tasks AS t JOIN runs AS r ON r.run = t.run
WHERE t.owner = (SELECT lease FROM leases WHERE lease_id = ?)
"""

READ_TASKS = f"""
SELECT json_group_array({_TASK})
FROM json_each(?) AS wanted CROSS JOIN tasks AS t ON t.task = wanted.value JOIN runs AS r ON r.run = t.run
"""

# Queues with limits.

SAVE_QUEUE = """
INSERT INTO queues (name, holds_back, body, progress) VALUES (?1, ?2, ?3, CAST('{}' AS BLOB))
ON CONFLICT (name) DO UPDATE SET holds_back = excluded.holds_back, body = excluded.body
"""

KEEP_QUEUE = """
INSERT INTO queues (name, holds_back, body, progress) VALUES (?1, ?2, ?3, CAST('{}' AS BLOB)) ON CONFLICT DO NOTHING
"""

SAVE_PROGRESS = "UPDATE queues SET progress = ?2 WHERE name = ?1"

READ_QUEUES = """
SELECT json_group_array(json_array(hex(body), hex(progress)))
FROM (SELECT body, progress FROM queues WHERE name IN (SELECT value FROM json_each(?)) ORDER BY name)
"""

QUEUES_THAT_HOLD_BACK = "SELECT json_group_array(name) FROM queues WHERE holds_back"

_OWNERS = "(SELECT lease AS owner FROM leases UNION ALL SELECT 0)"
"""All that can hold a task."""

LIST_QUEUES = f"""
SELECT json_group_array(json_array(hex(q.body),
    (SELECT count(*) FROM tasks WHERE owner IS NULL AND queue = q.name),
    (SELECT count(*) FROM {_OWNERS} AS o CROSS JOIN tasks AS t ON t.owner = o.owner AND t.queue = q.name)))
FROM (SELECT name, body FROM queues ORDER BY name) AS q
"""

SLOTS_HELD = f"""
SELECT count(*) FROM {_OWNERS} AS o CROSS JOIN tasks AS t INDEXED BY tasks_owned
ON t.owner = o.owner AND t.queue = ? AND t.owner IS NOT NULL
"""

SLOTS_BY_KEY = f"""
SELECT json_group_array(json_array(fairness_key, n)) FROM (
    SELECT t.fairness_key, count(*) AS n FROM {_OWNERS} AS o CROSS JOIN tasks AS t INDEXED BY tasks_owned
    ON t.owner = o.owner AND t.queue = ? AND t.owner IS NOT NULL GROUP BY t.fairness_key)
"""

SLOTS_OF_WORKER = """
SELECT (SELECT count(*) FROM tasks WHERE owner = :lease AND queue = :queue)
     + (SELECT count(*) FROM runs AS r CROSS JOIN tasks AS t ON t.run = r.run AND t.kind = 'run'
        WHERE r.owner = :lease AND t.owner = 0 AND t.queue = :queue)
"""

WAITING_PRIORITIES = """
WITH RECURSIVE level (priority, nth) AS (
    SELECT (SELECT priority FROM tasks INDEXED BY tasks_claimable WHERE owner IS NULL AND queue = :queue
            ORDER BY priority DESC LIMIT 1), 1
    UNION ALL
    SELECT (SELECT priority FROM tasks INDEXED BY tasks_claimable WHERE owner IS NULL AND queue = :queue
            AND priority < level.priority ORDER BY priority DESC LIMIT 1), nth + 1
    FROM level WHERE level.priority IS NOT NULL AND nth < :limit)
SELECT json_group_array(priority) FROM level WHERE priority IS NOT NULL
"""
"""Each is one step down the index, however many tasks have it; so is each key."""

WAITING_KEYS = """
WITH RECURSIVE found (key, nth) AS (
    SELECT (SELECT fairness_key FROM tasks INDEXED BY tasks_claimable WHERE owner IS NULL AND queue = :queue
            AND priority = :priority AND fairness_key >= :begin ORDER BY fairness_key LIMIT 1), 1
    UNION ALL
    SELECT (SELECT fairness_key FROM tasks INDEXED BY tasks_claimable WHERE owner IS NULL AND queue = :queue
            AND priority = :priority AND fairness_key > found.key ORDER BY fairness_key LIMIT 1), nth + 1
    FROM found WHERE found.key IS NOT NULL AND nth < :limit)
SELECT json_group_array(key) FROM found WHERE key IS NOT NULL
"""

_OFFERED = """
    (kind IN (SELECT value FROM json_each(:kinds))
        OR (kind = 'run' AND (key IN (SELECT value FROM json_each(:types))
            OR (:any_type AND key = (SELECT type FROM runs WHERE runs.run = tasks.run)))))
    AND visible_at <= :now AND (deadline IS NULL OR deadline >= :now)
"""

FIRST_OF_KEYS = f"""
SELECT json_group_array(json_array(wanted.value, json((
    SELECT json_group_array(task) FROM (
        SELECT task FROM tasks INDEXED BY tasks_claimable WHERE owner IS NULL AND queue = :queue
        AND priority = :priority AND fairness_key = wanted.value AND {_OFFERED} ORDER BY task LIMIT :limit)))))
FROM json_each(:keys) AS wanted
"""

FREE_TASKS = """
SELECT json_group_array(json_array(t.task, t.kind, r.run_id))
FROM json_each(?) AS wanted CROSS JOIN tasks AS t ON t.task = wanted.value JOIN runs AS r ON r.run = t.run
"""

NEXT_VISIBLE = """
SELECT min(visible_at) FROM tasks INDEXED BY tasks_delayed
WHERE owner IS NULL AND visible_at > 0 AND queue = :queue AND visible_at > :now
"""

TICKET_OF_RUN = "SELECT owner FROM tasks WHERE run = ? AND kind = 'run'"

SAVED_TICKET = "SELECT queue, type, ticket FROM runs WHERE run = ?"

SAVE_TICKET = "UPDATE runs SET ticket = ? WHERE run = ?"

RUNS_THAT_LOST_TICKETS = """
SELECT json_group_array(run_id) FROM runs AS r WHERE r.status = 0 AND r.ticket IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM tasks AS t WHERE t.run = r.run AND t.kind = 'run')
"""

RUNS_WITHOUT_TICKET = """
SELECT json_group_array(json_array(run_id, type)) FROM runs AS r WHERE r.status = 0 AND r.queue = ?
    AND NOT EXISTS (SELECT 1 FROM tasks AS t WHERE t.run = r.run AND t.kind = 'run')
"""

PLACE_OF_RUN = f"""
SELECT t.queue, t.fairness_key, t.visible_at, t.priority,
    (SELECT count(*) FROM (SELECT 1 FROM tasks AS o INDEXED BY tasks_claimable
        WHERE o.owner IS NULL AND o.queue = t.queue AND o.visible_at <= ?2
        AND (o.priority > t.priority OR (o.priority = t.priority AND o.task < t.task)) LIMIT ?3)),
    (SELECT count(*) FROM {_OWNERS} AS w CROSS JOIN tasks AS h INDEXED BY tasks_owned
        ON h.owner = w.owner AND h.owner IS NOT NULL AND h.queue = t.queue AND h.fairness_key = t.fairness_key),
    (SELECT r.workflow_id FROM {_OWNERS} AS w CROSS JOIN tasks AS h INDEXED BY tasks_owned
        ON h.owner = w.owner AND h.owner IS NOT NULL AND h.queue = t.queue AND h.fairness_key = t.fairness_key
        JOIN runs AS r ON r.run = h.run ORDER BY h.task LIMIT 1),
    (SELECT hex(body) FROM queues WHERE name = t.queue)
FROM runs JOIN tasks AS t ON t.run = runs.run AND t.kind = 'run' AND t.owner IS NULL WHERE runs.run_id = ?1
"""

# Asks.

INSERT_ASK = "INSERT INTO asks (ask_id, run, kind, name, data, deadline) VALUES (?, ?, ?, ?, ?, ?)"

FORGET_ASKS = "DELETE FROM asks WHERE deadline < ?"

FORGET_ANSWERS = "DELETE FROM answers WHERE deadline < ?"

ANY_ASKS = "SELECT EXISTS (SELECT 1 FROM asks)"

OPEN_ASKS = """
SELECT json_group_array(json_array(ask_id, run_id, kind, name, hex(data), deadline)) FROM (
    SELECT a.ask_id, r.run_id, a.kind, a.name, a.data, a.deadline FROM asks AS a JOIN runs AS r ON r.run = a.run
    WHERE a.deadline >= :now AND (r.owner = :lease OR
        (r.owner IS NULL AND r.language IN (SELECT value FROM json_each(:languages))
         AND r.queue IN (SELECT value FROM json_each(:queues))))
    ORDER BY a.deadline LIMIT :limit)
"""

DELETE_ASKS = "DELETE FROM asks WHERE ask_id IN (SELECT value FROM json_each(?))"

INSERT_ANSWER = "INSERT OR REPLACE INTO answers (ask_id, data, deadline) VALUES (?, ?, ?)"

READ_ANSWERS = (
    "SELECT json_group_array(json_array(ask_id, hex(data))) FROM answers "
    "WHERE ask_id IN (SELECT value FROM json_each(?))"
)

DELETE_ANSWERS = "DELETE FROM answers WHERE ask_id IN (SELECT value FROM json_each(?))"

# Reading.

_RUN = """json_array(
    r.run_id, r.workflow_id, r.namespace, r.language, r.format, r.type, r.queue, r.status, r.condition, hex(r.detail),
    r.bumps, (SELECT coalesce(max(e.seq), 0) FROM events AS e WHERE e.run = r.run), r.epoch,
    (SELECT lease_id FROM leases WHERE lease = r.owner), r.wake_at, r.started_at, r.closed_at, r.parent_run_id,
    r.parent_key, hex(r.input_digest), r.attributes, r.status_text, r.strikes, r.continued_from)"""

READ_RUN = f"SELECT {_RUN} FROM runs AS r WHERE r.run_id = ?"

READ_RUNS = (
    f"SELECT json_group_array({_RUN}) FROM json_each(?) AS wanted CROSS JOIN runs AS r ON r.run_id = wanted.value"
)

READ_RUNS_BY_NUMBER = (
    f"SELECT json_group_array({_RUN}) FROM json_each(?) AS wanted CROSS JOIN runs AS r ON r.run = wanted.value"
)

LIST_OWNED_RUNS = f"""
SELECT json_group_array({_RUN}) FROM runs AS r
WHERE r.owner = (SELECT lease FROM leases WHERE lease_id = ?) AND r.status = 0
"""

FIND_RUN = f"""
SELECT {_RUN} FROM runs AS r WHERE r.run = coalesce(
    (SELECT run FROM runs WHERE namespace = ?1 AND workflow_id = ?2 AND status = 0),
    (SELECT max(run) FROM runs WHERE namespace = ?1 AND workflow_id = ?2))
"""

READ_EVENTS = """
SELECT json_group_array(json_array(seq, type, time, key, length(data))), CAST(group_concat(data, '') AS BLOB)
FROM (SELECT seq, type, time, key, data FROM events
      WHERE run = (SELECT run FROM runs WHERE run_id = ?1) AND seq > ?2 ORDER BY seq LIMIT ?3)
"""

_STATE = """
SELECT json_group_array(json_array(kind, key, hex(data))) FROM state
WHERE run = (SELECT run FROM runs WHERE run_id = ?1)
"""

READ_STATE = """
SELECT json_group_array(json_array(kind, key, hex(data))) FROM (
    SELECT kind, key, data FROM state
    WHERE run = (SELECT run FROM runs WHERE run_id = ?1) AND (?2 IS NULL OR kind = ?2)
      AND (?3 IS NULL OR (kind, key) > (?3, ?4))
    ORDER BY kind, key LIMIT ?5)
"""

LIST_STATE = """
SELECT json_group_array(json_array(page.run_id, page.key, hex(s.data))) FROM (
    SELECT r.run, r.run_id, s.key FROM state AS s INDEXED BY state_of_kind CROSS JOIN runs AS r ON r.run = s.run
    WHERE s.kind = :kind AND r.namespace = :namespace AND r.status = 0
      AND (:after_run_id IS NULL OR (r.run_id, s.key) > (:after_run_id, :after_key))
    ORDER BY r.run_id, s.key LIMIT :limit) AS page
CROSS JOIN state AS s ON s.run = page.run AND s.kind = :kind AND s.key = page.key
"""

_INBOX = """
SELECT json_group_array(json_array(run_id, n, kind, name, hex(data), time, id)) FROM (
    SELECT r.run_id, m.n, m.kind, m.name, m.data, m.time, m.id
    FROM runs AS r CROSS JOIN messages AS m ON m.run = r.run WHERE r.run_id = ?1 {page})
"""

READ_MESSAGES = _INBOX.format(page="AND m.n > ?2 ORDER BY m.n LIMIT ?3")

READ_MESSAGES_OF = """
SELECT json_group_array(json_array(run_id, n, kind, name, hex(data), time, id)) FROM (
    SELECT r.run_id, m.n, m.kind, m.name, m.data, m.time, m.id
    FROM json_each(?1) AS named CROSS JOIN runs AS r ON r.run_id = named.value CROSS JOIN messages AS m ON m.run = r.run
    WHERE m.n > ?2 ORDER BY m.n LIMIT ?3)
"""

READ_INBOX = """
SELECT json_group_array(json_array(run_id, n, kind, name, hex(data), time, id)) FROM (
    SELECT r.run_id, m.n, m.kind, m.name, m.data, m.time, m.id FROM messages AS m CROSS JOIN runs AS r ON r.run = m.run
    WHERE m.n > ?2 AND r.owner = (SELECT lease FROM leases WHERE lease_id = ?1) ORDER BY m.n LIMIT ?3)
"""

_EVENTS_NAMED = READ_EVENTS.replace("key, length(data)))", "key, length(data))) AS rows").replace(
    "BLOB)", "BLOB) AS data"
)

LOAD = f"""
SELECT {_RUN}, events.rows, events.data, ({_STATE}), ({_INBOX.format(page="ORDER BY m.n")})
FROM runs AS r, ({_EVENTS_NAMED}) AS events
WHERE r.run_id = ?1
"""

READ_LOG = """
SELECT json_group_array(json_array(n, run_id, seq, type, time, key, length(data))),
       CAST(group_concat(data, '') AS BLOB), (SELECT value FROM meta WHERE name = 'log_purged')
FROM (SELECT e.n, r.run_id, e.seq, e.type, e.time, e.key, e.data FROM events AS e JOIN runs AS r ON r.run = e.run
      WHERE e.n > ?1 ORDER BY e.n LIMIT ?2)
"""

# From each name to the next one along an index, however many runs there are of each.
LIST_NAMESPACES = """
WITH RECURSIVE found (name) AS (
    SELECT min(namespace) FROM runs WHERE namespace > ?1
    UNION ALL
    SELECT (SELECT min(namespace) FROM runs WHERE namespace > found.name) FROM found WHERE found.name IS NOT NULL
    LIMIT ?2)
SELECT name FROM found WHERE name IS NOT NULL
"""

READ_LOG_END = """
SELECT max((SELECT coalesce(max(n), 0) FROM events), (SELECT value FROM meta WHERE name = 'log_purged'))
"""

READ_AUDIT = """
SELECT json_group_array(json_array(time, text)) FROM (
    SELECT time, text FROM audit WHERE run = (SELECT run FROM runs WHERE run_id = ?) ORDER BY line)
"""

# Subscribers, definitions, retention.

SAVE_CURSOR = "INSERT OR REPLACE INTO cursors (subscriber, shard, n) VALUES (?, ?, ?)"

READ_CURSOR = "SELECT n FROM cursors WHERE subscriber = ? AND shard = ?"

PUBLISH = "INSERT OR REPLACE INTO definitions (namespace, language, kind, name, body) VALUES (?, ?, ?, ?, ?)"

LIST_DEFINITIONS = "SELECT json_group_array(hex(body)) FROM definitions WHERE namespace = ?"

PURGEABLE_RUNS = """
WITH oldest AS (
    SELECT r.run, r.closed_at,
        coalesce((SELECT n FROM events WHERE run = r.run ORDER BY seq DESC LIMIT 1), 0) AS last,
        coalesce((SELECT max(seq) FROM events WHERE run = r.run), 0) AS events
    FROM runs AS r INDEXED BY runs_retained
    WHERE r.namespace = :namespace AND r.closed_at > 0 AND r.closed_at < :closed_before
    ORDER BY r.closed_at, r.run LIMIT :looked_at
), free AS (
    SELECT run, last, sum(events) OVER (ORDER BY closed_at, run) - events AS events_before FROM oldest
    WHERE last <= coalesce((SELECT min(n) FROM cursors), 9223372036854775807)
    ORDER BY closed_at, run LIMIT :limit
)
SELECT json_group_array(run), max(last) FROM free WHERE events_before < :events
"""
"""So many of the longest closed runs as have so many events; and not all closed ones are looked at, where it is a
subscriber that holds them back."""

PURGE_RUNS = tuple(
    f"DELETE FROM {table} WHERE run IN (SELECT value FROM json_each(?))"
    for table in (
        *("events", "state", "messages", "received", "timers", "tasks", "asks", "audit"),
        *("attribute_values", "runs"),
    )
)

LIST_CLOSED = """
WITH oldest AS (
    SELECT r.run, r.run_id, r.bumps, r.closed_at,
        coalesce((SELECT max(seq) FROM events WHERE run = r.run), 0) AS last_seq,
        coalesce((SELECT n FROM events WHERE run = r.run ORDER BY seq DESC LIMIT 1), 0) AS last
    FROM runs AS r INDEXED BY runs_closed
    WHERE r.namespace = :namespace AND r.status = :status AND r.closed_at > 0 AND r.closed_at < :closed_before
    ORDER BY r.closed_at, r.run LIMIT :looked_at
)
SELECT json_group_array(json_array(run_id, last_seq + bumps, closed_at, last_seq)) FROM (
    SELECT * FROM oldest WHERE last <= coalesce((SELECT min(n) FROM cursors), 9223372036854775807)
    ORDER BY closed_at, run LIMIT :limit)
"""

FREE_RUNS = """
WITH wanted AS (
    SELECT w.value AS run, coalesce((SELECT n FROM events WHERE run = w.value ORDER BY seq DESC LIMIT 1), 0) AS last
    FROM json_each(?) AS w)
SELECT json_group_array(run), max(last) FROM wanted
WHERE last <= coalesce((SELECT min(n) FROM cursors), 9223372036854775807)
"""
"""Those of which every registered subscriber has read all events."""

MARK_PURGED = "UPDATE meta SET value = max(value, ?) WHERE name = 'log_purged'"

READ_META = "SELECT value FROM meta WHERE name = ?"

WRITE_META = "INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)"

DELETE_META = "DELETE FROM meta WHERE name = ?"

# What leaves for another store.

LEASE_BODIES = "SELECT body FROM leases"

LIST_TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite|_%' ESCAPE '|'"

FACTS = """
SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'tasks'), 0), (SELECT coalesce(max(line), 0) FROM audit),
       (SELECT value FROM meta WHERE name = 'log_purged'), (SELECT value FROM meta WHERE name = 'clock')
"""

RUN_NUMBERS = "SELECT run FROM runs WHERE run > ? ORDER BY run LIMIT ?"
