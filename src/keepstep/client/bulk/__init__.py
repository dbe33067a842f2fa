"""Bulk: one word to all runs that fit a filter, while they go on.

A bulk is no transaction: each run is spoken to by itself, and what becomes of one does not concern the others.

Invariants

* The runs are walked in the order of their starts and run ids, page by page, so that runs that end, begin or change
  meanwhile move nothing else: none is left out, and none is met twice. Those that were started after the bulk had begun
  are not touched. One that continues as new meanwhile is reached where it goes on (``continued``).
* It keeps one page in memory, and speaks to a bounded number of runs at a time (``walk``).
* Doing it again harms nobody, also after a crash in its middle: messages have ids made of the bulk's and the run's, a
  run that is closed is left as it is, and a failed run is retried only for a failure from before the bulk (``word``).
"""

from .noun import Bulk
from .report import BulkOutcome, BulkProgress, BulkReport

__all__ = ["Bulk", "BulkOutcome", "BulkProgress", "BulkReport"]
