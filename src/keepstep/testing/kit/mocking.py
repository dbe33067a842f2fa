"""Mocking: for the length of a test, something else is called where a worker would call a step's function.

A mock stands in for all calls of a step, whatever ``options(...)`` they are made with and whichever worker of this
process executes them, from ``with mock_step(...)`` to its end. Arguments and results go through the step's own types,
attempts are counted and retried as for the real one. Of two mocks of a step the newer one counts.

A step with ``transaction=True`` that is mocked is executed as a plain step: nobody gets a connection.

It puts two properties on the class ``Step``, which are there only while something is mocked or forbidden.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from keepstep.journal import InvalidInput
from keepstep.runtime.step import Step, StepOptions
from keepstep.worker.attempt import StepInfo, step_info

Raised = BaseException | type[BaseException]


class StepNotMocked(InvalidInput):
    """A step was called in a test that allows mocks only. It is not retried."""


class MockedCall(msgspec.Struct, frozen=True):
    """One attempt of a mocked step."""

    arguments: dict[str, Any]
    """By the names of the parameters, defaults among them."""
    attempt: int
    """Counts from 1."""
    idempotency_key: str
    """The same for all attempts of one call in workflow code; empty outside of a worker, as the next two are."""
    key: str
    workflow_id: str


class StepMock:
    """What stands in for a step, and what it was called with; made by ``mock_step``."""

    def __init__(
        self, step: Step[Any, Any], returns: Any, raises: Raised | Sequence[Raised] | None, effect: Any
    ) -> None:
        self.name = step.name
        self.calls: list[MockedCall] = []
        """All attempts, in their order. A crash may repeat one; count ``idempotency_keys`` to count calls."""
        self._returns = returns
        self._raises = raises
        self._effect = effect
        self._signature = _signature(step)
        self.stand_in = self._async_stand_in if step.is_async else self._sync_stand_in
        """What is called in place of the step's function."""

    @property
    def idempotency_keys(self) -> list[str]:
        """Of all calls, each once."""
        return list(dict.fromkeys(each.idempotency_key for each in self.calls))

    @property
    def arguments(self) -> list[dict[str, Any]]:
        """Of all attempts."""
        return [each.arguments for each in self.calls]

    async def _async_stand_in(self, *args: Any, **kwargs: Any) -> Any:
        answer = self._answer(args, kwargs)
        return await answer if inspect.isawaitable(answer) else answer

    def _sync_stand_in(self, *args: Any, **kwargs: Any) -> Any:
        return self._answer(args, kwargs)

    def _answer(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        info = _info()
        self.calls.append(
            MockedCall(
                dict(bound.arguments),
                1 if info is None else info.attempt,
                "" if info is None else info.idempotency_key,
                "" if info is None else info.key,
                "" if info is None else info.workflow_id,
            )
        )
        error = self._error(self.calls[-1].attempt)
        if error is not None:
            raise error
        return self._returns if self._effect is None else self._effect(*args, **kwargs)

    def _error(self, attempt: int) -> Raised | None:
        """What that attempt of any call raises."""
        if self._raises is None or isinstance(self._raises, BaseException | type):
            return self._raises
        return self._raises[attempt - 1] if attempt <= len(self._raises) else None

    def __repr__(self) -> str:
        return f"<mock of step {self.name}, called {len(self.calls)} times>"


_mocks: dict[str, list[StepMock]] = {}
"""By step; the last one counts."""

_forbidden: list[str] = []
"""Why steps without a mock must not be called, if they must not."""


@contextmanager
def mock_step(
    step: Step[Any, Any],
    *,
    returns: Any = None,
    raises: Raised | Sequence[Raised] | None = None,
    side_effect: Callable[..., Any] | None = None,
) -> Iterator[StepMock]:
    """Let a step return, raise or do something else: ``with mock_step(charge, returns=Receipt("r1")) as charge_mock:``

    :param returns: what each call returns, of the step's type. :param raises: an error that each attempt raises; or
        several, for the first attempts of each call, after which it returns. :param side_effect: a function that is
        called instead, with the step's arguments; of an async step it may be async.

    Yields the mock, which records its calls. Raises ``InvalidInput`` for what is no step.
    """
    if not isinstance(step, Step):
        raise InvalidInput(f"mock_step takes a function decorated with @step, not {step!r:.100}")
    if side_effect is not None and returns is not None:
        raise InvalidInput(f"the mock of step {step.name!r} returns what its side_effect returns; leave out returns=")
    if inspect.iscoroutinefunction(side_effect) and not step.is_async:
        raise InvalidInput(f"step {step.name!r} is a plain def, and so must the side_effect of its mock be")
    mock = StepMock(step, returns, raises, side_effect)
    _mocks.setdefault(step.name, []).append(mock)
    _patch()
    try:
        yield mock
    finally:
        _mocks[step.name].remove(mock)
        if not _mocks[step.name]:
            del _mocks[step.name]
        _patch()


@contextmanager
def forbid_steps(because: str = "this test allows mocked steps only") -> Iterator[None]:
    """Let every step without a mock fail with ``StepNotMocked``, at its first attempt."""
    _forbidden.append(because)
    _patch()
    try:
        yield
    finally:
        _forbidden.remove(because)
        _patch()


def _patch() -> None:
    """Put the properties on ``Step`` where they are needed, or take them away."""
    wanted = bool(_mocks or _forbidden)
    for name, its in (("fn", _fn), ("run_options", _run_options)):
        if wanted:
            setattr(Step, name, its)
        elif name in vars(Step):
            delattr(Step, name)


def _stand_in_for(step: Step[Any, Any]) -> Callable[..., Any] | None:
    """What is to be called instead of the step; None for the step itself."""
    mocks = _mocks.get(step.name)
    if mocks:
        return mocks[-1].stand_in
    if not _forbidden:
        return None
    problem = f"step {step.name!r} is not mocked, and {_forbidden[-1]}; write mock_step({step.name}, returns=...)"

    async def refuse_async(*_: Any, **__: Any) -> Any:
        raise StepNotMocked(problem)

    def refuse(*_: Any, **__: Any) -> Any:
        raise StepNotMocked(problem)

    return refuse_async if step.is_async else refuse


def _get_fn(step: Step[Any, Any]) -> Callable[..., Any]:
    stand_in = _stand_in_for(step)
    fn: Callable[..., Any] = vars(step)["fn"] if stand_in is None else stand_in
    return fn


def _get_options(step: Step[Any, Any]) -> StepOptions:
    options: StepOptions = vars(step)["run_options"]
    if options.transaction and _stand_in_for(step) is not None:
        return msgspec.structs.replace(options, transaction=False)
    return options


_fn = property(_get_fn, lambda step, fn: vars(step).update(fn=fn))
_run_options = property(_get_options, lambda step, options: vars(step).update(run_options=options))


def _signature(step: Step[Any, Any]) -> inspect.Signature:
    """Of the step as workflow code calls it."""
    signature = inspect.signature(step.__wrapped__)
    parameters = list(signature.parameters.values())
    return signature.replace(parameters=parameters[1:] if step.decorated_options.transaction else parameters)


def _info() -> StepInfo | None:
    try:
        return step_info()
    except RuntimeError:  # called as the plain function that a step is outside of workflow code
        return None
