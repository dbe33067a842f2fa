"""Field: what a search can ask of a run, and of which type the answer is.

Every run has the built-in fields, under the names that Temporal's users know. Attributes are fields that a namespace
has registered (``attribute``). A field of a run has one value, or none (a run that is open has no ``CloseTime``); only
one of the type ``KEYWORD_LIST`` has several.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

Value = str | int | float
"""As a search compares it: truth is 0 or 1, a time or a duration is microseconds."""


class FieldType(StrEnum):
    """Of what kind the values of a field are."""

    KEYWORD = "keyword"
    """Text, compared character by character."""
    INT = "int"
    """A whole number of 64 bits."""
    DOUBLE = "double"
    BOOL = "bool"
    DATETIME = "datetime"
    KEYWORD_LIST = "keyword_list"
    """Several texts; a comparison holds if it holds for one of them."""
    DURATION = "duration"
    STATUS = "status"
    CONDITION = "condition"


NAMED = (FieldType.STATUS, FieldType.CONDITION, FieldType.BOOL)
"""Types of few values that have no order."""


class Field(msgspec.Struct, frozen=True):
    """One field."""

    name: str
    type: FieldType
    is_attribute: bool = False


WORKFLOW_ID = Field("WorkflowId", FieldType.KEYWORD)
RUN_ID = Field("RunId", FieldType.KEYWORD)
WORKFLOW_TYPE = Field("WorkflowType", FieldType.KEYWORD)
STATUS = Field("Status", FieldType.STATUS)
CONDITION = Field("Condition", FieldType.CONDITION)
START_TIME = Field("StartTime", FieldType.DATETIME)
CLOSE_TIME = Field("CloseTime", FieldType.DATETIME)
DURATION = Field("ExecutionDuration", FieldType.DURATION)
"""From start to close."""
QUEUE = Field("Queue", FieldType.KEYWORD)
LANGUAGE = Field("Language", FieldType.KEYWORD)
HISTORY_LENGTH = Field("HistoryLength", FieldType.INT)
PARENT_ID = Field("ParentWorkflowId", FieldType.KEYWORD)
PARENT_RUN_ID = Field("ParentRunId", FieldType.KEYWORD)

BUILT_IN = (
    WORKFLOW_ID,
    RUN_ID,
    WORKFLOW_TYPE,
    STATUS,
    CONDITION,
    START_TIME,
    CLOSE_TIME,
    DURATION,
    QUEUE,
    LANGUAGE,
    HISTORY_LENGTH,
    PARENT_ID,
    PARENT_RUN_ID,
)

ALWAYS_THERE = frozenset({WORKFLOW_ID, RUN_ID, WORKFLOW_TYPE, STATUS, START_TIME, QUEUE, LANGUAGE, HISTORY_LENGTH})
"""Built-in fields that every run has a value of."""

UNSORTED = (STATUS, CONDITION, PARENT_ID)
"""Built-in fields by which is not sorted: names without an order, and what is another run's."""

ALIASES = {
    "ExecutionStatus": STATUS,
    "ExecutionTime": START_TIME,
    "TaskQueue": QUEUE,
    "Type": WORKFLOW_TYPE,
    "Id": WORKFLOW_ID,
}
"""Other names of built-in fields, most of them Temporal's."""

RESERVED = frozenset(field.name for field in BUILT_IN) | frozenset(ALIASES)
"""Names that no attribute may have."""
