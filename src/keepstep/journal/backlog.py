"""Backlog: what waits on a queue for somebody to take it up, whatever is kept of the queue.

There are two kinds. *Tasks* wait until a worker of the queue holds them: steps that were sent to it, and the tickets of
runs that wait for their admission. *Runs* are due: a worker that has their code could go on with them, and nobody does.
Runs that sleep until a timer are no backlog, nor are those that are blocked, paused or in quarantine: a person is.

Counting goes along an index, and no further than ``COUNTED_MAX``.
"""

from __future__ import annotations

import msgspec

COUNTED_MAX = 10_000
"""Of one queue, and of each of its languages, no more are counted."""

QUEUES_MAX = 1_000
"""Of no more queues is told, in the order of their names."""


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What waits on one queue. There is none of a queue on which nothing does."""

    queue: str
    tasks: int = 0
    """That wait, those that are not to begin yet included."""
    oldest_run_id: str = ""
    """Of the run whose task has lain there longest among those that were counted; empty if there is none."""
    oldest_key: str = ""
    """Of that task."""
    runs: int = 0
    """That are due."""
    due_since: int | None = None
    """Engine time since when the first of them has been due."""
