"""Published: what workers have told of the workflows that they serve, for clients that do not have their code."""

from __future__ import annotations

from typing import Any

import msgspec

from keepstep.journal import Definition, Journal

KEEP_SECONDS = 5.0
"""How old an answer may be; a deploy is seen after so long."""


class Published:
    """The published workflows of a namespace, read again from time to time."""

    def __init__(self, journal: Journal, namespace: str) -> None:
        self._journal = journal
        self._namespace = namespace
        self._known: dict[str, Definition] = {}
        self._read_at: float | None = None

    async def workflows(self) -> dict[str, Definition]:
        """All of them, by name."""
        now = self._journal.clock.monotonic()
        if self._read_at is None or now - self._read_at > KEEP_SECONDS:
            definitions = await self._journal.list_definitions(self._namespace)
            self._known = {each.name: each for each in definitions if each.kind == "workflow"}
            self._read_at = now if self._known else None
        return self._known

    async def find(self, name: str) -> Definition | None:
        """The workflow of that name, if a worker has published it."""
        return (await self.workflows()).get(name)


def schema_of(definition: Definition) -> dict[str, Any]:
    """What is published of a definition's arguments, result and timeout."""
    schema: dict[str, Any] = msgspec.json.decode(definition.schema)
    return schema


def timeout_of(definition: Definition) -> float | None:
    """The workflow's own timeout in seconds."""
    seconds: float | None = schema_of(definition).get("timeout_seconds")
    return seconds
