"""Plants: the engine broken on purpose, one way at a time, to see whether the audit notices.

Each is a function that takes a piece of the engine out, in this process and all that it forks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from random import SystemRandom
from typing import Any

import msgspec

from keepstep.journal import Commit, NewMessage, Sent
from keepstep.journal.deciding import change, ownership, start
from keepstep.journal.deciding.operation import Answer, Operation
from keepstep.journal.deciding.picture import Picture
from keepstep.journal.sqlite.flush import Flusher
from keepstep.journal.writing.writer import Writer
from keepstep.runtime.operation import TimerOperation
from keepstep.runtime.saga import Saga
from keepstep.testing.sabotage import stop_recording
from keepstep.worker.opening import Opening
from keepstep.worker.steps import Steps

EARLY_SECONDS = 0.01
FORGOTTEN_SHARE = 0.08


def _replace(owner: object, name: str, made: object) -> None:
    assert hasattr(owner, name), f"{owner} has no {name} any more: this plant breaks nothing"
    setattr(owner, name, made)


def answer_early() -> None:
    """Every answer is given a moment before the transaction is committed."""
    flush, commit = Writer._flush_until_done, Flusher._commit
    group: Sequence[Operation] = ()
    answer: Answer

    def noting(writer: Writer, operations: Sequence[Operation]) -> Iterator[float]:
        nonlocal group, answer
        group, answer = operations, writer._answer
        return flush(writer, operations)

    def hasty(flusher: Flusher) -> None:
        answer(group, (), ())
        time.sleep(EARLY_SECONDS)
        commit(flusher)

    _replace(Writer, "_flush_until_done", noting)
    _replace(Flusher, "_commit", hasty)


def drop_fencing() -> None:
    """Whoever once owned a run may write to it for ever."""
    commit_run = change.commit_run

    def trusting(picture: Picture, commit: Commit) -> Any:
        head = picture.heads.get(commit.run_id) or picture.head(commit.run_id)
        if commit.epoch is not None and head.owner is not None and head.epoch != commit.epoch:
            commit = msgspec.structs.replace(commit, epoch=head.epoch, first_seq=None)
        return commit_run(picture, commit)

    _replace(change, "commit_run", trusting)


def consume_nothing() -> None:
    """Messages stay in the inbox after they were recorded."""
    commit_run = change.commit_run

    def keeping(picture: Picture, commit: Commit) -> Any:
        return commit_run(picture, msgspec.structs.replace(commit, consume=()) if commit.consume else commit)

    _replace(change, "commit_run", keeping)


def forget_messages() -> None:
    """Now and then a message is acknowledged and thrown away."""
    send, dice = start.send, SystemRandom()

    def forgetful(picture: Picture, message: NewMessage) -> Sent:
        if dice.random() < FORGOTTEN_SHARE:
            return Sent(message.run_id or "", 0, duplicate=False)
        return send(picture, message)

    _replace(start, "send", forgetful)


def record_nothing() -> None:
    """The results of one kind of step reach the workflow and not its history."""
    stop_recording("chaos_async")


def undo_forwards() -> None:
    """Sagas undo what was done first, first."""

    async def wrong_way(saga: Saga) -> None:
        saga._execution.compensating += 1
        for undo in saga._undos:
            await undo.call()
        saga._execution.compensating -= 1

    _replace(Saga, "undo_all", wrong_way)


def undo_the_certain() -> None:
    """Sagas undo only what is known to have succeeded."""
    undo_all = Saga.undo_all

    async def careless(saga: Saga) -> None:
        saga._undos = [each for each in saga._undos if each.outcome.succeeded]
        await undo_all(saga)

    _replace(Saga, "undo_all", careless)


def repeat_once() -> None:
    """The begin of a once-step is not noted."""
    _replace(Steps, "_execute_once", Steps._execute)


def ring_early() -> None:
    """Timers ring at once."""
    begin_timer = Opening.begin_timer

    def hasty(opening: Opening, operation: TimerOperation) -> None:
        begin_timer(opening, operation)
        resident = opening.resident
        asyncio.get_running_loop().call_soon(
            resident.wake_at, operation.key, resident.worker.journal.clock.now() + 1000
        )

    _replace(Opening, "begin_timer", hasty)


def wake_nobody() -> None:
    """What a dead worker owned is taken from it and offered to nobody."""
    end_lease = ownership.end_lease

    def silent(picture: Picture, over: tuple[str, int, str | None]) -> bool:
        wake = Picture.wake
        _replace(Picture, "wake", lambda *_: None)
        try:
            return end_lease(picture, over)
        finally:
            _replace(Picture, "wake", wake)

    _replace(ownership, "end_lease", silent)


PLANTS: dict[str, Callable[[], None]] = {
    "answer-early": answer_early,
    "no-fencing": drop_fencing,
    "consume-nothing": consume_nothing,
    "forget-messages": forget_messages,
    "record-nothing": record_nothing,
    "undo-forwards": undo_forwards,
    "undo-the-certain": undo_the_certain,
    "repeat-once": repeat_once,
    "ring-early": ring_early,
    "wake-nobody": wake_nobody,
}
