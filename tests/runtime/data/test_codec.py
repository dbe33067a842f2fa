import subprocess
import sys
from collections import OrderedDict, deque
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepstep.journal import InvalidInput
from keepstep.runtime.data import decoder, encode

from .orders import (
    Basket,
    Box,
    Cat,
    Checked,
    Delivery,
    Dog,
    Everything,
    Hidden,
    Item,
    Line,
    Order,
    Other,
    Plain,
    Point,
    Small,
    Tree,
    Weighed,
    Word,
)

text = st.text(st.characters(exclude_categories=["Cs"]))
lines = st.builds(Line, text, st.integers(), st.decimals(allow_nan=False))
trees = st.recursive(
    st.builds(Tree, text), lambda inner: st.builds(Tree, text, st.lists(inner, max_size=3)), max_leaves=8
)
json_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)
finite = st.floats(allow_nan=False, allow_infinity=False)
everything = st.builds(
    Everything,
    number=st.integers(),
    share=finite,
    price=st.decimals(allow_nan=False),
    raw=st.binary(),
    uid=st.uuids(),
    moment=st.datetimes(timezones=st.none() | st.just(UTC)),
    tags=st.sets(text),
    ids=st.frozensets(st.integers()),
    pair=st.tuples(st.integers(), text),
    by_number=st.dictionaries(st.integers(-(2**63), 2**63 - 1), text),
    by_colour=st.dictionaries(st.sampled_from(list(Everything.__annotations__["colour"])), finite),
    lines=st.lists(lines, max_size=3),
    maybe=st.none() | lines,
)


def fresh(value: Any) -> Any:
    """Read back by the value's own class."""
    return decoder(type(value))(encode(value))


@settings(max_examples=200)
@given(everything)
def test_every_supported_type_comes_back_equal(value: Everything) -> None:
    assert fresh(value) == value


@given(trees)
def test_recursive_classes_come_back_equal(tree: Tree) -> None:
    assert fresh(tree) == tree


@given(st.lists(lines, max_size=3))
def test_generic_classes_come_back_by_their_argument(content: list[Line]) -> None:
    assert decoder(Box[list[Line]])(encode(Box(content))) == Box(content)


@given(json_data)
def test_without_annotation_json_data_comes_back_as_it_was(value: Any) -> None:
    assert decoder()(encode(value)) == value
    assert decoder(Any)(encode(value)) == value


@given(st.dictionaries(text, st.sets(st.integers() | text), max_size=5))
def test_sets_of_all_sorts_come_back_and_dicts_keep_their_order(value: dict[str, set[int | str]]) -> None:
    again = decoder(dict[str, set[int | str]])(encode(value))
    assert again == value
    assert list(again) == list(value)


def test_equal_sets_have_equal_bytes_in_every_process_whatever_they_hold() -> None:
    program = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from decimal import Decimal; from tests.runtime.data.orders import Line, Order, Colour\n"
        "from keepstep.runtime.data import encode\n"
        "words = {'a' * n for n in range(30)}\n"
        "order = Order('o', [Line('s', 1, Decimal(1))]); order.note = {Line(w, 1, Decimal(1)) for w in words}\n"
        "print(encode({'z': words, 'a': [frozenset(words | {1, None})], 'o': order, 'c': set(Colour)}).decode())"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program, *filter(None, sys.path), "."],
            env={"PYTHONHASHSEED": str(seed)},
            check=True,
            capture_output=True,
        ).stdout
        for seed in range(3)
    }
    assert len(said) == 1
    assert said.pop().startswith(b'{"z":["",')


def test_values_with_sets_are_not_changed_by_encoding_them() -> None:
    class Kept(msgspec.Struct, frozen=True):
        tags: Any

    value = {"b": Kept(({"x", "y", 3}, 1)), "a": 1}
    assert msgspec.json.decode(encode(value))["b"]["tags"][1] == 1
    assert value == {"b": Kept(({"x", "y", 3}, 1)), "a": 1}


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"order": {"lines": [1, 2, 3, 1j]}}, "['order']['lines'][3] of type complex"),
        (Order("o", [Line("s", 1, Plain())]), ".lines[0].price of type Plain"),  # type: ignore[arg-type]
        (Plain(), "of type Plain"),
        ({"a": {(1, 2): 3}}, "['a'] has a key"),
        ([{None: 1}], "[0] has a key"),
        ({"a": ["\ud800"]}, "['a'][0] is text with a lone surrogate"),
        (Box([float("nan")]), ".content[0] is nan"),
        (Small("s", 1, float("-inf")), ".weight is -inf"),
        ({"a": 2**70, "b": {"c": float("inf")}}, "['b']['c'] is inf"),
        (float("nan"), "is nan"),
        (10**5000, "of type int"),
        (Weighed(weight=float("nan")), ".weight is nan"),
        (Dog(name=print), ".name of type builtin_function_or_method"),  # type: ignore[arg-type]
    ],
    ids=lambda part: part if isinstance(part, str) else type(part).__name__,
)
def test_what_cannot_be_encoded_is_named_by_type_and_path(value: Any, path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        encode(value, "argument 'order'")
    assert str(caught.value).startswith(f"argument 'order' {path}")


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(InvalidInput, match="nested too deeply or contains itself"):
        encode(value)


def test_null_and_nan_are_told_apart_even_among_bytes_that_look_like_nan() -> None:
    lookalike = {"a": None, "b": b"\xcb\x7f\xf8\x00", "c": "\u02ff"}
    assert msgspec.json.decode(encode(lookalike))["a"] is None


@pytest.mark.parametrize(
    ("annotation", "data", "message"),
    [
        (
            Order,
            b'{"id":"o","lines":[{"sku":"s","count":"x","price":"1"}]}',
            "expected Order: Expected `int`, got `str` at .lines[0].count",
        ),
        (Order, b"[]", "expected Order: Expected `object`, got `array`"),
        (Order, b'{"id":', "expected Order: Input data was truncated"),
        (dict[int, int], b'{"a":1}', "expected dict[int, int]: Expected `int`, got `str` at a key"),
        (int | None, b'"1"', "expected int | None: Expected `int | null`, got `str`"),
        (Item, b'{"price":"x"}', "expected Item: Input should be a valid decimal at .price"),
        (list[Item], b'[{"price":"x"}]', "expected list[tests.runtime.data.orders.Item]: "),
        (Checked, b'{"count":0}', "expected Checked: Input should be greater than 0 at .count"),
        (Annotated[int, msgspec.Meta(gt=1)], b"1", "Expected `int` >= 2"),
        (Plain, b"{}", "expected Plain: Plain is not a type that can be read from JSON"),
    ],
)
def test_a_misfit_says_what_was_expected_what_was_found_and_where(annotation: Any, data: bytes, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decoder(annotation)(data)
    assert message in str(caught.value)
    assert "$" not in str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (list[Order | Line], "tagged msgspec Structs"),
        (Decimal | str, "more than one str-like"),
        (list["Missing"], "Missing"),  # type: ignore[name-defined]  # noqa: F821
        (Hidden, "Hidden._secret is private"),
        (dict[str, list[Hidden]], "Hidden._secret is private"),
    ],
)
def test_an_annotation_that_cannot_be_read_is_refused_before_the_first_value(annotation: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        decoder(annotation)


def test_pydantic_models_come_back_alone_in_containers_in_dataclasses_and_in_unions() -> None:
    item = Item(price=Decimal("1.10"))
    basket = Basket(items=[item, item], made=datetime(2024, 1, 1, tzinfo=UTC), where=Point(1, date(2024, 1, 1)))
    delivery = Delivery(basket, {"x": [item]})
    assert fresh(basket) == basket
    assert fresh(delivery) == delivery
    assert decoder(dict[str, list[Item]])(encode({"a": [item]})) == {"a": [item]}
    assert decoder(Item | None)(b"null") is None
    assert decoder(Item | Other)(encode(Other(other=3))) == Other(other=3)
    assert decoder(list[Item | int])(encode([item, 3])) == [item, 3]


def test_pydantic_dataclasses_come_back_with_their_bytes() -> None:
    assert fresh(Checked(2, b"\xff\x00")) == Checked(2, b"\xff\x00")
    assert decoder(list[Checked])(encode([Checked(2)])) == [Checked(2)]


def test_subclasses_of_builtins_come_back_as_annotated() -> None:
    assert type(fresh(Word("w"))) is Word
    assert decoder(OrderedDict[int, date])(encode({1: date(2024, 1, 1)})) == OrderedDict({1: date(2024, 1, 1)})
    assert decoder(deque[date])(encode(deque([date(2024, 1, 1)]))) == deque([date(2024, 1, 1)])


def test_a_tagged_choice_comes_back_as_the_class_that_it_was() -> None:
    assert [decoder(Cat | Dog)(encode(value)) for value in (Cat(9), Dog("d"))] == [Cat(9), Dog("d")]


def test_an_annotation_that_cannot_be_hashed_will_do() -> None:
    assert decoder(Annotated[int, ["unhashable"]])(b"1") == 1


def test_decoders_are_made_once_an_annotation() -> None:
    assert decoder(list[Order]) is decoder(list[Order])


def test_encoding_loads_neither_pydantic_nor_attrs() -> None:
    program = (
        "import sys, keepstep.runtime.data as d; d.decoder(list[int])(d.encode([1]))\n"
        "assert not {'pydantic', 'attr', 'attrs'} & set(sys.modules), 'loaded'"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
