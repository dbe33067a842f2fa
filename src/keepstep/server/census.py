"""Census: how many runs there are, by status and by type. Counting looks at every run (``dear``)."""

from __future__ import annotations

import msgspec

from keepstep.client.searching import count_groups
from keepstep.journal import InvalidInput, Journal, Status

TYPES_MAX = 100


class TypeCount(msgspec.Struct, frozen=True):
    """How many runs of one type there are."""

    type: str
    count: int


class RunCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs there are."""

    by_status: dict[str, int]
    """Of every status, also of those that no run has."""
    by_type: list[TypeCount]
    """The most first, up to 100 types; none where there are more than a thousand."""
    others: int
    """Runs of all other types."""


async def take_census(journal: Journal, namespace: str) -> RunCounts:
    """Count them."""
    found = await count_groups(journal, namespace, "Status", None)
    by_status = {each.value: found.get(each.value, 0) for each in Status}
    by_type = await _count_types(journal, namespace)
    others = sum(by_status.values()) - sum(each.count for each in by_type)
    return RunCounts(by_status=by_status, by_type=by_type, others=max(others, 0))


async def _count_types(journal: Journal, namespace: str) -> list[TypeCount]:
    try:
        found = await count_groups(journal, namespace, "WorkflowType", None)
    except InvalidInput:  # there are more types than anybody reads
        return []
    return [TypeCount(str(each), count) for each, count in found.items()][:TYPES_MAX]
