-- A run that was started and has ended while another start of its id was on its way: no open run is in that one's way, so
-- its insertion goes through. It looks behind itself therefore, and begins anew if there is a run that it had not seen.
-- A snapshot that is older than the statement cannot see that one: a transaction of another isolation level starts nothing.
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
    v_newest bigint;
    v_refusal text;
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
        v_refusal := refused_attribute(p_namespace, p_attributes);
        IF v_refusal IS NOT NULL THEN
            outcome := 'refused';
            type := v_refusal;
            RETURN;
        END IF;
        IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
            RAISE EXCEPTION 'workflow id % is started in a % transaction, which cannot see whether it was meanwhile',
                quote_literal(p_workflow_id), current_setting('transaction_isolation')
                USING ERRCODE = 'feature_not_supported',
                    HINT = 'Begin the transaction with ISOLATION LEVEL READ COMMITTED, which is PostgreSQL''s default.';
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
        IF NOT FOUND THEN
            CONTINUE;
        END IF;
        SELECT max(run) INTO v_newest FROM runs
        WHERE shard = v_shard AND namespace = p_namespace AND workflow_id = p_workflow_id AND run <> v_run;
        IF v_newest IS NOT DISTINCT FROM v_there.run THEN
            IF p_attributes IS NOT NULL THEN
                PERFORM index_attributes(v_shard, v_run, p_started_at, p_namespace, p_attributes);
            END IF;
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
        DELETE FROM runs WHERE shard = v_shard AND run = v_run;
    END LOOP;
    RAISE EXCEPTION 'workflow id % changes too quickly to be started; try again', p_workflow_id
        USING ERRCODE = 'serialization_failure';
END $$;
