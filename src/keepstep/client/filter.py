"""Filter: which runs, or tasks for people, a listing shows.

A small part of the language of Temporal's list filters: fields compared with ``=`` or ``IN (…)``, joined by ``AND``:
``WorkflowType = 'fulfil_order' AND Status IN ('running', 'failed')``. Runs have the fields ``Status``, ``Condition``
and ``WorkflowType``, tasks ``Assignee`` and ``Title``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from keepstep.journal import Condition, InvalidInput, Status

E = TypeVar("E", Status, Condition)

_TOKEN = re.compile(r"\s*(?:'((?:[^']|'')*)'|\"([^\"]*)\"|([A-Za-z_][\w.-]*)|(=|,|\(|\)))")
_RUN_FIELDS = {"status": "Status", "condition": "Condition", "workflowtype": "WorkflowType", "type": "WorkflowType"}
_TASK_FIELDS = {"assignee": "Assignee", "title": "Title"}


class Filter(msgspec.Struct, frozen=True):
    """A parsed filter. Empty means: any."""

    statuses: tuple[Status, ...] = ()
    conditions: tuple[Condition, ...] = ()
    types: tuple[str, ...] = ()


class TaskFilter(msgspec.Struct, frozen=True):
    """A parsed filter of tasks for people. Empty means: any."""

    assignees: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()

    def fits(self, assignee: str | None, title: str) -> bool:
        """Whether a task is among those wanted."""
        return (not self.assignees or assignee in self.assignees) and (not self.titles or title in self.titles)


def parse_filter(text: str | None) -> Filter:
    """Parse a filter of runs. Raises ``InvalidInput`` that names the position and what was expected."""
    parser = _Parser(text, _RUN_FIELDS)
    found = parser.parse()
    return Filter(
        tuple(parser.choice(Status, each) for each in found.get("Status", ())),
        tuple(parser.choice(Condition, each) for each in found.get("Condition", ())),
        tuple(found.get("WorkflowType", ())),
    )


def parse_task_filter(text: str | None) -> TaskFilter:
    """Parse a filter of tasks for people. Raises ``InvalidInput`` as ``parse_filter`` does."""
    found = _Parser(text, _TASK_FIELDS).parse()
    return TaskFilter(tuple(found.get("Assignee", ())), tuple(found.get("Title", ())))


class _Parser:
    """Recursive descent over ``clause (AND clause)*``; a text without any is a filter that everything fits."""

    def __init__(self, text: str | None, fields: Mapping[str, str]) -> None:
        if text is not None and not isinstance(text, str):
            raise InvalidInput(f"a filter is text, such as \"Status = 'failed'\", not {text!r:.100}")
        self.text = text or ""
        self.fields = fields
        self.position = 0
        self.found: dict[str, list[str]] = {}

    def parse(self) -> dict[str, list[str]]:
        """The values asked for, by field."""
        if self._at_end():
            return {}
        self._clause()
        while not self._at_end():
            self._keyword("AND")
            self._clause()
        return self.found

    def _clause(self) -> None:
        start = self.position
        names = ", ".join(dict.fromkeys(self.fields.values()))
        name = self._word(f"one of the fields {names}")
        field = self.fields.get(name.lower())
        if field is None:
            raise self._error(start, f"one of the fields {names}, not {name!r}")
        if field in self.found:
            raise self._error(start, f"{field} only once; use IN (…) for several values")
        _, operator = self._next("= or IN")
        if operator == "=":
            self.found[field] = [self._value()]
        elif operator.upper() == "IN":
            self.found[field] = self._values()
        else:
            raise self._error(self.position, "= or IN")

    def _values(self) -> list[str]:
        self._symbol("(")
        values = [self._value()]
        while self._next(", or )")[1] == ",":
            values.append(self._value())
        return values

    def _value(self) -> str:
        kind, text = self._next("a value, such as 'running'")
        if kind == "symbol":
            raise self._error(self.position, "a value, such as 'running'")
        return text

    def _word(self, expected: str) -> str:
        kind, text = self._next(expected)
        if kind != "word":
            raise self._error(self.position, expected)
        return text

    def _keyword(self, word: str) -> None:
        if self._word(word).upper() != word:
            raise self._error(self.position, word)

    def _symbol(self, symbol: str) -> None:
        if self._next(symbol) != ("symbol", symbol):
            raise self._error(self.position, symbol)

    def _next(self, expected: str) -> tuple[str, str]:
        match = _TOKEN.match(self.text, self.position)
        if match is None:
            raise self._error(self.position, expected)
        self.position = match.end()
        single, double, word, symbol = match.groups()
        if single is not None:
            return "value", single.replace("''", "'")
        if double is not None:
            return "value", double
        return ("word", word) if word is not None else ("symbol", symbol)

    def _at_end(self) -> bool:
        return not self.text[self.position :].strip()

    def choice(self, kind: type[E], text: str) -> E:
        """A value that must be one of an enumeration's."""
        try:
            return kind(text.lower())
        except ValueError:
            allowed = ", ".join(each.value for each in kind if each.value)
            raise self._error(self.text.find(text), f"one of {allowed}, not {text!r}") from None

    def _error(self, position: int, expected: str) -> InvalidInput:
        return InvalidInput(f"filter: at position {position + 1} of {self.text!r}: expected {expected}")
