"""Voice: what one attempt of a step writes into streams of its run, on its way to the journal, in order.

What is said while something else is being written travels together with the next. In the worker that owns the run it
is appended to the history under the run's lease; elsewhere it becomes messages under the task's token, which the owner
records. So an attempt that has lost its run or its task cannot speak any more: it hears ``Cancelled``.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from threading import get_ident

from keepstep.journal import Fenced, NotFound, Overloaded, RunClosed
from keepstep.runtime.errors import Cancelled
from keepstep.runtime.history import StreamWritten
from keepstep.runtime.stream import BATCH_BYTES_MAX, BATCH_VALUES_MAX, Word, in_batches

WAITING_VALUES_MAX = 1000
"""What an async step may have said that is not on its way yet; one that says more has to await."""

LOOK_SECONDS = 1.0
"""So often does a thread that waits look whether its attempt is wanted still."""

Send = Callable[[Sequence[StreamWritten]], Awaitable[object]]

Say = Callable[[Word], asyncio.Future[None] | None]
"""Writes a word; what it returns on the loop can be waited for until the word is durable."""


class Voice:
    """See the module's docstring.

    :param thread: the identity of the thread that the loop runs on. :param send: makes events durable, in the order of
        its calls. It is called on the loop, and again only when it has returned, unless ``say_all`` wants it at once.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        thread: int,
        step: str,
        attempt: int,
        send: Send,
        is_wanted: Callable[[], bool],
    ) -> None:
        self._loop, self._thread = loop, thread
        self._step = step
        self._attempt = attempt
        self._send = send
        self._is_wanted = is_wanted
        self._waiting: deque[tuple[Word, asyncio.Future[None]]] = deque()
        self._sending: asyncio.Future[object] | None = None
        self._error: BaseException | None = None
        """Why something could not be written."""

    def say(self, word: Word) -> asyncio.Future[None] | None:
        """Called by user code, from a thread, which waits, or from the loop, which gets a future to wait for.

        Raises ``Cancelled``, ``Overloaded``.
        """
        self._check_wanted()
        if get_ident() == self._thread:
            if asyncio._get_running_loop() is None:  # in virtual time a plain function runs here, and cannot wait
                self._loop.call_soon(self._take, word)
                return None
            if len(self._waiting) >= WAITING_VALUES_MAX:
                raise Overloaded(
                    f"{WAITING_VALUES_MAX:,} values of streams wait to be written; await keepstep.write_stream(...)"
                )
            return self._take(word)
        heard: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._loop.call_soon_threadsafe(self._take_from_thread, word, heard)
        while not heard.done():
            concurrent.futures.wait((heard,), LOOK_SECONDS)
            if not heard.done():
                self._check_wanted()
        return heard.result()

    def _check_wanted(self) -> None:
        if not self._is_wanted():
            raise Cancelled("nobody waits for this attempt of the step any more; what it says is not written")

    def _take(self, word: Word) -> asyncio.Future[None]:
        durable: asyncio.Future[None] = self._loop.create_future()
        durable.add_done_callback(_look_at_error)
        self._waiting.append((word, durable))
        if self._sending is None:
            self._send_some()
        return durable

    def _take_from_thread(self, word: Word, heard: concurrent.futures.Future[None]) -> None:
        def pass_on(done: asyncio.Future[None]) -> None:
            error = done.exception()
            heard.set_result(None) if error is None else heard.set_exception(error)

        self._take(word).add_done_callback(pass_on)

    def _send_some(self) -> None:
        """Write what waits, as much as travels together."""
        said: list[tuple[Word, asyncio.Future[None]]] = []
        size = 0
        while self._waiting and len(said) < BATCH_VALUES_MAX:
            size += len(self._waiting[0][0].payload or b"")
            if said and size > BATCH_BYTES_MAX:  # together they would be more than one message may have
                break
            said.append(self._waiting.popleft())
        if not self._is_wanted():
            _settle(said, Cancelled("nobody waits for this attempt of the step any more"))
            return
        events = list(in_batches((word for word, _ in said), self._step, self._attempt))
        self._sending = sending = asyncio.ensure_future(self._send(events))
        sending.add_done_callback(lambda done: self._sent(said, done))

    def _sent(self, said: Sequence[tuple[Word, asyncio.Future[None]]], done: asyncio.Future[object]) -> None:
        if self._sending is done:
            self._sending = None
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        if isinstance(error, Fenced | NotFound | RunClosed | asyncio.CancelledError):
            error = Cancelled("the run or the task of this attempt is another worker's by now")
        self._error = self._error or error
        _settle(said, error)
        if self._waiting and self._sending is None:
            self._send_some()

    def say_all(self) -> None:
        """Hand in at once whatever waits, so that it is written before what is handed in next."""
        while self._waiting:
            self._send_some()

    async def finish(self) -> None:
        """Wait until everything is written. Raises what prevented that."""
        while self._sending is not None:
            await asyncio.wait((self._sending,))
        if self._error is not None:
            raise self._error


def _settle(said: Sequence[tuple[Word, asyncio.Future[None]]], error: BaseException | None) -> None:
    for _, durable in said:
        if not durable.done():
            durable.set_result(None) if error is None else durable.set_exception(error)


def _look_at_error(done: asyncio.Future[None]) -> None:
    """Nobody has to await what an async step says, and asyncio is not to complain about that."""
    if not done.cancelled():
        done.exception()
