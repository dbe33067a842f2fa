"""The processes of the demo: the outside world, and workers that can be killed and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import msgspec

from .outside import WORKER_NAME, WORLD_URL
from .world.plan import Plan

PACKAGE = __package__ or "order_fulfilment"
IMPORT_ROOT = Path(__file__).resolve().parents[PACKAGE.count(".") + 1]
"""The folder from which this package was imported: a checkout's, or the one it was installed to."""

STARTUP_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 10.0


class NotRunning(Exception):
    """A process of the demo ended by itself or stayed silent; the text says what it said last, or where to look."""


class Process:
    """A program with a listening port, whose output goes to a file."""

    def __init__(self, name: str, port: int, command: list[str], folder: Path, env: dict[str, str]) -> None:
        self.name = name
        self.port = port
        self._command = command
        self._log = folder / f"{name}.log"
        self._env = {**os.environ, "PYTHONPATH": _import_path(), "PYTHONUNBUFFERED": "1", **env}
        self._running: subprocess.Popen[bytes] | None = None
        self._starts = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def life(self) -> str:
        """The name of this life of it: ``worker-1.3`` is the first worker after its second restart."""
        return f"{self.name}.{self._starts}"

    def start(self) -> None:
        """Starts it and returns at once."""
        self._starts += 1
        env = {**self._env, WORKER_NAME: self.life}
        with self._log.open("ab") as log:
            self._running = subprocess.Popen(
                self._command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )

    async def listening(self) -> None:
        """Returns once it accepts connections.

        :raises NotRunning: if it ends before that, or takes longer than ``STARTUP_SECONDS_MAX``.
        """
        try:
            async with asyncio.timeout(STARTUP_SECONDS_MAX):
                while not await _accepts(self.port):
                    if not self.is_running:
                        raise NotRunning(self.obituary())
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise NotRunning(f"{self.name} does not listen on port {self.port}; see {self._log}") from None

    @property
    def is_running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._running is not None and self._running.poll() is None

    def obituary(self) -> str:
        """What to tell of a process that has ended by itself: its name and its last words."""
        last_words = self._log.read_text(errors="replace").splitlines()[-15:]
        return "\n".join([f"{self.life} has ended by itself:", *last_words])

    def kill(self) -> None:
        """Ends it as a power failure would: SIGKILL, no goodbye."""
        assert self._running is not None
        self._running.send_signal(signal.SIGKILL)
        self._running.wait()

    def stop(self) -> None:
        """Asks it to end; kills it if it does not."""
        if self._running is None or not self.is_running:
            return
        self._running.terminate()
        try:
            self._running.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()


def world_process(port: int, folder: Path, plan: Plan) -> Process:
    """The outside world, keeping its books in ``folder``."""
    plan_json = msgspec.json.encode(plan).decode()
    module = f"{PACKAGE}.world"
    command = [sys.executable, "-m", module, str(port), str(folder / "books.db"), plan_json]
    return Process("world", port, command, folder, {})


def worker_process(number: int, port: int, folder: Path, db: str, world_url: str, sabotage: bool) -> Process:
    """A worker of Keepstep: ``keepstep worker order_fulfilment.workflow --http PORT --db URL``.

    :param sabotage: the worker does not record that a customer was charged.
    """
    keepstep = ["keepstep.testing.sabotage", "charge_payment"] if sabotage else ["keepstep"]
    arguments = ["worker", f"{PACKAGE}.workflow", "--http", str(port), "--db", db]
    command = [sys.executable, "-m", *keepstep, *arguments]
    return Process(f"worker-{number}", port, command, folder, {WORLD_URL: world_url})


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on just now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def _import_path() -> str:
    inherited = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(IMPORT_ROOT), *([inherited] if inherited else [])])
