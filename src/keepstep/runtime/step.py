"""Step: where workflow code touches the outside world. What it returned is kept in history."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, overload

import msgspec

from keepstep.journal import InvalidInput
from keepstep.journal.limits import PAYLOAD_BYTES_MAX

from .branch import Handle
from .call import DurableCall, current, required
from .data import Duration, Retry, Signature, checked_name, to_seconds, within_limit
from .execution import digest_of
from .interceptor import Calling, checked_headers, through
from .loop import WorkflowFuture
from .operation import StepOperation
from .registry import ANY, check_has_name, check_no_method, check_takes_name, names_around, register

if TYPE_CHECKING:
    from .execution import Execution

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_RETRY = Retry()


class StepOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a step is executed. All durations are seconds."""

    retry: Retry = DEFAULT_RETRY
    timeout_seconds: float | None = None
    """Per attempt."""
    total_timeout_seconds: float | None = None
    """Over all attempts and the pauses between them."""
    heartbeat_timeout_seconds: float | None = None
    """An attempt that does not call ``heartbeat`` for so long counts as timed out."""
    queue: str | None = None
    """None: in the worker that owns the run."""
    priority: int = 0
    """Small numbers go first."""
    fairness_key: str = ""
    """Whose turn it is on the queue."""
    once: bool = False
    transaction: bool = False
    """The function gets a connection, whose changes are committed together with the step's result."""
    resolver: Callable[..., Any] | None = None
    key: str | None = None
    on_cancel: Literal["stop", "wait"] = "stop"
    """What becomes of it when the code cancels what waits for it."""

    @property
    def is_limited(self) -> bool:
        """True if an attempt may be cut off."""
        return (
            self.timeout_seconds is not None
            or self.total_timeout_seconds is not None
            or self.heartbeat_timeout_seconds is not None
        )


class Step(Generic[P, R]):
    """A step definition. Called in workflow code it is durable; called anywhere else it is the plain function."""

    __keepstep__ = "step"

    def __init__(self, fn: Callable[P, Any], name: str, options: StepOptions) -> None:
        self.fn: Callable[..., Any] = fn
        self.name = name
        self.run_options = self.decorated_options = options
        self.is_by_name = False
        """Its code is elsewhere, with options of its own."""
        if options.transaction:
            _check_takes_connection(fn, name)
        if name == ANY:
            _check_of_any_name(self)
        self.signature = Signature.of(fn, skip_first=options.transaction or name == ANY, names=names_around(fn))
        self.is_async = inspect.iscoroutinefunction(fn)
        self.__name__ = name
        self.__qualname__ = getattr(fn, "__qualname__", name)
        self.__module__ = fn.__module__
        self.__doc__ = fn.__doc__
        self.__wrapped__ = fn

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        execution = current()
        if execution is None:
            return self.fn(*args, **kwargs)  # type: ignore[no-any-return]
        if self.name == ANY:
            check_has_name(self)
        call = (InterceptedCall if execution.around_steps else StepCall)(execution, self, args, kwargs)
        crossing = execution.loop.crossing
        return call if crossing is None else crossing.wait(call)

    def start(self, *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[R]:
        """Start the step now and return a handle to await later; in sync workflows call its ``result()``."""
        execution = required(f"{self.name}.start(...)")
        check_has_name(self)
        call = (InterceptedCall if execution.around_steps else StepCall)(execution, self, args, kwargs)
        future = call.begin()
        return future if execution.loop.crossing is None else Handle(future, f"step {self.name}")  # type: ignore[return-value]

    def options(self, **options: Any) -> Step[P, R]:
        """A copy with other options: those of ``@step``, and ``key=`` to name this call's occurrence."""
        if "transaction" in options:
            raise InvalidInput(f"step {self.name!r}: transaction= is said where the step is defined")
        copy: Step[P, R] = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        copy.run_options = merged_options(self.run_options, self.name, options)
        return copy

    def named(self, name: str) -> Step[P, R]:
        """Of a step of any name: the step of that one."""
        copy: Step[P, R] = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        copy.name = copy.__name__ = name
        copy.fn = partial(self.fn, name)
        return copy

    def __repr__(self) -> str:
        return f"<step {self.name}>"


class StepCall(DurableCall[Any]):
    """One call of a step, not yet awaited."""

    __slots__ = ("arguments", "is_undo", "key", "operation", "step")

    operation: StepOperation
    """What was asked for last, where its end is waited for: it points at the task that asked, which may point back."""

    def __init__(
        self, execution: Execution, step: Step[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        super().__init__(execution)
        self.step = step
        self.arguments = arguments = step.signature.encode_args(args, kwargs)
        if len(arguments) > PAYLOAD_BYTES_MAX:
            within_limit(arguments, "the arguments of step", step.name, execution.value_bytes_max)
        scope = execution.loop.current_scope()
        given = step.run_options.key
        self.key = scope.key(step.name) if given is None else scope.fixed_key(step.name, given)
        self.is_undo = False

    def begin(self) -> WorkflowFuture:
        digest = digest_of(self.step.name, self.arguments)
        operation = StepOperation(self.execution, self.key, digest, self.step, self.arguments, self.is_undo)
        if self.step.run_options.on_cancel == "wait":
            self.operation = operation
        self.execution.add(operation)
        return operation.future

    def __repr__(self) -> str:
        return f"<call of step {self.step.name} as {self.key}>"


class InterceptedCall(StepCall):
    """A call with interceptors around it, which see it when it is awaited. Its key is fixed when it is written down."""

    __slots__ = ("_args", "_kwargs", "_was_made")

    def __init__(
        self, execution: Execution, step: Step[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        super().__init__(execution, step, args, kwargs)
        self._args = args
        self._kwargs = kwargs
        self._was_made = False

    def __await__(self) -> Generator[Any, Any, Any]:
        if self._awaiting is not None:
            raise RuntimeError(f"{self!r} was awaited already")
        call = Calling(
            step=self.step,
            args=self._args,
            kwargs=self._kwargs,
            headers=dict(self.execution.headers_here()),
            key=self.key,
        )
        self._awaiting = awaiting = through(self.execution.around_steps, call, self._make).__await__()
        return awaiting

    def begin(self) -> WorkflowFuture:
        """Go through the interceptors in a task of its own, which stands for the step's future."""
        task: WorkflowFuture = self.execution.loop.create_task(self)
        return task

    async def _make(self, call: Calling) -> Any:
        """Ask for the step, as the interceptors have left the call. One may ask again when it has an answer."""
        execution, step = self.execution, call.step
        if step.name != self.step.name:
            raise InvalidInput(
                f"an interceptor may give step {self.step.name!r} other options; {step!r} is another step"
            )
        encoded = step.signature.encode_args(call.args, call.kwargs)
        arguments = within_limit(encoded, "the arguments of step", step.name, execution.value_bytes_max)
        key = execution.loop.current_scope().key(step.name) if self._was_made else self.key
        self._was_made = True
        digest = digest_of(step.name, arguments)
        operation = StepOperation(execution, key, digest, step, arguments, self.is_undo)
        if step.run_options.on_cancel == "wait":
            self.operation = operation
        if call.headers != operation.headers:
            operation.headers = checked_headers(call.headers)
        execution.add(operation)
        return await operation.future


def merged_options(base: StepOptions, name: str, given: dict[str, Any]) -> StepOptions:
    """``base`` changed by options as users write them."""
    changes: dict[str, Any] = {}
    for option, value in given.items():
        if option in ("timeout", "total_timeout", "heartbeat_timeout"):
            changes[f"{option}_seconds"] = None if value is None else to_seconds(value)
        elif option in StepOptions.__struct_fields__ and not option.endswith("_seconds"):
            changes[option] = value
        else:
            raise InvalidInput(f"step {name!r} has no option {option!r}")
    options = msgspec.structs.replace(base, **changes)
    if not isinstance(options.retry, Retry):
        raise InvalidInput(f"retry of step {name!r} must be a keepstep.Retry, not {type(options.retry).__name__}")
    if options.resolver is not None and not options.once:
        raise InvalidInput(f"step {name!r} has a resolver, which only a step with once=True can use")
    if options.key is not None:
        checked_name(options.key, f"the key of step {name!r}")
    if options.queue is not None:
        checked_name(options.queue, f"the queue of step {name!r}")
    _check_waiting(options, name)
    _check_on_cancel(options, name)
    if options.once and options.queue is not None:
        raise InvalidInput(f"step {name!r}: once=True steps run in the worker that owns the run; leave out queue=")
    if options.transaction:
        _check_transactional(options, name)
    return options


ON_CANCEL = ("stop", "wait")

PRIORITY_MAX = 1_000_000


def checked_priority(value: Any, what: str) -> int:
    """Small numbers go first. Raises ``InvalidInput``."""
    if type(value) is not int or abs(value) > PRIORITY_MAX:
        raise InvalidInput(
            f"{what} is a whole number from {-PRIORITY_MAX} to {PRIORITY_MAX}, of which small ones go first, "
            f"not {value!r:.60}"
        )
    return value


def _check_waiting(options: StepOptions, name: str) -> None:
    checked_priority(options.priority, f"the priority of step {name!r}")
    if options.fairness_key == "":
        return
    checked_name(options.fairness_key, f"the fairness_key of step {name!r}")
    if options.queue is None:
        raise InvalidInput(f"step {name!r}: fairness_key= is about turns on a queue; name it: queue=")


def _check_on_cancel(options: StepOptions, name: str) -> None:
    if options.on_cancel not in ON_CANCEL:
        raise InvalidInput(f'on_cancel of step {name!r} is "stop" or "wait", not {options.on_cancel!r:.60}')
    if options.on_cancel == "wait" and (options.once or options.transaction):
        raise InvalidInput(
            f'step {name!r}: on_cancel="wait" does not go with once= and transaction=; leave one of them out'
        )


def _check_of_any_name(step: Step[Any, Any]) -> None:
    """It is called by ``step_by_name`` alone, and so from queues."""
    check_takes_name(step, step.fn)
    if step.run_options.once or step.run_options.transaction:
        raise InvalidInput(
            f"step {step.fn.__qualname__} serves every name, and so what comes from queues; leave out once= and "
            "transaction="
        )


def _check_transactional(options: StepOptions, name: str) -> None:
    if options.once:
        raise InvalidInput(
            f"step {name!r}: what a transaction=True step does in the database happens exactly once; leave out "
            "once=True, and say retry=Retry(max_attempts=1) if no attempt may follow a failed one"
        )
    if options.queue is not None:
        raise InvalidInput(
            f"step {name!r}: transaction=True steps run in the worker that owns the run; leave out queue="
        )
    if options.heartbeat_timeout_seconds is not None:
        raise InvalidInput(f"step {name!r}: transaction=True steps are short; leave out heartbeat_timeout=")


def _check_takes_connection(fn: Callable[..., Any], name: str) -> None:
    first = next(iter(inspect.signature(fn).parameters.values()), None)
    if first is None or first.kind not in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD):
        raise InvalidInput(f"step {name!r} with transaction=True gets a connection: give it a first parameter for that")


_EXECUTED_BY = ("timeout_seconds", "total_timeout_seconds", "heartbeat_timeout_seconds")
"""Options that matter to whoever executes a step, beside its retry policy."""


def published_options(step: Step[Any, Any]) -> dict[str, Any] | None:
    """What ``options(...)`` has changed, for the worker that executes the step; None where it has changed nothing."""
    options = step.run_options
    if options is step.decorated_options:
        return None
    said = step.decorated_options if step.is_by_name else None  # of what is not said here, the code elsewhere knows
    changed = {
        name: getattr(options, name)
        for name in _EXECUTED_BY
        if said is None or getattr(options, name) != getattr(said, name)
    }
    if options.retry is not step.decorated_options.retry:
        changed["retry"] = options.retry.as_plain()
    if options.on_cancel != step.decorated_options.on_cancel:
        changed["on_cancel"] = options.on_cancel
    return changed


def with_published_options(step: Step[Any, Any], changed: dict[str, Any]) -> Step[Any, Any]:
    """A copy of a step with options that came from ``published_options``."""
    options = {name.removesuffix("_seconds"): changed[name] for name in _EXECUTED_BY if name in changed}
    if "retry" in changed:
        options["retry"] = Retry(**changed["retry"])
    if "on_cancel" in changed:
        options["on_cancel"] = changed["on_cancel"]
    return step.options(**options)


@overload
def step(fn: Callable[P, Coroutine[Any, Any, R]], /) -> Step[P, R]: ...
@overload
def step(fn: Callable[P, R], /) -> Step[P, R]: ...
@overload
def step(
    *,
    transaction: Literal[True],
    name: str | None = None,
    retry: Retry = DEFAULT_RETRY,
    timeout: Duration | None = None,
    total_timeout: Duration | None = None,
    priority: int = 0,
) -> _TransactionalDecorator: ...
@overload
def step(
    *,
    name: str | None = None,
    retry: Retry = DEFAULT_RETRY,
    timeout: Duration | None = None,
    total_timeout: Duration | None = None,
    heartbeat_timeout: Duration | None = None,
    queue: str | None = None,
    priority: int = 0,
    fairness_key: str = "",
    once: bool = False,
    resolver: Callable[..., Any] | None = None,
    on_cancel: Literal["stop", "wait"] = "stop",
) -> _StepDecorator: ...
def step(fn: Any = None, /, *, name: str | None = None, **options: Any) -> Any:
    """Make a function a step.

    :param name: defaults to the function's name; unique among the steps of a process. ``"*"`` is for all steps that
        come from a queue and that this process has no other code for; it gets the name first (``docs/by-name.md``).
    :param retry: how errors are retried; by default 3 attempts with back-off. A crash uses up none.
    :param timeout: per attempt. :param total_timeout: over all attempts.
    :param heartbeat_timeout: an attempt must call ``keepstep.heartbeat`` at least so often.
    :param queue: run it on workers that serve this queue; by default in the worker that owns the run.
    :param priority: on the queue; small numbers go first. :param fairness_key: whose turn it is among those of the same
        priority, such as a customer's name: ``some_step.options(fairness_key=customer)``. See ``docs/queues.md``.
    :param transaction: the function gets a connection as its first argument, whose changes are committed together with
        the step's result: exactly once. Workflow code leaves it out. See ``docs/transactions.md``.
    :param on_cancel: what becomes of an attempt when the code that waits for it is cancelled. It is told to stop; with
        ``"wait"`` the code goes on being cancelled only when it has ended. See ``docs/cancelling.md``.
    :param once: never repeat blindly; see ``Uncertain``. :param resolver: says what happened to a lost ``once`` call.

    Raises ``InvalidInput`` for a second step of that name or options that do not fit.
    """

    def decorate(function: Callable[..., Any]) -> Step[Any, Any]:
        if not callable(function) or isinstance(function, type):
            raise InvalidInput(f"@step goes on a function, not on {function!r}")
        step_name = name or function.__name__
        own = f'self.{function.__name__} = step(name="{step_name}")(self.{function.__name__})'
        check_no_method(function, "step", f"where the object is made, write {own}, with another name for each object")
        made: Step[Any, Any] = Step(function, step_name, merged_options(StepOptions(), step_name, options))
        register(made)
        return made

    return decorate if fn is None else decorate(fn)


class _StepDecorator:
    """What ``@step(...)`` with options returns; only its types matter."""

    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Step[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Step[P, R]: ...
    def __call__(self, fn: Any, /) -> Any:
        raise TypeError("for type checkers only")


class _TransactionalDecorator:
    """What ``@step(transaction=True)`` returns; only its types matter."""

    @overload
    def __call__(self, fn: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /) -> Step[P, R]: ...
    @overload
    def __call__(self, fn: Callable[Concatenate[Any, P], R], /) -> Step[P, R]: ...
    def __call__(self, fn: Any, /) -> Any:
        raise TypeError("for type checkers only")
