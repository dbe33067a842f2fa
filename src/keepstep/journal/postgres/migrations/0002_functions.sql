-- Functions for those who start runs and send messages in transactions of their own: Keepstep's clients (outbox.py), and
-- programs in any language, which call start_workflow and send_signal. Nothing has happened until their transaction is
-- committed; the hint to the workers goes out then, too.
--
-- The rules are those of deciding/start.py. However long the transaction is open, nobody waits for it: a message is put
-- into ``outbox``, and delivered by a deferred trigger at COMMIT. If its run was closed meanwhile, the COMMIT fails.
--
-- They act with the rights of whoever made the schema, and nobody else may call them until that is granted:
-- GRANT USAGE ON SCHEMA keepstep TO app; GRANT EXECUTE ON FUNCTION keepstep.start_workflow, keepstep.send_signal TO app;

SELECT set_config('search_path', current_schema() || ', pg_temp', true);

-- Tells this journal from others, wherever its schema is.
INSERT INTO meta VALUES ('journal', gen_random_uuid()::text);

CREATE FUNCTION shard_of(p_namespace text, p_workflow_id text) RETURNS smallint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT ((get_byte(h, 0)::bigint << 24 | get_byte(h, 1)::bigint << 16 | get_byte(h, 2)::bigint << 8 | get_byte(h, 3))
        % (SELECT count(*) FROM shards))::smallint
    FROM sha256(convert_to(p_namespace, 'UTF8') || '\x00'::bytea || convert_to(p_workflow_id, 'UTF8')) AS h
$$;

-- Engine time: int64 UTC microseconds.
CREATE FUNCTION engine_now() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
$$;

-- A UUID of version 7.
CREATE FUNCTION make_run_id() RETURNS text LANGUAGE sql VOLATILE SET search_path FROM CURRENT AS $$
    SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
        PLACING substring(int8send(engine_now() / 1000) FROM 3) FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid::text
$$;

CREATE FUNCTION tell_workers(p_kind text) RETURNS void LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT pg_notify('keepstep_' || current_schema(), 'sql ' || p_kind)
$$;

-- The open run of a workflow id, or else its newest one; NULLs if there is none.
CREATE FUNCTION find_newest(p_namespace text, p_workflow_id text) RETURNS runs
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    v_shard CONSTANT smallint := shard_of(p_namespace, p_workflow_id);
    v_run runs;
BEGIN
    SELECT * INTO v_run FROM runs WHERE shard = v_shard AND namespace = p_namespace
        AND workflow_id = p_workflow_id AND status = 0;
    IF NOT FOUND THEN
        SELECT * INTO v_run FROM runs WHERE shard = v_shard AND namespace = p_namespace
            AND workflow_id = p_workflow_id ORDER BY run DESC LIMIT 1;
    END IF;
    RETURN v_run;
END $$;

-- Start a run, or attach to the newest of its workflow id. ``outcome`` is started, attached, rejected, or open (one that
-- is to be restarted must be closed first).
CREATE FUNCTION start_run(
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
            condition, epoch, wake_at, claimed_seq, strikes, bumps, closed_at, last_seq, inbox_size, has_tasks,
            offered_at, detail, status_text, attributes)
        VALUES (
            v_shard, v_run, p_run_id, p_namespace, p_workflow_id, p_language, p_format, p_type, p_queue, p_started_at,
            p_input_digest, 0, 0, 0, p_wake_at, 1, 0, 0, 0, 1, 0, 0, p_wake_at, '', '', p_attributes)
        ON CONFLICT DO NOTHING;
        IF FOUND THEN
            v_batch := nextval('batch_numbers');
            INSERT INTO events (shard, run, seq, type, time, data, nth, batch)
            VALUES (v_shard, v_run, 1, p_event_type, p_started_at, p_event_data, 0, v_batch);
            INSERT INTO batches (batch, shard, events) VALUES (v_batch, v_shard, 1);
            PERFORM tell_workers('ready');
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

-- Messages on their way to a run: from their sending to the COMMIT of the transaction in which they were sent.
CREATE UNLOGGED TABLE outbox (
    line bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    id text COLLATE "C",
    data bytea NOT NULL
);

CREATE FUNCTION deliver() RETURNS trigger LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path FROM CURRENT AS $$
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
    v_wakes := v_run.owner IS NULL AND v_run.condition NOT IN (2, 4, 5);  -- codes.PARKED
    UPDATE runs SET inbox_size = inbox_size + 1, wake_at = CASE WHEN v_wakes THEN 0 ELSE wake_at END,
        offered_at = CASE WHEN v_wakes THEN 0 ELSE offered_at END
    WHERE shard = v_run.shard AND run = v_run.run;
    PERFORM tell_workers(CASE WHEN v_run.owner IS NULL THEN 'ready' ELSE 'inbox' END);
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER outbox_delivered AFTER INSERT ON outbox DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION deliver();

-- Say something to a run, by its run id or to the newest of a workflow id. ``outcome`` is sent, duplicate, missing,
-- closed or full, as things stand now.
CREATE FUNCTION send_message(
    p_journal text, p_run_id text, p_namespace text, p_workflow_id text, p_kind text, p_name text, p_data bytea,
    p_id text, OUT outcome text, OUT run_id text, OUT workflow_id text, OUT status integer)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    v_run runs;
BEGIN
    IF p_journal IS NOT NULL AND NOT EXISTS (SELECT FROM meta WHERE name = 'journal' AND value = p_journal) THEN
        outcome := 'elsewhere';
        RETURN;
    END IF;
    IF p_run_id IS NULL THEN
        v_run := find_newest(p_namespace, p_workflow_id);
    ELSE
        SELECT * INTO v_run FROM runs WHERE run_id = p_run_id;
    END IF;
    run_id := v_run.run_id;
    workflow_id := v_run.workflow_id;
    status := v_run.status;
    outcome := CASE
        WHEN v_run.run IS NULL THEN 'missing'
        WHEN v_run.status <> 0 THEN 'closed'
        WHEN EXISTS (SELECT FROM received WHERE shard = v_run.shard AND run = v_run.run AND id = p_id) THEN 'duplicate'
        WHEN EXISTS (SELECT FROM outbox WHERE run_id = v_run.run_id AND id = p_id) THEN 'duplicate'
        WHEN v_run.inbox_size >= 100000 THEN 'full'
        ELSE 'sent'
    END;
    IF outcome = 'sent' THEN
        INSERT INTO outbox (run_id, kind, name, id, data) VALUES (v_run.run_id, p_kind, p_name, p_id, p_data);
    END IF;
END $$;

-- The arguments in the first event of a run (runtime/history.py, WorkflowStarted), or NULL if they are not plain JSON.
CREATE FUNCTION arguments_of(p_run_id text) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    v_data bytea;
    v_tag integer;
    v_head integer;
    v_length bigint;
BEGIN
    SELECT e.data INTO v_data FROM runs AS r JOIN events AS e ON e.shard = r.shard AND e.run = r.run AND e.seq = 1
    WHERE r.run_id = p_run_id;
    v_tag := get_byte(v_data, 1);
    v_head := CASE v_tag WHEN 196 THEN 1 WHEN 197 THEN 2 ELSE 4 END;  -- MessagePack's bin 8, bin 16, bin 32
    v_length := ('x' || lpad(encode(substring(v_data FROM 3 FOR v_head), 'hex'), 16, '0'))::bit(64)::bigint;
    RETURN convert_from(substring(v_data FROM 3 + v_head FOR v_length::integer), 'UTF8')::jsonb;
EXCEPTION WHEN data_exception OR syntax_error_or_access_rule_violation THEN
    RETURN NULL;
END $$;

-- What starts a Python run: MessagePack of WorkflowStarted.
CREATE FUNCTION started_event(p_arguments bytea, p_timeout_seconds double precision) RETURNS bytea
LANGUAGE sql VOLATILE AS $$
    SELECT '\x96c6'::bytea || int4send(octet_length(p_arguments)) || p_arguments
        || '\xc410'::bytea || uuid_send(gen_random_uuid()) || '\x01'::bytea
        || CASE WHEN p_timeout_seconds IS NULL THEN '\xc0'::bytea ELSE '\xcb'::bytea || float8send(p_timeout_seconds) END
        || '\xa0a0'::bytea
$$;

-- Start a workflow by its name, with a JSON array of its arguments; the run id. The same id and input again: the run that
-- is there. SELECT keepstep.start_workflow('fulfil_order', '[{"number": 42}]', id => 'order-42');
CREATE FUNCTION start_workflow(
    workflow text, input jsonb DEFAULT '[]', id text DEFAULT NULL, queue text DEFAULT NULL,
    namespace text DEFAULT 'default', attributes jsonb DEFAULT NULL, if_running text DEFAULT 'attach',
    if_closed text DEFAULT 'attach') RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_variable
DECLARE
    v_run_id CONSTANT text := make_run_id();
    v_id CONSTANT text := coalesce(id, v_run_id);
    v_arguments CONSTANT bytea := convert_to(input::text, 'UTF8');
    v_body jsonb;
    v_timeout double precision;
    v_known bigint;
    v_done record;
BEGIN
    IF workflow IS NULL OR workflow = '' OR v_id = '' OR length(v_id) > 512 OR length(workflow) > 512 THEN
        RAISE EXCEPTION 'a workflow and an id have 1 to 512 characters' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF input IS NULL OR jsonb_typeof(input) <> 'array' THEN
        RAISE EXCEPTION 'input is a JSON array of the arguments, such as [42], not %', left(input::text, 100)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF octet_length(v_arguments) > 2097152 THEN  -- limits.PAYLOAD_BYTES_MAX
        RAISE EXCEPTION 'the arguments have % bytes, more than 2097152; pass a reference', octet_length(v_arguments)
            USING ERRCODE = 'program_limit_exceeded';
    END IF;
    IF if_running NOT IN ('attach', 'reject') OR if_closed NOT IN ('attach', 'reject', 'restart') THEN
        RAISE EXCEPTION 'if_running is attach or reject, and if_closed is attach, reject or restart'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT convert_from(d.body, 'UTF8')::jsonb INTO v_body FROM definitions AS d
    WHERE d.namespace = namespace AND d.language = 'python' AND d.kind = 'workflow' AND d.name = workflow;
    IF NOT FOUND THEN
        SELECT count(*) INTO v_known FROM definitions AS d WHERE d.namespace = namespace AND d.kind = 'workflow';
        IF v_known > 0 THEN
            RAISE EXCEPTION 'no worker has published a workflow %', quote_literal(workflow)
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
    END IF;
    v_timeout := (convert_from(decode(v_body->>'schema', 'base64'), 'UTF8')::jsonb->>'timeout_seconds')::float8;
    SELECT * INTO v_done FROM start_run(
        NULL, v_run_id, v_id, namespace, 'python', 1, workflow, coalesce(queue, v_body->>'queue', 'default'),
        engine_now(), 0, ''::bytea, attributes::text, 'workflow_started', started_event(v_arguments, v_timeout),
        if_running, if_closed);
    IF v_done.outcome = 'started' THEN
        RETURN v_run_id;
    END IF;
    IF v_done.outcome = 'rejected' THEN
        RAISE EXCEPTION '% exists (run %)', quote_literal(v_id), v_done.run_id USING ERRCODE = 'unique_violation';
    END IF;
    IF v_done.type <> workflow OR arguments_of(v_done.run_id) IS DISTINCT FROM input THEN
        RAISE EXCEPTION 'a run with the id % exists already with another type or input', quote_literal(v_id)
            USING ERRCODE = 'unique_violation';
    END IF;
    RETURN v_done.run_id;
END $$;

-- Send a signal to the newest run of a workflow id; whether it is new (a second one of the same ``message_id`` is not).
-- SELECT keepstep.send_signal('order-42', 'picked', '{"by": "ann"}');
CREATE FUNCTION send_signal(
    workflow_id text, name text, value jsonb DEFAULT 'null', message_id text DEFAULT NULL,
    namespace text DEFAULT 'default') RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_variable
DECLARE
    v_data CONSTANT bytea := convert_to(coalesce(value, 'null')::text, 'UTF8');
    v_done record;
BEGIN
    IF octet_length(v_data) > 2097152 OR length(name) > 512 THEN
        RAISE EXCEPTION 'a signal has a name of up to 512 characters and a value of up to 2097152 bytes'
            USING ERRCODE = 'program_limit_exceeded';
    END IF;
    SELECT * INTO v_done FROM send_message(NULL, NULL, namespace, workflow_id, 'signal', name, v_data, message_id);
    CASE v_done.outcome
        WHEN 'sent' THEN RETURN true;
        WHEN 'duplicate' THEN RETURN false;
        WHEN 'missing' THEN
            RAISE EXCEPTION 'there is no run with the id %', quote_literal(workflow_id) USING ERRCODE = 'no_data_found';
        WHEN 'full' THEN
            RAISE EXCEPTION 'the inbox of % is full; try again later', quote_literal(workflow_id)
                USING ERRCODE = 'program_limit_exceeded';
        ELSE
            RAISE EXCEPTION '% is closed; it takes no signals any more', quote_literal(workflow_id)
                USING ERRCODE = 'object_not_in_prerequisite_state';
    END CASE;
END $$;

REVOKE EXECUTE ON FUNCTION shard_of, engine_now, make_run_id, tell_workers, find_newest, start_run, deliver, send_message,
    arguments_of, started_event, start_workflow, send_signal FROM PUBLIC;
