-- A queue has its namespace in its name: what is kept under "gpu" is the queue of the namespace "default", and other
-- namespaces have it under a key that begins with theirs (journal/namespace.py). Programs of the version before this one
-- do not find what is offered there any more; those of one namespace are brought up to date together.
CREATE TEMP TABLE queue_prefixes AS
SELECT run, CASE WHEN namespace GLOB '*:schedules' OR namespace GLOB '*:retention'
    THEN substr(namespace, 1, length(namespace) - 10) ELSE namespace END
    || char(31) AS prefix
FROM runs WHERE namespace NOT IN ('default', 'default:schedules', 'default:retention');

UPDATE tasks SET queue = p.prefix || queue, fallback_queue = p.prefix || fallback_queue
FROM temp.queue_prefixes AS p WHERE tasks.run = p.run;

UPDATE runs SET queue = p.prefix || queue,
    ticket = json_set(ticket, '$.queue', p.prefix || json_extract(ticket, '$.queue'))
FROM temp.queue_prefixes AS p WHERE runs.run = p.run;

DROP TABLE temp.queue_prefixes;

-- A queue that somebody has limited or paused is so for each namespace from now on, and what waits on it is handed out.
INSERT INTO queues (name, holds_back, body, progress)
SELECT p.prefix || q.name, q.holds_back, CAST(json_set(CAST(q.body AS TEXT), '$.name', p.prefix || q.name) AS BLOB),
    q.progress
FROM queues AS q CROSS JOIN (
    SELECT DISTINCT CASE WHEN namespace GLOB '*:schedules' OR namespace GLOB '*:retention'
        THEN substr(namespace, 1, length(namespace) - 10) ELSE namespace END || char(31) AS prefix
    FROM (SELECT namespace FROM runs UNION SELECT namespace FROM definitions)
    WHERE namespace NOT IN ('default', 'default:schedules', 'default:retention')) AS p
WHERE true ON CONFLICT DO NOTHING;
