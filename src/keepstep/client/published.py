"""Published: what workers have told of the workflows that they serve, for clients that do not have their code."""

from __future__ import annotations

from typing import Any

import msgspec

from keepstep.journal import Definition, InvalidInput, Journal
from keepstep.runtime.registry import ANY

KEEP_SECONDS = 5.0
"""How old an answer may be; a deploy is seen after so long, a new workflow at once."""


class Published:
    """The published definitions of a namespace, read again from time to time."""

    def __init__(self, journal: Journal, namespace: str) -> None:
        self._journal = journal
        self._namespace = namespace
        self._known: dict[tuple[str, str], Definition] = {}
        self._read_at: float | None = None

    @property
    def value_bytes_max(self) -> int:
        """What one value may have on its way to who has published."""
        return self._journal.value_bytes_max

    async def workflows(self) -> dict[str, Definition]:
        """All workflows, by name."""
        now = self._journal.clock.monotonic()
        if self._read_at is None or now - self._read_at > KEEP_SECONDS:
            await self._read()
        return self._of_kind("workflow")

    async def find(self, name: str) -> Definition | None:
        """The workflow of that name; None while no worker has published anything.

        Raises ``InvalidInput`` for a name that is not among the published ones.
        """
        if name in (known := await self.workflows()):
            return known[name]
        await self._read()
        if name in (known := self._of_kind("workflow")):
            return known[name]
        if ANY in known:
            return known[ANY]
        if known:
            names = ", ".join(sorted(known))
            raise InvalidInput(f"no worker has published a workflow {name!r}; known are: {names}")
        return None

    async def find_step(self, name: str) -> Definition | None:
        """The step of that name, if a worker has published it."""
        await self.workflows()
        return self._known.get(("step", name))

    async def _read(self) -> None:
        definitions = await self._journal.list_definitions(self._namespace)
        self._known = {(each.kind, each.name): each for each in definitions}
        self._read_at = self._journal.clock.monotonic()

    def _of_kind(self, kind: str) -> dict[str, Definition]:
        return {name: each for (its_kind, name), each in self._known.items() if its_kind == kind}


def schema_of(definition: Definition) -> dict[str, Any]:
    """What is published of a definition's arguments, result and timeout."""
    schema: dict[str, Any] = msgspec.json.decode(definition.schema)
    return schema


def timeout_of(definition: Definition) -> float | None:
    """The workflow's own timeout in seconds."""
    seconds: float | None = schema_of(definition).get("timeout_seconds")
    return seconds
