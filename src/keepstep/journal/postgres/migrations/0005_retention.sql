-- Closed runs of one status, the longest closed first: what a policy of retention looks for.
CREATE INDEX runs_closed ON runs (namespace, status, closed_at) WHERE closed_at > 0;
