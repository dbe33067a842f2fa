-- Queues that code has declared or an operator has changed. ``body`` is a Queue as JSON; ``progress`` is what its claims
-- remember (deciding/turn.py). ``holds_back`` says whether runs that are started on it wait for their admission. A
-- queue's row lies in the shard of its name.
CREATE TABLE queues (
    shard smallint NOT NULL,
    holds_back smallint NOT NULL,
    name text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    progress bytea NOT NULL,
    PRIMARY KEY (shard, name)
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);
CREATE UNIQUE INDEX queues_by_name ON queues (name, shard);

-- How a run waits, or has waited, on its queue (Ticket as JSON); NULL for one that was offered at once. It says how the
-- run waits again when it is reopened.
ALTER TABLE runs ADD COLUMN ticket text COLLATE "C";

-- Slots of a queue are counted by who holds them, so that an unlimited queue has no index more than before.
DROP INDEX tasks_owned;
CREATE INDEX tasks_owned ON tasks (owner, queue, fairness_key) WHERE owner IS NOT NULL;

CREATE INDEX tasks_delayed ON tasks (queue, visible_at) WHERE owner IS NULL AND visible_at > 0;

-- As before, but a run that is started on a queue that holds runs back waits there, and a message does not wake it.
SELECT set_config('search_path', current_schema() || ', pg_temp', true);

CREATE OR REPLACE FUNCTION start_run(
    p_journal text, p_run_id text, p_workflow_id text, p_namespace text, p_language text, p_format integer, p_type text,
    p_queue text, p_started_at bigint, p_wake_at bigint, p_input_digest bytea, p_attributes text, p_event_type text,
    p_event_data bytea, p_if_running text, p_if_closed text,
    OUT outcome text, OUT run_id text, OUT type text, OUT input_digest bytea, OUT status integer, OUT epoch bigint,
    OUT version bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    v_shard CONSTANT smallint := shard_of(p_namespace, p_workflow_id);
    v_there runs;
    v_rule text;
    v_run bigint;
    v_batch bigint;
    v_waits CONSTANT boolean := EXISTS (SELECT FROM queues WHERE name = p_queue AND holds_back <> 0);
BEGIN
    IF p_journal IS NOT NULL AND NOT EXISTS (SELECT FROM meta WHERE name = 'journal' AND value = p_journal) THEN
        outcome := 'elsewhere';
        RETURN;
    END IF;
    FOR look IN 1..10 LOOP
        v_there := find_newest(p_namespace, p_workflow_id);
        IF v_there.run IS NOT NULL THEN
            v_rule := CASE v_there.status WHEN 0 THEN p_if_running ELSE p_if_closed END;
            outcome := CASE v_rule WHEN 'attach' THEN 'attached' WHEN 'reject' THEN 'rejected' ELSE 'open' END;
            run_id := v_there.run_id;
            type := v_there.type;
            input_digest := v_there.input_digest;
            status := v_there.status;
            epoch := v_there.epoch;
            version := v_there.last_seq + v_there.bumps;
            IF v_rule <> 'restart' OR v_there.status = 0 THEN
                RETURN;
            END IF;
        END IF;
        v_run := nextval('run_numbers') << 10 | v_shard;
        INSERT INTO runs (
            shard, run, run_id, namespace, workflow_id, language, format, type, queue, started_at, input_digest, status,
            condition, parked, epoch, wake_at, claimed_seq, strikes, bumps, closed_at, last_seq, inbox_size, has_tasks,
            offered_at, detail, status_text, attributes)
        VALUES (
            v_shard, v_run, p_run_id, p_namespace, p_workflow_id, p_language, p_format, p_type, p_queue, p_started_at,
            p_input_digest, 0, CASE WHEN v_waits THEN 7 ELSE 0 END, CASE WHEN v_waits THEN 7 END, 0,
            CASE WHEN v_waits THEN NULL ELSE p_wake_at END, 1, 0, 0, 0, 1, 0, v_waits::int,
            CASE WHEN v_waits THEN NULL ELSE p_wake_at END, '', '', p_attributes)
        ON CONFLICT DO NOTHING;
        IF FOUND THEN
            v_batch := nextval('batch_numbers');
            INSERT INTO events (shard, run, seq, type, time, data, nth, batch)
            VALUES (v_shard, v_run, 1, p_event_type, p_started_at, p_event_data, 0, v_batch);
            INSERT INTO batches (batch, shard, events) VALUES (v_batch, v_shard, 1);
            IF v_waits THEN  -- as deciding/queueing.py puts a ticket
                INSERT INTO tasks (shard, task, run, visible_at, epoch, priority, attempt, fairness_weight,
                    fairness_key, kind, key, queue, data)
                VALUES (v_shard, nextval('task_numbers') << 10 | v_shard, v_run, 0, 0, 0, 1, 1.0, '', 'run', p_type,
                    p_queue, '');
            END IF;
            PERFORM tell_workers(CASE WHEN v_waits THEN 'tasks' ELSE 'ready' END);
            outcome := 'started';
            run_id := p_run_id;
            type := p_type;
            input_digest := p_input_digest;
            status := 0;
            epoch := 0;
            version := 1;
            RETURN;
        END IF;
    END LOOP;
    RAISE EXCEPTION 'workflow id % changes too quickly to be started; try again', p_workflow_id
        USING ERRCODE = 'serialization_failure';
END $$;

CREATE OR REPLACE FUNCTION deliver() RETURNS trigger LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    v_run runs;
    v_n bigint;
    v_wakes boolean;
BEGIN
    DELETE FROM outbox WHERE line = NEW.line;
    SELECT * INTO v_run FROM runs WHERE run_id = NEW.run_id FOR NO KEY UPDATE;
    IF v_run.run IS NULL OR v_run.status <> 0 THEN
        RAISE EXCEPTION 'run % was closed before the transaction that sends it % was committed', NEW.run_id, NEW.name
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF EXISTS (SELECT FROM received WHERE shard = v_run.shard AND run = v_run.run AND id = NEW.id) THEN
        RETURN NULL;
    END IF;
    IF v_run.inbox_size >= 100000 THEN  -- limits.INBOX_MESSAGES_MAX
        RAISE EXCEPTION 'the inbox of run % is full; try again later', NEW.run_id
            USING ERRCODE = 'program_limit_exceeded';
    END IF;
    v_n := nextval('arrival_numbers');
    INSERT INTO messages (shard, n, run, kind, name, data, time, id, wakes)
    VALUES (v_run.shard, v_n, v_run.run, NEW.kind, NEW.name, NEW.data, engine_now(), NEW.id, 1);
    IF NEW.id IS NOT NULL THEN
        INSERT INTO received (shard, run, id, n) VALUES (v_run.shard, v_run.run, NEW.id, v_n);
    END IF;
    v_wakes := v_run.owner IS NULL AND v_run.condition NOT IN (2, 4, 5, 7);  -- codes.PARKED
    UPDATE runs SET inbox_size = inbox_size + 1, wake_at = CASE WHEN v_wakes THEN 0 ELSE wake_at END,
        offered_at = CASE WHEN v_wakes THEN 0 ELSE offered_at END
    WHERE shard = v_run.shard AND run = v_run.run;
    PERFORM tell_workers(CASE WHEN v_run.owner IS NULL THEN 'ready' ELSE 'inbox' END);
    RETURN NULL;
END $$;
