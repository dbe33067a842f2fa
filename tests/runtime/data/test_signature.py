from __future__ import annotations

import functools
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepstep.journal import InvalidInput
from keepstep.runtime.data import Signature, digest
from keepstep.runtime.data.schema import check

from .orders import Basket, Item, Line, Order, Parcel, Plain

if TYPE_CHECKING:
    from .orders import Address


async def ship(order: Order, count: int = 1, *more: int, express: bool = False, **fees: Decimal) -> list[Line]:
    """Send it."""
    raise NotImplementedError


def pack(order: Order, item: Item | None = None, size: float = 1.0) -> None:
    raise NotImplementedError


def loose(first, second=None):  # type: ignore[no-untyped-def]
    raise NotImplementedError


ORDER = Order("o", [Line("s", 1, Decimal("1.10"))])


@given(
    st.integers(),
    st.lists(st.integers(), max_size=3),
    st.booleans(),
    st.dictionaries(st.text("abc", min_size=1), st.decimals(allow_nan=False), max_size=3),
)
def test_a_call_comes_back_with_every_argument_by_its_annotation(
    count: int, more: list[int], express: bool, fees: dict[str, Decimal]
) -> None:
    signature = Signature.of(ship)
    args, kwargs = signature.decode_args(signature.encode_args((ORDER, count, *more), {"express": express, **fees}))
    assert (args, kwargs) == ([ORDER, count, *more], {"express": express, **fees})


def test_equal_calls_have_equal_bytes_whether_by_position_or_by_keyword() -> None:
    signature = Signature.of(pack)
    by_position = signature.encode_args((ORDER, None, 2.0), {})
    assert signature.encode_args((ORDER,), {"size": 2.0, "item": None}) == by_position
    assert signature.encode_args((), {"size": 2.0, "order": ORDER, "item": None}) == by_position


def test_sets_among_arguments_do_not_disturb_the_form() -> None:
    signature = Signature.of(loose)
    assert signature.encode_args(({"b", "a", "c"},), {}) == b'[["a","b","c"]]'


def test_defaults_are_left_to_the_code_that_runs() -> None:
    signature = Signature.of(pack)
    assert signature.decode_args(signature.encode_args((ORDER,), {"size": 2.0})) == ([ORDER], {"size": 2.0})


def test_a_default_of_none_allows_none() -> None:
    def fn(order: Order = None) -> None:  # type: ignore[assignment]
        raise NotImplementedError

    signature = Signature.of(fn)
    assert signature.decode_args(signature.encode_args((None,), {})) == ([None], {})


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "missing a required argument: 'order'"),
        ((ORDER, None, 1.0, 3), {}, "too many positional arguments"),
        ((ORDER,), {"colour": 1}, "unexpected keyword argument 'colour'"),
        ((ORDER,), {"order": ORDER}, "multiple values for argument 'order'"),
    ],
)
def test_a_call_that_cannot_be_made_is_refused_with_the_signature(
    args: tuple[Any, ...], kwargs: dict[str, Any], message: str
) -> None:
    signature = Signature.of(pack)
    for attempt in (signature.check_args, signature.encode_args):
        with pytest.raises(InvalidInput) as caught:
            attempt(args, kwargs)
        assert message in str(caught.value)
        assert "pack(order: 'Order'" in str(caught.value)


def test_a_call_that_can_be_made_passes_the_check() -> None:
    Signature.of(pack).check_args((ORDER,), {"size": 1.0})
    Signature.of(ship).check_args((ORDER, 1, 2, 3), {"express": True, "tip": Decimal(1)})


@pytest.mark.parametrize("value", ["text", 3, 1.5, True, None, b"x"])
def test_a_scalar_where_a_record_is_expected_is_caught_at_the_call(value: Any) -> None:
    for args, kwargs in (((value,), {}), ((), {"order": value})):
        with pytest.raises(InvalidInput, match=r"pack\(\): argument 'order' must be Order, but is"):
            Signature.of(pack).encode_args(args, kwargs)


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((Order("o", [1j]),), {}, "ship(): argument 'order' .lines[0] of type complex"),  # type: ignore[list-item]
        ((ORDER, float("nan")), {}, "ship(): argument 'count' is nan"),
        ((ORDER, 1, 2, Plain()), {}, "ship(): argument 'more' of type Plain"),
        ((ORDER,), {"tip": {"a": Plain()}}, "ship(): argument 'fees' ['a'] of type Plain"),
    ],
)
def test_an_argument_that_cannot_be_encoded_is_named(args: Any, kwargs: Any, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Signature.of(ship).encode_args(args, kwargs)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'[{"id":1}]', "ship(): argument 'order': expected Order: Expected `str`, got `int` at .id"),
        (b'[{"id":"o"},"x"]', "ship(): argument 'count': expected int: Expected `int`, got `str`"),
        (b'{"args":[{"id":"o"}],"kwargs":{"tip":[]}}', "ship(): argument 'fees': expected Decimal"),
        (b"[]", "the recorded arguments do not fit ship(order: 'Order'"),
        (b'{"args":[],"kwargs":{}}', "missing a required argument: 'order'"),
        (b'{"order":1}', "the arguments of ship() cannot be read"),
        (b"3", "the arguments of ship() cannot be read"),
        (b"", "the arguments of ship() cannot be read"),
    ],
)
def test_arguments_that_do_not_fit_are_named_with_function_argument_and_types(data: bytes, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Signature.of(ship).decode_args(data)
    assert message in str(caught.value)


def test_results_come_back_by_the_return_annotation() -> None:
    signature = Signature.of(ship)
    assert signature.decode_result(signature.encode_result(ORDER.lines)) == ORDER.lines
    with pytest.raises(InvalidInput, match=r"the result of ship\(\): expected list.*Expected `array`"):
        signature.decode_result(b"1")
    with pytest.raises(InvalidInput, match=r"the result of ship\(\) \[0\] of type Plain"):
        signature.encode_result([Plain()])


def test_without_annotations_plain_data_comes_back() -> None:
    signature = Signature.of(loose)
    assert signature.decode_args(b'[{"a":[1]},2]') == ([{"a": [1]}, 2], {})
    assert signature.decode_result(b'{"a":1}') == {"a": 1}


def test_self_can_be_left_out() -> None:
    class Workflow:
        def run(self, order: Order) -> Order:
            raise NotImplementedError

    signature = Signature.of(Workflow.run, skip_first=True)
    assert signature.decode_args(signature.encode_args((ORDER,), {})) == ([ORDER], {})
    assert Signature.of(Workflow().run).decode_args(b'[{"id":"o"}]') == ([Order("o")], {})


def test_callable_objects_and_wrapped_functions_have_signatures() -> None:
    class Call:
        def __call__(self, order: Order) -> None:
            raise NotImplementedError

    @functools.wraps(pack)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        raise NotImplementedError

    assert Signature.of(Call()).decode_args(b'[{"id":"o"}]') == ([Order("o")], {})
    assert Signature.of(wrapper).decode_args(b'[{"id":"o"}]') == ([Order("o")], {})


def test_a_class_defined_after_the_function_is_found_at_the_first_use() -> None:
    namespace: dict[str, Any] = {}
    exec("def later(value: 'Later') -> 'Later': ...", namespace)
    signature = Signature.of(namespace["later"])
    with pytest.raises(InvalidInput, match="'Later' cannot be resolved"):
        signature.decode_args(b'[{"n":1}]')
    namespace["Later"] = type("Later", (msgspec.Struct,), {"__annotations__": {"n": int}})
    [value], _ = signature.decode_args(b'[{"n":1}]')
    assert value == namespace["Later"](1)


def test_a_local_class_is_found_through_the_names_of_the_place() -> None:
    @dataclass
    class Local:
        count: int

    def fn(value: Local) -> Local:
        raise NotImplementedError

    signature = Signature.of(fn, names=locals())
    assert signature.decode_args(signature.encode_args((Local(3),), {})) == ([Local(3)], {})


def test_local_classes_may_name_each_other_and_themselves() -> None:
    @dataclass
    class Leaf:
        count: int

    @dataclass
    class Twig:
        leaves: list[Leaf]
        twigs: dict[str, Twig | None]

    def fn(twig: Twig | None) -> list[Leaf]:
        raise NotImplementedError

    signature = Signature.of(fn, names=locals())
    twig = Twig([Leaf(1)], {"a": Twig([], {}), "b": None})
    assert signature.decode_args(signature.encode_args((twig,), {})) == ([twig], {})
    assert signature.decode_result(b'[{"count":2}]') == [Leaf(2)]


def test_a_local_class_whose_fields_name_what_nobody_sees_is_refused_with_advice() -> None:
    @dataclass
    class Leaf:
        count: int

    @dataclass
    class Twig:
        leaf: Leaf

    def fn(twig: Twig) -> None:
        raise NotImplementedError

    signature = Signature.of(fn, names={"Twig": Twig})
    with pytest.raises(
        InvalidInput, match=r"Twig cannot be read: name 'Leaf' is not defined.*define it at module level"
    ):
        signature.decode_args(signature.encode_args((Twig(Leaf(1)),), {}))


def test_a_name_imported_for_type_checking_only_is_refused_with_advice() -> None:
    def fn(where: Address) -> None:
        raise NotImplementedError

    with pytest.raises(InvalidInput, match=r"'Address' cannot be resolved .*TYPE_CHECKING"):
        Signature.of(fn).decode_args(b"[{}]")


def test_the_published_schema_tells_arguments_result_and_doc() -> None:
    schema = Signature.of(ship).schema()
    assert [(a["name"], a["required"], a.get("kind")) for a in schema["arguments"]] == [
        ("order", True, None),
        ("count", False, None),
        ("more", False, "variadic"),
        ("express", False, "keyword"),
        ("fees", False, "variadic_keyword"),
    ]
    assert schema["arguments"][1]["schema"] == {"type": "integer"}
    assert schema["result"]["type"] == "array"
    assert schema["doc"] == "Send it."


def test_what_a_caller_adds_to_a_schema_is_not_published_for_the_next_one() -> None:
    signature = Signature.of(ship)
    schema = signature.schema()
    schema["version"] = "of this caller"
    assert signature.schema() == Signature.of(ship).schema()


def test_a_schema_is_published_anew_when_a_name_in_it_has_come_to_be_defined() -> None:
    def fn(where: Later) -> None:  # type: ignore[name-defined]  # noqa: F821
        raise NotImplementedError

    names: dict[str, Any] = {}
    signature = Signature.of(fn, names=names)
    assert signature.schema()["arguments"][0]["schema"] == {}
    names["Later"] = int
    assert signature.schema()["arguments"][0]["schema"] == {"type": "integer"}


@pytest.mark.parametrize("annotation", [Order, Basket, dict[str, list[Item]], Parcel, Item | None, tuple[int, Line]])
def test_what_is_encoded_fits_the_published_schema(annotation: Any) -> None:
    examples: dict[Any, bytes] = {
        Order: b'{"id":"o","lines":[{"sku":"s","count":1,"price":"1"}],"note":null}',
        Basket: b'{"items":[{"price":"1","type":"red"}],"made":"2024-02-29T13:04:05Z","where":[1,"2024-01-01"]}',
        dict[str, list[Item]]: b'{"a":[{"price":"1","type":"blue"}]}',
        Parcel: b'{"colour":"red"}',
        Item | None: b"null",
        tuple[int, Line]: b'[1,{"sku":"s","count":1,"price":"1"}]',
    }

    def fn(value):  # type: ignore[no-untyped-def]
        raise NotImplementedError

    fn.__annotations__ = {"value": annotation}
    published = Signature.of(fn).schema()["arguments"][0]["schema"]
    assert published != {}
    check(msgspec.json.decode(examples[annotation]), published)


def test_types_that_no_schema_describes_are_published_as_anything() -> None:
    def fn(value: Plain, other: Missing) -> Plain:  # type: ignore[name-defined]  # noqa: F821
        raise NotImplementedError

    schema = Signature.of(fn).schema()
    assert [argument["schema"] for argument in schema["arguments"]] == [{}, {}]


def test_digests_tell_names_and_data_apart() -> None:
    assert len(digest("a", b"b")) == 8
    assert len({digest("a", b"b"), digest("ab", b""), digest("", b"ab"), digest("a", b"c")}) == 4
