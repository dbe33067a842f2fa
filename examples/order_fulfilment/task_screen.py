"""The screen in the warehouse: shows open human tasks to the people there.

People answer a task by completing its token; here they do so by posting to its URL, as a form on a web page would.
"""

from __future__ import annotations

import asyncio

import httpx2

import keepstep

GLANCE_SECONDS = 0.2


class TaskScreen:
    """Shows every open task to the pickers, once."""

    def __init__(self, engine: keepstep.Engine, world: httpx2.AsyncClient) -> None:
        self._engine = engine
        self._world = world
        self._shown: set[str] = set()

    async def run(self) -> None:
        """Looks for new tasks until it is cancelled."""
        while True:
            tasks = {task.token: task async for task in self._engine.human_tasks()}
            self._shown &= tasks.keys()
            new = [task for token, task in tasks.items() if token not in self._shown]
            await asyncio.gather(*map(self._show, new))
            await asyncio.sleep(GLANCE_SECONDS)

    async def _show(self, task: keepstep.HumanTask) -> None:
        """Shows one task. What did not get through is shown again at the next glance."""
        order = task.title.partition(":")[0]
        answer = await self._world.post(
            "/pickers/tasks",
            json={"order": order, "title": task.title, "reply_to": task.url},
            headers={"Idempotency-Key": task.token, "Worker": "task screen"},
        )
        if answer.is_success:
            self._shown.add(task.token)
