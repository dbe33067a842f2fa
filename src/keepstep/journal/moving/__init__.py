"""Moving: carries a whole journal from one store to another, open runs included.

=================  ====================================================================================================
``noun``           what a journal consists of, as rows that mean the same in every store
``ports``          what a store offers from which a journal moves, and one into which it moves
``move``           carries the rows, page by page, and goes on where it was killed
``proof``          compares what is in both stores, run by run
=================  ====================================================================================================

The stores have the rest: ``sqlite.fence`` and ``sqlite.leaving``, ``postgres.arriving``. What is promised, and how it
can fail, is in ``docs/promote.md``.
"""

from .move import Progress, Tell, move
from .noun import (
    AUDIT,
    COMMIT_IDS,
    CURSORS,
    DEFINITIONS,
    EVENTS,
    MESSAGES,
    NOUNS,
    QUEUES,
    RECEIVED,
    RUNS,
    STATE,
    TASKS,
    TIMERS,
    Noun,
    Row,
)
from .ports import Arrival, Departure, Facts, Source, Stage, Store, Target
from .proof import compare

__all__ = [
    "AUDIT",
    "COMMIT_IDS",
    "CURSORS",
    "DEFINITIONS",
    "EVENTS",
    "MESSAGES",
    "NOUNS",
    "QUEUES",
    "RECEIVED",
    "RUNS",
    "STATE",
    "TASKS",
    "TIMERS",
    "Arrival",
    "Departure",
    "Facts",
    "Noun",
    "Progress",
    "Row",
    "Source",
    "Stage",
    "Store",
    "Target",
    "Tell",
    "compare",
    "move",
]
