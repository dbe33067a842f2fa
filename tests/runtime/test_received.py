"""Which signals a workflow's source receives, and of which types."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, Optional

import keepstep
from keepstep import receive
from keepstep import sync as blocking
from keepstep.runtime.received import received_by


@dataclass
class PickedUp:
    by: str


class Shelf:
    Kind = int


def receives(function: Any) -> dict[str, Any]:
    return received_by(inspect.getsource(function), function)


async def many_ways(order: str) -> None:
    await keepstep.receive("any")
    await receive("picked", PickedUp, timeout="2d")
    await receive(type=list[PickedUp] | None, name="list")
    await keepstep.receive("kind", Shelf.Kind)
    await keepstep.receive("map", dict[str, int])
    await keepstep.receive("old", Optional[str])  # noqa: UP045

    async def inner() -> None:
        await keepstep.receive("inner", bool)

    await inner()


def test_signals_are_found_with_their_types_however_they_are_written() -> None:
    found = receives(many_ways)
    assert list(found) == ["any", "picked", "list", "kind", "map", "old", "inner"]
    assert found["any"] == {}
    assert found["picked"]["$defs"]["PickedUp"]["properties"] == {"by": {"type": "string"}}
    assert found["list"]["anyOf"][0]["type"] == "array"
    assert (found["kind"], found["inner"]) == ({"type": "integer"}, {"type": "boolean"})
    assert found["map"] == {"type": "object", "additionalProperties": {"type": "integer"}}
    assert found["old"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}


def test_types_of_the_place_where_a_function_is_made_are_known() -> None:
    @dataclass
    class Local:
        n: int

    async def around() -> None:
        await receive("local", Local)

    assert list(receives(around)["local"]["$defs"]["Local"]["properties"]) == ["n"]


def test_a_class_and_a_sync_function_are_read_too() -> None:
    class Order:
        async def run(self) -> None:
            await self.wait()

        async def wait(self) -> None:
            await receive("go", int)

    def in_sync() -> None:
        blocking.receive("go", str)

    assert received_by(inspect.getsource(Order), Order.run) == {"go": {"type": "integer"}}
    assert receives(in_sync) == {"go": {"type": "string"}}


def called(*_: Any) -> type[Any]:
    raise AssertionError("the user's code was called")


async def hard_to_read(name: str) -> None:
    await receive(name, int)
    await receive(f"{name}!", int)
    await receive("computed", called(name))
    await receive("unknown", NoSuchThing)  # type: ignore[name-defined]  # noqa: F821
    await receive("twice", int)
    await receive("twice", str)
    self_made = {"receive": receive}
    await self_made["receive"]("hidden", int)


def test_what_cannot_be_read_is_left_out_or_may_be_anything_and_nothing_is_called() -> None:
    assert receives(hard_to_read) == {"computed": {}, "unknown": {}, "twice": {}}
    assert received_by("not python: receive(", hard_to_read) == {}
    assert received_by("\0receive", hard_to_read) == {}
