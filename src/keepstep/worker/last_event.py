"""The last event of a run: how it has ended, if it has."""

from __future__ import annotations

from keepstep.journal import Event, Journal, NotFound, Run


async def last_event(journal: Journal, run: Run) -> Event:
    """The last event of a run's history. Raises ``NotFound`` if its retention has ended since the run was read."""
    events = await journal.read_events(run.run_id, run.last_seq - 1, 1)
    if not events:
        raise NotFound(f"the history of run {run.run_id} is not there any more; its retention has ended")
    return events[-1]
