"""The screen in the warehouse: shows open human tasks to the people there.

People answer a task by completing its token; here they do so by posting to its URL, as a form on a web page would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container

import httpx2

import keepstep

GLANCE_SECONDS = 0.2


class TaskScreen:
    """Shows every open task to the pickers, once."""

    def __init__(self, engine: keepstep.Engine, world: httpx2.AsyncClient, orders: Container[str]) -> None:
        self._engine = engine
        self._world = world
        self._orders = orders
        """Whose tasks are shown; the database may hold others."""
        self._shown: set[str] = set()

    async def run(self) -> None:
        """Looks for new tasks until it is cancelled."""
        while True:
            tasks = {task.token: task async for task in self._engine.human_tasks()}
            self._shown &= tasks.keys()
            new = [task for token, task in tasks.items() if token not in self._shown and _order(task) in self._orders]
            await asyncio.gather(*map(self._show, new))
            await asyncio.sleep(GLANCE_SECONDS)

    async def _show(self, task: keepstep.HumanTask) -> None:
        """Shows one task. What did not get through is shown again at the next glance."""
        answer = await self._world.post(
            "/pickers/tasks",
            json={"order": _order(task), "title": task.title, "reply_to": task.url},
            headers={"Idempotency-Key": task.token, "Worker": "task screen"},
        )
        if answer.is_success:
            self._shown.add(task.token)


def _order(task: keepstep.HumanTask) -> str:
    return task.title.partition(":")[0]
