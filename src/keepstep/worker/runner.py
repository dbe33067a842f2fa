"""Runner: asyncio tasks that run attempts one after the other, for as long as they do not have to wait.

Most steps of a busy worker end without having waited, or wait once; a task for each of them would cost more than they
do. So one task takes attempts from a queue and runs each up to where it waits for the first time. One that waits keeps
the task for itself from there on, and another task goes on with the queue.

To its code an attempt looks as if it had a task of its own: it has its own context (``contextvars``), and the task it
runs in belongs to it from its begin to its end. A task that an attempt has cancelled is not given to the next one. The
context is a copy of the one in which the worker was made, never that of whoever happened to start or signal a run: the
user of one web request must not be seen in the step of another.
"""

from __future__ import annotations

import asyncio
import types
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from typing import Any

from .attempt import Attempt

WITHOUT_PAUSE_MAX = 200
"""So many attempts are run before others on the event loop get their turn."""

Work = Coroutine[Any, Any, None]


class Runner:
    """See the module's docstring. ``perform`` makes an attempt's work when its turn has come, or None."""

    def __init__(self, perform: Callable[[Attempt], Work | None]) -> None:
        self._perform = perform
        self._context = copy_context()
        self._queue: deque[Attempt] = deque()
        self._has_task = False
        self._tasks: set[asyncio.Task[None]] = set()
        """Tasks in use; asyncio itself holds them only weakly."""

    def run(self, attempt: Attempt) -> None:
        """Run an attempt soon."""
        self._queue.append(attempt)
        if not self._has_task:
            self._hand_on()

    def _hand_on(self) -> None:
        """Another task goes on with the queue, if there is something in it."""
        self._has_task = bool(self._queue)
        if self._has_task:
            loop = asyncio.get_running_loop()
            task = loop.create_task(self._take_turns(), name="keepstep-steps", context=self._context.copy())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _take_turns(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        queue, taken = self._queue, 0
        try:
            while queue and not task.cancelling():
                attempt = queue.popleft()
                work = self._perform(attempt)
                if work is None:
                    continue
                context = self._context.copy()
                try:
                    awaited = context.run(work.send, None)
                except StopIteration:
                    taken += 1
                    if taken % WITHOUT_PAUSE_MAX == 0:
                        await asyncio.sleep(0)
                    continue
                break
            else:
                return
        finally:
            self._hand_on()
        attempt.task = task
        task.set_name(f"keepstep-step {attempt.operation.key}")
        if attempt.is_cancelled:
            task.cancel()
        await _go_on(context, work, awaited)


@types.coroutine
def _go_on(context: Context, work: Work, awaited: Any) -> Generator[Any, Any, None]:
    """Drive work from its first wait to its end, in its own context."""
    step: Callable[[Any], Any]
    while True:
        try:
            sent = yield awaited
        except GeneratorExit:
            context.run(work.close)
            raise
        except BaseException as error:
            step, sent = work.throw, error
        else:
            step = work.send
        try:
            awaited = context.run(step, sent)
        except StopIteration:
            return
