"""Clerk: cancels several runs by one word, and says it again with the same id until it is acknowledged."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta

from keepstep.client.engine import Engine

from .asking import Asking
from .fleet import Fleet
from .record import BulkCancel
from .trace import Trace

BEGIN_SECONDS, TARGETS_MAX, BULKS_MAX = 8.0, 4, 2
AGAIN = 0.5
"""Of the bulks, those that are said again by somebody who does not know that they were heard."""


class Clerk:
    """See the module's docstring."""

    def __init__(self, fleet: Fleet, seed: str, trace: Trace) -> None:
        self._fleet = fleet
        self._chance = random.Random(f"{seed}/clerk")
        self._ask = Asking(fleet, self._chance).ask
        self._trace = trace

    async def visit(self) -> None:
        """All that this clerk does."""
        await asyncio.gather(*(self._cancel(n) for n in range(self._chance.randint(1, BULKS_MAX))))

    async def _cancel(self, number: int) -> None:
        await asyncio.sleep(self._chance.random() * BEGIN_SECONDS)
        starts = [each for each in self._fleet.record.starts.values() if each.is_acknowledged]
        chosen = self._chance.sample(starts, min(len(starts), self._chance.randint(1, TARGETS_MAX)))
        if not chosen:
            return
        for each in chosen:
            each.is_to_be_ended = True
        bulk = BulkCancel(f"bulk-{number}", [each.workflow_id for each in chosen], self._fleet.now())
        self._fleet.record.bulks.append(bulk)
        names = ", ".join(f"'{each}'" for each in bulk.targets)
        began_at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=bulk.asked)

        async def cancel(engine: Engine) -> None:
            report = await engine.bulk.cancel(f"WorkflowId IN ({names})", id=bulk.id, began_at=began_at)
            bulk.told, bulk.refused = bulk.told or self._fleet.now(), bulk.refused + report.refused

        await self._ask(cancel)
        if self._chance.random() < AGAIN:
            await self._ask(cancel)
        self._trace(f"the clerk has cancelled: {bulk}")
