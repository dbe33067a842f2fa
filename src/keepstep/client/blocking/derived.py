"""Derived: blocking methods made from async ones, with their parameters, types and documentation.

Those whose types have variables of their own are written by hand beside their classes, and take their documentation
from what they mirror (``mirrors``). A test compares the signatures of all of them with the async ones.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from .thread import EngineThread

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


class Blocking:
    """An object of the async API, called from other threads."""

    _thread: EngineThread
    _it: Any
    """Lives on the engine's loop."""


class Derived(Generic[P, R]):
    """``count = Derived(Engine.count)``"""

    def __init__(self, method: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]) -> None:
        self.method: Callable[..., Coroutine[Any, Any, R]] = method
        functools.update_wrapper(self, method)

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: Blocking, owner: type) -> Callable[P, R]: ...
    def __get__(self, instance: Blocking | None, owner: type) -> Any:
        if instance is None:
            return self
        call = functools.partial(instance._thread.call, getattr(instance._it, self.method.__name__))
        return functools.update_wrapper(call, self.method, updated=())

    def __call__(self, instance: Blocking, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.__get__(instance, type(instance))(*args, **kwargs)


class DerivedIterator(Generic[P, R]):
    """``list = DerivedIterator(Engine.list)``: lazy, with a bounded number of items fetched ahead, or with none."""

    def __init__(self, method: Callable[Concatenate[Any, P], AsyncIterator[R]], *, one_by_one: bool = False) -> None:
        self.method: Callable[..., AsyncIterator[R]] = method
        self._one_by_one = one_by_one
        functools.update_wrapper(self, method)

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: Blocking, owner: type) -> Callable[P, Iterator[R]]: ...
    def __get__(self, instance: Blocking | None, owner: type) -> Any:
        if instance is None:
            return self
        thread = instance._thread
        iterate = thread.iterate_one_by_one if self._one_by_one else thread.iterate
        call = functools.partial(iterate, getattr(instance._it, self.method.__name__))
        return functools.update_wrapper(call, self.method, updated=())

    def __call__(self, instance: Blocking, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        return self.__get__(instance, type(instance))(*args, **kwargs)


def mirrors(method: Callable[..., Any]) -> Callable[[F], F]:
    """A method written by hand, which takes what that async one takes."""

    def decorate(written: F) -> F:
        written.__doc__ = method.__doc__
        written.__signature__ = inspect.signature(method)  # type: ignore[attr-defined]
        return written

    return decorate
