-- A queue has its namespace in its name: what is kept under "gpu" is the queue of the namespace "default", and other
-- namespaces have it under a key that begins with theirs (journal/namespace.py). Programs of the version before this one
-- do not find what is offered there any more; those of one namespace are brought up to date together.
CREATE TEMP TABLE queue_prefixes AS
SELECT run, CASE WHEN namespace LIKE '%:schedules' OR namespace LIKE '%:retention'
    THEN substr(namespace, 1, length(namespace) - 10) ELSE namespace END
    || char(31) AS prefix
FROM runs WHERE namespace NOT IN ('default', 'default:schedules', 'default:retention');

UPDATE tasks SET queue = p.prefix || queue, fallback_queue = p.prefix || fallback_queue
FROM temp.queue_prefixes AS p WHERE tasks.run = p.run;

UPDATE runs SET queue = p.prefix || queue,
    ticket = json_set(ticket, '$.queue', p.prefix || json_extract(ticket, '$.queue'))
FROM temp.queue_prefixes AS p WHERE runs.run = p.run;

DROP TABLE temp.queue_prefixes;
