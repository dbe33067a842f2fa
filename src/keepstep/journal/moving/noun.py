"""Nouns: what a journal consists of when it moves, as rows that mean the same in every store.

Numbers (of runs, messages, tasks, audit lines, positions) are those of the source: a store that counts differently
derives its own from them, so that a row that arrives again arrives in the same place. Bytes, texts and times are as
they are. What is not here does not move: processes, leases (there is none any more), asks and answers (they may be lost
at any time).

``epoch``, of runs and tasks, is one more than the source has: to move is a change of owner.
"""

from __future__ import annotations

from typing import Any

import msgspec

Row = tuple[Any, ...]
"""One value for each of a noun's columns."""


class Noun(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of rows."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    """The columns by whose order it leaves. No two rows have the same."""
    texts: tuple[str, ...]
    """Columns that hold text, in which not every store can keep every character."""

    def place_of(self, row: Row) -> list[Any]:
        """Where in the order a row stands."""
        return [row[self.columns.index(column)] for column in self.key]

    @property
    def is_of_runs(self) -> bool:
        return "run" in self.columns


def _noun(name: str, columns: str, key: str, texts: str) -> Noun:
    return Noun(name=name, columns=tuple(columns.split()), key=tuple(key.split()), texts=tuple(texts.split()))


ATTRIBUTES = _noun("attributes", "namespace name type", "namespace name", "namespace name type")
"""What runs are searched by, which is derived from their attributes by these types."""

RUNS = _noun(
    "runs",
    "run run_id namespace workflow_id language format type queue status condition epoch wake_at claimed_seq strikes "
    "bumps started_at closed_at parent_run_id parent_key continued_from input_digest ticket detail status_text "
    "attributes blocked_for last_seq timer_at inbox_size has_tasks",
    "run",
    "run_id namespace workflow_id language type queue parent_run_id parent_key continued_from ticket status_text "
    "attributes blocked_for",
)
"""The last four are counted from what belongs to the run."""

EVENTS = _noun("events", "n run seq type time key data", "n", "type key")
"""``n`` is the position in the log."""

STATE = _noun("state", "run kind key data", "run kind key", "kind key")
MESSAGES = _noun("messages", "n run kind name data time id wakes", "n", "kind name id")
RECEIVED = _noun("received", "run id n", "run id", "id")
TIMERS = _noun("timers", "run key fire_at", "run key", "key")
TASKS = _noun(
    "tasks",
    "task run kind key queue data priority fairness_key fairness_weight visible_at deadline attempt fallback_queue "
    "owner epoch",
    "task",
    "kind key queue fairness_key fallback_queue",
)
"""Nobody has a lease any more: what has an owner is a ticket that its run holds."""

AUDIT = _noun("audit", "line run time text", "line", "text")

DEFINITIONS = _noun(
    "definitions", "namespace language kind name body", "namespace language kind name", "namespace language kind name"
)
QUEUES = _noun("queues", "name holds_back body progress", "name", "name")
CURSORS = _noun("cursors", "subscriber n", "subscriber", "subscriber")
COMMIT_IDS = _noun("commit_ids", "id time", "id", "id")

NOUNS = (
    *(ATTRIBUTES, RUNS, EVENTS, STATE, MESSAGES, RECEIVED, TIMERS, TASKS, AUDIT),
    *(DEFINITIONS, QUEUES, CURSORS, COMMIT_IDS),
)
"""In the order in which they move: what belongs to runs comes after them."""
