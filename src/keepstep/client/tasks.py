"""Tasks for people: what they can be searched by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from keepstep.journal import InvalidInput
from keepstep.journal.field import Field, FieldType, Value
from keepstep.journal.search import Predicate, Values
from keepstep.runtime.human_task import HumanTask
from keepstep.search import Vocabulary, read_search

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

ASSIGNEE = Field("Assignee", FieldType.KEYWORD)
TITLE = Field("Title", FieldType.KEYWORD)
DUE = Field("Due", FieldType.DATETIME)

_VOCABULARY = Vocabulary({field.name: field for field in (ASSIGNEE, TITLE, DUE)}, {})


def read_task_filter(text: str | None, now: int) -> Predicate:
    """Which tasks are wanted. Raises ``FilterError``."""
    search = read_search(text, _VOCABULARY, now)
    if search.order:
        raise InvalidInput("filter: tasks come in the order in which they were made; leave ORDER BY out")
    return search.where


def values_of_task(task: HumanTask) -> Values:
    """What a task is compared by."""
    values: dict[Field, tuple[Value, ...]] = {TITLE: (task.title,)}
    if task.assignee is not None:
        values[ASSIGNEE] = (task.assignee,)
    if task.due is not None:
        values[DUE] = ((task.due - _EPOCH) // timedelta(microseconds=1),)
    return lambda field: values.get(field, ())
