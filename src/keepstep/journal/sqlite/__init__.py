"""The embedded store: a journal in one SQLite file, for any number of processes of one machine.

=================  ====================================================================================================
``opening``        opens the file: is it whole, is its schema known, is it on a local disk (``filesystem``)
``log``            keeps what is in the kernel's cache and on no disk from being recovered
``journal``        what callers hold; ``size`` checks limits before anything is queued
``writer``         the one writer of a process, round after round; ``drive`` is the thread that makes the rounds
``flush``          a group of ``operation``s in one transaction; ``renewal`` renews the leases of the process in it
``turn``           keeps several processes in a fair order; ``patience`` names the one that keeps all others waiting
``stall``          tells for how long this process could not write; ``upkeep`` looks after the file and its log
``picture``        what a group knows of runs (``head``) and is about to change (``drawing``)
``change``         decides on it what a commit does; ``start``, ``ownership``, ``task``, ``asking``, ``retention`` do so
                   for all else
``reader``         reads beside the writer; ``query`` has the questions, read by the ``page``
``peers``          hints to the other processes of the file; ``news`` collects them
``statements``     all SQL; ``rows`` turns rows into nouns; ``migrations/`` makes the tables
=================  ====================================================================================================
"""

from .journal import SqliteJournal
from .opening import migrations, open_sqlite

__all__ = ["SqliteJournal", "migrations", "open_sqlite"]
