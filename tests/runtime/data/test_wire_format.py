"""The bytes that values have had since version 0.1. A line here may be added, never changed: histories hold them."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from keepstep.journal import Payload, seal, unseal
from keepstep.runtime.data import Signature, decoder, digest, encode
from keepstep.runtime.data.failure import Failure, decode_failure, encode_failure

from .orders import (
    Address,
    Basket,
    Box,
    Cat,
    Checked,
    Colour,
    Dog,
    Item,
    Level,
    Line,
    Order,
    Parcel,
    Point,
    Tree,
    Word,
)

UID = UUID("0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b")
MOMENT = datetime(2024, 2, 29, 13, 4, 5, 600, UTC)

VALUES: list[tuple[Any, Any, bytes]] = [
    (Any, None, b"null"),
    (bool, True, b"true"),
    (int, -7, b"-7"),
    (int, 2**70, b"1180591620717411303424"),
    (float, 1.0, b"1.0"),
    (float, 0.1, b"0.1"),
    (float, 1e300, b"1e300"),
    (str, 'é"\n\u2028', b'"\xc3\xa9\\"\\n\xe2\x80\xa8"'),
    (bytes, b"\x00\xff\x10", b'"AP8Q"'),
    (Decimal, Decimal("1.10"), b'"1.10"'),
    (Decimal, Decimal("-1E+30"), b'"-1E+30"'),
    (Decimal, Decimal("Infinity"), b'"Infinity"'),
    (UUID, UID, b'"0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"'),
    (date, date(2024, 2, 29), b'"2024-02-29"'),
    (datetime, MOMENT, b'"2024-02-29T13:04:05.000600Z"'),
    (datetime, MOMENT.replace(tzinfo=None), b'"2024-02-29T13:04:05.000600"'),
    (datetime, MOMENT.replace(tzinfo=timezone(timedelta(hours=-3))), b'"2024-02-29T13:04:05.000600-03:00"'),
    (time, time(1, 2, 3), b'"01:02:03"'),
    (timedelta, timedelta(days=1, microseconds=5), b'"P1DT0.000005S"'),
    (timedelta, timedelta(seconds=-1), b'"-PT1S"'),
    (Colour, Colour.BLUE, b'"blue"'),
    (Level, Level.HIGH, b"2"),
    (Word, Word("w"), b'"w"'),
    (list[int], [1, 2], b"[1,2]"),
    (tuple[int, str], (1, "a"), b'[1,"a"]'),
    (set[str], {"b", "c", "a"}, b'["a","b","c"]'),
    (frozenset[int], frozenset({3, 1, 2}), b"[1,2,3]"),
    (dict[str, int], {"b": 1, "a": 2}, b'{"b":1,"a":2}'),
    (dict[int, str], {2: "b", 1: "a"}, b'{"2":"b","1":"a"}'),
    (dict[date, bytes], {date(2024, 1, 1): b"x"}, b'{"2024-01-01":"eA=="}'),
    (dict[Colour, int], {Colour.RED: 1}, b'{"red":1}'),
    (
        Order,
        Order("o", [Line("s", 2, Decimal("9.90"))]),
        b'{"id":"o","lines":[{"sku":"s","count":2,"price":"9.90"}],"note":null}',
    ),
    (Box[date], Box(date(2024, 1, 1)), b'{"content":"2024-01-01"}'),
    (Tree, Tree("a", [Tree("b")]), b'{"name":"a","children":[{"name":"b","children":[]}]}'),
    (Point, Point(1, date(2024, 1, 1)), b'[1,"2024-01-01"]'),
    (Parcel, Parcel(colour=Colour.RED), b'{"colour":"red"}'),
    (Cat | Dog, Dog("d"), b'{"type":"Dog","name":"d"}'),
    (Address, Address("s", date(2024, 1, 1)), b'{"since":"2024-01-01","street":"s"}'),
    (Item, Item(price=Decimal("1.10"), type=Colour.BLUE), b'{"price":"1.10","type":"blue"}'),
    (Checked, Checked(3, b"x"), b'{"count":3,"raw":"eA=="}'),
    (
        Basket,
        Basket(items=[Item(price=Decimal(1))], made=MOMENT),
        b'{"items":[{"price":"1","type":"red"}],"made":"2024-02-29T13:04:05.000600Z","where":null}',
    ),
]


@pytest.mark.parametrize(("annotation", "value", "data"), VALUES, ids=[str(n) for n in range(len(VALUES))])
def test_a_value_has_the_bytes_that_it_always_had(annotation: Any, value: Any, data: bytes) -> None:
    assert encode(value) == data
    assert decoder(annotation)(data) == value
    assert seal(Payload(content=data)) == data
    assert unseal(data).content == data


def called(order: Order, count: int = 1, *more: int, day: date | None = None, **others: Decimal) -> None:
    """Takes everything."""


CALLS: list[tuple[tuple[Any, ...], dict[str, Any], bytes]] = [
    ((Order("o"),), {}, b'[{"id":"o","lines":[],"note":null}]'),
    ((Order("o"), 2, 3, 4), {}, b'[{"id":"o","lines":[],"note":null},2,3,4]'),
    ((), {"count": 5, "order": Order("o")}, b'[{"id":"o","lines":[],"note":null},5]'),
    (
        (Order("o"),),
        {"z": Decimal("1"), "day": date(2024, 1, 1), "a": Decimal("2.0")},
        b'{"args":[{"id":"o","lines":[],"note":null}],"kwargs":{"day":"2024-01-01","a":"2.0","z":"1"}}',
    ),
]


@pytest.mark.parametrize(("args", "kwargs", "data"), CALLS)
def test_a_call_has_the_bytes_that_it_always_had(args: tuple[Any, ...], kwargs: dict[str, Any], data: bytes) -> None:
    signature = Signature.of(called)
    assert signature.encode_args(args, kwargs) == data
    bound = signature.signature.bind(*args, **kwargs)
    assert signature.decode_args(data) == (list(bound.args), bound.kwargs)


def test_a_call_with_an_argument_left_out_before_a_given_one_names_the_given_one() -> None:
    def fn(a: int, b: object = object(), c: int = 3) -> None: ...

    assert Signature.of(fn).encode_args((1,), {"c": 5}) == b'{"args":[1],"kwargs":{"c":5}}'
    assert Signature.of(fn).encode_args((), {"a": 1}) == b"[1]"


def test_nothing_at_all_is_null_or_an_empty_array() -> None:
    def fn() -> None: ...

    assert Signature.of(fn).encode_args((), {}) == b"[]"
    assert decoder(int | None)(b"") is None


def test_digests_are_what_they_were() -> None:
    assert digest("charge", b"[1]").hex() == "bbb7f7f706a63b69"
    assert digest("charg", b"e[1]").hex() == "b3cbb85ec4d80ffb"


def test_a_failure_has_the_bytes_that_it_always_had() -> None:
    failure = Failure(
        type="Declined",
        module="shop",
        message="no",
        traceback="t",
        args=["no", 3],
        attributes={"code": 5},
        notes=["n"],
        cause=Failure(type="KeyError", module="builtins", message="'a'", args=["a"]),
    )
    data = (
        b'{"type":"Declined","module":"shop","message":"no","traceback":"t","args":["no",3],"attributes":{"code":5},'
        b'"notes":["n"],"cause":{"type":"KeyError","module":"builtins","message":"\'a\'","args":["a"]}}'
    )
    assert encode_failure(failure) == data
    assert decode_failure(data) == failure


def test_an_older_decoder_of_failures_ignores_members_of_later_versions() -> None:
    assert decode_failure(b'{"type":"A","module":"m","message":"","later":1}') == Failure(
        type="A", module="m", message=""
    )


def test_reads_need_not_be_of_our_writing() -> None:
    read: Callable[[bytes], Any] = decoder(Order)
    assert read(b' { "note" : "n", "lines" : [ ] , "id":"\\u006f", "unknown": 1 }') == Order("o", [], "n")
