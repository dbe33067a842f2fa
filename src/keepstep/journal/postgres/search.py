"""Search: how this store is asked for runs that fit (``journal.searching``).

The statements differ from search to search, so they are planned each time, with the values at hand. Which index a walk
is read along is left to the server, which has one for each, and statistics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keepstep.journal import field as fields
from keepstep.journal.field import WORKFLOW_ID, FieldType, Value
from keepstep.journal.run import Run
from keepstep.journal.search import OneOf
from keepstep.journal.searching import Conditions, Driver, Searcher

from . import readings
from .rows import Row, run_of
from .shard import shard_of
from .statement import Statement
from .statements import shard_sql
from .wire import Wire

_TEXT, _WHOLE, _FRACTION = ("text", "text_value"), ("int8", "int_value"), ("float8", "double_value")

_KEPT = {
    FieldType.KEYWORD: _TEXT,
    FieldType.KEYWORD_LIST: _TEXT,
    FieldType.DOUBLE: _FRACTION,
    FieldType.INT: _WHOLE,
    FieldType.BOOL: _WHOLE,
    FieldType.DATETIME: _WHOLE,
    FieldType.DURATION: _WHOLE,
    FieldType.STATUS: _WHOLE,
    FieldType.CONDITION: _WHOLE,
}
"""As what values of a type travel, and in which column those of attributes are."""


class PostgresConditions(Conditions):
    """See ``Conditions``."""

    columns = {  # noqa: RUF012
        fields.WORKFLOW_ID: "r.workflow_id",
        fields.RUN_ID: "r.run_id",
        fields.WORKFLOW_TYPE: "r.type",
        fields.STATUS: "r.status",
        fields.CONDITION: "nullif(r.condition, 0)",
        fields.START_TIME: "r.started_at",
        fields.CLOSE_TIME: "nullif(r.closed_at, 0)",
        fields.DURATION: "(nullif(r.closed_at, 0) - r.started_at)",
        fields.QUEUE: "r.queue",
        fields.LANGUAGE: "r.language",
        fields.HISTORY_LENGTH: "r.last_seq",
        fields.PARENT_ID: "(SELECT p.workflow_id FROM runs AS p WHERE p.run_id = r.parent_run_id)",
        fields.PARENT_RUN_ID: "r.parent_run_id",
    }
    same_run = "v.shard = r.shard AND v.run = r.run"

    def __init__(self, attributes: Mapping[str, int]) -> None:
        super().__init__(attributes)
        self.types: list[str] = []

    def _add(self, value: Any, type: str) -> str:
        self.values.append(value)
        self.types.append(type)
        return f"${len(self.values)}"

    def place(self, value: Value, type: FieldType) -> str:
        return self._add(value, _KEPT[type][0])

    def one_of(self, column: str, values: tuple[Value, ...], type: FieldType) -> str:
        if len(values) == 1:
            return f"{column} = {self.place(values[0], type)}"
        return f"{column} = ANY({self._add(list(values), _KEPT[type][0] + '[]')})"

    def shards(self, numbers: Sequence[int]) -> str:
        """That a run is in one of these."""
        return f"r.shard = ANY({self._add(list(numbers), 'int8[]')}::smallint[])"

    def value_column(self, type: FieldType) -> str:
        return _KEPT[type][1]


class PostgresSearcher(Searcher):
    """See ``Searcher``."""

    def __init__(self, db: Wire, namespace: str, shards: int) -> None:
        super().__init__(namespace)
        self._db = db
        self._shards = shards
        self._attributes: dict[str, int] = dict(db.ask(readings.ATTRIBUTE_NUMBERS, namespace))

    def conditions(self) -> PostgresConditions:
        return PostgresConditions(self._attributes)

    def rows(self, text: str, given: Conditions) -> list[Row]:
        assert isinstance(given, PostgresConditions)
        return self._db.ask(Statement(text, *given.types, is_kept=False), *given.values)

    def runs(self, text: str, given: Conditions) -> list[Run]:
        return [run_of(row) for row in self.rows(readings.RUNS_OF.format(numbers=text), given)]

    def table(self, index: str) -> str:
        return "runs AS r"

    def condition_tested(self) -> tuple[str, str]:
        return "r.parked", "r.parked IS NOT NULL"

    def joined(self, entries: str) -> str:
        return f"{entries} JOIN runs AS r ON r.shard = {shard_sql('v.run')} AND r.run = v.run"

    def with_attribute(self, source: str, is_its: str) -> str:
        return f"{source} JOIN attribute_values AS g ON g.shard = r.shard AND g.run = r.run AND {is_its}"

    def narrowed(self, driver: Driver, given: Conditions) -> str:
        """The index of workflow ids has the shard in front."""
        if driver.index != "runs_of_workflow":
            return ""
        assert isinstance(given, PostgresConditions)
        shards: set[int] = set()
        for test in driver.tests:
            if not isinstance(test, OneOf) or test.field != WORKFLOW_ID:
                return given.shards(range(self._shards))
            shards |= {shard_of(self._namespace, str(value), self._shards) for value in test.values}
        return given.shards(sorted(shards))
