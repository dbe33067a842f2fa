"""BlockingRunHandle: one run, as sync application code holds it: ``RunHandle`` without ``await``."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator, Mapping
from typing import Any, Generic, TypeVar, overload

from keepstep.client.handle import QUERY_SECONDS, RunHandle
from keepstep.client.streaming import StreamValue
from keepstep.runtime.data import Duration
from keepstep.runtime.handler import Query, Update

from .derived import Blocking, Derived, DerivedIterator, mirrors
from .thread import EngineThread

R = TypeVar("R")
T = TypeVar("T")


class BlockingRunHandle(Blocking, Generic[R]):
    """A run. Without a run id it means the newest run of the workflow id. Made by ``BlockingEngine``."""

    def __init__(self, thread: EngineThread, handle: RunHandle[R]) -> None:
        self._thread = thread
        self._it: RunHandle[R] = handle

    def __repr__(self) -> str:
        return repr(self._it)

    @property
    def id(self) -> str:
        """The workflow id."""
        return self._it.id

    @property
    def run_id(self) -> str | None:
        """The run id; None while this handle stands for the newest run of its id."""
        return self._it.run_id

    @property
    def is_new(self) -> bool:
        """Whether the start that gave this handle has made the run; else it has attached to one that was there."""
        return self._it.is_new

    @mirrors(RunHandle.result)
    def result(self, timeout: Duration | None = None) -> R:
        return self._thread.call(self._it.result, timeout)

    describe = Derived(RunHandle.describe)
    history = DerivedIterator(RunHandle.history)
    follow = DerivedIterator(RunHandle.follow, one_by_one=True)
    signal = Derived(RunHandle.signal)

    @overload
    def stream(self, name: str, type: type[T], after: int = 0) -> Iterator[StreamValue[T]]: ...
    @overload
    def stream(self, name: str, type: Any = None, after: int = 0) -> Iterator[StreamValue[Any]]: ...
    @mirrors(RunHandle.stream)
    def stream(self, name: str, type: Any = None, after: int = 0) -> Iterator[StreamValue[Any]]:
        return self._thread.iterate_one_by_one(self._it.stream, name, type, after)

    @overload
    def query(self, name: Query[Any, T], *args: Any, timeout: Duration = QUERY_SECONDS, **kwargs: Any) -> T: ...
    @overload
    def query(self, name: str, *args: Any, timeout: Duration = QUERY_SECONDS, **kwargs: Any) -> Any: ...
    @mirrors(RunHandle.query)
    def query(self, name: Any, *args: Any, **options: Any) -> Any:
        return self._thread.call(self._it.query, name, *args, **options)

    @overload
    def update(
        self,
        name: Update[Any, Coroutine[Any, Any, T]],
        *args: Any,
        id: str | None = None,
        timeout: Duration | None = None,
        **kwargs: Any,
    ) -> T: ...
    @overload
    def update(
        self,
        name: Update[Any, T],
        *args: Any,
        id: str | None = None,
        timeout: Duration | None = None,
        **kwargs: Any,
    ) -> T: ...
    @overload
    def update(
        self,
        name: str,
        *args: Any,
        id: str | None = None,
        timeout: Duration | None = None,
        **kwargs: Any,
    ) -> Any: ...
    @mirrors(RunHandle.update)
    def update(self, name: Any, *args: Any, **options: Any) -> Any:
        return self._thread.call(self._it.update, name, *args, **options)

    cancel = Derived(RunHandle.cancel)
    terminate = Derived(RunHandle.terminate)
    pause = Derived(RunHandle.pause)
    resume = Derived(RunHandle.resume)
    move_start = Derived(RunHandle.move_start)
    start_now = Derived(RunHandle.start_now)
    resolve = Derived(RunHandle.resolve)
    retry = Derived(RunHandle.retry)

    @mirrors(RunHandle.fork)
    def fork(
        self, at: int | None = None, replace: Mapping[str, Any] | None = None, *, id: str | None = None
    ) -> BlockingRunHandle[R]:
        return BlockingRunHandle(self._thread, self._thread.call(self._it.fork, at, replace, id=id))
