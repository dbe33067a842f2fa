"""Generators: async generators of a run are closed by the run itself, never by the loop of its worker.

Python tells two hooks of a thread when an async generator is iterated first, and when it is dropped before its end. The
hooks of the outer loop keep what is theirs; ours are put in front of them once, not at every turn.

A generator that the run's code lets go of is closed by a task of the run, so that its ``finally`` is durable. One that
the garbage collector finds is not: when that is, is chance, and what the generator would do then would stand at another
place of each replay.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from asyncio.events import _get_running_loop
from collections.abc import AsyncGenerator, Callable
from sys import get_asyncgen_hooks
from threading import get_ident
from typing import Any
from weakref import WeakSet, ref


class OwnerOfGenerators(asyncio.AbstractEventLoop):
    """A loop whose generators are its own."""

    generators: WeakSet[Any]
    """Those that were first iterated in this run."""


_generators: dict[int, ref[OwnerOfGenerators]] = {}
"""Which run an async generator was first iterated in, by the generator's address.

Not weakly by the generator: weak references to it are dead when its finalizer is called. What an exhausted generator
leaves here is harmless, because whichever generator gets its address next registers anew.
"""

GENERATORS_MAX = 50_000
"""Above so many, those of runs that have left memory are swept out."""


def _sweep() -> None:
    for address in [each for each, loop in _generators.items() if loop() is None]:
        del _generators[address]


def hear_of_generators() -> None:
    """Make sure that this thread's hooks for async generators know the loops of runs."""
    first, last = get_asyncgen_hooks()
    if type(first) is not FirstIteration:
        if _hear_of_collection not in gc.callbacks:
            gc.callbacks.append(_hear_of_collection)
        sys.set_asyncgen_hooks(FirstIteration(first), _Finalizer(last))


class FirstIteration:
    """Called when any async generator of the thread is iterated for the first time."""

    def __init__(self, outer: Callable[[AsyncGenerator[Any, Any]], None] | None) -> None:
        self.outer = outer

    def __call__(self, generator: AsyncGenerator[Any, Any]) -> None:
        loop = _get_running_loop()
        if isinstance(loop, OwnerOfGenerators):
            if len(_generators) >= GENERATORS_MAX:
                _sweep()
            _generators[id(generator)] = ref(loop)
            loop.generators.add(generator)
            return
        _generators.pop(id(generator), None)
        if self.outer is not None:
            self.outer(generator)


class _Finalizer:
    """Called when an async generator is dropped before it is exhausted: a run's own loop closes it."""

    def __init__(self, outer: Callable[[AsyncGenerator[Any, Any]], None] | None) -> None:
        self.outer = outer

    def __call__(self, generator: AsyncGenerator[Any, Any]) -> None:
        known = _generators.pop(id(generator), None)
        if known is None:
            if self.outer is not None:
                self.outer(generator)
            return
        loop = known()
        if loop is not None and _get_running_loop() is loop and not loop.is_closed() and get_ident() not in _collecting:
            loop.create_task(aclose(generator))


async def aclose(generator: AsyncGenerator[Any, Any]) -> None:
    """A task of that name, in keys."""
    await generator.aclose()


_collecting: set[int] = set()
"""The thread on which the garbage collector runs now."""


def _hear_of_collection(phase: str, _: object) -> None:
    if phase == "start":
        _collecting.add(get_ident())
    else:
        _collecting.discard(get_ident())
