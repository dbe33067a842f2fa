-- The journal's tables, in the schema that the search path names. Statuses and conditions are small integers
-- (deciding/codes.py); times are int64 UTC microseconds.
--
-- Everything that belongs to a run has the run's shard in front of its primary key, and a run's number holds its shard
-- in its lowest ten bits, so that what names a run names its shard. Tables without a shard are small and the same for
-- all (a distributed database would copy them to every node).

-- Texts are names, compared byte by byte (COLLATE "C"), whatever the database's language is.

-- Facts about this journal: how many shards it has, and for each boot of a machine the clock's anchor.
CREATE TABLE meta (name text COLLATE "C" PRIMARY KEY, value text COLLATE "C" NOT NULL);

-- What each shard knows of its log: how far retention has removed it.
CREATE TABLE shards (shard smallint PRIMARY KEY, log_purged bigint NOT NULL);

-- One row a process that writes. ``flush`` is the number of its last committed group, so that a process whose COMMIT
-- had an unknown outcome can look up what happened; ``session`` names the one connection that may still write it.
CREATE TABLE processes (
    process bigint PRIMARY KEY,
    identity text COLLATE "C" NOT NULL,
    session bigint NOT NULL,
    flush bigint NOT NULL,
    seen_at bigint NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);

CREATE SEQUENCE run_numbers;
CREATE SEQUENCE arrival_numbers;
CREATE SEQUENCE task_numbers;
CREATE SEQUENCE batch_numbers;

-- The columns that a step moves (last_seq, bumps, inbox_size, timer_at, has_tasks, condition between 0 and 1) are in no
-- index, so that an update of them stays on its page. offered_at and parked are wake_at and condition where an index
-- wants them, and NULL elsewhere.
CREATE TABLE runs (
    shard smallint NOT NULL,
    run bigint NOT NULL,
    started_at bigint NOT NULL,
    epoch bigint NOT NULL,
    owner bigint,                       -- leases.lease
    wake_at bigint,
    offered_at bigint,                  -- wake_at, where the run is open, unowned and may be offered
    timer_at bigint,                    -- the earliest of its timers
    closed_at bigint NOT NULL,
    bumps bigint NOT NULL,              -- commits without events; version = last_seq + bumps
    last_seq integer NOT NULL,
    claimed_seq integer NOT NULL,       -- the last seq when the owner took the run: has it advanced since?
    inbox_size integer NOT NULL,
    strikes integer NOT NULL,
    format integer NOT NULL,
    status smallint NOT NULL,
    condition smallint NOT NULL,
    parked smallint,                    -- condition, where it is none of the ordinary two
    has_tasks smallint NOT NULL,        -- 0 if it surely has none
    run_id text COLLATE "C" NOT NULL,
    namespace text COLLATE "C" NOT NULL,
    workflow_id text COLLATE "C" NOT NULL,
    language text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    queue text COLLATE "C" NOT NULL,
    parent_run_id text COLLATE "C",
    parent_key text COLLATE "C",
    continued_from text COLLATE "C",
    input_digest bytea NOT NULL,
    detail bytea NOT NULL,
    status_text text COLLATE "C" NOT NULL,
    attributes text COLLATE "C",                    -- JSON; NULL for none
    blocked_for text COLLATE "C",                   -- JSON list of lease ids that found the run blocked
    PRIMARY KEY (shard, run)
) WITH (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.1);
CREATE UNIQUE INDEX runs_by_id ON runs (run_id, shard);
CREATE INDEX runs_of_workflow ON runs (shard, namespace, workflow_id, run);
CREATE UNIQUE INDEX runs_open ON runs (shard, namespace, workflow_id) WHERE status = 0;
CREATE INDEX runs_claimable ON runs (queue, language, offered_at, run) WHERE offered_at IS NOT NULL;
CREATE INDEX runs_owned ON runs (owner) WHERE owner IS NOT NULL;
CREATE INDEX runs_newest ON runs (namespace, started_at, run_id);
CREATE INDEX runs_of_status ON runs (namespace, status, started_at, run_id);
CREATE INDEX runs_parked ON runs (namespace, parked, started_at, run_id) WHERE parked IS NOT NULL;
CREATE INDEX runs_retained ON runs (namespace, closed_at) WHERE closed_at > 0;

-- Append-only, and parted by run numbers: all events of a run lie in one part, and a part whose runs are gone is
-- dropped (parts.py makes and drops them). ``batch`` is the flush that wrote the event, ``nth`` its place among those of
-- its shard in that flush; its position in the log is known once the batch has one.
CREATE TABLE events (
    shard smallint NOT NULL,
    seq integer NOT NULL,
    run bigint NOT NULL,
    batch bigint NOT NULL,
    time bigint NOT NULL,
    nth integer NOT NULL,
    type text COLLATE "C" NOT NULL,
    key text COLLATE "C",
    data bytea NOT NULL,
    PRIMARY KEY (shard, run, seq)
) PARTITION BY RANGE (run);
CREATE INDEX events_of_batch ON events (shard, batch);

-- Batches that were committed and have no position yet. Each goes to the log as soon as somebody reads it (log.py).
CREATE TABLE batches (
    shard smallint NOT NULL, batch bigint NOT NULL, events integer NOT NULL, PRIMARY KEY (shard, batch)
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);

-- The log of a shard: ``first_n`` is the position of a batch's first event. Without gaps, and only ever continued.
CREATE TABLE log (
    shard smallint NOT NULL,
    first_n bigint NOT NULL,
    events integer NOT NULL,
    batch bigint NOT NULL,
    PRIMARY KEY (shard, first_n)
);
CREATE UNIQUE INDEX log_of_batch ON log (shard, batch);

CREATE TABLE state (
    shard smallint NOT NULL, run bigint NOT NULL, kind text COLLATE "C" NOT NULL, key text COLLATE "C" NOT NULL, data bytea NOT NULL,
    PRIMARY KEY (shard, run, kind, key)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX state_of_kind ON state (kind);

-- ``n`` is the arrival number. Those of one run grow in the order of commits, because it is drawn while the run's row is
-- locked; those of different runs need not (inbox.py).
CREATE TABLE messages (
    shard smallint NOT NULL,
    run bigint NOT NULL,
    n bigint NOT NULL,
    time bigint NOT NULL,
    wakes smallint NOT NULL,
    kind text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    id text COLLATE "C",
    data bytea NOT NULL,
    PRIMARY KEY (shard, run, n)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
CREATE INDEX messages_by_arrival ON messages (n);

-- Ids of messages that have arrived, so that a second one is known as a duplicate even after the first was consumed.
CREATE TABLE received (
    shard smallint NOT NULL, run bigint NOT NULL, id text COLLATE "C" NOT NULL, n bigint NOT NULL, PRIMARY KEY (shard, run, id)
);

CREATE TABLE timers (
    shard smallint NOT NULL, run bigint NOT NULL, key text COLLATE "C" NOT NULL, fire_at bigint NOT NULL,
    PRIMARY KEY (shard, run, key)
) WITH (autovacuum_vacuum_scale_factor = 0.05);

-- A task's number holds its run's shard, as a run's does.
CREATE TABLE tasks (
    shard smallint NOT NULL,
    task bigint NOT NULL,
    run bigint NOT NULL,
    visible_at bigint NOT NULL,
    deadline bigint,
    owner bigint,
    epoch bigint NOT NULL,
    priority integer NOT NULL,
    attempt integer NOT NULL,
    fairness_weight double precision NOT NULL,
    fairness_key text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    queue text COLLATE "C" NOT NULL,
    fallback_queue text COLLATE "C",
    data bytea NOT NULL,
    PRIMARY KEY (shard, task)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
CREATE UNIQUE INDEX tasks_of_run ON tasks (shard, run, kind, key);
CREATE INDEX tasks_claimable ON tasks (queue, priority DESC, fairness_key, task) WHERE owner IS NULL;
CREATE INDEX tasks_fallback ON tasks (fallback_queue, queue) WHERE owner IS NULL AND fallback_queue IS NOT NULL;
CREATE INDEX tasks_fair ON tasks (fairness_key) WHERE fairness_key <> '' OR fairness_weight <> 1.0;
CREATE INDEX tasks_owned ON tasks (owner) WHERE owner IS NOT NULL;

-- ``lease`` is never given twice: runs and tasks name their owner by it.
CREATE TABLE leases (
    lease bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lease_id text COLLATE "C" NOT NULL UNIQUE,
    counter bigint NOT NULL,
    probing text COLLATE "C",
    body bytea NOT NULL                 -- Lease as JSON
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0);

CREATE TABLE asks (
    shard smallint NOT NULL,
    ask_id text COLLATE "C" NOT NULL,
    run bigint NOT NULL,
    deadline bigint NOT NULL,
    kind text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (shard, ask_id)
);
CREATE INDEX asks_by_deadline ON asks (deadline);
CREATE INDEX asks_by_id ON asks (ask_id);

CREATE TABLE answers (ask_id text COLLATE "C" PRIMARY KEY, data bytea NOT NULL, deadline bigint NOT NULL);
CREATE INDEX answers_by_deadline ON answers (deadline);

CREATE TABLE definitions (
    namespace text COLLATE "C" NOT NULL,
    language text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    body bytea NOT NULL,                -- Definition as JSON
    PRIMARY KEY (namespace, language, kind, name)
);

CREATE TABLE cursors (
    shard smallint NOT NULL, subscriber text COLLATE "C" NOT NULL, n bigint NOT NULL, PRIMARY KEY (shard, subscriber)
);

CREATE TABLE commit_ids (shard smallint NOT NULL, id text COLLATE "C" NOT NULL, time bigint NOT NULL, PRIMARY KEY (shard, id));
CREATE INDEX commit_ids_by_time ON commit_ids (time);

CREATE TABLE audit (
    shard smallint NOT NULL,
    run bigint NOT NULL,
    line bigint GENERATED ALWAYS AS IDENTITY,
    time bigint NOT NULL,
    text text COLLATE "C" NOT NULL,
    PRIMARY KEY (shard, run, line)
);
