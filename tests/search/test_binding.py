"""Names and values of a filter become fields and values of their types, or are refused where they stand."""

from __future__ import annotations

from typing import Any

import pytest

from keepstep.journal import InvalidInput
from keepstep.journal.field import CLOSE_TIME, STATUS, Field, FieldType
from keepstep.journal.search import EVERYTHING, All, Not, OneOf, Order, Present, Search, Within
from keepstep.search import FilterError, Vocabulary, read_search, runs_vocabulary
from keepstep.search.binding import text_behind

NOW = 1_800_000_000_000_000

TYPES = {
    "customer": FieldType.KEYWORD,
    "items": FieldType.INT,
    "amount": FieldType.DOUBLE,
    "paid": FieldType.BOOL,
    "due": FieldType.DATETIME,
    "tags": FieldType.KEYWORD_LIST,
    "status": FieldType.KEYWORD,
}


def bind(text: str) -> Search:
    return read_search(text, runs_vocabulary(TYPES), NOW)


def attribute(name: str) -> Field:
    return Field(name, TYPES[name], is_attribute=True)


REFUSED: list[tuple[str, int, str]] = [
    ("custmer = 'c7'", 1, "amount, customer, due, items, paid, status, tags, found 'custmer' (did you mean customer?)"),
    ("WorkflowTyp = 'a'", 1, "(did you mean WorkflowType?)"),
    ("Status = 'runing'", 10, "expected one of 'running', 'completed'"),
    ("Condition = ''", 13, "expected one of 'waiting'"),
    ("Status > 'running'", 8, "expected =, != or IN, because Status (status) has no order"),
    ("tags BETWEEN 'a' AND 'b'", 6, "because tags (keyword_list) has no order"),
    ("paid < TRUE", 6, "because paid (bool) has no order"),
    ("customer = 7", 12, "expected text in quotes (customer is keyword), found 7"),
    ("customer IN ('c7', 8)", 20, "expected text in quotes"),
    ("customer = 'a\\n' AND customer = TRUE", 33, "found True"),
    ("items = 1.5", 9, "expected a whole number of 64 bits (items is int), found 1.5"),
    ("items = 9223372036854775808", 9, "expected a whole number of 64 bits"),
    ("amount = '5'", 10, "expected a number (amount is double), found '5'"),
    ("paid = 1", 8, "expected TRUE or FALSE (paid is bool), found 1"),
    ("due > 'yesterday'", 7, "expected a time in quotes"),
    ("due > 5", 7, "expected a time in quotes"),
    ("StartTime > NOW - 'soon'", 13, "expected a duration in quotes, such as '90s'"),
    ("customer = NOW", 12, "expected text in quotes (customer is keyword), found NOW"),
    ("ExecutionDuration > TRUE", 21, "expected a duration in quotes"),
    ("amount STARTS_WITH 'a'", 8, "because amount is no text but double, found STARTS_WITH"),
    ("ORDER BY tags", 10, "expected a field by which can be sorted, found tags"),
    ("ORDER BY Status", 10, "expected a field by which can be sorted, found Status"),
    ("ORDER BY nonsense", 10, "found 'nonsense'"),
    ("customer = 'a\0b'", 12, "text without NUL"),
    ("customer = '\ud800'", 12, "text without NUL and halves of surrogate pairs"),
    ("customer STARTS_WITH '\0'", 22, "text without NUL"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "position", "expected"), REFUSED, ids=lambda value: ascii(value)[:40])
def test_a_name_or_value_that_does_not_fit_is_refused_where_it_stands(text: str, position: int, expected: str) -> None:
    with pytest.raises(FilterError) as refused:
        bind(text)
    assert expected in str(refused.value)
    assert refused.value.position == position


UNDERSTOOD: list[tuple[str, Any]] = [
    ("items >= 5", Within(attribute("items"), low=5)),
    ("amount < 5", Within(attribute("amount"), high=5.0, with_high=False)),
    ("paid = false", OneOf(attribute("paid"), (0,))),
    ("due = '2026-11-27T10:00:00+01:00'", OneOf(attribute("due"), (1_795_770_000_000_000,))),
    ("due = '2026-11-27'", OneOf(attribute("due"), (1_795_737_600_000_000,))),
    ("due > NOW + '1d'", Within(attribute("due"), low=NOW + 86_400_000_000, with_low=False)),
    ("CloseTime <= now", Within(CLOSE_TIME, high=NOW)),
    ("ExecutionStatus = 'ContinuedAsNew'", OneOf(STATUS, ("continued",))),
    ("status = 'gold'", OneOf(attribute("status"), ("gold",))),
    ("Status = 'failed'", OneOf(STATUS, ("failed",))),
    ("STATUS = 'failed'", OneOf(STATUS, ("failed",))),
    ("customer IN ('a', 'b', 'a')", OneOf(attribute("customer"), ("a", "b"))),
    ("customer STARTS_WITH 'ab'", Within(attribute("customer"), "ab", "ac", with_high=False)),
    ("customer != 'a'", All((Present(attribute("customer")), Not(OneOf(attribute("customer"), ("a",)))))),
    ("", EVERYTHING),
]


@pytest.mark.parametrize(("text", "predicate"), UNDERSTOOD, ids=lambda value: str(value)[:40])
def test_a_filter_asks_for_fields_and_values_of_their_types(text: str, predicate: Any) -> None:
    assert bind(text).where == predicate


def test_the_order_names_fields_and_is_ascending_unless_it_says_otherwise() -> None:
    assert bind("ORDER BY amount DESC, CloseTime").order == (Order(attribute("amount"), True), Order(CLOSE_TIME, False))


@pytest.mark.parametrize("no_text", [5, b"Status = 'failed'", ["Status"]])
def test_a_filter_that_is_no_text_is_refused(no_text: Any) -> None:
    with pytest.raises(InvalidInput, match="a filter is text, such as"):
        read_search(no_text, Vocabulary({}, {}), NOW)


@pytest.mark.parametrize(
    ("prefix", "behind"),
    [("a", "b"), ("", None), ("a\U0010ffff", "b"), ("\U0010ffff", None), ("\ud7ff", "\ue000"), ("az", "a{")],
)
def test_behind_all_texts_that_begin_alike_comes_the_first_that_does_not(prefix: str, behind: str | None) -> None:
    assert text_behind(prefix) == behind


def test_sql_in_a_value_is_a_value() -> None:
    evil = "x'); DROP TABLE runs; --"
    assert bind(f"customer = '{evil.replace(chr(39), chr(39) * 2)}'").where == OneOf(attribute("customer"), (evil,))
