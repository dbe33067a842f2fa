"""Parser: from a filter's text to its syntax, by recursive descent over its tokens.

::

    filter     = [condition] [ORDER BY sorting {"," sorting}]
    condition  = conjunction {OR conjunction}
    conjunction = negation {AND negation}
    negation   = NOT negation | "(" condition ")" | test
    test       = name operator value | name [NOT] IN "(" value {"," value} ")" | name [NOT] BETWEEN value AND value
               | name [NOT] STARTS_WITH text | name IS [NOT] NULL
    operator   = "=" | "!=" | "<>" | "<" | "<=" | ">" | ">="
    value      = text | number | TRUE | FALSE | NOW [("-" | "+") text]
    sorting    = name [ASC | DESC]
    name       = word | "`" anything "`"

Words of the language are the same in small letters. The parser is written by hand because a library's errors are about
its own tables, and the point of this one is that each error names a place and what would have fitted there; it is
eleven small methods. Whatever is handed in, it returns or raises ``FilterError``: length, depth and the number of tests
are bounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .error import FilterError, did_you_mean
from .syntax import (
    And,
    Between,
    Comparison,
    Condition,
    Filter,
    IsNull,
    Literal,
    Membership,
    Name,
    Not,
    Now,
    Number,
    Or,
    Sorting,
    StartsWith,
    Text,
    Truth,
)
from .token import Kind, Token, tokens_of

DEPTH_MAX = 50
TESTS_MAX = 100
VALUES_MAX = 1_000
SORTINGS_MAX = 5
NUMBER_CHARS_MAX = 40

KEYWORDS = frozenset("AND OR NOT IN BETWEEN STARTS_WITH IS NULL ORDER BY ASC DESC TRUE FALSE NOW".split())

_OPERATORS = ("=", "==", "!=", "<>", "<", "<=", ">", ">=")
_PLAIN = {"==": "=", "<>": "!="}
_COMPARISON = "a comparison (=, !=, <, <=, >, >=, IN, BETWEEN, STARTS_WITH, IS NULL)"
_VALUE = "a value, such as 'text', 5, TRUE or NOW - '2h'"


def parse(text: str) -> Filter:
    """Understand a filter; an empty one fits everything. Raises ``FilterError``."""
    return _Parser(text).filter()


class _Parser:
    """See the module."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens_of(text)
        self._next = next(self._tokens)
        self._tests = 0

    def filter(self) -> Filter:
        is_bare = self._next.kind is Kind.END or self._next.is_word("ORDER")
        where = None if is_bare else self._condition(0)
        order = self._order() if self._next.is_word("ORDER") else ()
        if self._next.kind is not Kind.END:
            ends = ", or the end" if order else ", ORDER BY or the end"
            wanted = "',', ASC, DESC" if order else "AND, OR"
            raise self._error(wanted + ends)
        return Filter(where, order)

    def _order(self) -> tuple[Sorting, ...]:
        self._take()
        self._expect_word("BY")
        order = [self._sorting()]
        while self._next.is_sign(","):
            if len(order) == SORTINGS_MAX:
                raise self._error(f"at most {SORTINGS_MAX} fields to sort by")
            self._take()
            order.append(self._sorting())
        return tuple(order)

    def _sorting(self) -> Sorting:
        name = self._name()
        descending = self._next.is_word("DESC")
        if self._next.is_word("ASC", "DESC"):
            self._take()
        return Sorting(name, descending)

    def _condition(self, depth: int) -> Condition:
        return self._chain(depth, "OR", self._conjunction, Or)

    def _conjunction(self, depth: int) -> Condition:
        return self._chain(depth, "AND", self._negation, And)

    def _chain(
        self, depth: int, word: str, part: Callable[[int], Condition], joined: Callable[[tuple[Condition, ...]], Any]
    ) -> Condition:
        parts = [part(depth)]
        while self._next.is_word(word):
            self._take()
            parts.append(part(depth))
        return parts[0] if len(parts) == 1 else joined(tuple(parts))

    def _negation(self, depth: int) -> Condition:
        if depth > DEPTH_MAX:
            raise self._error(f"conditions nested at most {DEPTH_MAX} deep")
        if self._next.is_word("NOT"):
            self._take()
            return Not(self._negation(depth + 1))
        if self._next.is_sign("("):
            self._take()
            inner = self._condition(depth + 1)
            self._expect_sign(")", "AND, OR or )")
            return inner
        return self._test()

    def _test(self) -> Condition:
        self._tests += 1
        if self._tests > TESTS_MAX:
            raise self._error(f"at most {TESTS_MAX} comparisons; IN (…) takes {VALUES_MAX} values")
        name = self._name()
        token = self._next
        if token.is_sign(*_OPERATORS):
            self._take()
            return Comparison(name, _PLAIN.get(token.text, token.text), self._value(), token.offset)
        if token.is_word("IS"):
            return self._is_null(name)
        is_negated = token.is_word("NOT")
        if is_negated:
            self._take()
        return self._worded(name, is_negated)

    def _worded(self, name: Name, is_negated: bool) -> Condition:
        token = self._next
        if token.is_word("IN"):
            self._take()
            return Membership(name, self._values(), is_negated, token.offset)
        if token.is_word("BETWEEN"):
            self._take()
            low = self._value()
            self._expect_word("AND")
            return Between(name, low, self._value(), is_negated, token.offset)
        if token.is_word("STARTS_WITH"):
            self._take()
            return StartsWith(name, self._prefix(), is_negated, token.offset)
        raise self._error("IN, BETWEEN or STARTS_WITH" if is_negated else _COMPARISON)

    def _is_null(self, name: Name) -> Condition:
        self._take()
        is_negated = self._next.is_word("NOT")
        if is_negated:
            self._take()
        if not self._next.is_word("NULL"):
            raise self._error("NULL" if is_negated else "NULL or NOT NULL")
        self._take()
        return IsNull(name, is_negated)

    def _values(self) -> tuple[Literal, ...]:
        self._expect_sign("(", "( with values in it")
        values = [self._value()]
        while self._next.is_sign(","):
            if len(values) == VALUES_MAX:
                raise self._error(f"at most {VALUES_MAX} values")
            self._take()
            values.append(self._value())
        self._expect_sign(")", ", or )")
        return tuple(values)

    def _prefix(self) -> Text:
        token = self._next
        if token.kind is not Kind.TEXT:
            raise self._error("text in quotes")
        self._take()
        return Text(token.text, token.offset)

    def _value(self) -> Literal:
        token = self._next
        if token.kind is Kind.TEXT:
            self._take()
            return Text(token.text, token.offset)
        if token.kind is Kind.NUMBER:
            return self._number()
        if token.is_word("TRUE", "FALSE"):
            self._take()
            return Truth(token.is_word("TRUE"), token.offset)
        if token.is_word("NOW"):
            return self._now()
        if token.is_word("NULL"):
            raise self._error("a value; what is not there is asked for with IS NULL or IS NOT NULL")
        if token.kind is Kind.WORD:
            raise self._error(f"{_VALUE}; text stands in quotes")
        raise self._error(_VALUE)

    def _number(self) -> Number:
        token = self._next
        is_whole = token.text.lstrip("+-").isdigit()
        if len(token.text) > NUMBER_CHARS_MAX:
            raise self._error(f"a number of at most {NUMBER_CHARS_MAX} characters")
        value = int(token.text) if is_whole else float(token.text)
        if not math.isfinite(value):
            raise self._error("a number that is not so large")
        self._take()
        return Number(value, token.offset)

    def _now(self) -> Now:
        token = self._take()
        if not self._next.is_sign("-", "+"):
            return Now(offset=token.offset)
        is_before = self._take().text == "-"
        if self._next.kind is not Kind.TEXT or not self._next.text:
            raise self._error("a duration in quotes, such as '2h' or '7d'")
        return Now(self._take().text, is_before, token.offset)

    def _name(self) -> Name:
        token = self._next
        if token.kind is Kind.NAME or (token.kind is Kind.WORD and token.text.upper() not in KEYWORDS):
            self._take()
            return Name(token.text, token.offset)
        if token.kind is Kind.WORD:
            raise self._error("the name of a field; one that is a word of the language stands in `back quotes`")
        raise self._error("the name of a field")

    # tokens

    def _take(self) -> Token:
        token = self._next
        self._next = next(self._tokens)
        return token

    def _expect_word(self, word: str) -> None:
        if not self._next.is_word(word):
            raise self._error(word)
        self._take()

    def _expect_sign(self, sign: str, expected: str) -> None:
        if not self._next.is_sign(sign):
            raise self._error(expected)
        self._take()

    def _error(self, expected: str) -> FilterError:
        token = self._next
        if token.kind is Kind.END:
            found = "the end"
        else:
            found = self._text[token.offset : min(token.end, token.offset + 40)]
        is_misspelt = token.kind is Kind.WORD and len(token.text) > 2 and token.text.upper() not in KEYWORDS
        hint = did_you_mean(token.text, KEYWORDS) if is_misspelt else ""
        return FilterError(self._text, token.offset, expected, found + hint)
