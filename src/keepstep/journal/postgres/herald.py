"""Herald: hints between the processes of one schema, by NOTIFY, coalesced, and off every other connection's way.

A NOTIFY takes a lock of the whole server when it commits. So no flush carries one: what a flush has changed is told to
this thread, which has a connection of its own and sends the kinds of everything told since its last NOTIFY in one. The
same connection listens. Hints may get lost, and nothing depends on them: where the connection breaks it is made again,
with pauses, and everybody is told to look meanwhile, as one is who hears nothing for a while. Who is called in vain is
called less often (``calls``).

LISTEN needs a session. Behind a pooler in transaction mode it is had from the server itself, where the URL says which
that is; otherwise there is no herald, and processes poll.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import select
import threading
from collections.abc import Callable, Sequence

import psycopg

from keepstep.journal.errors import StoreUnavailable
from keepstep.journal.hint import Hint, HintKind
from keepstep.journal.writing.bus import Hear

from . import statements as sql
from .calls import Calls
from .statement import Statement
from .wire import Wire

log = logging.getLogger("keepstep.journal")

RETRY_SECONDS_FIRST = 0.1
RETRY_SECONDS_MAX = 5.0

TELL_SECONDS_MIN = 0.002
"""Between two NOTIFYs of a process."""

EVERYTHING = (
    HintKind.READY,
    HintKind.INBOX,
    HintKind.CLOSED,
    HintKind.TASKS,
    HintKind.ASKS,
    HintKind.SPOKEN,
    HintKind.LEASE_LOST,
)
"""What one is told to look for who may have missed something."""


def listening(channel: str) -> Statement:
    """What makes a session listen."""
    return Statement(f'LISTEN "{channel}"')


def say(wire: Wire, channel: str, name: str, kinds: Sequence[HintKind]) -> None:
    """Tell everybody who listens, in the name of a process."""
    wire.ask(sql.NOTIFY, channel, f"{name} {','.join(kinds)}")


def hear(wire: Wire, name: str) -> list[HintKind]:
    """What other processes than the one of that name have said, each kind once. Raises ``ConnectionLost``."""
    kinds: dict[HintKind, None] = {}
    for payload in wire.notifications():
        sender, _, listed = payload.partition(" ")
        if sender != name:
            known = [kind for kind in listed.split(",") if kind in HintKind._value2member_map_]
            kinds.update(dict.fromkeys(map(HintKind, known)))
    return list(kinds)


class Herald:
    """See the module. ``channel`` is the same for all processes of a schema, ``name`` is this one's."""

    def __init__(self, connect: Callable[[], Wire], channel: str, name: str, calls: Calls) -> None:
        self._connect = connect
        self._calls = calls
        self._channel = channel
        self._name = name
        self._listen = listening(channel)
        self._told: dict[HintKind, None] = {}
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hear: Hear | None = None
        self._closing = threading.Event()
        self.is_listening = False
        self._awaited, self._waker = os.pipe()
        os.set_blocking(self._waker, False)
        self._thread = threading.Thread(target=self._run, name="keepstep-herald", daemon=True)

    def listen(self, loop: asyncio.AbstractEventLoop, hear: Hear) -> None:
        self._loop, self._hear = loop, hear
        self._thread.start()

    def tell(self, kinds: Sequence[HintKind]) -> None:
        with self._lock:
            is_first = not self._told
            self._told.update(dict.fromkeys(kinds))
        if is_first:
            self._wake()

    def close(self) -> None:
        self._hear = None
        self._closing.set()
        self._wake()

    def _wake(self) -> None:
        try:
            os.write(self._waker, b"w")
        except OSError:
            """It is awake, or gone."""

    # -- on the thread

    def _run(self) -> None:
        pause = RETRY_SECONDS_FIRST
        while not self._closing.is_set():
            try:
                wire = self._connect()
            except (psycopg.Error, StoreUnavailable) as error:
                log.info("hints from other processes are not heard: %s", error)
            else:
                pause = RETRY_SECONDS_FIRST
                self._serve_until_lost(wire)
            self._closing.wait(random.uniform(pause / 2, pause))
            pause = min(pause * 2, RETRY_SECONDS_MAX)
        os.close(self._awaited)
        os.close(self._waker)

    def _serve_until_lost(self, wire: Wire) -> None:
        try:
            wire.ask(self._listen)
            self.is_listening = True
            self._pass_on(EVERYTHING)  # whatever was told before we listened
            poll = select.poll()
            poll.register(wire.socket, select.POLLIN)
            poll.register(self._awaited, select.POLLIN)
            while not self._closing.is_set():
                ready = {descriptor for descriptor, _ in poll.poll(self._calls.milliseconds_left())}
                self._pass_on(self._calls.hear(hear(wire, self._name) if wire.socket in ready else ()))
                if self._awaited in ready:
                    os.read(self._awaited, 4096)
                    self._send(wire)
        except psycopg.Error as error:
            log.info("hints from other processes are not heard for a moment: %s", error)
        finally:
            self.is_listening = False
            wire.close()

    def _send(self, wire: Wire) -> None:
        with self._lock:
            told, self._told = self._told, {}
        if told:
            say(wire, self._channel, self._name, list(told))
            self._pass_on(self._calls.hear(hear(wire, self._name)))
            self._closing.wait(TELL_SECONDS_MIN)

    def _pass_on(self, kinds: Sequence[HintKind]) -> None:
        if kinds and self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._tell_loop, kinds)
            except RuntimeError:
                self._closing.set()  # the loop was closed, and the store was not

    def _tell_loop(self, kinds: Sequence[HintKind]) -> None:
        for kind in kinds:
            if self._hear is not None:
                self._hear(Hint(kind))


class NoHerald:
    """For a pooler in transaction mode, and nothing else: nobody hears anything."""

    is_listening = False

    def listen(self, loop: asyncio.AbstractEventLoop, hear: Hear) -> None:
        """Nothing will come."""

    def tell(self, kinds: Sequence[HintKind]) -> None:
        """Others poll."""

    def close(self) -> None:
        """There is no connection."""
