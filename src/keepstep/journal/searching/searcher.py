"""Searcher: the questions of a plan as statements of SQL, which both SQL stores are asked in the same words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Any

from keepstep.journal.field import (
    CLOSE_TIME,
    CONDITION,
    PARENT_RUN_ID,
    RUN_ID,
    START_TIME,
    STATUS,
    WORKFLOW_ID,
    WORKFLOW_TYPE,
    Field,
    FieldType,
    Value,
)
from keepstep.journal.run import Run, Status
from keepstep.journal.search import EVERYTHING, All, Group, Place, Predicate, Present, Search, groups_in_order

from .condition import Conditions, coded, decoded
from .plan import BY_KIND, EVERY_RUN, Driver, Walk, count_entries, end_of

COLUMNS = {
    WORKFLOW_ID: "r.workflow_id",
    RUN_ID: "r.run_id",
    WORKFLOW_TYPE: "r.type",
    STATUS: "r.status",
    START_TIME: "r.started_at",
    CLOSE_TIME: "r.closed_at",
    PARENT_RUN_ID: "r.parent_run_id",
}
"""What the indexes of runs have in front."""

PARTIAL = {
    "runs_retained": "r.closed_at > 0",
    "runs_of_parent": "r.parent_run_id IS NOT NULL",
}
"""What a statement must say, so that an index of only some runs may serve it."""


class Searcher(ABC):
    """Answers ``plan.Found`` for one namespace, within one snapshot. Each store has its own."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    @abstractmethod
    def conditions(self) -> Conditions:
        """For one statement."""

    @abstractmethod
    def rows(self, text: str, given: Conditions) -> Sequence[Sequence[Any]]:
        """What a statement selects."""

    @abstractmethod
    def runs(self, text: str, given: Conditions) -> list[Run]:
        """The runs whose numbers a statement selects as ``run``."""

    @abstractmethod
    def table(self, index: str) -> str:
        """``runs AS r``, read along an index."""

    @abstractmethod
    def condition_tested(self) -> tuple[str, str]:
        """The column by which conditions are indexed, and what a statement must say so that the index serves."""

    @abstractmethod
    def joined(self, entries: str) -> str:
        """Entries of another table beside their runs: ``entries … runs AS r``."""

    @abstractmethod
    def with_attribute(self, source: str, is_its: str) -> str:
        """Runs beside their values of an attribute: ``source … attribute_values AS g``, which ``is_its`` names."""

    @abstractmethod
    def narrowed(self, driver: Driver, given: Conditions) -> str:
        """What a store must say beyond a driver's tests, so that its index serves."""

    # what a plan asks

    def count(self, driver: Driver, at_most: int) -> int:
        given = self.conditions()
        where = self._entries(driver, given)
        limit = given.place(at_most, FieldType.INT)
        text = f"SELECT count(*) FROM (SELECT 1 FROM {self._table(driver)} WHERE {where} LIMIT {limit}) AS few"
        return int(self.rows(text, given)[0][0])

    def types(self, statuses: Sequence[Status], at_most: int) -> list[str]:
        found: dict[str, None] = {}
        for status in statuses:
            given = self.conditions()
            namespace = given.place(self._namespace, FieldType.KEYWORD)
            code = given.place(coded(STATUS, status), FieldType.INT)
            first = f"SELECT min(r.type) FROM runs AS r WHERE r.namespace = {namespace} AND r.status = {code}"
            text = (
                f"WITH RECURSIVE each_type (type) AS ({first} UNION ALL SELECT ({first} AND r.type > each_type.type) "
                "FROM each_type WHERE each_type.type IS NOT NULL) SELECT type FROM each_type WHERE type IS NOT NULL "
                f"LIMIT {given.place(at_most, FieldType.INT)}"
            )
            found |= dict.fromkeys(row[0] for row in self.rows(text, given))
            if len(found) >= at_most:
                break
        return list(found)[:at_most]

    def gather(self, driver: Driver, search: Search, after: Place | None, limit: int) -> list[Run]:
        given = self.conditions()
        keys = [(given.value(each.field), each.field, each.descending) for each in search.sorted_by]
        parts = [self._fits(search.where, given)]
        if driver.index == "attribute":
            inner = (
                f"(SELECT DISTINCT v.run AS run FROM attribute_values AS v WHERE {self._entries(driver, given)}) AS v"
            )
            source = self.joined(inner)
        else:
            source = self._table(driver)
            parts.append(self._entries(driver, given))
        if after is not None:
            parts.append(_behind(keys, after, search.descending, given))
        order = [word for key, _, descending in keys for word in (f"{key} IS NULL", f"{key} {_word(descending)}")]
        order += [f"r.started_at {_word(search.descending)}", f"r.run_id {_word(search.descending)}"]
        text = f"SELECT r.run AS run FROM {source} WHERE {' AND '.join(parts)} ORDER BY {', '.join(order)} LIMIT "
        return self.runs(text + given.place(limit, FieldType.INT), given)

    def edge(self, walk: Walk, after: Place | None, entries: int) -> Place | None:
        given = self.conditions()
        keys = self._keys(walk, given)[: 1 if walk.field == CLOSE_TIME else 2]
        parts = self._walked(walk, given)
        if after is not None:
            at_place = "FALSE" if after[-1] == end_of(walk.descending) else "TRUE"
            parts += _beyond(keys, after, walk.descending, at_place, given)
        order = ", ".join(f"{key} {_word(walk.descending)}" for key, _ in keys)
        names = ", ".join(key for key, _ in keys)
        behind = given.place(entries - 1, FieldType.INT)
        walked = f"{self._table(walk.driver)} WHERE {' AND '.join(parts)} ORDER BY {order}"
        rows = self.rows(f"SELECT {names} FROM {walked} LIMIT 1 OFFSET {behind}", given)
        return tuple(rows[0]) if rows else None

    def follow(self, walk: Walk, where: Predicate, after: Place | None, until: Place | None, limit: int) -> list[Run]:
        given = self.conditions()
        keys = self._keys(walk, given)
        parts = [*self._walked(walk, given), self._fits(where, given)]
        if after is not None:
            sign = "<" if walk.descending else ">"
            at_place = f"r.run_id {sign} {given.place(str(after[-1]), FieldType.KEYWORD)}"
            parts += _beyond(keys, after, walk.descending, at_place, given)
        if until is not None:
            parts += _beyond(keys[: len(until)], until, not walk.descending, "TRUE", given)
        order = ", ".join(f"{key} {_word(walk.descending)}" for key in [*(key for key, _ in keys), "r.run_id"])
        table = self._table(walk.driver)
        source = self.joined(table) if walk.driver.index == "attribute" else table
        text = f"SELECT r.run AS run FROM {source} WHERE {' AND '.join(parts)} ORDER BY {order} LIMIT "
        return self.runs(text + given.place(limit, FieldType.INT), given)

    def count_all(self, where: Predicate) -> int:
        """How many runs fit; all of them are counted."""
        given = self.conditions()
        source, fits = self._found(where, given)
        return int(self.rows(f"SELECT count(*) FROM {source} WHERE {fits}", given)[0][0])

    def count_groups(self, where: Predicate, field: Field, groups_max: int) -> list[Group]:
        """How many of them have each value of a field. Raises ``InvalidInput`` where there are too many values."""
        given = self.conditions()
        if not field.is_attribute:
            source, fits = self._found(where, given, BY_KIND if field in (STATUS, WORKFLOW_TYPE) else EVERY_RUN)
            grouped = f"SELECT {given.columns[field]} AS value, count(*) AS runs FROM {source} WHERE {fits}"
            by = "r.status, r.type" if field == WORKFLOW_TYPE else "1"  # as the index has them, or all would be sorted
            return groups_in_order(self._groups(grouped, field, groups_max, given, by), field, groups_max)
        number = given.number(field)
        column = f"g.{given.value_column(field.type)}"
        total = self.count_all(where)
        if number is None:
            return groups_in_order([(None, total)], field, groups_max)
        is_its = f"g.attribute = {number} AND {column} IS NOT NULL"
        if where == EVERYTHING:
            source, fits = "attribute_values AS g", is_its
        else:
            source, fits = self._found(where, given)
            source = self.with_attribute(source, is_its)
        grouped = f"SELECT {column} AS value, count(*) AS runs FROM {source} WHERE {fits}"
        groups = self._groups(grouped, field, groups_max, given)
        if field.type is FieldType.KEYWORD_LIST:  # a run has several of them
            without = total - self.count_all(All((where, Present(field))))
        else:
            without = total - sum(count for _, count in groups)
        return groups_in_order([*groups, (None, without)], field, groups_max)

    def _groups(self, grouped: str, field: Field, groups_max: int, given: Conditions, by: str = "1") -> list[Group]:
        """A group may be in as many pieces as there are statuses. One too many is read, beside what has no value."""
        limit = given.place((groups_max + 2) * (1 if by == "1" else len(Status)), FieldType.INT)
        counted: Counter[Value | None] = Counter()
        for value, runs in self.rows(f"{grouped} GROUP BY {by} LIMIT {limit}", given):
            counted[decoded(field, value)] += int(runs)
        return list(counted.items())

    def _found(self, where: Predicate, given: Conditions, otherwise: Driver = EVERY_RUN) -> tuple[str, str]:
        """Where all runs that fit are to be found, and what says that they do. ``otherwise``: along which index all
        runs are looked at, where none has fewer."""
        counted = count_entries(self, where)
        driver = counted[0][1] if counted else otherwise
        fits = self._fits(where, given)
        if driver.index == "attribute":
            entries = self._entries(driver, given)
            return self.joined(f"(SELECT DISTINCT v.run AS run FROM attribute_values AS v WHERE {entries}) AS v"), fits
        return self._table(driver), f"{self._entries(driver, given)} AND {fits}"

    # words

    def _table(self, driver: Driver) -> str:
        return "attribute_values AS v" if driver.index == "attribute" else self.table(driver.index)

    def _fits(self, where: Predicate, given: Conditions) -> str:
        return f"r.namespace = {given.place(self._namespace, FieldType.KEYWORD)} AND {given.condition(where)}"

    def _entries(self, driver: Driver, given: Conditions) -> str:
        """The entries of an index that fit its tests."""
        if driver.index == "attribute":
            return self._entries_of_attribute(driver, given)
        parts = [f"r.namespace = {given.place(self._namespace, FieldType.KEYWORD)}"]
        if driver.index in PARTIAL:
            parts.append(PARTIAL[driver.index])
        for test in driver.tests:
            if test.field == CONDITION:
                column, serves = self.condition_tested()
                parts += [serves, given.test(test, column)]
            else:
                parts.append(given.test(test, COLUMNS[test.field]))
        narrowed = self.narrowed(driver, given)
        return " AND ".join([narrowed, *parts] if narrowed else parts)

    def _entries_of_attribute(self, driver: Driver, given: Conditions) -> str:
        [test] = driver.tests
        number = given.number(test.field)
        if number is None:
            return "FALSE"
        column = f"v.{given.value_column(test.field.type)}"
        return f"v.attribute = {number} AND {column} IS NOT NULL AND {given.test(test, column)}"

    def _keys(self, walk: Walk, given: Conditions) -> list[tuple[str, Field]]:
        """The columns by which a walk is ordered."""
        is_attribute = walk.driver.index == "attribute"
        started = ("v.started_at" if is_attribute else "r.started_at", START_TIME)
        if walk.field is None:
            return [started]
        column = f"v.{given.value_column(walk.field.type)}" if is_attribute else COLUMNS[walk.field]
        return [(column, walk.field), started]

    def _walked(self, walk: Walk, given: Conditions) -> list[str]:
        started = self._keys(walk, given)[-1][0]
        return [self._entries(walk.driver, given), *(given.test(bounds, started) for bounds in walk.bounds)]


def _word(descending: bool) -> str:
    return "DESC" if descending else "ASC"


def _beyond(
    keys: Sequence[tuple[str, Field]], place: Place, descending: bool, at_place: str, given: Conditions
) -> list[str]:
    """Behind a place in an index's order, whose first column bounds what is read of it; at the place itself, what
    ``at_place`` says."""
    sign = "<" if descending else ">"
    (column, field), value = keys[0], place[0]
    assert value is not None
    at = given.place(value, field.type)
    rest = _beyond(keys[1:], place[1:], descending, at_place, given) if len(keys) > 1 else [at_place]
    return [f"{column} {sign}= {at}", f"({column} {sign} {at} OR ({' AND '.join(rest)}))"]


def _behind(keys: Sequence[tuple[str, Field, bool]], place: Place, descending: bool, given: Conditions) -> str:
    """Behind a place in any order, in which those without a value come last."""
    if not keys:
        sign = "<" if descending else ">"
        started, run_id = place
        assert started is not None
        assert run_id is not None
        at = given.place(started, FieldType.DATETIME)
        behind = given.place(run_id, FieldType.KEYWORD)
        return f"(r.started_at {sign} {at} OR (r.started_at = {at} AND r.run_id {sign} {behind}))"
    (column, field, its_descending), value = keys[0], place[0]
    rest = _behind(keys[1:], place[1:], descending, given)
    if value is None:
        return f"({column} IS NULL AND {rest})"
    at = given.place(value, field.type)
    sign = "<" if its_descending else ">"
    return f"({column} IS NULL OR {column} {sign} {at} OR ({column} = {at} AND {rest}))"
