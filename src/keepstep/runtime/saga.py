"""Saga: what was done is undone, in reverse order, when the block fails or is cancelled.

The undo of a step is registered before the step runs, so that a charge which timed out after charging is undone too.
Undoing is made of steps, and so is as durable as everything else: a crash in the middle goes on in the middle. Further
cancels and the workflow's timeout wait until it is finished, and then stop what comes after the block. The end of the
run waits, too: a task that is left behind in a saga when the workflow function returns is cancelled, and the run closes
when it has undone what it did. An undo that uses up its attempts parks the run for an operator (``keepstep retry``);
those before it in reverse order wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Literal, TypeVar

import msgspec

from keepstep.journal import InvalidInput, TooLarge

from .call import current, required
from .crossing import awaitable, crossing_now, waits_if_sync
from .data import describe
from .errors import Evicted, StepFailed
from .step import Step, StepCall

R = TypeVar("R")


class Outcome(msgspec.Struct, frozen=True):
    """What is known of a step when it is to be undone (or, by a resolver, of a ``once`` step that was cut off)."""

    status: Literal["succeeded", "failed", "uncertain"]
    result: Any = None
    error: str = ""

    @property
    def succeeded(self) -> bool:
        return self.status == "succeeded"

    @property
    def failed(self) -> bool:
        """The step answered with an error on every attempt."""
        return self.status == "failed"

    @property
    def uncertain(self) -> bool:
        """The step timed out or was cut off: its effect may or may not have happened."""
        return self.status == "uncertain"


class _Undo:
    """One registered compensation."""

    __slots__ = ("args", "outcome", "step", "wants_outcome")

    def __init__(self, step: Step[Any, Any], args: tuple[Any, ...], wants_outcome: bool) -> None:
        self.step = step
        self.args = args
        self.wants_outcome = wants_outcome
        self.outcome = Outcome("uncertain")

    def call(self) -> StepCall:
        call: Any
        try:
            call = self.step(*self.args, self.outcome) if self.wants_outcome else self.step(*self.args)
        except TooLarge:  # arguments and result together: an undo that is not told the result is better than none
            call = self.step(*self.args, msgspec.structs.replace(self.outcome, result=None))
        assert isinstance(call, StepCall)
        call.is_undo = True
        return call


class Saga:
    """See the module's docstring; made by ``keepstep.saga()``."""

    def __init__(self) -> None:
        self._undos: list[_Undo] = []
        self._execution = required("saga")

    @waits_if_sync
    async def run(self, do: Callable[..., Coroutine[Any, Any, R]], *args: Any, undo: Any, **kwargs: Any) -> R:
        """Run a step whose effect ``undo`` takes back: ``undo(*args, outcome)``, if the block does not succeed.

        ``undo`` is a step. It gets the arguments of ``do`` and, if it takes one more, the ``Outcome``.
        """
        if kwargs:
            raise InvalidInput("saga.run passes its arguments on to undo and takes positional ones only")
        entry = _Undo(_step(undo), args, _takes(undo, len(args) + 1))
        if not entry.wants_outcome and not _takes(undo, len(args)):
            raise InvalidInput(
                f"undo {undo.name!r} must take the {len(args)} arguments of the step, and may take outcome"
            )
        call: Awaitable[R] = awaitable(do)(*args)
        self._undos.append(entry)
        try:
            result = await call
        except StepFailed as error:
            entry.outcome = Outcome("uncertain" if error.uncertain else "failed", error=str(error))
            raise
        except asyncio.CancelledError:
            entry.outcome = _outcome_when_cancelled(call)
            raise
        entry.outcome = Outcome("succeeded", result=result)
        return result

    def compensate(self, undo: Any, *args: Any) -> None:
        """Register an undo for what is known to have succeeded: ``undo(*args)``."""
        self._undos.append(_Undo(_step(undo), args, wants_outcome=False))

    def __enter__(self) -> Saga:
        if crossing_now() is None:
            raise RuntimeError("`with keepstep.saga()` is for sync workflows; in async ones write `async with`")
        return self._enter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        crossing = crossing_now()
        assert crossing is not None
        crossing.wait(self.__aexit__(kind, error, trace))

    async def __aenter__(self) -> Saga:
        return self._enter()

    def _enter(self) -> Saga:
        task = asyncio.current_task()
        assert task is not None
        self._execution.open_sagas[self] = task
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        try:
            if error is not None and not isinstance(error, GeneratorExit | Evicted) and self._undos:
                self._execution.undo_reason = self._reason(error)
                await self._undo(error)
        finally:
            self._execution.open_sagas.pop(self, None)

    async def _undo(self, error: BaseException) -> None:
        """Undo everything, whatever is cancelled meanwhile."""
        cancels, is_cancelled = self._execution.cancels, False
        undoing = asyncio.create_task(undo(self))
        while not undoing.done():
            try:
                await asyncio.shield(undoing)
            except asyncio.CancelledError:
                if current() is None:
                    raise
                is_cancelled = True
        undoing.result()
        if is_cancelled and self._execution.cancels > cancels and not isinstance(error, asyncio.CancelledError):
            _cancel_again()

    def _reason(self, error: BaseException) -> str:
        if not isinstance(error, asyncio.CancelledError):
            return describe(error).summary()
        if self._execution.error_of_handler is not None:
            return describe(self._execution.error_of_handler).summary()
        if self._execution.timed_out:
            return "it reached its timeout"
        said = self._execution.cancel_reason
        return f"it was cancelled: {said}" if said else "it was cancelled"

    async def undo_all(self) -> None:
        """Call every undo, the last first. Each is forgotten when it is done."""
        self._execution.compensating += 1
        self._execution.compensated = True
        try:
            while self._undos:
                await self._undos[-1].call()
                self._undos.pop()
        finally:
            self._execution.compensating -= 1


async def undo(saga: Saga) -> None:
    """The task in which a saga is undone: the keys of undos begin with its name."""
    await saga.undo_all()


def _cancel_again() -> None:
    """The run was cancelled, or reached its timeout, while it undid: that has waited, and stops what comes next."""
    task = asyncio.current_task()
    assert task is not None
    task.uncancel()
    task.cancel()


def saga() -> Saga:
    """``async with keepstep.saga() as saga:`` — see ``Saga``."""
    return Saga()


def _outcome_when_cancelled(call: Any) -> Outcome:
    """Nobody knows, unless the step's end was waited for."""
    late = getattr(getattr(call, "operation", None), "late", None)
    if late is None:
        return Outcome("uncertain")
    status, came = late
    return Outcome(status, result=came) if status == "succeeded" else Outcome(status, error=str(came))


def _step(undo: Any) -> Step[Any, Any]:
    if not isinstance(undo, Step):
        raise InvalidInput(f"an undo must be a @step, so that it is durable itself; {undo!r} is none")
    return undo


def _takes(undo: Step[Any, Any], count: int) -> bool:
    try:
        undo.signature.signature.bind(*range(count))
    except TypeError:
        return False
    return True
