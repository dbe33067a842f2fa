"""Gate: nobody opens a journal that is still arriving from another store (``arriving``).

The note about it is looked for by every process that opens the journal, *behind* the entry of its own row; and whoever
closes the gate locks the table of those rows first. So of a process that opens the journal and one that begins to fill
it, at least one sees the other. Programs that call the journal's functions open nothing; triggers stop them.
"""

from __future__ import annotations

from keepstep.journal.errors import Promoted

from . import statements as sql
from .wire import Wire

ARRIVING = "arriving"
"""Names the row of ``meta`` that says how far a move into this journal has come."""

ARRIVED = "arrived"
"""Names the row of ``meta`` that says which move has brought this journal."""

PASS = "keepstep.moves"
"""The setting that is ``yes`` in the transactions that fill the journal."""

_GUARDED = ("runs", "messages", "outbox")
"""What the functions of the journal write to (``0002_functions.sql``)."""

CLOSE = (
    f"""
    CREATE OR REPLACE FUNCTION keepstep_gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF current_setting('{PASS}', true) IS DISTINCT FROM 'yes' THEN
            RAISE EXCEPTION 'a journal is being moved here, and is not whole yet; wait until it is'
                USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
        RETURN NULL;
    END $$
    """,
    *(
        f"CREATE OR REPLACE TRIGGER keepstep_gate BEFORE INSERT OR UPDATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION keepstep_gate()"
        for table in _GUARDED
    ),
)
"""Inside a transaction. It waits for those that are about to write, and lets nobody begin to."""

OPEN = (
    *(f"DROP TRIGGER IF EXISTS keepstep_gate ON {table}" for table in _GUARDED),
    "DROP FUNCTION IF EXISTS keepstep_gate()",
)


def check_gate(wire: Wire, shown: str) -> None:
    """Raises ``Promoted`` while the journal is still arriving."""
    if wire.ask(sql.READ_META, ARRIVING):
        raise Promoted(
            f"{shown}: a journal is being moved here, and is not whole yet; wait until `keepstep promote` has ended "
            "(run the same command again if it was stopped)"
        )
