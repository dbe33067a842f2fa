"""Search: how this store is asked for runs that fit (``journal.searching``)."""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any

from keepstep.journal import field as fields
from keepstep.journal.deciding.codes import from_json, json_text
from keepstep.journal.field import FieldType, Value
from keepstep.journal.run import Run
from keepstep.journal.searching import Conditions, Driver, Searcher

from . import statements as sql
from .page import read_named
from .rows import run_of

_INDEXES = {"runs_by_id": "sqlite_autoindex_runs_1"}
"""Those that have another name here."""


class SqliteConditions(Conditions):
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
        fields.HISTORY_LENGTH: "(SELECT coalesce(max(e.seq), 0) FROM events AS e WHERE e.run = r.run)",
        fields.PARENT_ID: "(SELECT p.workflow_id FROM runs AS p WHERE p.run_id = r.parent_run_id)",
        fields.PARENT_RUN_ID: "r.parent_run_id",
    }

    def place(self, value: Value, type: FieldType) -> str:
        self.values.append(value)
        return f"?{len(self.values)}"

    def one_of(self, column: str, values: tuple[Value, ...], type: FieldType) -> str:
        if len(values) == 1:
            return f"{column} = {self.place(values[0], type)}"
        return f"{column} IN (SELECT value FROM json_each({self.place(json_text(values), FieldType.KEYWORD)}))"

    def value_column(self, type: FieldType) -> str:
        return "value"


class SqliteSearcher(Searcher):
    """See ``Searcher``."""

    def __init__(self, db: Connection, namespace: str) -> None:
        super().__init__(namespace)
        self._db = db
        (attributes,) = db.execute(sql.ATTRIBUTE_NUMBERS, (namespace,)).fetchone()
        self._attributes: dict[str, int] = dict(from_json(attributes))

    def conditions(self) -> SqliteConditions:
        return SqliteConditions(self._attributes)

    def rows(self, text: str, given: Conditions) -> Sequence[Sequence[Any]]:
        return self._db.execute(text, given.values).fetchall()

    def runs(self, text: str, given: Conditions) -> list[Run]:
        """First their numbers, in one row, and then themselves: they may be too large for one value together."""
        (numbers,) = self._db.execute(f"SELECT json_group_array(run) FROM ({text})", given.values).fetchone()

        def read(some: Sequence[int]) -> list[Run]:
            (rows,) = self._db.execute(sql.READ_RUNS_BY_NUMBER, (json_text(some),)).fetchone()
            return [run_of(row) for row in from_json(rows)]

        return read_named(read, from_json(numbers))

    def table(self, index: str) -> str:
        return f"runs AS r INDEXED BY {_INDEXES.get(index, index)}"

    def condition_tested(self) -> tuple[str, str]:
        return "r.condition", "r.condition > 1"

    def joined(self, entries: str) -> str:
        return f"{entries} CROSS JOIN runs AS r ON r.run = v.run"

    def with_attribute(self, source: str, is_its: str) -> str:
        return f"{source} CROSS JOIN attribute_values AS g ON g.run = r.run AND {is_its}"

    def narrowed(self, driver: Driver, given: Conditions) -> str:
        return ""


def attributes_of(rows: str) -> list[tuple[str, FieldType]]:
    return [(name, FieldType(type_)) for name, type_ in from_json(rows)]
