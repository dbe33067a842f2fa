"""Versions: which code open runs still need, and who has it: whether a version can be retired.

Runs of a pinned version are offered on a queue of their own, whose name tells which (``runtime.code_version``). All
others go on with the newest code; theirs is the version without a name. Counting looks at every open run (``dear``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import msgspec

from keepstep.client.searching import count_groups
from keepstep.journal import Definition, Journal, Lease, is_surely_dead
from keepstep.runtime.code_version import order_of, split_queue
from keepstep.worker.publish import version_of

_PINNED = re.compile(r" \((.+), version .+\)$")

Named = tuple[str, str]
"""A type, and a version of it; "" for the code of runs that stay with none."""


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a workflow's code."""

    type: str
    version: str
    """Empty for the code of runs that go on with the newest."""
    is_newest: bool
    """Whether new runs get it, as far as workers have told."""
    open_runs: int
    workers: int
    """That are alive and surely have it."""
    is_needed: bool
    """New runs get it, or open ones stay with it; if not, it is safe to retire it."""


class VersionList(msgspec.Struct, frozen=True, kw_only=True):
    """By type, and of each type the newest first."""

    versions: list[Version]


async def read_versions(journal: Journal, namespace: str) -> VersionList:
    """All that are published, that open runs need, or that a worker serves.

    Raises ``InvalidInput`` where open runs have more than a thousand types or queues.
    """
    published = {each.name: each for each in await journal.list_definitions(namespace) if each.kind == "workflow"}
    living = [state.lease for state in await journal.list_leases() if not is_surely_dead(state.lease.process)]
    newest = {(name, _pinned_version(each)) for name, each in published.items()}
    needed = await _needed(journal, namespace)
    serving = _serving(living, published)
    return VersionList(
        versions=[
            Version(
                type=named[0],
                version=named[1],
                is_newest=named in newest,
                open_runs=needed[named],
                workers=serving[named],
                is_needed=needed[named] > 0 or named in newest,
            )
            for named in _in_order({*newest, *needed, *serving})
        ]
    )


def pinned_in(queue: str) -> Named | None:
    """The type and the version whose runs are offered on that queue, if it is one for a version."""
    found = _PINNED.search(queue)
    if found is None:
        return None
    version = split_queue(queue, found[1])[1]
    return None if version is None else (found[1], version)


async def _needed(journal: Journal, namespace: str) -> Counter[Named]:
    """How many open runs need each; none that no run needs."""
    needed = Counter[Named]()
    of_type = Counter(await _open_runs(journal, namespace, "WorkflowType"))
    for queue, count in (await _open_runs(journal, namespace, "Queue")).items():
        if (named := pinned_in(queue)) is not None:
            needed[named] += count
            of_type[named[0]] -= count
    needed.update({(type_, ""): count for type_, count in of_type.items() if count > 0})
    return needed


async def _open_runs(journal: Journal, namespace: str, field: str) -> dict[str, int]:
    found = await count_groups(journal, namespace, field, "Status = 'running'")
    return {str(value): count for value, count in found.items()}


def _pinned_version(definition: Definition) -> str:
    version, is_pinned = version_of(definition)
    return version if is_pinned else ""


def _serving(leases: Iterable[Lease], published: dict[str, Definition]) -> Counter[Named]:
    serving = Counter[Named]()
    for lease in leases:
        serving.update({named for queue in lease.queues if (named := pinned_in(queue)) is not None})
        same_code = [each for each in published.values() if each.code == lease.code]
        serving.update((each.name, "") for each in same_code if not _pinned_version(each))
    return serving


def _in_order(named: Iterable[Named]) -> list[Named]:
    newest_first = sorted(named, key=lambda each: order_of(each[1]), reverse=True)
    return sorted(newest_first, key=lambda each: each[0])
