"""The seam: a journal whose callers see plain data, and whose disk sees cells.

``sealed_journal`` puts a codec before a store. Every method of the port either is here or in ``reading``, since values
of users pass through it, or carries none and is the store's own (``PASSED_ON``); a test holds that list against it. A
codec that changes nothing still opens cells of others where it can; its writes are the store's own methods, at no cost.

What is read is opened in ``reading``, the base of this class; here is what is written, claimed and asked. Commits of a
run reach the store in the order in which they were submitted, whichever of them wait for blobs (``ordering``).
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, cast

import msgspec

from keepstep.journal import (
    Ask,
    AuditLine,
    Closing,
    Commit,
    Committed,
    Hint,
    HintKind,
    Journal,
    JournalError,
    Listener,
    Loaded,
    NewEvent,
    NewMessage,
    NewRun,
    Outbox,
    Promise,
    Run,
    Sent,
    Started,
    Task,
    TaskToken,
    Transaction,
)
from keepstep.journal.hint import Relay
from keepstep.journal.queue import Claimed

from . import binding
from .codec import BlindCodec, Codec
from .opening import is_cell, readable
from .ordering import Ordering
from .outbox import SealedOutbox, SealedTransaction
from .reading import NAMES_KEPT_MAX, Reading
from .restraint import Restraint
from .sealing import Sealing, sealed_deed
from .storage import Storage, Wanted

logger = logging.getLogger("keepstep.codecs")

replace = msgspec.structs.replace

PASSED_ON = frozenset(
    "clock performs_deeds open_lease close_lease reap probe declare_queues change_queue "
    "list_queues list_backlogs read_flow find_place next_wake count_runs count_found count_groups "
    "list_attributes register_attributes "
    "read_audit list_leases read_log_ends list_namespaces save_cursor read_cursor publish "
    "list_definitions rebuild purge list_closed remove_runs read_kept swap_kept".split()
)
"""What carries no value of a user's, or (the last two) cells as they are."""

WRITING = ("submit", "commit", "send", "release_task", "answer")
"""What a codec that changes nothing leaves to the store."""


def sealed_journal(journal: Journal, codec: Codec) -> Journal:
    """The journal, through a codec."""
    return cast(Journal, SealedJournal(journal, codec))


def codec_of(journal: Journal) -> Codec:
    """What a journal seals with; for what is written elsewhere of what was read from it."""
    found = cast(Any, journal)
    return found.codec if isinstance(found, SealedJournal) else Codec()


def blind_journal(journal: Journal) -> Journal:
    """The same journal for who may not see what is encrypted: what they write is sealed as before."""
    found = cast(Any, journal)
    return sealed_journal(found._journal, BlindCodec(found.codec)) if isinstance(found, SealedJournal) else journal


class SealedJournal(Reading):
    """See the module."""

    def __init__(self, journal: Journal, codec: Codec) -> None:
        super().__init__(journal, Storage(codec))
        self._ordering = Ordering(journal, self.storage, self._opened_outcome)
        self._restraint = Restraint(journal.clock.monotonic)
        self.codec = codec
        self.value_bytes_max = codec.value_bytes_max
        self._tasks: OrderedDict[int, Task] = OrderedDict()
        """Those that are held here, by their numbers."""
        self._asks: OrderedDict[str, Ask] = OrderedDict()
        self._relay = Relay(journal, self._opened_hint)
        for name in PASSED_ON:
            if hasattr(journal, name):
                setattr(self, name, getattr(journal, name))
        if not codec.changes_something:
            for name in WRITING:
                setattr(self, name, getattr(journal, name))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    async def close(self) -> None:
        """Wait for what is on its way, and close the store."""
        self.storage.is_closing = True
        await self._ordering.until_handed_in()
        await self._journal.close()

    # hints

    def listen(self, listener: Listener) -> None:
        """Call ``listener`` with every hint; of runs that were closed here it gets the last event in plain."""
        self._relay.listen(listener)

    def unlisten(self, listener: Listener) -> None:
        self._relay.unlisten(listener)

    def _opened_hint(self, hint: Hint) -> Hint:
        if hint.kind is HintKind.CLOSED and any(each.event and is_cell(each.event.data) for each in hint.closings):
            return replace(hint, closings=tuple(map(self._opened_closing, hint.closings)))
        return hint

    def _opened_closing(self, closing: Closing) -> Closing:
        if closing.event is None or not is_cell(closing.event.data):
            return closing
        opened = self._open_event(closing.run_id, closing.event)
        return replace(closing, event=opened)

    def _open_event(self, run_id: str, event: NewEvent) -> NewEvent | None:
        """An event of this process; None if it cannot be read at once, so that whoever wants it reads it later."""
        [data] = self.storage.open_now([(event.data, (binding.of_event(run_id, event),))])
        return NewEvent(event.type, event.time, event.key, data) if isinstance(data, bytes) else None

    # writing

    async def start(self, new: NewRun) -> Started:
        sealing = Sealing(self.codec)
        sealed = sealing.new_run(new)
        await self.storage.keep(sealing.blobs)
        return await self.opened_start(new, await self._journal.start(sealed))

    async def opened_start(self, new: NewRun, started: Started) -> Started:
        """What came of a start, in plain."""
        self._remember(started.run_id, new.namespace, new.workflow_id)
        if not is_cell(started.input_digest):
            return started
        place = binding.of_input(new.namespace, new.workflow_id)
        [digest] = await self.storage.open([(started.input_digest, (place,))])
        return replace(
            started, input_digest=readable(digest, f"the input of the run {new.workflow_id!r} that is there")
        )

    async def import_run(self, loaded: Loaded, audit: Sequence[AuditLine] = ()) -> None:
        sealing = Sealing(self.codec)
        sealed = sealing.loaded(loaded)
        await self.storage.keep(sealing.blobs)
        await self._journal.import_run(sealed, audit)

    async def send(self, message: NewMessage) -> Sent:
        sealing = Sealing(self.codec)
        sealed = sealing.message(message)
        await self.storage.keep(sealing.blobs)
        return await self._journal.send(sealed)

    async def commit(self, commit: Commit) -> Committed:
        return await self.submit(commit)

    async def was_committed(self, commit_id: str) -> bool:
        """Asked behind what is on its way."""
        await self._ordering.until_handed_in()
        return await self._journal.was_committed(commit_id)

    def submit(self, commit: Commit) -> Promise:
        sealing = Sealing(self.codec)
        sealed = sealing.commit(commit)
        if commit.deed is not None:
            sealed.deed = sealed_deed(commit.deed, commit.run_id, self.codec, self.storage.keep_now)
        for new in commit.start:
            self._remember(new.run_id, new.namespace, new.workflow_id)
        promise = self._ordering.submit(sealed, sealing)
        if commit.task_token is not None and not commit.keep_task:
            promise.add_done_callback(partial(self._forget_task, commit.task_token.task_id))
        return promise

    def _forget_task(self, task_id: int, done: Promise) -> None:
        if done.exception() is None:
            self._tasks.pop(task_id, None)

    def _opened_outcome(self, run_id: str, committed: Committed) -> Committed:
        """What a deed has recorded was sealed by it; the deed's own process has its blobs in memory."""
        if not any(is_cell(event.data) for event in committed.recorded):
            return committed
        recorded = [self._open_event(run_id, event) or event for event in committed.recorded]
        return replace(committed, recorded=tuple(recorded))

    def within(self, connection: Any) -> Outbox:
        return SealedOutbox(self, self._journal.within(connection))

    @asynccontextmanager
    async def _transaction(self, is_async: bool) -> AsyncIterator[Transaction]:
        async with self._journal.transaction(is_async=is_async) as transaction:
            yield SealedTransaction(self, transaction)

    def transaction(self, *, is_async: bool) -> AbstractAsyncContextManager[Transaction]:
        if not self.codec.changes_something:
            return self._journal.transaction(is_async=is_async)
        return self._transaction(is_async)

    async def release_task(self, token: TaskToken, *, visible_at: int, attempt: int, data: bytes | None = None) -> None:
        """One that is not known here goes back with the data that it has: others could not be sealed for its place."""
        task = self._tasks.get(token.task_id)
        if data is not None and task is not None:
            sealing = Sealing(self.codec)
            data = sealing.data(data, binding.of_task(task.run_id, task))
            await self.storage.keep(sealing.blobs)
        elif data is not None and self.codec.changes_something:
            logger.warning("task %d goes back without a record of its attempts: it was not claimed here", token.task_id)
            data = None
        await self._journal.release_task(token, visible_at=visible_at, attempt=attempt, data=data)
        self._tasks.pop(token.task_id, None)

    # claiming

    async def claim_runs(self, lease_id: str, limit: int, types: Sequence[str] | None = None) -> list[Run]:
        return await self._runs(await self._journal.claim_runs(lease_id, limit, types))

    async def list_owned_runs(self, lease_id: str) -> list[Run]:
        return await self._runs(await self._journal.list_owned_runs(lease_id))

    async def claim_tasks(self, lease_id: str, queues: Sequence[str], kinds: Sequence[str], limit: int) -> list[Task]:
        return (await self.claim_work(lease_id, queues, kinds, limit)).tasks

    async def claim_work(
        self, lease_id: str, queues: Sequence[str], kinds: Sequence[str], limit: int, types: Sequence[str] = ()
    ) -> Claimed:
        open_queues = self._restraint.open_queues(queues)
        if not open_queues and queues:
            pause = round(self._restraint.seconds_left(queues) * 1e6)
            return Claimed(again_at=self._journal.clock.now() + pause)
        claimed = await self._journal.claim_work(lease_id, open_queues, kinds, limit, types)
        tasks, runs = await self._opened_tasks(claimed.tasks, queues), await self._runs(claimed.runs)
        return Claimed(tasks, runs, claimed.again_at)

    async def list_held_tasks(self, lease_id: str) -> list[Task]:
        return await self._opened_tasks(await self._journal.list_held_tasks(lease_id))

    async def _opened_tasks(self, tasks: list[Task], asked: Sequence[str] = ()) -> list[Task]:
        """Tasks in plain. One that cannot be read here is put back for others."""
        wanted: list[Wanted] = [(task.data, (binding.of_task(task.run_id, task),)) for task in tasks]
        if self.codec.changes_something:
            self._tasks.update((task.token.task_id, task) for task in tasks)
            while len(self._tasks) > NAMES_KEPT_MAX:
                self._tasks.popitem(last=False)
        if not any(is_cell(task.data) for task in tasks):
            return tasks
        plain: list[Task] = []
        for task, data in zip(tasks, await self.storage.open(wanted), strict=True):
            if isinstance(data, bytes):
                plain.append(replace(task, data=data))
                self._restraint.go_on(task.queue)
            else:
                await self._put_back(task, data, asked)
        return plain

    async def _put_back(self, task: Task, error: JournalError, asked: Sequence[str]) -> None:
        logger.warning("task %s of run %s cannot be read; it is offered again: %s", task.key, task.run_id, error)
        self._tasks.pop(task.token.task_id, None)
        for queue in asked if task.queue not in asked else (task.queue,):  # one that fell back is on none of them
            self._restraint.leave(queue)
        await self._journal.release_task(task.token, visible_at=task.visible_at, attempt=task.attempt)

    # asks

    async def ask(self, run_id: str, kind: str, name: str, data: bytes, timeout_seconds: float) -> bytes:
        sealing = Sealing(self.codec)
        sealed = sealing.data(data, binding.of_question(run_id, kind, name))
        await self.storage.keep(sealing.blobs)
        answer = await self._journal.ask(run_id, kind, name, sealed, timeout_seconds)
        [opened] = await self.storage.open([(answer, (binding.of_answer(run_id, kind, name),))])
        return readable(opened, f"the answer to {name!r}")

    async def take_asks(self, lease_id: str, limit: int) -> list[Ask]:
        asks = await self._journal.take_asks(lease_id, limit)
        opened = await self.storage.open([(each.data, (binding.of_ask(each),)) for each in asks])
        plain: list[Ask] = []
        for ask, data in zip(asks, opened, strict=True):
            if isinstance(data, bytes):
                plain.append(replace(ask, data=data))
            else:
                logger.warning("a question to run %s cannot be read, and is not answered: %s", ask.run_id, data)
        if self.codec.changes_something:
            self._asks.update((ask.ask_id, ask) for ask in plain)
            while len(self._asks) > NAMES_KEPT_MAX:
                self._asks.popitem(last=False)
        return plain

    async def answer(self, ask_id: str, data: bytes) -> None:
        """An ask that is not known here is not answered: the answer could not be sealed for its place."""
        ask = self._asks.get(ask_id)
        if ask is None and self.codec.changes_something:
            logger.warning("ask %s is not answered: it was not taken here", ask_id)
            return
        if ask is not None:
            sealing = Sealing(self.codec)
            data = sealing.data(data, binding.of_answer(ask.run_id, ask.kind, ask.name))
            await self.storage.keep(sealing.blobs)
        await self._journal.answer(ask_id, data)
        self._asks.pop(ask_id, None)
