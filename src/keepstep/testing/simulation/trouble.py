"""Trouble: a journal whose calls fail, hang, and answer late, as a store over a network does.

Every call may be *refused* (nothing happened), *lost* (it happened, and an error came instead of the answer), or
*timed out* (it happened, and the error came long after). Answers arrive some time after the store has made them, in the
order in which it made them; so a process can die between the two. Hints come late, twice, or not at all.

What never fails, because a process hears of it from itself and not from elsewhere: that its lease was taken away, and
how the runs ended that it has just closed.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable
from contextvars import Context
from enum import StrEnum
from functools import cache
from typing import Any, NoReturn

from keepstep.journal import (
    Claimed,
    Commit,
    Committed,
    Hint,
    HintKind,
    Journal,
    JournalError,
    Listener,
    Promise,
    StoreUnavailable,
)

ANSWER_SECONDS_MAX = 0.003
SLOW_ANSWER_SECONDS_MAX = 1.5
TIME_OUT_SECONDS = 3.0
HINT_SECONDS_MAX = 0.2

HINTS_LOST, HINTS_DOUBLED, HINTS_LATE = 0.1, 0.1, 0.4
"""Shares of all hints that may be lost."""

UNTROUBLED = frozenset(("close", "listen", "unlisten"))


class Outcome(StrEnum):
    """What becomes of one call."""

    FINE = "fine"
    REFUSED = "refused"
    LOST = "lost"
    TIMED_OUT = "timed out"
    DIED_BEFORE = "died before"
    """The process dies instead of making the call."""
    DIED_AFTER = "died after"
    """It dies when the call has been made and before it hears of it."""


Decide = Callable[[str], Outcome]
"""Asked for each call, by its name."""

Confirm = Callable[[Commit, Committed], None]


def _nothing() -> None:
    """Nobody wants to be called."""


def _unseen(_: Claimed, __: float) -> None:
    """Nobody wants to know."""


def always_fine(_: str) -> Outcome:
    return Outcome.FINE


class Temper:
    """How a process's store behaves at the moment."""

    def __init__(self) -> None:
        self.decide: Decide = always_fine
        self.is_slow = False
        self.die: Callable[[], None] = _nothing
        self.disturb: Callable[[], None] = _nothing
        """Called when a call has failed, as far as its process can see."""
        self.hand_out: Callable[[Claimed, float], None] = _unseen
        """Called when the store has handed out work, with when it was asked for, before anybody hears of it."""


class TroubledJournal:
    """A ``Journal`` around another one."""

    def __init__(
        self, journal: Journal, temper: Temper, chance: random.Random, context: Context, confirm: Confirm
    ) -> None:
        self.inner = journal
        self.clock = journal.clock
        self._temper = temper
        self._chance = chance
        self._context = context
        self._confirm = confirm
        self._loop = asyncio.get_running_loop()
        self._answered_at = 0.0
        self._listeners: dict[Listener, Listener] = {}

    def __getattr__(self, name: str) -> Any:
        """All other methods of the port; coroutines get their trouble."""
        method = getattr(self.inner, name)
        if name in UNTROUBLED or not _is_coroutine_function(type(self.inner), name):
            return method
        if name == "claim_work":
            method = self._noting_handouts(method)

        async def call(*args: Any, **kwargs: Any) -> Any:
            outcome = self._temper.decide(name)
            if outcome is not Outcome.FINE:
                await self._befall(name, outcome)
            try:
                answer = await method(*args, **kwargs)
            except JournalError:
                await self._answer_time(outcome)
                raise
            if outcome is not Outcome.FINE:
                await self._befall_after(name, outcome)
            await self._answer_time()
            return answer

        setattr(self, name, call)
        return call

    def _noting_handouts(self, claim_work: Callable[..., Awaitable[Claimed]]) -> Callable[..., Awaitable[Claimed]]:
        async def claim(*args: Any, **kwargs: Any) -> Claimed:
            asked = self._loop.time()
            claimed = await claim_work(*args, **kwargs)
            self._temper.hand_out(claimed, asked)
            return claimed

        return claim

    async def _befall(self, name: str, outcome: Outcome) -> None:
        """What befalls a call before it is made."""
        if outcome is Outcome.DIED_BEFORE:
            await self._die()
        if outcome is Outcome.REFUSED:
            await self._answer_time()
            self._temper.disturb()
            raise _trouble(name, outcome)

    async def _befall_after(self, name: str, outcome: Outcome) -> NoReturn:
        """What befalls one that has been made."""
        if outcome is Outcome.DIED_AFTER:
            await self._die()
        await self._answer_time(outcome)
        self._temper.disturb()
        raise _trouble(name, outcome)

    async def _die(self) -> None:
        """Die, and never come back from it."""
        self._temper.die()
        await self._loop.create_future()

    def _next_answer_at(self, outcome: Outcome = Outcome.FINE) -> float:
        """When the next answer arrives: after the one before it."""
        seconds = self._chance.random() * (SLOW_ANSWER_SECONDS_MAX if self._temper.is_slow else ANSWER_SECONDS_MAX)
        if outcome is Outcome.TIMED_OUT:
            seconds += TIME_OUT_SECONDS
        answered_at, after_the_last = self._loop.time() + seconds, self._answered_at + 1e-6
        self._answered_at = answered_at = answered_at if answered_at > after_the_last else after_the_last
        return answered_at

    def _answer_time(self, outcome: Outcome = Outcome.FINE) -> asyncio.Future[None]:
        """To be awaited: the answer is on its way."""
        arrived: asyncio.Future[None] = self._loop.create_future()
        self._loop.call_at(self._next_answer_at(outcome), _arrive, arrived)
        return arrived

    # commits

    def submit(self, commit: Commit) -> Promise:
        outcome = self._temper.decide("commit")
        told = Promise(loop=self._loop)
        if outcome is Outcome.REFUSED:
            self._loop.call_at(self._next_answer_at(), self._fail, told, outcome)
            return told
        if outcome is Outcome.DIED_BEFORE:
            self._temper.die()
            return told
        done = self.inner.submit(commit)
        done.heard = lambda done: self._pass_on(commit, done, told, outcome)
        return told

    async def commit(self, commit: Commit) -> Committed:
        return await self.submit(commit)

    def _pass_on(self, commit: Commit, done: Promise, told: Promise, outcome: Outcome) -> None:
        error = done.exception()
        committed = None if error is not None else done.result()
        if committed is not None:
            self._confirm(commit, committed)
        if outcome is Outcome.DIED_AFTER:
            self._temper.die()
            return
        if outcome is Outcome.FINE:
            self._loop.call_at(self._next_answer_at(), told.settle, committed, error)
        else:
            self._loop.call_at(self._next_answer_at(outcome), self._fail, told, outcome)

    def _fail(self, told: Promise, outcome: Outcome) -> None:
        self._temper.disturb()
        told.settle(None, _trouble("commit", outcome))

    # hints

    def listen(self, listener: Listener) -> None:
        """Hints reach the listener as its process's own callbacks."""

        def hear(hint: Hint) -> None:
            if hint.closings or hint.kind is HintKind.LEASE_LOST:
                self._loop.call_soon(listener, hint, context=self._context)
            elif self._chance.random() >= HINTS_LOST:
                for _ in range(1 + (self._chance.random() < HINTS_DOUBLED)):
                    late = self._chance.random() < HINTS_LATE
                    seconds = self._chance.random() * HINT_SECONDS_MAX if late else 0.0
                    self._loop.call_later(seconds, listener, hint, context=self._context)

        self._listeners[listener] = hear
        self.inner.listen(hear)

    def unlisten(self, listener: Listener) -> None:
        hear = self._listeners.pop(listener, None)
        if hear is not None:
            self.inner.unlisten(hear)

    async def close(self) -> None:
        await self.inner.close()


@cache
def _is_coroutine_function(kind: type[Any], name: str) -> bool:
    return inspect.iscoroutinefunction(getattr(kind, name, None))


def _arrive(arrived: asyncio.Future[None]) -> None:
    if not arrived.done():
        arrived.set_result(None)


def _trouble(name: str, outcome: Outcome) -> StoreUnavailable:
    return StoreUnavailable(f"simulated trouble: {name} was {outcome}")
