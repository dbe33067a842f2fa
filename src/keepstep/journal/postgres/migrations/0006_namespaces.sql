-- A queue has its namespace in its name: what is kept under "gpu" is the queue of the namespace "default", and other
-- namespaces have it under a key that begins with theirs (journal/namespace.py).

CREATE FUNCTION queue_key(namespace text, name text) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path FROM CURRENT AS $$
BEGIN
    IF strpos(name, chr(31)) > 0 THEN
        RAISE EXCEPTION 'the name of a queue must not have the sign chr(31) in it'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN CASE WHEN namespace = 'default' THEN name ELSE namespace || chr(31) || name END;
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
        NULL, v_run_id, v_id, namespace, 'python', 1, workflow, queue_key(namespace, coalesce(queue, v_body->>'queue', 'default')),
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

-- Where runs of other namespaces than "default" are offered, and their steps. Programs of the version before this one
-- do not find them any more; those of one namespace are brought up to date together.
UPDATE tasks SET queue = queue_key(found.namespace, tasks.queue),
    fallback_queue = queue_key(found.namespace, tasks.fallback_queue)
FROM (SELECT shard, run, regexp_replace(namespace, ':(schedules|retention)$', '') AS namespace FROM runs
    WHERE namespace NOT IN ('default', 'default:schedules', 'default:retention')) AS found
WHERE tasks.shard = found.shard AND tasks.run = found.run;

UPDATE runs SET queue = queue_key(regexp_replace(namespace, ':(schedules|retention)$', ''), queue),
    ticket = jsonb_set(ticket::jsonb, '{queue}',
        to_jsonb(queue_key(regexp_replace(namespace, ':(schedules|retention)$', ''), ticket::jsonb->>'queue')))::text
WHERE namespace NOT IN ('default', 'default:schedules', 'default:retention');

-- A queue that somebody has limited or paused is so for each namespace from now on, and what waits on it is handed out.
INSERT INTO queues (shard, name, holds_back, body, progress)
SELECT shard_of('', p.prefix || q.name), p.prefix || q.name, q.holds_back,
    convert_to(jsonb_set(convert_from(q.body, 'UTF8')::jsonb, '{name}', to_jsonb(p.prefix || q.name))::text, 'UTF8'),
    q.progress
FROM queues AS q CROSS JOIN (
    SELECT DISTINCT queue_key(regexp_replace(namespace, ':(schedules|retention)$', ''), '') AS prefix
    FROM (SELECT namespace FROM runs UNION SELECT namespace FROM definitions) AS known
    WHERE namespace NOT IN ('default', 'default:schedules', 'default:retention')) AS p
ON CONFLICT DO NOTHING;
