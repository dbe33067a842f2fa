-- Which suspect a lease's process runs is noted in a file beside the database (probes.py), not in a transaction.
ALTER TABLE leases DROP COLUMN probing;
