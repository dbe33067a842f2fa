"""Corners of what can be written as JSON, and of what is said about what cannot."""

from __future__ import annotations

import inspect
from collections import deque
from typing import Any

import msgspec
import pytest

from keepstep import InvalidInput
from keepstep.runtime.data import describe, encode, encode_failure, reader
from keepstep.runtime.data.codec import type_name
from keepstep.runtime.data.failure import _is_kept
from keepstep.runtime.data.schema import Misfit, check, schema_of


class Celsius(float):
    """A number of the user's own."""


class Tags(deque[str]):
    """A queue of the user's own."""


class Nothing:
    """A class that JSON knows nothing of."""


@pytest.mark.parametrize(
    ("value", "type_"),
    [(Celsius(21.5), Celsius), (Tags(["a", "b"]), Tags), (deque([1, 2]), deque[int])],
)
def test_subclasses_of_plain_types_come_back_as_what_they_were(value: Any, type_: Any) -> None:
    again = reader(type_)(encode(value))
    assert again == value
    assert type(again) is type(value)


def test_what_json_does_not_know_is_named() -> None:
    with pytest.raises(InvalidInput, match="Nothing"):
        encode(Nothing())
    with pytest.raises(InvalidInput, match="Nothing"):
        reader(Nothing)(b"1")


def test_types_are_called_what_people_call_them() -> None:
    assert type_name(inspect.Parameter.empty) == "any JSON"
    assert type_name(list[int]) == "list[int]"
    assert type_name(Nothing) == "Nothing"
    assert type_name(int | None) == "int | None"


def nested(depth: int) -> Any:
    value: Any = "end"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "is_kept"),
    [
        (nested(15), True),
        (nested(30), False),
        ({"a": [1, None, True]}, True),
        ({1: "a"}, False),
        (float("nan"), False),
        ("x" * 100_000, False),
        ("\ud800", False),
    ],
)
def test_only_plain_data_of_moderate_size_travels_with_an_error(value: Any, is_kept: bool) -> None:
    assert _is_kept(value) is is_kept


class Unprintable(Exception):
    """An error that breaks whoever looks at it."""

    def __str__(self) -> str:
        raise RuntimeError("cannot be told")


def test_an_error_that_cannot_be_told_is_recorded_all_the_same() -> None:
    failure = describe(Unprintable("x"))
    assert failure.type.endswith("Unprintable")
    assert encode_failure(failure)


class Chosen(msgspec.Struct, tag="chosen"):
    deep: dict[str, list[int]]


class Other(msgspec.Struct, tag="other"):
    name: str


def test_of_several_alternatives_the_one_that_went_furthest_is_told_about() -> None:
    with pytest.raises(Misfit, match=r"\.a\[1\]: expected integer|\['a'\]\[1\]: expected integer"):
        check({"a": [1, "x"]}, schema_of(dict[str, list[int]] | None))
    with pytest.raises(Misfit, match="expected integer or null"):
        check("x", schema_of(int | None))


class WithGap(msgspec.Struct):
    given: int
    left_out: int | msgspec.UnsetType = msgspec.UNSET


def test_what_was_left_out_is_passed_over_where_a_fault_is_looked_for() -> None:
    assert reader(WithGap)(encode(WithGap(1))).left_out is msgspec.UNSET
    with pytest.raises(InvalidInput):
        encode(WithGap(Nothing()))  # type: ignore[arg-type]
