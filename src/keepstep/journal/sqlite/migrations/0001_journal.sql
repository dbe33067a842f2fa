-- The journal's tables. Statuses and conditions are small integers (rows.py); times are int64 UTC microseconds.
-- 100,000 sleeping runs are a promise of the engine, so rows and indexes are kept lean: integers stand for runs and
-- leases, and indexes are partial wherever a question is only asked about some of the rows.

-- Facts about this file: its shard, the clock anchor, how far retention has removed the log.
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO meta VALUES ('shard', 0), ('log_purged', 0);

-- One row a process that writes. ``flush`` is the number of its last committed group, so that a process whose COMMIT
-- failed with an unknown outcome can look up what happened.
CREATE TABLE processes (process INTEGER PRIMARY KEY, identity TEXT NOT NULL, flush INTEGER NOT NULL);

CREATE TABLE runs (
    run INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL UNIQUE,
    namespace TEXT NOT NULL,
    workflow_id TEXT NOT NULL,
    language TEXT NOT NULL,
    format INTEGER NOT NULL,
    type TEXT NOT NULL,
    queue TEXT NOT NULL,
    status INTEGER NOT NULL,
    condition INTEGER NOT NULL,
    owner INTEGER,                  -- leases.lease
    epoch INTEGER NOT NULL,
    wake_at INTEGER,
    claimed_seq INTEGER NOT NULL,   -- the last seq when the owner took the run: has it advanced since?
    strikes INTEGER NOT NULL,
    bumps INTEGER NOT NULL,         -- commits without events; version = last seq + bumps
    started_at INTEGER NOT NULL,
    closed_at INTEGER NOT NULL,
    parent_run_id TEXT,
    parent_key TEXT,
    continued_from TEXT,
    input_digest BLOB NOT NULL,
    detail BLOB NOT NULL,
    status_text TEXT NOT NULL,
    attributes TEXT,                -- JSON; NULL for none
    blocked_for TEXT                -- JSON list of lease ids that found the run blocked
);
CREATE INDEX runs_of_workflow ON runs (namespace, workflow_id);
CREATE UNIQUE INDEX runs_open ON runs (namespace, workflow_id) WHERE status = 0;
CREATE INDEX runs_claimable ON runs (queue, language, wake_at)
    WHERE status = 0 AND owner IS NULL AND wake_at IS NOT NULL AND condition NOT IN (4, 5);
CREATE INDEX runs_owned ON runs (owner) WHERE owner IS NOT NULL;
CREATE INDEX runs_newest ON runs (namespace, started_at);
CREATE INDEX runs_of_status ON runs (namespace, status, started_at);
CREATE INDEX runs_of_condition ON runs (namespace, condition, started_at) WHERE condition > 1;
CREATE INDEX runs_retained ON runs (namespace, closed_at) WHERE closed_at > 0;

-- Append-only. ``n`` is the position in the log: given out inside the write transaction, gapless, never reused.
CREATE TABLE events (
    n INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    type TEXT NOT NULL,
    time INTEGER NOT NULL,
    key TEXT,
    data BLOB NOT NULL
);
CREATE UNIQUE INDEX events_of_run ON events (run, seq);

CREATE TABLE state (
    run INTEGER NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (run, kind, key)
) WITHOUT ROWID;
CREATE INDEX state_of_kind ON state (kind);

-- ``n`` is the arrival number; AUTOINCREMENT keeps it from being reused after a message was consumed.
CREATE TABLE messages (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    data BLOB NOT NULL,
    time INTEGER NOT NULL,
    id TEXT,
    wakes INTEGER NOT NULL
);
CREATE INDEX messages_of_run ON messages (run);

-- Ids of messages that have arrived, so that a second one is known as a duplicate even after the first was consumed.
CREATE TABLE received (
    run INTEGER NOT NULL, id TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (run, id)
) WITHOUT ROWID;

CREATE TABLE timers (
    run INTEGER NOT NULL, key TEXT NOT NULL, fire_at INTEGER NOT NULL, PRIMARY KEY (run, key)
) WITHOUT ROWID;

CREATE TABLE tasks (
    task INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    queue TEXT NOT NULL,
    data BLOB NOT NULL,
    priority INTEGER NOT NULL,
    fairness_key TEXT NOT NULL,
    fairness_weight REAL NOT NULL,
    visible_at INTEGER NOT NULL,
    deadline INTEGER,
    attempt INTEGER NOT NULL,
    fallback_queue TEXT,
    owner INTEGER,
    epoch INTEGER NOT NULL
);
CREATE UNIQUE INDEX tasks_of_run ON tasks (run, kind, key);
CREATE INDEX tasks_claimable ON tasks (queue, priority DESC, fairness_key, task) WHERE owner IS NULL;
CREATE INDEX tasks_fallback ON tasks (fallback_queue, queue) WHERE owner IS NULL AND fallback_queue IS NOT NULL;
CREATE INDEX tasks_fair ON tasks (fairness_key) WHERE fairness_key <> '' OR fairness_weight <> 1.0;
CREATE INDEX tasks_owned ON tasks (owner) WHERE owner IS NOT NULL;

-- AUTOINCREMENT: runs and tasks name their owner by this number, which must never come to mean another lease.
CREATE TABLE leases (
    lease INTEGER PRIMARY KEY AUTOINCREMENT,
    lease_id TEXT NOT NULL UNIQUE,
    counter INTEGER NOT NULL,
    probing TEXT,
    body BLOB NOT NULL              -- Lease as JSON
);

CREATE TABLE asks (
    ask_id TEXT PRIMARY KEY,
    run INTEGER NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    data BLOB NOT NULL,
    deadline INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE answers (ask_id TEXT PRIMARY KEY, data BLOB NOT NULL, deadline INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE definitions (
    namespace TEXT NOT NULL,
    language TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    body BLOB NOT NULL,             -- Definition as JSON
    PRIMARY KEY (namespace, language, kind, name)
) WITHOUT ROWID;

CREATE TABLE cursors (
    subscriber TEXT NOT NULL, shard INTEGER NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (subscriber, shard)
) WITHOUT ROWID;

CREATE TABLE commit_ids (id TEXT PRIMARY KEY, time INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX commit_ids_by_time ON commit_ids (time);

CREATE TABLE audit (line INTEGER PRIMARY KEY, run INTEGER NOT NULL, time INTEGER NOT NULL, text TEXT NOT NULL);
CREATE INDEX audit_of_run ON audit (run);
