"""Chaos: real processes on a real database, ended by ``kill -9`` thousands of times, and a ledger that is the judge.

``python -m keepstep.testing.chaos --kills N [--seed S]`` plays rounds of some hundred kills. A round has a database and
a **ledger**: a file to which steps, clients and the killer append lines, and which the engine knows nothing of. A small
single-threaded *nursery* has imported everything and forks *lives*: workers, clients, processes that are both, and
openers that make a new database. Engines are opened only in them. Each life has a *fate*, drawn from the seed:

* it is killed at a moment from ten microseconds to seconds after it was born, had opened its engine, was seen working,
  or began to close: so also in the middle of opening, migrating, flushing, claiming and closing;
* sometimes all lives are killed at once;
* sometimes it is first frozen (SIGSTOP) for longer than a lease, and let go on: a zombie that wakes up and writes.

Clients start runs (several of them the same ones), signal, cancel, and wait for results. What the engine acknowledged
to a client is in the ledger before the client does anything else, and the kernel keeps it when the client is killed.

At the end nobody is killed any more. Two workers bring everything to its end, one client asks for all results, and the
audit (``audit``) holds them against the ledger. It believes the engine nothing that it can know from elsewhere. A round
cannot be repeated step by step, as real processes race; its seed repeats its runs, lives and fates. ``--plant NAME``
breaks the engine on purpose (``plants``), to see whether the audit would notice.

With ``--store postgres`` the database is on a PostgreSQL server that the program starts itself (``home``), and with
``--trouble`` the server is restarted, cut off or failed over meanwhile (``keepstep.testing.postgres.trouble``); with
``--kills 0`` that alone is what befalls anybody.

What it does not do: power cuts and failing disks (``keepstep.testing.power``), or every interleaving in turn
(``keepstep.testing.simulation``). It needs ``os.fork``.
"""
