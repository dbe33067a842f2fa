"""What stands in for the PostgreSQL store's threads where one loop drives many processes: the same, on tracks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import psycopg

from keepstep.journal import Hint, HintKind
from keepstep.journal.deciding.operation import Operation
from keepstep.journal.postgres import herald
from keepstep.journal.postgres.reader import THREADS, Asker
from keepstep.journal.postgres.wire import Wire
from keepstep.journal.writing import writer
from keepstep.journal.writing.bus import Hear
from keepstep.journal.writing.writer import Writer

from .postgres_wire import LentWire
from .track import TrackEvent, TrackPace, Tracks, this_track

T = TypeVar("T")


class TrackDrive:
    """A ``Drive`` on a track: what ``ThreadDrive`` does on a thread."""

    def __init__(self, tracks: Tracks, driven: Writer) -> None:
        self._writer = driven
        self._queue: deque[Operation] = deque()
        self._news = TrackEvent()
        self._is_ending = False
        self._is_crashed = False
        self._ended = asyncio.Event()
        tracks.begin(self._run)

    def put(self, operation: Operation) -> None:
        if self._is_crashed:
            return
        self._writer.admit(len(self._queue))
        self._queue.append(operation)
        self._news.set()

    def wake(self) -> None:
        self._news.set()

    def end(self) -> None:
        self._is_ending = True
        self._news.set()

    async def join(self) -> Sequence[Operation]:
        await self._ended.wait()
        return ()

    def crash(self) -> None:
        """Nothing is taken any more; its track dies with its process."""
        self._is_crashed = True
        self._queue.clear()

    def _run(self) -> None:
        while not (self._is_ending and not self._queue):
            for pause in self._writer.round(self._gather()):
                this_track().sleep(pause)
            self._queue.extend(self._writer.take_put_off())
        self._writer.leave()
        self._ended.set()

    def _gather(self) -> list[Operation]:
        """The operations that wait; if none does, the first that comes, or none when something else is due."""
        if not self._queue:
            self._news.wait(self._writer.idle_seconds())
        self._news.clear()
        most = min(len(self._queue), writer.GROUP_OPERATIONS_MAX)
        return [self._queue.popleft() for _ in range(most)]


class TrackReader:
    """A ``Reader`` with the real askers on tracks, as many as the real one has threads."""

    def __init__(self, tracks: Tracks, connect: Callable[[], Wire], pace: TrackPace) -> None:
        self._tracks = tracks
        self._closing = TrackEvent()
        self._idle = [Asker(connect, "the simulated server", self._closing, pace) for _ in range(THREADS)]
        self._free = asyncio.Semaphore(THREADS)

    async def read(self, question: Callable[[Wire], T]) -> T:
        await self._free.acquire()
        asker = self._idle.pop()
        asked = asyncio.ensure_future(self._tracks.call(lambda: asker.ask(question)))
        asked.add_done_callback(partial(self._answered, asker))
        return await asyncio.shield(asked)  # whoever does not want the answer any more does not stop the asker

    def _answered(self, asker: Asker, asked: asyncio.Future[T]) -> None:
        if not asked.cancelled():
            asked.exception()
        self._idle.append(asker)
        self._free.release()

    async def close(self) -> None:
        self._closing.set()
        for _ in range(THREADS):
            await self._free.acquire()
        for asker in self._idle:
            asker.close()


class TrackHerald:
    """A ``Bus`` on a track, with LISTEN and NOTIFY: what ``Herald`` does on a thread."""

    def __init__(
        self, tracks: Tracks, connect: Callable[[], LentWire], channel: str, name: str, pace: TrackPace
    ) -> None:
        self._tracks = tracks
        self._connect = connect
        self._channel = channel
        self._name = name
        self._pace = pace
        self._told: dict[HintKind, None] = {}
        self._news, self._closing = TrackEvent(), TrackEvent()
        self._hear: Hear | None = None

    def listen(self, loop: asyncio.AbstractEventLoop, hear: Hear) -> None:
        self._loop, self._hear = loop, hear
        self._tracks.begin(self._run)

    def tell(self, kinds: Sequence[HintKind]) -> None:
        self._told.update(dict.fromkeys(kinds))
        self._news.set()

    def close(self) -> None:
        self._hear = None
        self._closing.set()
        self._news.set()

    def _run(self) -> None:
        pause = herald.RETRY_SECONDS_FIRST
        while not self._closing.is_set():
            try:
                wire = self._connect()
            except psycopg.Error:
                pause = min(pause * 2, herald.RETRY_SECONDS_MAX)
            else:
                pause = herald.RETRY_SECONDS_FIRST
                self._serve_until_lost(wire)
            self._closing.wait(self._pace.between(pause / 2, pause))

    def _serve_until_lost(self, wire: LentWire) -> None:
        wire.on_news = self._news.set
        try:
            wire.ask(herald.listening(self._channel))
            self._pass_on(herald.EVERYTHING)
            while not self._closing.is_set():
                self._pass_on(herald.hear(wire, self._name))
                if self._told:
                    told, self._told = self._told, {}
                    herald.say(wire, self._channel, self._name, list(told))
                    this_track().sleep(herald.TELL_SECONDS_MIN)
                else:
                    self._news.wait()
                    self._news.clear()
        except psycopg.Error:
            """It is connected anew."""
        finally:
            wire.close()

    def _pass_on(self, kinds: Sequence[HintKind]) -> None:
        if kinds:
            self._loop.call_soon(self._tell_loop, tuple(kinds))

    def _tell_loop(self, kinds: Sequence[HintKind]) -> None:
        for kind in kinds:
            if self._hear is not None:
                self._hear(Hint(kind))
