"""A run that only listens: to signals, queries and updates, until it hears "end"."""

from __future__ import annotations

import keepstep
from keepstep import workflow


@workflow
class Dweller:
    def __init__(self) -> None:
        self.heard: list[str] = []

    async def run(self) -> list[str]:
        await keepstep.wait_for(lambda: "end" in self.heard)
        return self.heard

    @keepstep.signal
    def hear(self, what: str) -> None:
        self.heard.append(what)

    @keepstep.query
    def so_far(self) -> list[str]:
        return self.heard

    @keepstep.update
    def add(self, what: str) -> int:
        self.heard.append(what)
        return len(self.heard)
