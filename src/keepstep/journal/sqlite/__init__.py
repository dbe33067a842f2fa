"""The embedded store: a journal in one SQLite file, for any number of processes of one machine.

=================  ====================================================================================================
``opening``        opens the file: is it whole, is its schema known, is it on a local disk (``filesystem``)
``log``            keeps what is in the kernel's cache and on no disk from being recovered
``journal``        what callers hold; ``probes`` notes which suspect runs just now
``flush``          a group of operations in one transaction
``deeds``          what transactional steps do in a flush
``turn``           keeps several processes in a fair order; ``patience`` names the one that keeps all others waiting
``upkeep``         looks after the file and its log
``tables``         what decisions ask and have done; ``drawn`` writes what they have drawn
``leaving``        gives a whole journal to another store; from then on the ``fence`` keeps everybody from writing
``reader``         reads beside the writer; ``query`` has the questions, read by the ``page``
``peers``          hints to the other processes of the file
``statements``     all SQL; ``rows`` turns rows into nouns; ``migrations/`` makes the tables
=================  ====================================================================================================

What it decides, and how groups are made and written, is the same for every SQL database: see the rooms ``deciding`` and
``writing`` beside this one.
"""

from .journal import SqliteJournal
from .opening import migrations, open_sqlite

__all__ = ["SqliteJournal", "migrations", "open_sqlite"]
