"""The filter language: what is printed is understood as it was meant; whatever is typed is understood or refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepstep.search import FilterError
from keepstep.search.parser import DEPTH_MAX, KEYWORDS, TESTS_MAX, parse
from keepstep.search.printing import show
from keepstep.search.syntax import (
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

texts = st.text(max_size=12)
names = st.builds(Name, st.one_of(st.sampled_from(["customer", "Über-Preis", "a.b", *KEYWORDS]), texts))
numbers = st.one_of(st.integers(-(10**30), 10**30), st.floats(allow_nan=False, allow_infinity=False))
nows = st.one_of(st.just(Now()), st.builds(Now, st.text(min_size=1, max_size=5), st.booleans()))
literals: st.SearchStrategy[Literal] = st.one_of(
    st.builds(Text, texts), st.builds(Number, numbers), st.builds(Truth, st.booleans()), nows
)
values = st.lists(literals, min_size=1, max_size=4).map(tuple)
tests: st.SearchStrategy[Condition] = st.one_of(
    st.builds(Comparison, names, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), literals),
    st.builds(Membership, names, values, st.booleans()),
    st.builds(Between, names, literals, literals, st.booleans()),
    st.builds(StartsWith, names, st.builds(Text, texts), st.booleans()),
    st.builds(IsNull, names, st.booleans()),
)


def _joined(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    parts = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(st.builds(And, parts), st.builds(Or, parts), st.builds(Not, inner))


conditions = st.recursive(tests, _joined, max_leaves=8)
filters = st.builds(
    Filter, st.none() | conditions, st.lists(st.builds(Sorting, names, st.booleans()), max_size=3).map(tuple)
)


@settings(max_examples=1000, deadline=None)
@given(filters)
def test_a_filter_that_is_printed_is_understood_as_the_same_filter(filter: Filter) -> None:
    assert parse(show(filter)) == filter


@settings(max_examples=3000, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(
            st.sampled_from(
                [
                    *KEYWORDS,
                    "a",
                    "`b`",
                    "'c'",
                    '"d"',
                    "5",
                    "-1.5e3",
                    "=",
                    "!=",
                    "<",
                    ">=",
                    "(",
                    ")",
                    ",",
                    "-",
                    "\\",
                    "'",
                    "`",
                ]
            ),
            max_size=25,
        ).map(" ".join),
    )
)
def test_whatever_is_typed_is_understood_or_refused_with_a_place_in_it(text: str) -> None:
    understood, refusal = understand(text)
    if refusal is None:
        assert understood is not None
        assert parse(show(understood)) == understood
    else:
        assert 1 <= refusal.position <= len(text) + 1
        assert refusal.expected
        assert refusal.picture.endswith("^")


def understand(text: str) -> tuple[Filter | None, FilterError | None]:
    try:
        return parse(text), None
    except FilterError as refusal:
        return None, refusal


REFUSED: list[tuple[str, int, str]] = [
    ("customer", 9, "expected a comparison (=, !=, <, <=, >, >=, IN, BETWEEN, STARTS_WITH, IS NULL), found the end"),
    ("customer = ", 12, "expected a value, such as 'text', 5, TRUE or NOW - '2h', found the end"),
    ("customer = c7", 12, "text stands in quotes, found c7"),
    ("customer = NULL", 12, "what is not there is asked for with IS NULL or IS NOT NULL, found NULL"),
    ("customer = 'c7", 15, "expected ' at the end of the text that begins at position 12"),
    ("`customer = 'c7'", 17, "expected ` at the end of the name that begins at position 1"),
    ("customer = 'c\\7'", 14, "a backslash itself is doubled"),
    ("customer = 'c7' AMD amount > 5", 17, "expected AND, OR, ORDER BY or the end, found AMD (did you mean AND?)"),
    ("customer = 'c7' AND", 20, "expected the name of a field, found the end"),
    ("AND customer = 'c7'", 1, "one that is a word of the language stands in `back quotes`, found AND"),
    ("customer IN 'c7'", 13, "expected ( with values in it, found 'c7'"),
    ("customer IN ('c7' 'c8')", 19, "expected , or ), found 'c8'"),
    ("customer IN ()", 14, "expected a value"),
    ("customer NOT = 'c7'", 14, "expected IN, BETWEEN or STARTS_WITH, found ="),
    ("amount BETWEEN 1 OR 2", 18, "expected AND, found OR"),
    ("customer STARTS_WITH 5", 22, "expected text in quotes, found 5"),
    ("customer IS 'c7'", 13, "expected NULL or NOT NULL, found 'c7'"),
    ("(customer = 'c7'", 17, "expected AND, OR or ), found the end"),
    ("customer = 'c7')", 16, "expected AND, OR, ORDER BY or the end, found )"),
    ("ORDER StartTime", 7, "expected BY, found StartTime"),
    ("ORDER BY StartTime DOWN", 20, "expected ',', ASC, DESC, or the end, found DOWN"),
    ("ORDER BY a, b, c, d, e, f", 23, "expected at most 5 fields to sort by, found ,"),
    ("StartTime > NOW - 5", 19, "expected a duration in quotes, such as '2h' or '7d', found 5"),
    ("amount = 1e999", 10, "expected a number that is not so large, found 1e999"),
    ("amount = " + "9" * 41, 10, "expected a number of at most 40 characters"),
    ("customer ; DROP TABLE runs", 10, "expected a name, a value or a comparison, found the character ';'"),
    ("x = 1 " * 2, 7, "expected AND, OR, ORDER BY or the end, found x"),
    ("(" * (DEPTH_MAX + 2) + "a = 1", DEPTH_MAX + 2, f"expected conditions nested at most {DEPTH_MAX} deep"),
    ("NOT " * 100_000, 20_001, "expected at most 20000 characters"),
    ("NOT " * 1000, 4 * (DEPTH_MAX + 1) + 1, f"nested at most {DEPTH_MAX} deep"),
    (" OR ".join(["a = 1"] * (TESTS_MAX + 1)), 9 * TESTS_MAX + 1, f"at most {TESTS_MAX} comparisons"),
    ("a IN (" + ",".join(["1"] * 1001) + ")", 6 + 2000, "expected at most 1000 values"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "position", "expected"), REFUSED, ids=lambda value: str(value)[:40])
def test_a_bad_filter_is_refused_with_the_place_and_what_was_expected(text: str, position: int, expected: str) -> None:
    with pytest.raises(FilterError) as refused:
        parse(text)
    assert expected in str(refused.value)
    assert f"at position {position}" in str(refused.value)
    assert refused.value.position == position


def test_the_place_is_shown_by_a_caret_below_its_line() -> None:
    with pytest.raises(FilterError) as refused:
        parse("Status = 'failed'\n  AND amount >> 5\n  AND paid = TRUE")
    assert (refused.value.line, refused.value.column) == (2, 15)
    assert "(line 2, column 15)" in str(refused.value)
    assert refused.value.picture == "    AND amount >> 5\n                ^"


def test_words_of_the_language_are_the_same_in_small_letters() -> None:
    assert parse("a = true or not b is null and c in (1) order by d desc, e asc") == Filter(
        Or(
            (
                Comparison(Name("a"), "=", Truth(True)),
                And((Not(IsNull(Name("b"))), Membership(Name("c"), (Number(1),)))),
            )
        ),
        (Sorting(Name("d"), True), Sorting(Name("e"))),
    )


def test_texts_hold_quotes_backslashes_and_other_signs() -> None:
    text = (
        "a = 'it''s' AND b = 'it\\'s' AND c = \"say \"\"hi\"\"\" AND d = 'a\\\\b\\n' AND `my ``field` != 'x' AND e <> 1"
    )
    assert parse(text).where == And(
        (
            Comparison(Name("a"), "=", Text("it's")),
            Comparison(Name("b"), "=", Text("it's")),
            Comparison(Name("c"), "=", Text('say "hi"')),
            Comparison(Name("d"), "=", Text("a\\b\n")),
            Comparison(Name("my `field"), "!=", Text("x")),
            Comparison(Name("e"), "!=", Number(1)),
        )
    )
