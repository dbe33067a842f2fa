"""Ending: closing an open run by force, and starting another one in its place.

Both take the run from whoever owns it, so that nothing its worker does afterwards is recorded. A run that went on since
it was read is read again, a bounded number of times.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec

from keepstep.journal import (
    Commit,
    Conflict,
    Event,
    Journal,
    NewEvent,
    NewMessage,
    NewRun,
    Run,
    RunClosed,
    Started,
    Status,
)
from keepstep.runtime import history
from keepstep.runtime.data import plain_text
from keepstep.runtime.history import pack
from keepstep.runtime.reopening import without_superseded
from keepstep.worker.inbox import STREAM, words_in
from keepstep.worker.kinship import words_after_termination
from keepstep.worker.observer import Observers
from keepstep.worker.said import Hearing
from keepstep.worker.watching import tell_closed

TRIES_MAX = 20
EVENTS_PAGE = 1000
OF_CHILDREN = (history.CHILD_STARTED, history.CHILD_CLOSED, history.WORKFLOW_REOPENED)


async def terminate(
    journal: Journal,
    read: Callable[[], Awaitable[Run]],
    reason: str,
    *,
    is_certain: bool,
    observers: Observers | None = None,
) -> None:
    """End the run that ``read`` reads. ``is_certain``: it is a certain run, not whichever is the newest of its id.

    ``observers`` are told of it. Raises ``RunClosed``, and ``Conflict`` if it changes too quickly.
    """
    plain_text(reason, "the reason")
    run = await read()
    for _ in range(TRIES_MAX):
        if run.status is not Status.RUNNING:
            raise RunClosed(f"run {run.workflow_id!r} is closed already ({run.status})")
        try:
            ending = await _Ending.of(journal, run, reason, observers)
            await journal.commit(ending.commit)
            ending.tell()
            return
        except Conflict:
            pass
        except RunClosed:
            if is_certain:
                raise  # otherwise it may have been restarted, and the newest run is another one
        run = await read()
    raise Conflict(f"run {run.workflow_id!r} changes too quickly to be terminated; try again")


async def restart(journal: Journal, new: NewRun, observers: Observers | None) -> Started:
    """End the open run of that workflow id by force and start the new one, in one commit."""
    for _ in range(TRIES_MAX):
        run = await journal.find_run(new.namespace, new.workflow_id)
        try:
            if run is None or run.status is not Status.RUNNING:
                return await journal.start(new)
            ending = await _Ending.of(journal, run, "restarted", observers, new.run_id)
            ending.commit.start = (msgspec.structs.replace(new, continued_from=run.run_id),)
            done = await journal.commit(ending.commit)
            ending.tell()
            return done.started[0]
        except (Conflict, RunClosed):
            continue  # it went on, ended, or was restarted by somebody else since it was read
    raise Conflict(f"run {new.workflow_id!r} changes too quickly to be restarted; try again")


class _Ending:
    """The end of one run by force: its commit, and whom to tell of it then."""

    def __init__(self, run: Run, commit: Commit, hearing: Hearing, observers: Observers | None) -> None:
        self.commit = commit
        self._run = run
        self._hearing = hearing
        self._observers = observers

    @classmethod
    async def of(
        cls, journal: Journal, run: Run, reason: str, observers: Observers | None, restarted_as: str = ""
    ) -> _Ending:
        """``restarted_as`` is the run that takes its place, if one does."""
        data = pack(history.WorkflowTerminated(reason, restarted_as, observers is not None))
        of_children, hearing = await _read_history(journal, run, is_heard=observers is not None)
        words, consume = await _read_words(journal, run)
        ended_at = max(journal.clock.now(), run.started_at)  # one that is delayed would begin later only
        event = NewEvent(history.WORKFLOW_TERMINATED, ended_at, None, data)
        send = words_after_termination(run.namespace, run.run_id, of_children)
        if run.parent_run_id is not None:
            told = pack(history.ChildClosed(Status.TERMINATED, b""))
            send.append(NewMessage(run_id=run.parent_run_id, kind="child_closed", name=run.parent_key or "", data=told))
        commit = Commit(
            run_id=run.run_id,
            version=run.version,
            seize=True,
            status=Status.TERMINATED,
            events=(*words, event),
            consume=consume,
            send=tuple(send),
            audit=f"terminate: {reason}",
            is_spoken=bool(words),
        )
        return cls(run, commit, hearing, observers)

    def tell(self) -> None:
        """It is durable."""
        if self._observers is not None:
            tell_closed(self._observers, self._run, Status.TERMINATED, self.commit.events[-1].time, self._hearing)


async def _read_words(journal: Journal, run: Run) -> tuple[list[NewEvent], tuple[int, ...]]:
    """What steps on queues have written to streams and the run has not recorded yet, as events, and their messages.

    They were told that it is durable. Who says more meanwhile changes the run's version. What is sealed with keys that
    are not here stays where it is.
    """
    words: list[NewEvent] = []
    consume: list[int] = []
    for message in await journal.read_messages(run.run_id):
        with suppress(msgspec.DecodeError):
            words += words_in(message, journal.clock.now()) if message.kind == STREAM else ()
            consume += (message.n,) if message.kind == STREAM else ()
    return words, tuple(consume)


async def _read_history(
    journal: Journal, run: Run, *, is_heard: bool
) -> tuple[list[tuple[str, str | None, bytes]], Hearing]:
    """The events of its children in a run's history as it was read, and (``is_heard``) what was said to it.

    That it has not gone on since, its version says.
    """
    of_children: list[Event] = []
    hearing, seq = Hearing(), 0
    while page := await journal.read_events(run.run_id, seq, EVENTS_PAGE):
        of_children += [each for each in page if each.type in OF_CHILDREN]
        for event in page if is_heard else ():
            hearing.hear(event)
        seq = page[-1].seq
    counted, _ = without_superseded(of_children)
    return [(each.type, each.key, each.data) for each in counted], hearing
