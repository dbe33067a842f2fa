"""The store of a fleet: a journal in one PostgreSQL schema, for any number of processes on any number of machines.

=================  ====================================================================================================
``opening``        opens the schema: ``address`` reads the URL, ``connection`` looks at the server, ``migration`` makes
                   and changes the tables
``journal``        what callers hold
``flush``          a group of operations in one transaction, and what becomes of it when the connection breaks
``tables``         what decisions ask and have done; ``drawn`` writes what they have drawn
``wire``           statements that travel together; ``statement`` says how their values do
``transaction``    sessions for transactional steps, whose commit is made in their own transaction
``outbox``         starts and messages in transactions of the users' own, by functions of the schema
``reader``         reads beside the writer; ``query`` has the questions, ``inbox`` and ``log`` the difficult two, and
                   ``pulse`` what an idle process asks
``herald``         hints to the other processes, by NOTIFY; ``calls`` holds back those that call in vain
``arriving``       takes a whole journal from another store; until it is whole, nobody passes the ``gate``
``parts``          the parts of the table of events
``statements``     all SQL of a flush, ``readings`` all other; ``rows`` turns rows into nouns; ``shard`` says which part
                   of the journal a run lies in
=================  ====================================================================================================

What it decides, and how groups are made and written, is the same for every SQL database: see the rooms ``deciding`` and
``writing`` beside this one.

The driver is psycopg 3, used through its binding of libpq (``wire``): decisions are made on a thread that may have to
ask one more question in their middle, so a driver for event loops does not fit; and libpq has a pipeline mode, so that
locking, writing and COMMIT take two round trips however many statements they are.
"""

from .journal import PostgresJournal
from .opening import open_postgres

__all__ = ["PostgresJournal", "open_postgres"]
