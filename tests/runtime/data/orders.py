"""Types such as users write, for the tests of typed JSON."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, Generic, NamedTuple, TypedDict, TypeVar
from uuid import UUID

import attrs
import msgspec
import pydantic
import pydantic.dataclasses

T = TypeVar("T")
Read = Callable[[bytes], Any]


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


@dataclass(frozen=True)
class Line:
    sku: str
    count: int
    price: Decimal


@dataclass
class Order:
    id: str
    lines: list[Line] = field(default_factory=list)
    note: str | None = None


@dataclass
class Small:
    id: str
    count: int
    weight: float


@dataclass
class Everything:
    number: int
    share: float
    price: Decimal
    raw: bytes
    uid: UUID
    day: date
    moment: datetime
    clock: time
    length: timedelta
    colour: Colour
    level: Level
    tags: set[str]
    ids: frozenset[int]
    pair: tuple[int, str]
    many: tuple[date, ...]
    by_day: dict[date, int]
    by_number: dict[int, str]
    by_uid: dict[UUID, bytes]
    by_colour: dict[Colour, float]
    lines: list[Line]
    maybe: Line | None


@dataclass
class Box(Generic[T]):
    content: T


@dataclass
class Tree:
    name: str
    children: "list[Tree]" = field(default_factory=list)


class Point(NamedTuple):
    x: int
    day: date


class Parcel(TypedDict, total=False):
    weight: Decimal
    colour: Colour


class Cat(msgspec.Struct, tag=True):
    lives: int


class Dog(msgspec.Struct, tag=True):
    name: str


@attrs.define
class Address:
    street: str
    since: date


@attrs.define
class Hidden:
    street: str
    _secret: int = 1


class Item(pydantic.BaseModel):
    price: Decimal
    kind: Colour = pydantic.Field(default=Colour.RED, alias="type")


class Basket(pydantic.BaseModel):
    items: list[Item]
    made: datetime
    where: Point | None = None


class Other(pydantic.BaseModel):
    other: int


class Weighed(pydantic.BaseModel):
    weight: float


@pydantic.dataclasses.dataclass
class Checked:
    count: int = pydantic.Field(gt=0)
    raw: bytes = b""


@dataclass
class Delivery:
    basket: Basket
    more: dict[str, list[Item]]


class Word(str):
    """A subclass of text."""


class Plain:
    """A class that is no data."""
