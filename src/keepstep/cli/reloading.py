"""Reloading: a worker in a process of its own, replaced by another one whenever its code changes.

The new one is begun first, and the old one goes on until the new one has imported the module and works: code that
cannot be imported says why, and nothing stops because of it. An old worker is told to end, and killed if it does not;
its runs go on elsewhere either way, that is what the journal is for. A worker that ends by itself is followed by
another one, after longer and longer pauses.

Workers end when their standard input does (``--until-eof``), so that none is left when this process is killed, and
Ctrl-C, which a terminal sends to every process, stops them once.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterable, Callable, Coroutine, Sequence
from typing import Any

PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.25, 5.0
"""After which a worker that has ended by itself is followed by another one."""

WORKS = "keepstep worker "
"""So begins what a worker says when it has imported its module and works."""

Tell = Callable[[str], None]


class Reloading:
    """See the module. ``arguments``: of ``keepstep worker``; ``grace_seconds``: what a worker has to end in."""

    def __init__(self, arguments: Sequence[str], grace_seconds: float, tell: Tell) -> None:
        self._command = [sys.executable, "-m", "keepstep", "worker", *arguments, "--until-eof"]
        self._grace_seconds = grace_seconds
        self._tell = tell
        self._worker: Process | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._has_changed = asyncio.Event()
        self.reloads = 0
        """Workers that have come to work."""

    async def run(self, changes: AsyncIterable[Sequence[str]], followed: Callable[[], None]) -> None:
        """Keep a worker with the newest code at work until cancelled; then there is none.

        ``changes``: names of files that have changed. ``followed`` is called when a worker has begun to work.
        """
        watching = self._spawn(self._hear(changes))
        pause = PAUSE_SECONDS
        try:
            while True:
                self._has_changed.clear()
                if await self._replace():
                    followed()
                    pause = PAUSE_SECONDS
                if await self._wait():
                    continue
                await asyncio.sleep(pause)
                pause = min(pause * 2, PAUSE_SECONDS_MAX)
        finally:
            watching.cancel()
            await self._end(self._worker)
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _hear(self, changes: AsyncIterable[Sequence[str]]) -> None:
        async for names in changes:
            self._tell(f"{', '.join(names)} changed")
            self._has_changed.set()

    async def _wait(self) -> bool:
        """For a change, or for the worker's end. False if it has ended, and nothing has changed."""
        changed = asyncio.ensure_future(self._has_changed.wait())
        ended = None if self._worker is None else asyncio.ensure_future(self._worker.wait())
        await asyncio.wait([each for each in (changed, ended) if each is not None], return_when=asyncio.FIRST_COMPLETED)
        for each in (changed, ended):
            if each is not None:
                each.cancel()
        if not self._has_changed.is_set() and self._worker is not None:
            self._tell(f"the worker has ended by itself ({_ended(self._worker)}); its runs go on in the next one")
            self._worker = None
        return self._has_changed.is_set()

    async def _replace(self) -> bool:
        """Begin a worker; when it works, end the one before. False if it does not come to that."""
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        worker = await asyncio.create_subprocess_exec(
            *self._command, stdin=PIPE, stdout=PIPE, env=environment, start_new_session=True
        )
        try:
            works = await _pass_on(worker, until=WORKS)
        except BaseException:
            worker.kill()
            raise
        if not works:
            await worker.wait()
            goes_on = "; the worker before it goes on" if self._worker is not None else ""
            self._tell(f"the new code does not come to work{goes_on}, and the next change is tried")
            return False
        self._spawn(_pass_on(worker))
        before, self._worker = self._worker, worker
        self.reloads += 1
        await self._end(before)
        return True

    async def _end(self, worker: Process | None) -> None:
        """Have a worker end: gracefully, or by force."""
        if worker is None or worker.returncode is not None:
            return
        assert worker.stdin is not None
        worker.stdin.close()
        try:
            await asyncio.wait_for(worker.wait(), self._grace_seconds + 1)
        except TimeoutError:
            worker.kill()
            await worker.wait()

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _pass_on(worker: Process, until: str = "") -> bool:
    """What a worker says, and its code prints, up to a line that begins so. False if it has ended before that."""
    assert worker.stdout is not None
    while line := (await worker.stdout.readline()).decode(errors="replace"):
        sys.stdout.write(line)
        sys.stdout.flush()
        if until and line.startswith(until):
            return True
    return False


def _ended(worker: Process) -> str:
    code = worker.returncode
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
