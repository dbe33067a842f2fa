"""Attributes of runs: registered by their first value, and searched by looking at every run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from keepstep.journal.attribute import ATTRIBUTES_OF_RUN_MAX, Attribute, index, new_types
from keepstep.journal.errors import AttributeRefused
from keepstep.journal.field import PARENT_ID, Field, FieldType, Value
from keepstep.journal.run import Run
from keepstep.journal.search import (
    Group,
    Page,
    Place,
    Predicate,
    Search,
    Values,
    groups_in_order,
    holds,
    in_order,
    is_behind,
    place_of,
    values_in,
)

from .disk import MemoryDisk, Transaction


def admit(disk: MemoryDisk, namespace: str, attributes: Mapping[str, Any]) -> None:
    """Register what is new. Raises ``AttributeRefused`` for what a run cannot have, and then registers nothing."""
    if not attributes:
        return
    if len(attributes) > ATTRIBUTES_OF_RUN_MAX:
        raise AttributeRefused(f"a run has at most {ATTRIBUTES_OF_RUN_MAX} attributes, not {len(attributes)}")
    known = disk.attributes.get(namespace, {})
    given = {name: value for name, value in attributes.items() if value is not None}
    new = index(given, known, namespace).new
    if new:
        disk.attributes[namespace] = {**known, **new}


def register(tx: Transaction, attributes: Sequence[Attribute]) -> None:
    """Give attributes their types. Raises ``AttributeRefused`` where one has another."""
    wanted: dict[str, dict[str, FieldType]] = {}
    for one in attributes:
        wanted.setdefault(one.namespace, {})[one.name] = one.type
    for namespace, types in wanted.items():
        known = tx.disk.attributes.get(namespace, {})
        tx.disk.attributes[namespace] = {**known, **new_types(types, known, namespace)}


def listed(disk: MemoryDisk, namespace: str) -> list[Attribute]:
    known = disk.attributes.get(namespace, {})
    return [Attribute(namespace, name, known[name]) for name in sorted(known)]


def found(disk: MemoryDisk, namespace: str, where: Predicate) -> list[Run]:
    """All runs that fit."""
    runs = [row.run for row in disk.runs.values() if row.run.namespace == namespace]
    return [run for run in runs if holds(where, _values(disk, run))]


def groups(disk: MemoryDisk, namespace: str, where: Predicate, field: Field, groups_max: int) -> list[Group]:
    """How many of them have each value of a field."""
    counted: Counter[Value | None] = Counter()
    for run in found(disk, namespace, where):
        values: list[Value | None] = [*dict.fromkeys(values_in(run, field))]
        counted.update(values or [None])
    return groups_in_order(counted.items(), field, groups_max)


def page(disk: MemoryDisk, namespace: str, search: Search, after: Place | None, limit: int) -> Page:
    """A page of them."""
    ordered = in_order(found(disk, namespace, search.where), search)
    if after is not None:
        ordered = [run for run in ordered if is_behind(run, after, search)]
    some = ordered[: max(limit, 0)]
    return Page(some, place_of(some[-1], search) if some and len(ordered) > len(some) else None)


def _values(disk: MemoryDisk, run: Run) -> Values:
    def values(field: Field) -> tuple[Value, ...]:
        if field != PARENT_ID:
            return values_in(run, field)
        parent = disk.runs.get(run.parent_run_id or "")
        return () if parent is None else (parent.run.workflow_id,)

    return values
