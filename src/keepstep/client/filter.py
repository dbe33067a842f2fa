"""Filter: which runs a listing shows.

A small part of the language of Temporal's list filters: ``Status``, ``Condition`` and ``WorkflowType``, compared with
``=`` or ``IN (…)``, joined by ``AND``: ``WorkflowType = 'fulfil_order' AND Status IN ('running', 'failed')``.
"""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from keepstep.journal import Condition, InvalidInput, Status

E = TypeVar("E", Status, Condition)

_TOKEN = re.compile(r"\s*(?:'((?:[^']|'')*)'|\"([^\"]*)\"|([A-Za-z_][\w.-]*)|(=|,|\(|\)))")
_FIELDS = {"status": "Status", "condition": "Condition", "workflowtype": "WorkflowType", "type": "WorkflowType"}


class Filter(msgspec.Struct, frozen=True):
    """A parsed filter. Empty means: any."""

    statuses: tuple[Status, ...] = ()
    conditions: tuple[Condition, ...] = ()
    types: tuple[str, ...] = ()


def parse_filter(text: str | None) -> Filter:
    """Parse a filter. Raises ``InvalidInput`` that names the position and what was expected."""
    if text is None or not text.strip():
        return Filter()
    return _Parser(text).parse()


class _Parser:
    """Recursive descent over ``clause (AND clause)*``."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.found: dict[str, list[str]] = {}

    def parse(self) -> Filter:
        self._clause()
        while not self._at_end():
            self._keyword("AND")
            self._clause()
        return Filter(
            tuple(self._choice(Status, each) for each in self.found.get("Status", ())),
            tuple(self._choice(Condition, each) for each in self.found.get("Condition", ())),
            tuple(self.found.get("WorkflowType", ())),
        )

    def _clause(self) -> None:
        start = self.position
        name = self._word("a field: Status, Condition or WorkflowType")
        field = _FIELDS.get(name.lower())
        if field is None:
            raise self._error(start, f"Status, Condition or WorkflowType, not {name!r}")
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

    def _choice(self, kind: type[E], text: str) -> E:
        try:
            return kind(text.lower())
        except ValueError:
            allowed = ", ".join(each.value for each in kind if each.value)
            raise self._error(self.text.find(text), f"one of {allowed}, not {text!r}") from None

    def _error(self, position: int, expected: str) -> InvalidInput:
        return InvalidInput(f"filter: at position {position + 1} of {self.text!r}: expected {expected}")
