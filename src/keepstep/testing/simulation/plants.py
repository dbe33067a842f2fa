"""Plants: bugs put into the engine on purpose, one at a time, to see whether the checkers find them.

A simulator that has never found anything proves little. Each plant breaks one promise in the way in which real engines
have broken it; every one must be found within a thousand seeds.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import copy
from importlib.util import find_spec
from itertools import count
from typing import Any

import msgspec

from keepstep.client import answer, streaming
from keepstep.client import handle as handle_of_run
from keepstep.client.bulk import word
from keepstep.client.handle import RunHandle
from keepstep.client.schedule import ScheduleHandle
from keepstep.journal import Commit, Committed, Condition, Event, Message, NewMessage, Promise
from keepstep.journal.deciding import change as decided
from keepstep.journal.deciding import rate, turn
from keepstep.journal.memory import change as memory_change
from keepstep.journal.memory import ownership as memory_ownership
from keepstep.journal.memory.queueing import RUN_ITSELF, MemoryShelf
from keepstep.journal.queue import Queue
from keepstep.journal.sqlite.deeds import Sandbox
from keepstep.journal.sqlite.shelf import SqliteShelf
from keepstep.queues.waiting import WaitingOptions
from keepstep.retention.sweep import Sweeping
from keepstep.runtime import history
from keepstep.runtime.execution import Execution
from keepstep.runtime.handling import Handling
from keepstep.runtime.marker import Markers
from keepstep.runtime.operation import TimerOperation
from keepstep.runtime.saga import Outcome, Saga, _Undo
from keepstep.runtime.stream import BATCH_VALUES_MAX, Streams
from keepstep.schedules import runner as firer
from keepstep.schedules import turn as firing
from keepstep.schedules.runner import Runner as Firer
from keepstep.schedules.standing import Pending, Standing, firing_id, first_standing
from keepstep.worker import admission, ending, inbox, opening
from keepstep.worker.attempt import AttemptRecord
from keepstep.worker.lane import Lane
from keepstep.worker.remote_work import RemoteWork
from keepstep.worker.reply import Reply, UpdateRequest
from keepstep.worker.resident import Resident
from keepstep.worker.steps import Steps
from keepstep.worker.updating import Updating

from .trouble import TroubledJournal

Replacement = tuple[Any, str, Any]
"""Whose attribute, which, and what stands in its place."""


def _no_fencing() -> list[Replacement]:
    """A commit under an old epoch is accepted."""
    return [
        (memory_change, "_check_owner", lambda *_: None),
        (decided, "_check_owner", lambda *_: None),
        (decided, "is_plain", lambda _: False),
    ]


def _resubmitted(change: Callable[[Commit], None]) -> list[Replacement]:
    submit = TroubledJournal.submit

    def changed(journal: TroubledJournal, commit: Commit) -> Promise:
        change(commit)
        return submit(journal, commit)

    return [(TroubledJournal, "submit", changed)]


def _message_twice() -> list[Replacement]:
    """A message stays in the inbox after it was consumed."""
    return _resubmitted(lambda commit: setattr(commit, "consume", ()))


def _unread_at_close() -> list[Replacement]:
    """A run closes although a message has come that it has not seen."""
    return _resubmitted(lambda commit: setattr(commit, "inbox_seen", None))


def _unwritten_commit() -> list[Replacement]:
    """Now and then a commit is confirmed that was never written."""
    submit = TroubledJournal.submit

    def forgetful(journal: TroubledJournal, commit: Commit) -> Promise:
        if commit.first_seq is None or journal._chance.random() >= 0.02:
            return submit(journal, commit)
        done = Promise(loop=asyncio.get_running_loop())
        outcome = Committed(commit.first_seq, commit.first_seq + len(commit.events) - 1, commit.epoch or 0)
        journal._confirm(commit, outcome)
        asyncio.get_running_loop().call_soon(done.settle, outcome, None)
        return done

    return [(TroubledJournal, "submit", forgetful)]


def _early_result() -> list[Replacement]:
    """Workflow code sees a step's result before it is durable."""
    submit = Lane.submit

    def hasty(
        lane: Lane, commit: Commit, heard: Callable[[Promise], None], alone: Callable[[Commit], Promise] | None = None
    ) -> Promise:
        resident = lane._worker.residents.get(commit.run_id)
        if resident is None or [each.type for each in commit.events] != [history.STEP_COMPLETED]:
            return submit(lane, commit, heard, alone)
        submit(lane, commit, lambda done: _refuse(resident, done))
        done = Promise(loop=asyncio.get_running_loop())
        done.commit, done.heard = commit, heard
        asyncio.get_running_loop().call_soon(done.settle, Committed(0, commit.first_seq or 0, resident.epoch), None)
        return done

    return [(Lane, "submit", hasty)]


def _refuse(resident: Resident, done: Promise) -> None:
    error = done.exception()
    if error is not None:
        resident.refused(error)


def _timer_early() -> list[Replacement]:
    """Timers ring ten milliseconds before their time."""
    wake_at = Resident.wake_at

    def early(resident: Resident, key: str, moment: int) -> None:
        is_timer = isinstance(resident.execution.pending.get(key), TimerOperation)
        wake_at(resident, key, moment - 10_000 if is_timer else moment)

    return [(Resident, "wake_at", early)]


def _lost_wake() -> list[Replacement]:
    """A signal does not wake a run that is asleep."""

    async def softly(
        handle: RunHandle[Any], kind: str, name: str, data: bytes, id: str | None, connection: Any = None
    ) -> None:
        assert connection is None, "nobody in a simulation sends within a transaction of their own"
        address = {"namespace": handle._engine.namespace, "workflow_id": handle.id}
        await handle._journal.send(NewMessage(kind=kind, name=name, data=data, id=id, wakes=False, **address))

    return [(RunHandle, "_send", softly)]


def _undo_twice() -> list[Replacement]:
    """An undo is done once more."""

    async def undo_all(saga: Saga) -> None:
        while saga._undos:
            await saga._undos[-1].call()
            await saga._undos.pop().call()

    return [(Saga, "undo_all", undo_all)]


def _undo_forwards() -> list[Replacement]:
    """What was done first is undone first."""

    async def undo_all(saga: Saga) -> None:
        while saga._undos:
            await saga._undos.pop(0).call()

    return [(Saga, "undo_all", undo_all)]


def _undo_late() -> list[Replacement]:
    """An undo is registered only when its step has succeeded."""

    async def run(saga: Saga, do: Any, *args: Any, undo: Any) -> Any:
        result = await do(*args)
        entry = _Undo(undo, args, wants_outcome=True)
        entry.outcome = Outcome("succeeded", result=result)
        saga._undos.append(entry)
        return result

    return [(Saga, "run", run)]


def _once_twice() -> list[Replacement]:
    """A ``once`` step that was cut off is simply begun again."""
    may_begin = Steps._may_begin

    def carefree(steps: Steps, resident: Resident, operation: Any, record: AttemptRecord) -> bool:
        return may_begin(steps, resident, operation, msgspec.structs.replace(record, once_begun=False))

    return [(Steps, "_may_begin", carefree)]


def _update_twice() -> list[Replacement]:
    """An update that is asked for once more is done once more."""
    perform = Updating.perform

    async def forgetful(updating: Updating, name: str, request: UpdateRequest) -> Reply:
        updating._handling.updates.pop(request.id, None)
        return await perform(updating, name, request)

    return [(Updating, "perform", forgetful)]


def _update_unchecked() -> list[Replacement]:
    """Updates are accepted whatever their validators say."""

    def validate(_: Handling, __: str, ___: bytes) -> None:
        return None

    return [(Handling, "validate", validate)]


def _update_cut_short() -> list[Replacement]:
    """A run completes although an update that it has accepted is still being done."""

    def wind_up(execution: Execution, _: Any) -> bool:
        execution.handling.at_work.clear()
        return False

    return [(Execution, "_wind_up", wind_up)]


def _instead(name: str, make: Callable[[Any], Any]) -> list[Replacement]:
    """The journal has another method of that name, made of its own."""
    find = TroubledJournal.__getattr__

    def found(journal: TroubledJournal, called: str) -> Any:
        if called != name:
            return find(journal, called)
        method = make(find(journal, called))
        setattr(journal, called, method)
        return method

    return [(TroubledJournal, "__getattr__", found)]


def _log_gap() -> list[Replacement]:
    """A subscriber misses an event that became visible late."""

    def with_gaps(read_log: Any) -> Any:
        async def read(*args: Any, **kwargs: Any) -> Any:
            return [each for each in await read_log(*args, **kwargs) if each.position.n % 50]

        return read

    return _instead("read_log", with_gaps)


def _no_takeover() -> list[Replacement]:
    """What dead workers own is never given back."""

    async def reap() -> list[str]:
        return []

    return _instead("reap", lambda _: reap)


def _unseeded_random() -> list[Replacement]:
    """Chance in workflow code is not the same at a replay."""

    def unseeded(_: Execution) -> random.Random:
        return random.Random()

    return [(Execution, "random", unseeded)]


def _effect_kept() -> list[Replacement]:
    """What a transactional step has done stays although its attempt has failed. On SQLite and PostgreSQL."""

    def keep(sandbox: Sandbox) -> None:
        sandbox._db.execute("RELEASE keepstep_deed")

    return [(Sandbox, "_undo", keep), *_effect_kept_on_postgres()]


def _effect_kept_on_postgres() -> list[Replacement]:
    if find_spec("psycopg") is None:
        return []
    from keepstep.journal.postgres.transaction import PostgresTransaction

    leave = PostgresTransaction.leave

    async def keep(transaction: PostgresTransaction, *, is_whole: bool) -> None:
        if not is_whole and not transaction.is_ending:
            await transaction._block.__aexit__(None, None, None)
        await leave(transaction, is_whole=is_whole)

    return [(PostgresTransaction, "leave", keep)]


def _both_ways() -> list[Replacement]:
    """A turn of which nothing is recorded yet counts as new, although an owner before this one may have run it."""
    read = Markers.read

    def read_leniently(markers: Markers, events: Sequence[Event], *, is_first: bool) -> None:
        read(markers, events, is_first=is_first)
        markers.live_from = min(markers.live_from, events[-1].seq)

    return [(Markers, "read", read_leniently)]


def _altered(name: str, words: str, others: str) -> Replacement:
    """A statement of the PostgreSQL store with other words in the place of some of its own."""
    from keepstep.journal.postgres import statements
    from keepstep.journal.postgres.statement import Statement

    altered: Statement = copy(getattr(statements, name))
    assert words.encode() in altered.text, f"{name} has no {words!r} any more"
    altered.text = altered.text.replace(words.encode(), others.encode())
    return (statements, name, altered)


def _unverified() -> list[Replacement]:
    """What a process knows of its runs is trusted, and not verified by the flush that relies on it. On PostgreSQL."""
    return [_altered("VERIFY_HEADS", "count(*) = cardinality($1)", "count(*) = count(*)")]


def _unlocked() -> list[Replacement]:
    """A flush that decides about a run does not keep others from changing it meanwhile. On PostgreSQL."""
    return [
        _altered("LOCK_HEADS", "FOR NO KEY UPDATE", ""),
        _altered("LOCK_HEADS_AND_NEWEST", "FOR NO KEY UPDATE OF r", ""),
    ]


def _doubt_forgotten() -> list[Replacement]:
    """A flush whose COMMIT got no answer is taken for one that did not happen. On PostgreSQL."""
    from keepstep.journal.postgres.flush import Flusher

    def forget(flusher: Flusher) -> bool:
        flusher.is_in_doubt = False
        return False

    return [(Flusher, "_settle_doubt", forget)]


def _slot_too_many() -> list[Replacement]:
    """A queue hands out one more than its limits allow."""
    room_of = turn.room_of
    return [(turn, "room_of", lambda *asked: room_of(*asked) + 1)]


def _slot_forgotten() -> list[Replacement]:
    """A run that was admitted holds no slot while it lives."""
    return [
        (SqliteShelf, "held", lambda shelf: shelf.held_by_worker()),
        (MemoryShelf, "held", lambda shelf: sum(task.owner not in (None, RUN_ITSELF) for task in shelf._tasks)),
    ]


def _key_uncounted() -> list[Replacement]:
    """What is at work of a key does not keep others of the key waiting."""
    return [(turn._Left, "of", lambda left, key: True)]


def _rate_too_many() -> list[Replacement]:
    """A queue hands out one more than its rate allows."""
    room_in = rate.room_in
    return [(turn, "room_in", lambda *asked: room_in(*asked) + 1)]


def _rate_forgotten() -> list[Replacement]:
    """A queue does not remember what it has handed out of each key."""
    return [(rate.KeyRates, "note", lambda *_: {})]


def _turn_reversed() -> list[Replacement]:
    """Large numbers go first."""
    priorities = MemoryShelf.priorities
    return [(MemoryShelf, "priorities", lambda shelf, limit: priorities(shelf, limit)[::-1])]


def _queue_unpaused() -> list[Replacement]:
    """A queue goes on although it is paused."""
    changed = Queue.changed
    return [(Queue, "changed", lambda *said: msgspec.structs.replace(changed(*said), is_paused=False))]


def _delay_cut_short() -> list[Replacement]:
    """A delayed run begins half a second before its time."""
    not_before = WaitingOptions.not_before
    return [(WaitingOptions, "not_before", lambda waiting, now: max(not_before(waiting, now) - 500_000, 0))]


def _pause_forgotten() -> list[Replacement]:
    """A run that is paused is offered to workers, and goes on."""
    return [
        (memory_ownership, "UNOFFERED", (Condition.QUARANTINED, Condition.QUEUED)),
        (admission, "is_paused", lambda *_: False),
    ]


def _resume_lost() -> list[Replacement]:
    """Who has a run go on is told that it does, and it does not."""

    async def say_nothing(*_: Any) -> None:
        return None

    return [(handle_of_run, "resume", say_nothing)]


def _form_unchecked() -> list[Replacement]:
    """What a person answers is not held against the task's form."""

    async def check_nothing(*_: Any) -> None:
        return None

    return [(answer, "_check_form", check_nothing)]


def _bulk_again() -> list[Replacement]:
    """A run that has been told by a bulk is told once more when that is repeated."""
    numbers = count()
    return [(word, "message_id", lambda bulk_id, run: f"{bulk_id}/{run.run_id}/{next(numbers)}")]


def _bulk_forgotten() -> list[Replacement]:
    """A bulk leaves out every third run, and counts it."""
    numbers, send = count(), word.Letter.send

    async def leave_out(letter: word.Letter, run: Any) -> str:
        return "" if next(numbers) % 3 == 0 else await send(letter, run)

    return [(word.Letter, "send", leave_out)]


def _end_unawaited() -> list[Replacement]:
    """Code that has cancelled a step goes on at once, also where it is to wait for the step's end."""
    return [(Execution, "have_it_end", lambda *_: False)]


def _headers_left() -> list[Replacement]:
    """What a run carries does not go with its steps on queues."""
    return [(opening, "RemoteWorkWithHeaders", lambda headers, **work: RemoteWork(**work))]


def _swept_early() -> list[Replacement]:
    """Closed runs go two seconds before their time."""
    make = Sweeping.__init__

    def make_hasty(sweeping: Sweeping, journal: Any, codec: Any, namespace: Any, rules: Any, *more: Any) -> None:
        hasty = {status: msgspec.structs.replace(each, keep=each.keep - 2_000_000) for status, each in rules.items()}
        make(sweeping, journal, codec, namespace, hasty, *more)

    return [(Sweeping, "__init__", make_hasty)]


def _swept_unwritten() -> list[Replacement]:
    """Runs are removed although nothing of them was written to the archive."""

    async def write_nothing(*_: Any) -> None:
        return None

    return [(Sweeping, "_write", write_nothing)]


def _firing_twice() -> list[Replacement]:
    """The id of what a schedule starts is not that of its time: a backfill repeats what has happened."""
    numbers = count()
    return [(firing, "firing_id", lambda *which: f"{firing_id(*which)}-{next(numbers)}")]


def _firing_early() -> list[Replacement]:
    """Schedules fire ten milliseconds before their time."""
    next_firing = firing._Turn._next

    def early(turn: firing._Turn) -> tuple[int, int] | None:
        found = next_firing(turn)
        return None if found is None else (found[0], found[1] - 10_000)

    return [(firing._Turn, "_next", early)]


def _firing_forgotten() -> list[Replacement]:
    """What was due while nobody owned a schedule is not made up."""
    take_due = firing._Turn.take_due

    def forget(turn: firing._Turn) -> None:
        turn._after = max(turn._after, turn._now - 1_000_000)
        take_due(turn)

    return [(firing._Turn, "take_due", forget)]


def _overlap_ignored() -> list[Replacement]:
    """A firing starts its run although the one before goes on."""
    return [(firing._Turn, "_fire", firing._Turn._start)]


def _overlap_unsaid() -> list[Replacement]:
    """A firing waits for a run to stop that nobody has told to."""
    return [(Firer, "_words", lambda *_: [])]


def _policy_forgotten() -> list[Replacement]:
    """An update that names another overlap changes everything but that."""
    update = ScheduleHandle.update

    async def forget(handle: ScheduleHandle, **words: Any) -> None:
        words.pop("overlap", None)
        await update(handle, **words)

    return [(ScheduleHandle, "update", forget)]


def _past_made_up() -> list[Replacement]:
    """A schedule that has just been made fires for what was due before."""
    begin = first_standing

    def begin_before(event: Event, created_at: int) -> Standing:
        return begin(event, created_at - 4_000_000)

    return [(firer, "first_standing", begin_before)]


def _pause_ignored() -> list[Replacement]:
    """A schedule goes on although it is paused."""
    take_due = firing._Turn.take_due

    def go_on(turn: firing._Turn) -> None:
        turn._standing = msgspec.structs.replace(turn._standing, paused=False)
        take_due(turn)

    return [(firing._Turn, "take_due", go_on)]


def _trigger_forgotten() -> list[Replacement]:
    """What is triggered while a run goes on is dropped, whatever its policy is."""
    fire = firing._Turn._fire

    def drop(turn: firing._Turn, pending: Pending) -> None:
        if not (pending.by_hand and turn._running):
            fire(turn, pending)

    return [(firing._Turn, "_fire", drop)]


def _unread_forgotten() -> list[Replacement]:
    """A run that continues as new does not hand on what its code has not received."""
    return [(ending, "_unread", lambda _: [])]


def _heard_forgotten() -> list[Replacement]:
    """A run that continues another takes what is said to both of them for something new."""
    return [(ending, "_heard", lambda _: ())]


def _word_again() -> list[Replacement]:
    """Code that is replayed says to streams what it has said before."""
    return [(Streams, "read", lambda *_: None)]


def _word_skipped() -> list[Replacement]:
    """Who comes back to a stream goes on behind the event that they have heard the first value of."""
    return [(streaming, "event_before", lambda position: position // BATCH_VALUES_MAX)]


def _word_untold() -> list[Replacement]:
    """What a step on a queue has said is lost if the code has let go of the step when its owner hears of it."""
    take = inbox._HANDLERS[inbox.STREAM]

    def take_wanted(resident: Resident, message: Message, *others: Any) -> None:
        if message.name in resident.execution.pending:
            take(resident, message, *others)

    return [(inbox, "_HANDLERS", {**inbox._HANDLERS, inbox.STREAM: take_wanted})]


PLANTS: dict[str, Callable[[], list[Replacement]]] = {
    "no-fencing": _no_fencing,
    "message-twice": _message_twice,
    "unread-at-close": _unread_at_close,
    "unwritten-commit": _unwritten_commit,
    "early-result": _early_result,
    "timer-early": _timer_early,
    "lost-wake": _lost_wake,
    "undo-twice": _undo_twice,
    "undo-forwards": _undo_forwards,
    "undo-late": _undo_late,
    "once-twice": _once_twice,
    "update-twice": _update_twice,
    "update-unchecked": _update_unchecked,
    "update-cut-short": _update_cut_short,
    "log-gap": _log_gap,
    "no-takeover": _no_takeover,
    "unseeded-random": _unseeded_random,
    "effect-kept": _effect_kept,
    "both-ways": _both_ways,
    "slot-too-many": _slot_too_many,
    "slot-forgotten": _slot_forgotten,
    "key-uncounted": _key_uncounted,
    "rate-too-many": _rate_too_many,
    "rate-forgotten": _rate_forgotten,
    "turn-reversed": _turn_reversed,
    "queue-unpaused": _queue_unpaused,
    "delay-cut-short": _delay_cut_short,
    "pause-forgotten": _pause_forgotten,
    "resume-lost": _resume_lost,
    "form-unchecked": _form_unchecked,
    "bulk-again": _bulk_again,
    "bulk-forgotten": _bulk_forgotten,
    "end-unawaited": _end_unawaited,
    "headers-left": _headers_left,
    "swept-early": _swept_early,
    "swept-unwritten": _swept_unwritten,
    "firing-twice": _firing_twice,
    "firing-early": _firing_early,
    "firing-forgotten": _firing_forgotten,
    "overlap-ignored": _overlap_ignored,
    "overlap-unsaid": _overlap_unsaid,
    "policy-forgotten": _policy_forgotten,
    "past-made-up": _past_made_up,
    "pause-ignored": _pause_ignored,
    "trigger-forgotten": _trigger_forgotten,
    "unread-forgotten": _unread_forgotten,
    "heard-forgotten": _heard_forgotten,
    "word-again": _word_again,
    "word-skipped": _word_skipped,
    "word-untold": _word_untold,
    "unverified": _unverified,
    "unlocked": _unlocked,
    "doubt-forgotten": _doubt_forgotten,
}

SEEDS_OF_PLANTS = {
    "policy-forgotten": 30,
    "unlocked": 12,
    "unread-forgotten": 25,
    "heard-forgotten": 55,
    "word-untold": 345,
}
"""Where it is worth while to begin to look for a plant, since it takes a story that is rare, or one that is long."""

STORES_OF_PLANTS = {
    "effect-kept": "sqlite",
    "unverified": "postgres",
    "unlocked": "postgres",
    "doubt-forgotten": "postgres",
}
"""Where a plant is to be found, if not on every store."""


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """Within it the engine has that bug; None for none."""
    with ExitStack() as stack:
        for owner, attribute, stand_in in PLANTS[name]() if name else ():
            stack.enter_context(_replaced(owner, attribute, stand_in))
        yield


@contextmanager
def _replaced(owner: Any, attribute: str, stand_in: Any) -> Iterator[None]:
    there = getattr(owner, attribute)
    setattr(owner, attribute, stand_in)
    try:
        yield
    finally:
        setattr(owner, attribute, there)
