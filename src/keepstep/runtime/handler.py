"""Handlers: methods of a class workflow that are called from outside: signals, queries, updates.

    @workflow
    class Cart:
        def __init__(self) -> None:
            self.items: list[str] = []

        async def run(self, customer: str) -> int: ...

        @keepstep.update
        async def add(self, item: str) -> int: ...

        @add.validator
        def check(self, item: str) -> None: ...

Within the workflow a handler is the plain method that it decorates; named on the class (``Cart.add``) it is the handler
itself, which handles of runs take in the place of its name.

* A *signal* handler takes the signal's one value, or nothing. It may wait.
* A *query* handler answers from what the run is, and must neither wait nor change anything.
* An *update* handler changes the run and answers; it may wait. Its validator says beforehand, by an error, what is not
  to be accepted; it is a query that answers nothing.

A handler that is named ``"*"`` gets what is said by a name that none of its kind has, and that name first.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MethodType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from keepstep.journal import InvalidInput

from .data import Signature, checked_name
from .guard import Wrapper
from .registry import ANY

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
F = TypeVar("F", bound=Callable[..., Any])


class Handler(Wrapper, Generic[P, R_co]):
    """What all kinds have in common."""

    kind = "handler"
    signature: Signature
    """Without ``self``, and without the name that a handler of any name takes; known once the class is decorated."""

    def __init__(self, fn: Callable[..., Any], name: str | None) -> None:
        if not inspect.isfunction(fn):
            raise InvalidInput(f"@keepstep.{self.kind} goes on a method, not on {fn!r}")
        self.name = checked_name(name or fn.__name__, f"the name of a {self.kind}")
        self.fn = fn
        self.__wrapped__ = fn
        self.__doc__ = fn.__doc__

    def bind(self, names: Mapping[str, Any] | None) -> None:
        """The class is decorated: ``names`` are those of the place where that is done."""
        if self.name == ANY:
            self._check_takes_name()
        self.signature = Signature.of(self.fn, skip_first=2 if self.name == ANY else 1, names=names)

    def _check_takes_name(self) -> None:
        first = [each.kind for each in inspect.signature(self.fn).parameters.values()][1:2]
        if first not in ([inspect.Parameter.POSITIONAL_ONLY], [inspect.Parameter.POSITIONAL_OR_KEYWORD]):
            raise InvalidInput(
                f"{self.fn.__qualname__} handles every {self.kind} that has no handler of its own, and must take its "
                f"name: def {self.fn.__name__}(self, name: str, ...)"
            )

    def called_as(self, name: str, args: Sequence[Any]) -> Sequence[Any]:
        """What the method takes for something that is said by that name."""
        return [name, *args] if self.name == ANY else args

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Callable[P, R_co]: ...
    def __get__(self, instance: object, owner: type) -> Any:
        return self if instance is None else MethodType(self.fn, instance)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}>"


class Signal(Handler[P, R_co]):
    """A method that is called with each signal of its name."""

    kind = "signal"

    def bind(self, names: Mapping[str, Any] | None) -> None:
        super().bind(names)
        slots = self.signature.slots
        if len(slots) > 1 or any(slot.kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD for slot in slots):
            raise InvalidInput(
                f"signal {self.name!r} takes {len(slots)} parameters, and a signal carries one value; "
                "give it one parameter, such as a dataclass, or none"
            )

    def arguments_of(self, payload: bytes) -> list[Any]:
        """The arguments of the method for a signal's value. Raises ``InvalidInput`` where it does not fit."""
        if not self.signature.slots:
            return []
        try:
            return [self.signature.slots[0].decode(payload)]
        except InvalidInput as error:
            raise InvalidInput(f"signal {self.name!r}: {error}") from error


class Query(Handler[P, R_co]):
    """A method that answers and changes nothing."""

    kind = "query"

    def __init__(self, fn: Callable[..., Any], name: str | None) -> None:
        super().__init__(fn, name)
        if inspect.iscoroutinefunction(fn) or inspect.isasyncgenfunction(fn):
            raise InvalidInput(f"query {self.name!r} is async; a query answers at once, so write it with def")


class Update(Handler[P, R_co]):
    """A method that changes the run and answers."""

    kind = "update"
    validate: Callable[..., Any] | None = None

    def validator(self, fn: F) -> F:
        """Decorates the method that says by an error what is not to be accepted: it takes what the update takes."""
        if inspect.iscoroutinefunction(fn):
            raise InvalidInput(
                f"the validator of update {self.name!r} is async; it answers at once, so write it with def"
            )
        self.validate = fn
        return self if fn.__name__ == self.fn.__name__ else fn  # type: ignore[return-value]


@overload
def signal(fn: Callable[Concatenate[Any, P], R], /) -> Signal[P, R]: ...
@overload
def signal(*, name: str | None = None) -> Callable[[Callable[Concatenate[Any, P], R]], Signal[P, R]]: ...
def signal(fn: Any = None, /, *, name: str | None = None) -> Any:
    """Make a method of a class workflow, sync or async, the handler of a signal.

    It takes the signal's value as its one parameter, or nothing. ``name`` defaults to the method's name; ``"*"`` is for
    all signals that have no handler of their own, whose name it takes before the value.
    """
    return Signal(fn, name) if fn is not None else lambda method: Signal(method, name)


@overload
def query(fn: Callable[Concatenate[Any, P], R], /) -> Query[P, R]: ...
@overload
def query(*, name: str | None = None) -> Callable[[Callable[Concatenate[Any, P], R]], Query[P, R]]: ...
def query(fn: Any = None, /, *, name: str | None = None) -> Any:
    """Make a method of a class workflow, written with ``def``, the answer to a query.

    It must change nothing. ``name`` defaults to the method's name; ``"*"`` is for all queries that have no handler of
    their own, whose name it takes before their arguments.
    """
    return Query(fn, name) if fn is not None else lambda method: Query(method, name)


@overload
def update(fn: Callable[Concatenate[Any, P], R], /) -> Update[P, R]: ...
@overload
def update(*, name: str | None = None) -> Callable[[Callable[Concatenate[Any, P], R]], Update[P, R]]: ...
def update(fn: Any = None, /, *, name: str | None = None) -> Any:
    """Make a method of a class workflow, sync or async, the handler of an update, whose caller gets what it returns.

    ``name`` defaults to the method's name; ``"*"`` is for all updates that have no handler of their own, whose name it
    takes before their arguments, as does its validator. For that see ``Update.validator``.
    """
    return Update(fn, name) if fn is not None else lambda method: Update(method, name)


class Handlers:
    """The handlers of one class, by kind and name. Raises ``InvalidInput`` for two of one kind and name."""

    def __init__(self, cls: type | None = None, names: Mapping[str, Any] | None = None) -> None:
        self.signals: dict[str, Signal[Any, Any]] = {}
        self.queries: dict[str, Query[Any, Any]] = {}
        self.updates: dict[str, Update[Any, Any]] = {}
        for handler in () if cls is None else _handlers_in(cls):
            handler.bind(names)
            known = self._of_kind(handler.kind)
            if handler.name in known:
                raise InvalidInput(f"{cls} has two handlers for the {handler.kind} {handler.name!r}; rename one")
            known[handler.name] = handler

    def _of_kind(self, kind: str) -> dict[str, Any]:
        kinds: dict[str, dict[str, Any]] = {"signal": self.signals, "query": self.queries, "update": self.updates}
        return kinds[kind]

    def find(self, kind: str, name: str) -> Handler[Any, Any] | None:
        """The handler of that kind and name, if there is one, or that of all others."""
        known = self._of_kind(kind)
        return known.get(name) or known.get(ANY)

    def schema(self) -> dict[str, dict[str, Any]]:
        """What is published of them: by kind and name, as of workflows and steps."""
        return {
            kind: {name: each.signature.schema() for name, each in self._of_kind(kind).items()}
            for kind in ("signal", "query", "update")
        }


def _handlers_in(cls: type) -> Iterator[Handler[Any, Any]]:
    """Those of base classes too, unless the class has something else of that name."""
    for name in dict.fromkeys(name for base in reversed(cls.__mro__) for name in vars(base)):
        found = inspect.getattr_static(cls, name)
        if isinstance(found, Handler):
            yield found


def handler_name(handler: Handler[Any, Any] | str, kind: str) -> str:
    """The name of a handler that is given by itself or by its name. Raises ``InvalidInput`` for one of another kind."""
    if isinstance(handler, Handler):
        if handler.kind != kind:
            raise InvalidInput(f"{handler!r} is no {kind}")
        if handler.name == ANY:
            raise InvalidInput(f"{handler.fn.__qualname__} handles {kind}s of any name; say the name as text")
        return handler.name
    return checked_name(handler, f"the name of a {kind}")
