-- Queues that code has declared or an operator has changed. ``body`` is a Queue as JSON; ``progress`` is what its claims
-- remember (deciding/turn.py). ``holds_back`` says whether runs that are started on it wait for their admission.
CREATE TABLE queues (
    name TEXT PRIMARY KEY, holds_back INTEGER NOT NULL, body BLOB NOT NULL, progress BLOB NOT NULL
) WITHOUT ROWID;

-- How a run waits, or has waited, on its queue (Ticket as JSON); NULL for one that was offered at once. It says how the
-- run waits again when it is reopened.
ALTER TABLE runs ADD COLUMN ticket TEXT;

-- Slots of a queue are counted by who holds them, so that an unlimited queue has no index more than before.
DROP INDEX tasks_owned;
CREATE INDEX tasks_owned ON tasks (owner, queue, fairness_key) WHERE owner IS NOT NULL;

CREATE INDEX tasks_delayed ON tasks (queue, visible_at) WHERE owner IS NULL AND visible_at > 0;
