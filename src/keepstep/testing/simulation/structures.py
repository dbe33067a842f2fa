"""Structures: what asyncio offers to put steps and waits together, as nodes of a generated program.

``go`` walks any node and tells what came of it; what a node needs of the engine itself (steps, sagas, children) is for
subclasses to add.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextvars import ContextVar
from typing import Any

import keepstep

place: ContextVar[str] = ContextVar("place", default="outside")


class NoLuck(Exception):
    """A program fails on purpose."""


class Structures:
    """What a run has seen, and one method for each kind of node."""

    def __init__(self) -> None:
        self.trace: list[str] = []
        self.lock = asyncio.Lock()
        self.event = asyncio.Event()

    async def go(self, node: list[Any]) -> str:
        """Walk a node and tell what came of it."""
        try:
            told = await self.plain(node)
        except NoLuck:
            told = "unlucky"
        except keepstep.StepFailed:
            told = "failed"
        except TimeoutError:
            told = "late"
        except asyncio.CancelledError:
            self.tell(f"cancelled {node[0]}")
            raise
        self.tell(f"{node[0]} {told}")
        return told

    def tell(self, what: str) -> None:
        """Note what came of a node."""
        self.trace.append(what)

    async def plain(self, node: list[Any]) -> str:
        """Without catching what it raises."""
        return str(await getattr(self, node[0])(*node[1:]))

    async def sequence(self, nodes: list[Any]) -> str:
        return " ".join([await self.go(each) for each in nodes])

    async def gather(self, nodes: list[Any]) -> str:
        return " ".join(await asyncio.gather(*(self.go(each) for each in nodes)))

    async def group(self, nodes: list[Any]) -> str:
        """A group whose members may fail.

        Up to Python 3.12 a group that has failed leaves its parent counted as cancelled, and a limit of time around it
        would then end the parent as if somebody had asked for it. Here that is set right, as later versions do.
        """
        parent = asyncio.current_task()
        assert parent is not None
        cancels = parent.cancelling()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self.plain(each)) for each in nodes]
        except ExceptionGroup as errors:
            if errors.split((keepstep.StepFailed, TimeoutError, NoLuck, ExceptionGroup))[1] is not None:
                raise
            while parent.cancelling() > cancels:
                parent.uncancel()
            return f"group of {len(errors.exceptions)}"
        return " ".join(each.result() for each in tasks)

    async def race(self, nodes: list[Any]) -> str:
        tasks = [asyncio.create_task(self.go(each)) for each in nodes]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        return " ".join(each.result() for each in done)

    async def completed(self, nodes: list[Any]) -> str:
        return " ".join([await each for each in asyncio.as_completed([self.go(each) for each in nodes])])

    async def timeout(self, seconds: float, node: list[Any]) -> str:
        async with asyncio.timeout(seconds):
            return await self.go(node)

    async def wait_for(self, seconds: float, node: list[Any]) -> str:
        return await asyncio.wait_for(self.go(node), seconds)

    async def shielded(self, seconds: float, node: list[Any]) -> str:
        inner = asyncio.ensure_future(self.go(node))
        try:
            return await asyncio.wait_for(asyncio.shield(inner), seconds)
        except TimeoutError:
            return f"shielded {await inner}"

    async def locked(self, node: list[Any]) -> str:
        async with self.lock:
            return await self.go(node) if node[0] in ("step", "sleep") else "not under a lock"

    async def finally_(self, node: list[Any], last: list[Any]) -> str:
        try:
            return await self.go(node)
        finally:
            await self.go(last)

    async def generator(self, nodes: list[Any]) -> str:
        async def walk() -> Any:
            for each in nodes:
                yield await self.go(each)

        told = []
        async for each in walk():
            told.append(each)
            if each == "failed":
                break
        return " ".join(told)

    async def cancelled(self, seconds: float, node: list[Any]) -> str:
        """What a task says that is cancelled by another one."""
        task = asyncio.create_task(self.go(node))
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.wait([task])
        return "cancelled" if task.cancelled() else f"too late {task.result()}"

    async def declining(self, node: list[Any]) -> str:
        """Declines to be cancelled, once."""
        try:
            return await self.go(node)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            assert task is not None
            task.uncancel()
            return f"declined {await self.go(node)}"

    async def pipeline(self, nodes: list[Any]) -> str:
        queue: asyncio.Queue[str] = asyncio.Queue(1)
        told: list[str] = []

        async def consume() -> None:
            while True:
                told.append(await queue.get())
                await asyncio.sleep(0.25)
                queue.task_done()

        consumers = [asyncio.create_task(consume()) for _ in range(2)]
        try:
            for each in nodes:
                await queue.put(await self.go(each))
            await queue.join()
        finally:
            for task in consumers:
                task.cancel()
        return " ".join(told)

    async def meeting(self, nodes: list[Any]) -> str:
        barrier, condition, semaphore = asyncio.Barrier(len(nodes)), asyncio.Condition(), asyncio.Semaphore(2)
        arrived: list[str] = []

        async def come(node: list[Any]) -> None:
            async with semaphore:
                told = await self.go(node)
            async with condition:
                arrived.append(told)
                condition.notify_all()
                await condition.wait_for(lambda: len(arrived) >= len(nodes) // 2)
            await barrier.wait()

        await asyncio.gather(*(come(each) for each in nodes))
        return " ".join(arrived)

    async def extended(self, seconds: float, node: list[Any]) -> str:
        """A limit that a timer of the loop puts off."""
        async with asyncio.timeout(seconds + 0.5) as limit:
            later = asyncio.get_running_loop().call_later(
                seconds, lambda: limit.reschedule(asyncio.get_running_loop().time() + 2)
            )
            try:
                return await self.go(node)
            finally:
                later.cancel()

    async def within(self, node: list[Any], last: list[Any]) -> str:
        """A context manager, a context variable, and a generator that is closed while it waits."""

        @contextlib.asynccontextmanager
        async def manager() -> Any:
            token = place.set(f"{place.get()}.")
            try:
                yield place.get()
            finally:
                place.reset(token)
                await self.go(last)

        async with manager() as depth:
            return f"{depth} {await self.go(node)} {place.get()}"

    async def patient(self, seconds: float, nodes: list[Any]) -> str:
        """A generator each of whose values has its own limit."""

        async def walk() -> Any:
            for each in nodes:
                yield await self.go(each)

        told = []
        async with contextlib.aclosing(walk()) as walking:
            with contextlib.suppress(StopAsyncIteration):
                while True:
                    told.append(await asyncio.wait_for(anext(walking), seconds))
        return " ".join(told)
