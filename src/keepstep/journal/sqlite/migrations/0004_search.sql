-- What runs can be searched by, beside their own columns. A type is given once, and stays.
CREATE TABLE attributes (
    attribute INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL,             -- journal/field.py
    UNIQUE (namespace, name)
);

-- The values that runs have, one row for each text of a list. ``value`` has no type of its own: a text, or a number.
-- Those of one value lie in the order of starts, which is the order of a page.
CREATE TABLE attribute_values (
    attribute INTEGER NOT NULL,
    value NOT NULL,
    started_at INTEGER NOT NULL,
    run INTEGER NOT NULL,
    PRIMARY KEY (attribute, value, started_at, run)
) WITHOUT ROWID;
CREATE INDEX attribute_values_of_run ON attribute_values (run, attribute);

-- A status and a type together, or each alone, in the order of starts.
DROP INDEX runs_of_status;
CREATE INDEX runs_of_kind ON runs (namespace, status, type, started_at);

CREATE INDEX runs_of_parent ON runs (parent_run_id) WHERE parent_run_id IS NOT NULL;

-- Attributes that runs have already. The first value gives the type; what does not fit it is shown, and not found.
CREATE TEMP TABLE found_attributes AS
SELECT r.run, r.namespace, r.started_at, a.key AS name, a.value, CASE
    WHEN a.type IN ('true', 'false') THEN 'bool'
    WHEN a.type IN ('integer', 'real') THEN 'double'
    WHEN a.type = 'text' AND length(CAST(a.value AS BLOB)) <= 2000 THEN 'keyword'
    WHEN a.type = 'array' AND json_array_length(a.value) BETWEEN 1 AND 100 AND NOT EXISTS (
        SELECT 1 FROM json_each(a.value) AS e WHERE e.type <> 'text' OR length(CAST(e.value AS BLOB)) > 2000) THEN 'keyword_list' END AS type
FROM runs AS r, json_each(r.attributes) AS a
WHERE r.attributes IS NOT NULL AND instr(r.attributes, '\u0000') = 0 AND a.key <> '' AND length(a.key) <= 512
    AND a.key NOT IN (
        'WorkflowId', 'RunId', 'WorkflowType', 'Status', 'Condition', 'StartTime', 'CloseTime', 'ExecutionDuration',
        'Queue', 'Language', 'HistoryLength', 'ParentWorkflowId', 'ParentRunId', 'ExecutionStatus', 'ExecutionTime',
        'TaskQueue', 'Type', 'Id');

INSERT INTO attributes (namespace, name, type)
SELECT namespace, name, type FROM (
    SELECT namespace, name, type, min(run) FROM found_attributes WHERE type IS NOT NULL GROUP BY namespace, name);

INSERT OR IGNORE INTO attribute_values (attribute, value, started_at, run)
SELECT a.attribute, CASE f.type WHEN 'double' THEN CAST(f.value AS REAL) ELSE f.value END, f.started_at, f.run
FROM found_attributes AS f JOIN attributes AS a ON a.namespace = f.namespace AND a.name = f.name AND a.type = f.type
WHERE f.type <> 'keyword_list'
UNION ALL
SELECT a.attribute, e.value, f.started_at, f.run
FROM found_attributes AS f JOIN attributes AS a ON a.namespace = f.namespace AND a.name = f.name AND a.type = f.type,
    json_each(f.value) AS e
WHERE f.type = 'keyword_list';

DROP TABLE temp.found_attributes;
