"""A class that typed JSON does not know is taught once, and may then stand wherever a known one may."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import msgspec
import pydantic
import pytest

import keepstep
from keepstep import Engine, InvalidInput, step, workflow
from keepstep.runtime.data import converters, decoder, encode, encode_value, versions
from keepstep.runtime.data.schema import Misfit, check, schema_of
from tests.runtime.crashing import crash_at_every_commit


class Point:
    """Somebody else's class."""

    def __init__(self, x: int, y: int) -> None:
        self.place = x, y

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and self.place == other.place

    def __hash__(self) -> int:
        return hash(self.place)

    def __repr__(self) -> str:
        return f"Point{self.place}"


class Sealed:
    """Bytes that only their class understands."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.content == other.content

    def __hash__(self) -> int:
        return hash(self.content)


class Letter(Sealed):
    """One of several."""


class Crowd:
    """It is written as a set, whose order is that of no process."""

    def __init__(self, names: set[str]) -> None:
        self.names = names

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Crowd) and self.names == other.names

    def __hash__(self) -> int:
        return hash(frozenset(self.names))


class Stubborn:
    """Its converter does what it should not."""

    def __init__(self, made: Any) -> None:
        self.made = made


@dataclass
class Inside:
    text: str


class Outside:
    """It is written as a class that has versions."""

    def __init__(self, text: str) -> None:
        self.text = text


def made_by(value: Stubborn) -> Any:
    if isinstance(value.made, Exception):
        raise value.made
    return value.made


@pytest.fixture(autouse=True)
def taught() -> Iterator[None]:
    before, known = dict(converters.CONVERTERS), dict(versions.VERSIONED)
    keepstep.converter(Point, encode=lambda point: list(point.place), decode=lambda it: Point(*it), wire=list[int])
    keepstep.converter(
        Sealed, encode=lambda it: it.content, decode=lambda data, kind: kind(data), wire=bytes, subclasses=True
    )
    keepstep.converter(Crowd, encode=lambda crowd: {"names": crowd.names}, decode=lambda it: Crowd(set(it["names"])))
    keepstep.converter(Stubborn, encode=made_by, decode=lambda it: it)
    keepstep.converter(Outside, encode=lambda it: Inside(it.text), decode=lambda it: Outside(it.text), wire=Inside)
    yield
    converters.CONVERTERS.clear()
    converters.CONVERTERS.update(before)
    converters._find.cache_clear()
    versions.VERSIONED.clear()
    versions.VERSIONED.update(known)
    for forget in converters.FORGETS:
        forget()


@dataclass
class Trip:
    stops: list[Point]
    letters: dict[str, Letter] = field(default_factory=dict)
    back: Point | None = None


class Legs(NamedTuple):
    first: Point
    other: tuple[Point, ...]


class Shipped(msgspec.Struct, tag=True):
    at: Point


class Lost(msgspec.Struct, tag=True):
    near: Point


@pytest.mark.parametrize(
    ("value", "type_", "text"),
    [
        (Point(1, 2), Point, b"[1,2]"),
        (Sealed(b"\x00\xff"), Sealed, b'"AP8="'),
        (Letter(b"a"), Letter, b'"YQ=="'),
        ([Point(1, 2), Point(3, 4)], list[Point], b"[[1,2],[3,4]]"),
        ({"a": [Point(1, 2)]}, dict[str, list[Point]], b'{"a":[[1,2]]}'),
        (None, Point | None, b"null"),
        (Trip([Point(1, 2)], {"x": Letter(b"a")}), Trip, b'{"stops":[[1,2]],"letters":{"x":"YQ=="},"back":null}'),
        (Legs(Point(1, 2), (Point(3, 4),)), Legs, b"[[1,2],[[3,4]]]"),
        (Lost(Point(1, 2)), Shipped | Lost, b'{"type":"Lost","near":[1,2]}'),
        ({Point(3, 4), Point(1, 2)}, set[Point], b"[[1,2],[3,4]]"),
        (Crowd({"d", "b", "c", "a"}), Crowd, b'{"names":["a","b","c","d"]}'),
        (Outside("in"), Outside, None),
    ],
)
def test_a_taught_class_comes_back_wherever_it_stands(value: Any, type_: Any, text: bytes | None) -> None:
    data = encode(value)
    again = decoder(type_)(data)
    assert type(again) is type(value)
    assert again == value if text is not None else again.text == value.text
    assert data == text or text is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [Stubborn(ValueError("no"))]}, r"the value \['a'\]\[0\] of type Stubborn .*its converter failed.*no"),
        (Stubborn(None), "made None of it"),
        (Stubborn(float("nan")), "what the converter of Stubborn made is nan"),
        (Stubborn(object()), "what the converter of Stubborn made of type object"),
    ],
)
def test_a_converter_that_fails_is_named_with_the_place(value: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        encode(value)


@pytest.mark.parametrize(
    ("data", "type_", "message"),
    [
        (b'[[1,2],[3,"x"]]', list[Point], r"expected list\[.*Point\]: Expected `int`, got `str` at \[1\]"),
        (b"[1]", Point, "the converter of Point failed: TypeError"),
        (b"5", Stubborn, "the converter of Stubborn made a int"),
        (b'"?"', Letter, "Letter"),
    ],
)
def test_what_a_converter_cannot_read_is_told(data: bytes, type_: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        decoder(type_)(data)


class Model(pydantic.BaseModel):
    text: str


class Named(str):
    """Text."""


@pytest.mark.parametrize("kind", [Trip, Legs, Shipped, Model, Named, dict, PurePosixPath, list[int], "Point", object])
def test_what_is_known_cannot_be_taught(kind: Any) -> None:
    with pytest.raises(InvalidInput, match=r"typed JSON already|takes a class"):
        keepstep.converter(kind, encode=str, decode=kind)


def test_a_class_has_one_converter() -> None:
    with pytest.raises(InvalidInput, match="has a converter already"):
        keepstep.converter(Point, encode=str, decode=Point, wire=str)
    with pytest.raises(InvalidInput, match="needs functions"):
        keepstep.converter(Point, encode=None, decode=Point)  # type: ignore[arg-type]


def test_a_class_that_nobody_has_taught_is_refused_with_what_to_do() -> None:
    class Untaught:
        pass

    with pytest.raises(InvalidInput, match=r"keepstep\.converter"):
        encode(Untaught())


def test_its_schema_is_that_of_what_is_written() -> None:
    schema = schema_of(Trip)
    check({"stops": [[1, 2]], "letters": {"a": "YQ=="}}, schema)
    with pytest.raises(Misfit, match="integer"):
        check({"stops": [["x", 2]]}, schema)
    outside = schema_of(list[Outside])
    check([{"text": "a"}], outside)
    with pytest.raises(Misfit, match="text"):
        check([{}], outside)
    assert schema_of(Stubborn) == {}


def test_classes_with_versions_inside_of_it_are_brought_up() -> None:
    old = encode_value(Outside("old"))
    keepstep.upcast(Inside, 1)(lambda data: {"text": data["text"] + " and brought up"})
    new = encode_value([Outside("new")])
    assert decoder(Outside)(old).text == "old and brought up"
    assert decoder(list[Outside])(new)[0].text == "new"


@step
async def turn_point(point: Point) -> Point:
    x, y = point.place
    return Point(-y, x)


@workflow
async def travel_by_points(trip: Trip) -> list[Point]:
    turned = [await turn_point(stop) for stop in trip.stops]
    return [*turned, await keepstep.receive("last", Point)]


def test_runs_carry_taught_classes_through_a_crash_at_every_commit() -> None:
    async def program(engine: Engine) -> list[Point]:
        run = await engine.start(travel_by_points, Trip([Point(1, 0), Point(0, 1)]), id="trip")
        try:
            await run.signal("last", Point(5, 5), id="once")
        except keepstep.RunClosed:
            pass
        return await run.result()

    def check_points(result: list[Point], crashes: int) -> None:
        assert result == [Point(0, 1), Point(-1, 0), Point(5, 5)]

    assert crash_at_every_commit(program, check_points) >= 6
