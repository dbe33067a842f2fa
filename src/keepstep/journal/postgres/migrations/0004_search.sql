-- What runs can be searched by, beside their own columns. A type (journal/field.py) is given once, and stays.
CREATE TABLE attributes (
    attribute integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    namespace text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    UNIQUE (namespace, name)
);

-- The values that runs have, in the column of their type: text, whole numbers (truth and times, too) and others. The
-- texts of a list are numbered by ``nth``. Those of one value lie in the order of starts, which is that of a page.
CREATE TABLE attribute_values (
    shard smallint NOT NULL,
    run bigint NOT NULL,
    attribute integer NOT NULL,
    nth smallint NOT NULL,
    started_at bigint NOT NULL,
    text_value text COLLATE "C",
    int_value bigint,
    double_value double precision,
    PRIMARY KEY (shard, run, attribute, nth)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.1);
CREATE INDEX attribute_texts ON attribute_values (attribute, text_value, started_at, run, shard)
    WHERE text_value IS NOT NULL;
CREATE INDEX attribute_ints ON attribute_values (attribute, int_value, started_at, run, shard)
    WHERE int_value IS NOT NULL;
CREATE INDEX attribute_doubles ON attribute_values (attribute, double_value, started_at, run, shard)
    WHERE double_value IS NOT NULL;

-- A status and a type together, or each alone, in the order of starts.
DROP INDEX runs_of_status;
CREATE INDEX runs_of_kind ON runs (namespace, status, type, started_at, run_id);

CREATE INDEX runs_of_parent ON runs (parent_run_id) WHERE parent_run_id IS NOT NULL;

SELECT set_config('search_path', current_schema() || ', pg_temp', true);

-- UTC microseconds of an RFC 3339 time; NULL for any other text (journal/moment.py).
CREATE FUNCTION moment_of(p_text text) RETURNS bigint LANGUAGE plpgsql IMMUTABLE SET search_path FROM CURRENT AS $$
BEGIN
    IF p_text !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([Zz]|[+-](0[0-9]|1[0-5]):[0-5][0-9])$'
        OR p_text LIKE '0000%' OR substr(p_text, 12, 2) > '23' OR substr(p_text, 18, 2) > '59' THEN
        RETURN NULL;
    END IF;
    RETURN (extract(epoch FROM regexp_replace(p_text, '([.][0-9]{6})[0-9]+', '\1')::timestamptz) * 1000000)::bigint;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END $$;

CREATE FUNCTION is_keyword(p_value json) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN json_typeof(p_value) = 'string' AND p_value::text !~ '(^|[^\\])(\\\\)*\\u0000'
        THEN octet_length(p_value #>> '{}') <= 2000 ELSE false END  -- attribute.KEYWORD_BYTES_MAX
$$;

CREATE FUNCTION is_keyword_list(p_value json) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path FROM CURRENT AS $$
    SELECT CASE WHEN json_typeof(p_value) = 'array' THEN json_array_length(p_value) <= 100
        AND NOT EXISTS (SELECT FROM json_array_elements(p_value) AS e(value) WHERE NOT is_keyword(e.value))
        ELSE false END
$$;

-- Whether a value can be a float.
CREATE FUNCTION is_double(p_value json) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN json_typeof(p_value) = 'number' AND length(p_value::text) <= 400
        THEN abs(p_value::text::numeric) < 1.7e308  -- attribute.DOUBLE_MAX
            AND (p_value::text::numeric = 0 OR abs(p_value::text::numeric) > 3e-324) ELSE false END  -- not too small either
$$;

-- The type of an attribute whose first value this is (attribute.type_of); NULL if none comes of it.
CREATE FUNCTION attribute_type(p_value json) RETURNS text LANGUAGE sql IMMUTABLE SET search_path FROM CURRENT AS $$
    SELECT CASE json_typeof(p_value)
        WHEN 'boolean' THEN 'bool'
        WHEN 'number' THEN CASE WHEN is_double(p_value) THEN 'double' END
        WHEN 'string' THEN CASE WHEN NOT is_keyword(p_value) THEN NULL
            WHEN moment_of(p_value #>> '{}') IS NOT NULL THEN 'datetime' ELSE 'keyword' END
        WHEN 'array' THEN CASE WHEN json_array_length(p_value) > 0 AND is_keyword_list(p_value)
            THEN 'keyword_list' END
        END
$$;

-- Whether a value fits a type (attribute.values_of).
CREATE FUNCTION attribute_fits(p_type text, p_value json) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path FROM CURRENT AS $$
    SELECT CASE WHEN json_typeof(p_value) = 'null' THEN true ELSE CASE p_type
        WHEN 'bool' THEN json_typeof(p_value) = 'boolean'
        WHEN 'double' THEN is_double(p_value)
        WHEN 'int' THEN CASE WHEN json_typeof(p_value) = 'number' AND p_value::text ~ '^-?[0-9]{1,19}$'
            THEN p_value::text::numeric BETWEEN -9223372036854775808 AND 9223372036854775807 ELSE false END
        WHEN 'keyword' THEN is_keyword(p_value)
        WHEN 'datetime' THEN is_keyword(p_value) AND moment_of(p_value #>> '{}') IS NOT NULL
        WHEN 'keyword_list' THEN is_keyword_list(p_value)
        END END
$$;

-- Why a run cannot have these attributes, in words; NULL if it can.
CREATE FUNCTION refused_attribute(p_namespace text, p_attributes text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT CASE
        WHEN v.key = '' OR length(v.key) > 512 THEN 'the name of an attribute has 1 to 512 characters'
        WHEN a.type IS NULL THEN format('an attribute cannot be named %L, which every run has; choose another name', v.key)
        ELSE format('attribute %L is registered as %s, which %s does not fit', v.key, a.type, left(v.value::text, 60)) END
    FROM json_each(CASE json_typeof(p_attributes::json) WHEN 'object' THEN p_attributes::json ELSE '{}' END) AS v
    LEFT JOIN attributes AS a ON a.namespace = p_namespace AND a.name = v.key
    WHERE v.key = '' OR length(v.key) > 512 OR NOT coalesce(attribute_fits(a.type, v.value), true) OR v.key IN (
        'WorkflowId', 'RunId', 'WorkflowType', 'Status', 'Condition', 'StartTime', 'CloseTime', 'ExecutionDuration',
        'Queue', 'Language', 'HistoryLength', 'ParentWorkflowId', 'ParentRunId', 'ExecutionStatus', 'ExecutionTime',
        'TaskQueue', 'Type', 'Id')
    LIMIT 1
$$;

-- Write anew by what a run is searched. Names that are new get their types; what fits none is left out.
CREATE FUNCTION index_attributes(
    p_shard smallint, p_run bigint, p_started_at bigint, p_namespace text, p_attributes text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM attribute_values WHERE shard = p_shard AND run = p_run;
    IF p_attributes IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO attributes (namespace, name, type)
    SELECT p_namespace, v.key, attribute_type(v.value) FROM json_each(p_attributes::json) AS v
    WHERE attribute_type(v.value) IS NOT NULL AND v.key <> '' AND length(v.key) <= 512
        AND NOT EXISTS (SELECT FROM attributes AS a WHERE a.namespace = p_namespace AND a.name = v.key)
        AND refused_attribute(p_namespace, json_build_object(v.key, v.value)::text) IS NULL
    ORDER BY v.key ON CONFLICT DO NOTHING;
    INSERT INTO attribute_values (shard, run, attribute, nth, started_at, text_value, int_value, double_value)
    SELECT p_shard, p_run, a.attribute, 0, p_started_at,
        CASE WHEN a.type = 'keyword' THEN v.value #>> '{}' END,
        CASE a.type WHEN 'bool' THEN (v.value::text::boolean)::int WHEN 'int' THEN v.value::text::bigint
            WHEN 'datetime' THEN moment_of(v.value #>> '{}') END,
        CASE WHEN a.type = 'double' THEN v.value::text::double precision + 0.0 END
    FROM json_each(p_attributes::json) AS v JOIN attributes AS a ON a.namespace = p_namespace AND a.name = v.key
    WHERE a.type <> 'keyword_list' AND json_typeof(v.value) <> 'null' AND attribute_fits(a.type, v.value);
    INSERT INTO attribute_values (shard, run, attribute, nth, started_at, text_value)
    SELECT p_shard, p_run, a.attribute, row_number() OVER (PARTITION BY a.attribute), p_started_at, e.value
    FROM json_each(p_attributes::json) AS v JOIN attributes AS a ON a.namespace = p_namespace AND a.name = v.key
    CROSS JOIN LATERAL (
        SELECT DISTINCT e.value FROM json_array_elements_text(
            CASE WHEN json_typeof(v.value) = 'array' THEN v.value ELSE '[]' END) AS e(value)) AS e
    WHERE a.type = 'keyword_list' AND attribute_fits(a.type, v.value);
END $$;

REVOKE EXECUTE ON FUNCTION moment_of, is_keyword, is_keyword_list, is_double, attribute_type, attribute_fits,
    refused_attribute, index_attributes FROM PUBLIC;

-- As before, with attributes that are indexed, or refused.
--
-- And a run that was started and has ended while another start of its id was on its way is not overlooked: no open run is
-- in that one's way, so its insertion goes through. It looks behind itself therefore, and begins anew if there is a run
-- that it had not seen. A snapshot that is older than the statement cannot see that one: a transaction of another isolation
-- level than READ COMMITTED starts nothing.
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

CREATE OR REPLACE FUNCTION start_workflow(
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
    IF jsonb_typeof(attributes) <> 'object' THEN
        RAISE EXCEPTION 'attributes are a JSON object, such as {"customer": "c7"}, not %', left(attributes::text, 100)
            USING ERRCODE = 'invalid_parameter_value';
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
    IF v_done.outcome = 'refused' THEN
        RAISE EXCEPTION '%', v_done.type USING ERRCODE = 'invalid_parameter_value';
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

-- Attributes that runs have already.
SELECT count(index_attributes(shard, run, started_at, namespace, attributes))
FROM (SELECT * FROM runs WHERE attributes IS NOT NULL AND attributes NOT LIKE '%\\u0000%' ORDER BY shard, run) AS r;
