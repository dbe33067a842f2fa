"""Blocking: the engine and the time of a sync test. The loop runs only while the test waits for something."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import partial
from typing import Any, ParamSpec, TypeVar

from keepstep.client.blocking.engine import BlockingEngine
from keepstep.client.blocking.thread import EngineThread
from keepstep.journal import InvalidInput
from keepstep.runtime.call import current
from keepstep.runtime.data import Duration

from .stage import Stage

P = ParamSpec("P")
R = TypeVar("R")


class StagedBlockingEngine(BlockingEngine):
    """The engine of a stage without ``await``. It is open as long as the stage is."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(workers=False)
        self._it = stage.engine
        self._running = _StageThread(stage)

    def open(self) -> BlockingEngine:
        """Refused: it is open."""
        raise InvalidInput("keepstep_blocking_engine is open already, and is closed when the test ends")


class BlockingVirtualTime:
    """The time of a sync test: it stands still while the test computes."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def now(self) -> datetime:
        """What workflows and steps take the time to be."""
        return self._stage.time.now()

    def advance(self, duration: Duration) -> None:
        """Let so much time pass, with all that happens in it: ``keepstep_blocking_time.advance("30d")``."""
        self._stage.play(partial(self._stage.time.advance, duration))


class _StageThread(EngineThread):
    """No thread at all: whoever calls plays the stage until there is an answer."""

    def __init__(self, stage: Stage) -> None:
        self._process = os.getpid()
        self._stage = stage

    def call(self, method: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        if current() is not None:
            raise InvalidInput("workflow code must not wait for an engine; do that in a step, or start a child")
        if self._stage.loop.is_running():
            raise InvalidInput(
                "in a test, sync steps run on the loop of virtual time, and a blocking engine called from one would "
                "wait for itself for ever; mock that step, or make it async and use keepstep_engine"
            )
        return self._stage.play(partial(method, *args, **kwargs))

    def end(self) -> None:
        """The stage ends with the test."""
