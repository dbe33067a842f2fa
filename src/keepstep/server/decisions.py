"""Decisions: how tasks for people were decided, and by whom, the newest first.

They stand in the histories of their runs. There is no index of them: the log of all events is read from its end, one
stretch at a time, and a page says where it has come to. So what was decided lately is there at once, and what lies far
back is found by asking on.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Literal

import msgspec

from keepstep.client.info import moment, shown_payload
from keepstep.journal import Journal, LogEntry, Position, PositionGone
from keepstep.runtime import history

LOOKED_AT_MAX = 10_000
"""Events of the log, in one page, over all its shards."""

ENTRIES_AT_ONCE = 1_000

_TITLE = re.compile(r"(?:^|/)human_task:(.*?)(?:#\d+)?$", re.DOTALL)
_DECIDED = {history.CALLBACK_COMPLETED: "completed", history.CALLBACK_FAILED: "failed"}

Places = dict[int, int]
"""For each shard of the log, the position up to which is still to be looked at."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """How a task for a person was decided."""

    time: datetime
    title: str
    outcome: Literal["completed", "failed"]
    by: str
    """Who has decided; empty where that was not said."""
    answer: Any
    """The value, or the error, as the history shows it."""
    run_id: str
    id: str
    """The workflow id of the run that had asked."""
    type: str
    seq: int
    """Of the event in that run's history."""


class DecisionPage(msgspec.Struct, frozen=True, kw_only=True):
    """What one stretch of the log has, the newest first. It may have none, and yet not be the last."""

    decisions: list[Decision]
    next: str | None
    """The cursor of the stretch before; null where the log begins."""


async def read_decisions(journal: Journal, namespace: str, places: Places | None) -> tuple[list[Decision], Places]:
    """The decisions of the next stretch, and where the one before it ends."""
    ends = {each.shard: each.n for each in await journal.read_log_ends()}
    until = {shard: min(n, ends[shard]) for shard, n in (places or ends).items() if shard in ends}
    step = max(LOOKED_AT_MAX // max(len(until), 1), 1)
    found, before = list[Decision](), dict[int, int]()
    for shard, n in until.items():
        first = max(n - step, 0)
        try:
            found += [each async for each in _decided(journal, namespace, shard, first, n)]
        except PositionGone:  # retention has removed what begins there, and all before it
            continue
        if first > 0:
            before[shard] = first
    return sorted(found, key=lambda each: each.time, reverse=True), before


async def _decided(journal: Journal, namespace: str, shard: int, n: int, until: int) -> AsyncIterator[Decision]:
    while n < until:
        entries = await journal.read_log(Position(shard, n), min(ENTRIES_AT_ONCE, until - n))
        for each in entries:
            if each.position.n <= until and (told := await _told(journal, namespace, each)) is not None:
                yield told
        if not entries:
            return
        n = entries[-1].position.n


async def _told(journal: Journal, namespace: str, entry: LogEntry) -> Decision | None:
    event = entry.event
    named = _TITLE.search(event.key or "") if event.type in _DECIDED else None
    if named is None:
        return None
    run = await journal.read_run(entry.run_id)
    if run is None or run.namespace != namespace:
        return None
    said = history.known_of(event.type, event.data)
    failed = event.type == history.CALLBACK_FAILED
    return Decision(
        time=moment(event.time),
        title=named[1],
        outcome="failed" if failed else "completed",
        by="" if said is None else said.by,
        answer=None if said is None else shown_payload(said.failure if failed else said.payload),
        run_id=run.run_id,
        id=run.workflow_id,
        type=run.type,
        seq=event.seq,
    )
