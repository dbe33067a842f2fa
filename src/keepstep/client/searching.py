"""Searching: the runs that fit a filter, page by page, as application code sees them."""

from __future__ import annotations

from collections.abc import AsyncIterator

from keepstep.journal import Event, InvalidInput, Journal, NotFound, Run, Status
from keepstep.journal.field import Field, FieldType, Value
from keepstep.journal.search import Place, Search
from keepstep.search import read_grouping, read_search, runs_vocabulary
from keepstep.worker.last_event import last_event

from .info import RunInfo, run_info

PAGE = 200

GROUPS_MAX = 1_000
"""Values by which runs are counted at once."""

WITH_ERROR = (Status.FAILED, Status.TERMINATED, Status.CANCELLED)
"""Closed runs whose last event says why."""


async def list_found(journal: Journal, namespace: str, filter: str | None, limit: int | None) -> AsyncIterator[RunInfo]:
    """See ``Engine.list``."""
    if limit is not None and (type(limit) is not int or limit < 0):
        raise InvalidInput(f"limit is how many runs are listed at most, or None for all of them, not {limit!r:.60}")
    wanted = await read_filter(journal, namespace, filter)
    after: Place | None = None
    left = limit if limit is not None else 1 << 62
    while left > 0:
        page = await journal.search_runs(namespace, wanted, after=after, limit=min(PAGE, left))
        for run in page.runs:
            yield await found_info(journal, run)
        if page.after is None:
            return
        left -= len(page.runs)
        after = page.after


async def count_found(journal: Journal, namespace: str, filter: str | None) -> int:
    """See ``Engine.count``."""
    wanted = await read_filter(journal, namespace, filter)
    return await journal.count_found(namespace, wanted.where)


async def count_groups(
    journal: Journal, namespace: str, name: str, filter: str | None
) -> dict[str | int | bool | None, int]:
    """See ``Engine.count_by``."""
    attributes = {each.name: each.type for each in await journal.list_attributes(namespace)}
    vocabulary = runs_vocabulary(attributes)
    field, wanted = read_grouping(name, vocabulary), read_search(filter, vocabulary, journal.clock.now())
    groups = await journal.count_groups(namespace, wanted.where, field, GROUPS_MAX)
    return {_shown(field, value): count for value, count in groups}


def _shown(field: Field, value: Value | None) -> str | int | bool | None:
    return bool(value) if field.type is FieldType.BOOL and value is not None else value  # type: ignore[return-value]


async def read_filter(journal: Journal, namespace: str, filter: str | None, now: int | None = None) -> Search:
    """What a filter asks for, by the attributes that the namespace has by now. Raises ``FilterError``.

    ``now``: what ``NOW`` means; by default this moment.
    """
    names_nothing = filter is None or (isinstance(filter, str) and not filter.strip())
    there = [] if names_nothing else await journal.list_attributes(namespace)
    attributes = {each.name: each.type for each in there}
    return read_search(filter, runs_vocabulary(attributes), journal.clock.now() if now is None else now)


async def found_info(journal: Journal, run: Run) -> RunInfo:
    """What callers are told of a run that was found."""
    return run_info(run, await _error_of(journal, run))


async def _error_of(journal: Journal, run: Run) -> Event | None:
    """The last event of a run that ended with an error; None if it did not, or if it was purged meanwhile."""
    if run.status not in WITH_ERROR:
        return None
    try:
        return await last_event(journal, run)
    except NotFound:
        return None
