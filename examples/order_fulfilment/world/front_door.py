"""The front door: every request passes here, is written down, meets its fault, and is answered once for each key."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import msgspec

from .books import Books
from .mischief import Fault, Mischief
from .plan import Plan
from .request import Answer, Asked, Department

Sleep = Callable[[float], Awaitable[None]]


class Caller(msgspec.Struct, frozen=True):
    """Who asks: under which idempotency key, for the how manyth time, and which worker it is."""

    key: str
    attempt: int = 1
    worker: str = ""


class FrontDoor:
    """Stands between the wire and the departments."""

    def __init__(
        self,
        books: Books,
        mischief: Mischief,
        plan: Plan,
        departments: dict[str, Department],
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._books = books
        self._mischief = mischief
        self._plan = plan
        self._departments = departments
        self._sleep = sleep
        self.requests_open: Counter[str] = Counter()
        """How many requests of each worker are being worked on."""

    async def handle(self, endpoint: str, asked: Asked, caller: Caller) -> Answer:
        """Answers one request, as well or as badly as mischief has it."""
        self.requests_open[caller.worker] += 1
        try:
            return await self._handle(endpoint, asked, caller)
        finally:
            self.requests_open[caller.worker] -= 1

    async def _handle(self, endpoint: str, asked: Asked, caller: Caller) -> Answer:
        nth = self._books.count_request(endpoint, asked.order)
        fault = self._mischief.fault(endpoint, asked.order, nth)
        if fault is Fault.SLOW:
            await self._sleep(self._mischief.seconds(self._plan.slow, endpoint, asked.order))
        answer = self._answer(endpoint, asked, caller, fault)
        if fault is Fault.LATE:
            await self._sleep(self._plan.late)
        return answer

    def _answer(self, endpoint: str, asked: Asked, caller: Caller, fault: Fault) -> Answer:
        """Does the work and writes it down, in one transaction: the books never know half of it."""
        with self._books.together():
            answer = Answer(500, {}, had_effect=False) if fault is Fault.ERROR else self._once(endpoint, asked, caller)
            if fault is Fault.BROKEN:
                answer = Answer(500, {}, had_effect=answer.had_effect)
            self._books.add_request(
                endpoint,
                asked.order,
                caller.key,
                caller.attempt,
                caller.worker,
                fault.value,
                answer.status,
                answer.had_effect,
            )
        return answer

    def _once(self, endpoint: str, asked: Asked, caller: Caller) -> Answer:
        """The department's answer, or the one it gave before under the same key."""
        before = self._books.recall(caller.key, endpoint)
        if before is not None:
            return Answer(before[0], msgspec.json.decode(before[1]), had_effect=False)
        answer = self._departments[endpoint](asked)
        self._books.remember(caller.key, endpoint, answer.status, msgspec.json.encode(answer.body))
        return answer
