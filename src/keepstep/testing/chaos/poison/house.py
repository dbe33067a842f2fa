"""House: forks the processes of a round, and replaces workers that die, as a supervisor would."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from keepstep import Engine
from keepstep.worker.watchdog import Watchdog

LEASE_SECONDS = 1.0
TURN_SECONDS_MAX = 1.0
"""After which an endless turn is interrupted; ten seconds by default."""

LOOK_SECONDS = 0.005
PR_SET_PDEATHSIG = 1


def fork(main: Callable[[], Coroutine[Any, Any, None]], log: Path) -> int:
    """Run a program in a process of its own, which dies with this one; what it logs goes into the file."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        logging.basicConfig(filename=log, level=logging.WARNING, force=True)
        asyncio.run(main())
        code = 0
    except BaseException:
        with log.open("a") as file:
            file.write(traceback.format_exc())
    finally:
        os._exit(code)


def wait_for(pid: int) -> int:
    """The exit code of a process, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def has_ended(pid: int) -> bool:
    """Whether a process has ended; it is buried then."""
    return os.waitpid(pid, os.WNOHANG)[0] == pid


class House:
    """Two workers on a database, and how often one of them had to be replaced."""

    def __init__(self, url: str, log: Path, workers: int = 2) -> None:
        self._url = url
        self._log = log
        self.deaths = 0
        self._workers = [self._hire() for _ in range(workers)]

    def _hire(self) -> int:
        return fork(self._work, self._log)

    async def _work(self) -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        engine = Engine(self._url, lease_seconds=LEASE_SECONDS, poll_seconds=0.1)
        async with engine:
            assert engine.worker is not None
            engine.worker.watchdog = Watchdog(TURN_SECONDS_MAX)
            await stop.wait()

    def keep(self, guest: int) -> int:
        """Replace workers that die until the guest has gone; the guest's exit code."""
        while True:
            ended, status = os.waitpid(guest, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            for place, worker in enumerate(self._workers):
                if has_ended(worker):
                    self.deaths += 1
                    self._workers[place] = self._hire()
            time.sleep(LOOK_SECONDS)

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            os.kill(worker, signal.SIGKILL)
            wait_for(worker)
