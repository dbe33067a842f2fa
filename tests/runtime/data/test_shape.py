"""What a type is made of, where versions of classes are looked for in it, and changed in what was written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, NewType, TypeVar

import msgspec
import pytest

from keepstep.journal import InvalidInput
from keepstep.runtime.data import decoder, upcast, versions

T = TypeVar("T")
S = TypeVar("S")


@dataclass
class Coin:
    """Version 2: had ``worth``."""

    cents: int


Bounded = TypeVar("Bounded", bound=Coin)
Money = NewType("Money", Coin)


@dataclass
class Box(Generic[T]):
    inside: T


@dataclass
class Crate(Generic[S]):
    """Its type variable is handed on to a class whose own has another name."""

    box: Box[list[S]]
    lid: Literal["open", "shut"] = "shut"


@dataclass
class Purse(Generic[Bounded]):
    coin: Bounded


class Row(msgspec.Struct, array_like=True, tag="row"):
    name: str
    coin: Coin


@pytest.fixture(autouse=True)
def coins_of_version_two() -> Iterator[None]:
    versions.VERSIONED.clear()
    upcast(Coin, 1)(lambda data: {"cents": data["worth"] * 100})
    yield
    versions.VERSIONED.clear()


@pytest.mark.parametrize(
    ("annotation", "written", "expected"),
    [
        (Crate[Coin], b'{"box":{"inside":[{"worth":2}]}}', Crate(Box([Coin(200)]))),
        (Box[Crate[Coin]], b'{"inside":{"box":{"inside":[{"worth":2}]}}}', Box(Crate(Box([Coin(200)])))),
        (Purse, b'{"coin":{"worth":2}}', Purse(Coin(200))),
        (list[Annotated[Money, msgspec.Meta(description="a coin")]], b'[{"worth":3}]', [Coin(300)]),
        (tuple[str, Money], b'["a",{"worth":3}]', ("a", Coin(300))),
        (list[Row | None], b'[["row","a",{"worth":1}],null]', [Row("a", Coin(100)), None]),
        (Box, b'{"inside":{"worth":1}}', Box({"worth": 1})),
    ],
)
def test_a_class_is_found_wherever_it_stands(annotation: Any, written: bytes, expected: Any) -> None:
    assert decoder(annotation)(written) == expected


def test_only_classes_have_versions() -> None:
    with pytest.raises(InvalidInput, match=r"upcast takes a class and a version, not list\[int\]"):
        upcast(list[int], 1)


def test_two_classes_of_one_name_cannot_both_have_versions() -> None:
    other = type("Coin", (), {"__module__": "another.place"})
    with pytest.raises(InvalidInput, match=r"two classes with versions are named Coin.*another\.place; rename one"):
        upcast(other, 1)(lambda data: data)
