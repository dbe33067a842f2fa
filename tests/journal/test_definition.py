"""Published definitions: what is served, known to every process."""

from __future__ import annotations

from typing import Any

from keepstep.journal import Definition
from tests.journal.scene import START, Scene


def definition(name: str, **changes: Any) -> Definition:
    fields: dict[str, Any] = {
        "namespace": "default",
        "language": "python",
        "kind": "workflow",
        "name": name,
        "queue": "q",
        "schema": b"{}",
        "code": "v1",
        "published_at": START,
    }
    return Definition(**{**fields, **changes})


async def test_definitions_are_replaced_by_name_and_listed_by_namespace(scene: Scene) -> None:
    journal, other = await scene.open(), await scene.open()
    step = definition("fulfil", kind="step")
    await journal.publish([definition("fulfil"), definition("refund"), step])
    await journal.publish([definition("fulfil", code="v2"), definition("fulfil", namespace="other")])
    listed = await other.list_definitions("default")
    assert sorted(listed, key=lambda each: (each.name, each.kind)) == [
        step,
        definition("fulfil", code="v2"),
        definition("refund"),
    ]
    assert await other.list_definitions("nowhere") == []
