import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepstep.journal import InvalidInput
from keepstep.runtime.data import Signature, parse_json, parse_json_inputs

from .orders import Line, Order
from .test_codec import json_data


def fulfil(order: Order, count: int = 1) -> None:
    raise NotImplementedError


def gather(first: int, *more: int) -> None:
    raise NotImplementedError


def keyed(first: int, *, name: str) -> None:
    raise NotImplementedError


ORDER = '{"id": "o", "lines": [{"sku": "s", "count": 1, "price": "1.10"}]}'
SIGNATURE = Signature.of(fulfil)


@given(json_data)
def test_any_json_text_is_read(value: Any) -> None:
    assert parse_json(json.dumps(value, indent=1)) == value


@given(st.text())
def test_any_other_text_is_refused_with_a_caret_below_the_place(text: str) -> None:
    try:
        parse_json(text)
    except InvalidInput as error:
        lines = str(error).split("\n")
        assert "UTF-8" in lines[0] or lines[-1].strip() == "^" or lines[-1].startswith("  text needs double quotes")
    else:
        json.loads(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": x}', 'the input is not JSON: invalid character at position 7\n  {"a": x}\n        ^'),
        ('{"é": x}', 'the input is not JSON: invalid character at position 7\n  {"é": x}\n        ^'),
        ("[1,", "the input is not JSON: Input data was truncated at position 4\n  [1,\n     ^"),
        ("[1,\n  x]", "the input is not JSON: invalid character at position 7\n    x]\n    ^"),
        (
            "hello",
            "the input is not JSON: invalid character at position 1\n  hello\n  ^\n"
            "  text needs double quotes around it: '\"hello\"'",
        ),
        ("\ud800", "the input is not valid UTF-8 text"),
        ("[" * 100_000, "the input is nested too deeply"),
    ],
    ids=lambda text: text[:20].encode("ascii", "replace").decode(),
)
def test_text_that_is_no_json_is_shown_with_the_place(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_json(text)
    assert str(caught.value) == message


def test_a_long_text_is_shown_around_the_place_only() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_json("[" + "1," * 1000 + "x]")
    _, shown, caret = str(caught.value).split("\n")
    assert len(shown) < 130
    assert shown[len(caret) - 1] == "x"


def test_by_a_signature_typed_values_come_out() -> None:
    assert parse_json_inputs(SIGNATURE, [ORDER, "3"]) == [Order("o", [Line("s", 1, Decimal("1.10"))]), 3]
    assert parse_json_inputs(Signature.of(gather), ["1", "2", "3"]) == [1, 2, 3]


def test_by_a_published_schema_plain_values_come_out() -> None:
    published = json.loads(json.dumps(SIGNATURE.schema()))
    assert parse_json_inputs(published, [ORDER]) == [json.loads(ORDER)]
    assert parse_json_inputs(Signature.of(gather).schema(), ["1", "2", "3"]) == [1, 2, 3]


@pytest.mark.parametrize(
    ("texts", "by_signature", "by_schema"),
    [
        (
            [],
            "missing a required argument: 'order'",
            "0 inputs given, but order is missing; arguments: order, count (optional)",
        ),
        (["{}", "1", "2"], "too many positional arguments", "3 inputs given, but at most 2 fit"),
        (
            ['{"id": 1}'],
            "input 1 (argument 'order') does not fit: expected Order: Expected `str`, got `int` at .id",
            "input 1 (argument 'order') does not fit: .id: expected string, found 1",
        ),
        (
            [ORDER, "1.5"],
            "input 2 (argument 'count') does not fit: expected int: Expected `int`, got `float`",
            "input 2 (argument 'count') does not fit: expected integer, found 1.5",
        ),
        ([ORDER, "x"], "input 2 (argument 'count') is not JSON", "input 2 (argument 'count') is not JSON"),
    ],
    ids=["none", "too many", "wrong member", "wrong number", "no JSON"],
)
def test_inputs_that_do_not_fit_are_named_by_number_and_argument(
    texts: list[str], by_signature: str, by_schema: str
) -> None:
    for expected, message in ((SIGNATURE, by_signature), (SIGNATURE.schema(), by_schema)):
        with pytest.raises(InvalidInput) as caught:
            parse_json_inputs(expected, texts)
        assert message in str(caught.value)


def test_a_required_keyword_argument_cannot_be_given_as_text() -> None:
    with pytest.raises(InvalidInput, match="name can only be given by keyword"):
        parse_json_inputs(Signature.of(keyed).schema(), ["1"])


def test_variadic_inputs_are_checked_too() -> None:
    with pytest.raises(InvalidInput, match=r"input 3 \(argument 'more'\) does not fit: expected integer"):
        parse_json_inputs(Signature.of(gather).schema(), ["1", "2", '"x"'])
