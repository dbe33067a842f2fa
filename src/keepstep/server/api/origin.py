"""Origin: which run another one's history was copied from, or goes on with."""

from __future__ import annotations

import msgspec

from keepstep.journal import Event, Journal, Run, cell_of
from keepstep.runtime import history


class ForkedFrom(msgspec.Struct, frozen=True, kw_only=True):
    """The run of which a fork has the first events."""

    id: str
    """The workflow id."""
    run_id: str
    at: int
    """Seq of the last event that was copied."""
    replaced: list[str]
    """Keys of the operations whose results were replaced."""


async def forked_from(journal: Journal, run: Run, first: Event) -> ForkedFrom | None:
    """Where the run's first events are from; None for a run of its own. Of a fork of a fork: the latter one."""
    if first.type != history.WORKFLOW_STARTED or cell_of(first.data) is not None:
        return None
    started = history.known_of(first.type, first.data)
    if started is None or not started.forked_at:
        return None
    found = await journal.read_events(run.run_id, started.forked_at, 1)
    forked = history.known_of(found[0].type, found[0].data) if found and found[0].type == history.FORKED else None
    if forked is None:
        return None
    return ForkedFrom(id=forked.workflow_id, run_id=forked.run_id, at=forked.at, replaced=list(forked.replaced))
