"""The seam: a journal whose callers see plain data, and whose disk sees cells.

``sealed_journal`` puts a codec before a store. Every method of the port either is here, because values of users pass
through it, or carries none and is the store's own (``PASSED_ON``); a test holds that list against the port. A codec
that changes nothing still opens cells of others where it can; its writes are the store's own methods, at no cost.

Order is kept: commits of a run that come behind one whose blobs are still being written wait for it, so that they reach
the store in the order in which they were submitted. A place for blobs that cannot be reached delays them for a while,
because what they record would have to be done again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
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
    Event,
    Hint,
    HintKind,
    Journal,
    JournalError,
    Listener,
    Loaded,
    LogEntry,
    Message,
    NewEvent,
    NewMessage,
    NewRun,
    Outbox,
    Position,
    Promise,
    Run,
    Sent,
    Started,
    StoreUnavailable,
    Task,
    TaskToken,
    Transaction,
    Unreadable,
)
from keepstep.journal.queue import Claimed
from keepstep.journal.search import Page, Search

from . import binding
from .codec import Codec
from .opening import (
    is_cell,
    open_events,
    open_runs,
    places_of,
    readable,
    want_loaded,
    with_all_opened,
)
from .restraint import Restraint
from .sealing import Sealing, sealed_deed
from .storage import Storage, Wanted

logger = logging.getLogger("keepstep.codecs")

replace = msgspec.structs.replace

PASSED_ON = frozenset(
    "clock performs_deeds open_lease close_lease reap probe declare_queues change_queue "
    "list_queues find_place next_wake count_runs count_found list_attributes register_attributes read_audit "
    "list_leases save_cursor read_cursor publish "
    "list_definitions rebuild purge list_closed remove_runs read_kept swap_kept".split()
)
"""What carries no value of a user's, or (the last two) cells as they are."""

WRITING = ("submit", "commit", "send", "release_task", "answer")
"""What a codec that changes nothing leaves to the store."""

NAMES_KEPT_MAX = 100_000


def sealed_journal(journal: Journal, codec: Codec) -> Journal:
    """The journal, through a codec."""
    return cast(Journal, SealedJournal(journal, codec))


def codec_of(journal: Journal) -> Codec:
    """What a journal seals with; for what is written elsewhere of what was read from it."""
    found = cast(Any, journal)
    return found.codec if isinstance(found, SealedJournal) else Codec()


class SealedJournal:
    """See the module."""

    def __init__(self, journal: Journal, codec: Codec) -> None:
        self._journal = journal
        self._storage = Storage(codec)
        self._restraint = Restraint(journal.clock.monotonic)
        self.codec = codec
        self.value_bytes_max = codec.value_bytes_max
        self._names: OrderedDict[str, tuple[str, str]] = OrderedDict()
        """Of runs: their namespace and workflow id."""
        self._tasks: OrderedDict[int, Task] = OrderedDict()
        """Those that are held here, by their numbers."""
        self._asks: OrderedDict[str, Ask] = OrderedDict()
        self._listeners: dict[Listener, Listener] = {}
        self._behind: dict[str, deque[_Waiting]] = {}
        """By run, commits in the order submitted, of which the first one's blobs are being written."""
        self._writing: set[asyncio.Task[None]] = set()
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
        self._storage.is_closing = True
        if self._writing:
            await asyncio.wait(self._writing)
        await self._journal.close()

    # hints

    def listen(self, listener: Listener) -> None:
        """Call ``listener`` with every hint; of runs that were closed here it gets the last event in plain."""
        self._listeners[listener] = passed_on = partial(self._pass_on, listener)
        self._journal.listen(passed_on)

    def unlisten(self, listener: Listener) -> None:
        passed_on = self._listeners.pop(listener, None)
        if passed_on is not None:
            self._journal.unlisten(passed_on)

    def _pass_on(self, listener: Listener, hint: Hint) -> None:
        if hint.kind is HintKind.CLOSED and any(each.event and is_cell(each.event.data) for each in hint.closings):
            hint = replace(hint, closings=tuple(map(self._opened_closing, hint.closings)))
        listener(hint)

    def _opened_closing(self, closing: Closing) -> Closing:
        if closing.event is None or not is_cell(closing.event.data):
            return closing
        opened = self._open_event(closing.run_id, closing.event)
        return replace(closing, event=opened)

    def _open_event(self, run_id: str, event: NewEvent) -> NewEvent | None:
        """An event of this process; None if it cannot be read at once, so that whoever wants it reads it later."""
        [data] = self._storage.open_now([(event.data, (binding.of_event(run_id, event),))])
        return NewEvent(event.type, event.time, event.key, data) if isinstance(data, bytes) else None

    # writing

    async def start(self, new: NewRun) -> Started:
        sealing = Sealing(self.codec)
        sealed = sealing.new_run(new)
        await self._storage.keep(sealing.blobs)
        return await self._started(new, await self._journal.start(sealed))

    async def _started(self, new: NewRun, started: Started) -> Started:
        self._remember(started.run_id, new.namespace, new.workflow_id)
        if not is_cell(started.input_digest):
            return started
        place = binding.of_input(new.namespace, new.workflow_id)
        [digest] = await self._storage.open([(started.input_digest, (place,))])
        return replace(
            started, input_digest=readable(digest, f"the input of the run {new.workflow_id!r} that is there")
        )

    async def import_run(self, loaded: Loaded, audit: Sequence[AuditLine] = ()) -> None:
        sealing = Sealing(self.codec)
        sealed = sealing.loaded(loaded)
        await self._storage.keep(sealing.blobs)
        await self._journal.import_run(sealed, audit)

    async def send(self, message: NewMessage) -> Sent:
        sealing = Sealing(self.codec)
        sealed = sealing.message(message)
        await self._storage.keep(sealing.blobs)
        return await self._journal.send(sealed)

    async def commit(self, commit: Commit) -> Committed:
        return await self.submit(commit)

    async def was_committed(self, commit_id: str) -> bool:
        """Asked behind what is on its way."""
        if self._writing:
            await asyncio.wait(self._writing)
        return await self._journal.was_committed(commit_id)

    def submit(self, commit: Commit) -> Promise:
        sealing = Sealing(self.codec)
        sealed = sealing.commit(commit)
        if commit.deed is not None:
            sealed.deed = sealed_deed(commit.deed, commit.run_id, self.codec, self._storage.keep_now)
        for new in commit.start:
            self._remember(new.run_id, new.namespace, new.workflow_id)
        promise = self._submit(sealed, sealing)
        if commit.task_token is not None and not commit.keep_task:
            promise.add_done_callback(partial(self._forget_task, commit.task_token.task_id))
        return promise

    def _forget_task(self, task_id: int, done: Promise) -> None:
        if done.exception() is None:
            self._tasks.pop(task_id, None)

    def _submit(self, sealed: Commit, sealing: Sealing) -> Promise:
        waiting = self._behind.get(sealed.run_id)
        if waiting is None and not sealing.blobs and sealed.deed is None:
            return self._journal.submit(sealed)
        promise = Promise(loop=asyncio.get_running_loop())
        line = _Waiting(sealed, sealing, promise)
        if waiting is None and not sealing.blobs:
            self._hand_in(line)
        elif waiting is not None:
            waiting.append(line)
        else:
            self._behind[sealed.run_id] = deque((line,))
            task = asyncio.get_running_loop().create_task(self._work_off(sealed.run_id))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)
        return promise

    async def _work_off(self, run_id: str) -> None:
        """Write the blobs of a run's commits and hand these in, one after the other; none behind one that failed."""
        waiting = self._behind[run_id]
        failed: JournalError | None = None
        try:
            while waiting:
                line = waiting[0]
                if failed is None:
                    try:
                        await self._storage.keep_at_last(line.sealing.blobs)
                    except JournalError as error:
                        failed = error
                if failed is None:
                    self._hand_in(line)
                else:
                    line.promise.settle(None, failed)
                waiting.popleft()
        finally:
            del self._behind[run_id]
            for line in waiting:  # the event loop is being closed
                line.promise.settle(
                    None,
                    StoreUnavailable("the process ended before this was written; its run goes on by itself elsewhere"),
                )

    def _hand_in(self, line: _Waiting) -> None:
        try:
            inner = self._journal.submit(line.commit)
        except JournalError as error:
            asyncio.get_running_loop().call_soon(line.promise.settle, None, error)
        else:
            inner.heard = partial(self._heard, line)

    def _heard(self, line: _Waiting, inner: Promise) -> None:
        error = inner.exception()
        if error is not None:
            line.promise.settle(None, error)
        else:
            line.promise.settle(self._opened_outcome(line.commit.run_id, inner.result()), None)

    def _opened_outcome(self, run_id: str, committed: Committed) -> Committed:
        """What a deed has recorded was sealed by it; the deed's own process has its blobs in memory."""
        if not any(is_cell(event.data) for event in committed.recorded):
            return committed
        recorded = [self._open_event(run_id, event) or event for event in committed.recorded]
        return replace(committed, recorded=tuple(recorded))

    def within(self, connection: Any) -> Outbox:
        return _SealedOutbox(self, self._journal.within(connection))

    @asynccontextmanager
    async def _transaction(self, is_async: bool) -> AsyncIterator[Transaction]:
        async with self._journal.transaction(is_async=is_async) as transaction:
            yield _SealedTransaction(self, transaction)

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
            await self._storage.keep(sealing.blobs)
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
        for task, data in zip(tasks, await self._storage.open(wanted), strict=True):
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
        await self._storage.keep(sealing.blobs)
        answer = await self._journal.ask(run_id, kind, name, sealed, timeout_seconds)
        [opened] = await self._storage.open([(answer, (binding.of_answer(run_id, kind, name),))])
        return readable(opened, f"the answer to {name!r}")

    async def take_asks(self, lease_id: str, limit: int) -> list[Ask]:
        asks = await self._journal.take_asks(lease_id, limit)
        opened = await self._storage.open([(each.data, (binding.of_ask(each),)) for each in asks])
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
            await self._storage.keep(sealing.blobs)
        await self._journal.answer(ask_id, data)
        self._asks.pop(ask_id, None)

    # reading

    async def _runs(self, runs: Sequence[Run]) -> list[Run]:
        for run in runs:
            self._remember(run.run_id, run.namespace, run.workflow_id)
        return await open_runs(runs, self._storage.open)

    async def read_run(self, run_id: str) -> Run | None:
        run = await self._journal.read_run(run_id)
        return None if run is None else (await self._runs((run,)))[0]

    async def find_run(self, namespace: str, workflow_id: str) -> Run | None:
        run = await self._journal.find_run(namespace, workflow_id)
        return None if run is None else (await self._runs((run,)))[0]

    async def list_runs(self, namespace: str, **options: Any) -> list[Run]:
        return await self._runs(await self._journal.list_runs(namespace, **options))

    async def search_runs(self, namespace: str, search: Search, **options: Any) -> Page:
        page = await self._journal.search_runs(namespace, search, **options)
        return Page(await self._runs(page.runs), page.after)

    async def load(self, run_id: str) -> Loaded:
        """Raises ``Unreadable`` too."""
        loaded = await self._journal.load(run_id)
        self._remember(run_id, loaded.run.namespace, loaded.run.workflow_id)
        wanted = want_loaded(loaded)
        return with_all_opened(loaded, await self._storage.open(wanted)) if wanted else loaded

    async def read_events(self, run_id: str, after_seq: int = 0, limit: int = 1000) -> list[Event]:
        return await open_events(run_id, await self._journal.read_events(run_id, after_seq, limit), self._storage.open)

    async def read_state(self, run_id: str, kind: str | None = None) -> dict[tuple[str, str], bytes]:
        rows = await self._journal.read_state(run_id, kind)
        opened = await self._storage.open([(data, (binding.of_state_key(run_id, *key),)) for key, data in rows.items()])
        return {key: readable(data, f"the state {key[0]} of {key[1]}") for key, data in zip(rows, opened, strict=True)}

    async def list_state(
        self, namespace: str, kind: str, *, after: tuple[str, str] | None = None, limit: int = 100
    ) -> list[tuple[str, str, bytes]]:
        rows = await self._journal.list_state(namespace, kind, after=after, limit=limit)
        wanted = [(data, (binding.of_state_key(run_id, kind, key),)) for run_id, key, data in rows]
        opened = zip(rows, await self._storage.open(wanted), strict=True)
        return [(run_id, key, readable(data, f"the {kind} of run {run_id}")) for (run_id, key, _), data in opened]

    async def read_messages(self, run_id: str) -> list[Message]:
        return await self._messages(await self._journal.read_messages(run_id))

    async def read_messages_of(self, run_ids: Sequence[str]) -> list[Message]:
        return await self._messages(await self._journal.read_messages_of(run_ids))

    async def read_inbox(self, lease_id: str, after: int, limit: int = 1000) -> list[Message]:
        return await self._messages(await self._journal.read_inbox(lease_id, after, limit))

    async def _messages(self, messages: list[Message]) -> list[Message]:
        """Messages in plain. What cannot be read is left as it is: its run cannot go on, and others can."""
        cells = [n for n, each in enumerate(messages) if is_cell(each.data)]
        if not cells:
            return messages
        plain = list(messages)
        wanted = [(plain[n].data, places_of(plain[n], await self._name_of(plain[n].run_id))) for n in cells]
        for n, data in zip(cells, await self._storage.open(wanted), strict=True):
            if isinstance(data, bytes):
                plain[n] = replace(plain[n], data=data)
            elif not isinstance(data, Unreadable):
                raise data
        return plain

    async def _name_of(self, run_id: str) -> tuple[str, str] | None:
        if run_id not in self._names:
            await self.read_run(run_id)
        return self._names.get(run_id)

    def _remember(self, run_id: str, namespace: str, workflow_id: str) -> None:
        self._names[run_id] = namespace, workflow_id
        if len(self._names) > NAMES_KEPT_MAX:
            self._names.popitem(last=False)

    async def read_log(self, after: Position, limit: int = 1000) -> list[LogEntry]:
        """The log in plain. An event that cannot be read is left as it is."""
        entries = await self._journal.read_log(after, limit)
        wanted = [(each.event.data, (binding.of_event(each.run_id, each.event),)) for each in entries]
        plain: list[LogEntry] = []
        for entry, data in zip(entries, await self._storage.open(wanted), strict=True):
            if isinstance(data, Unreadable):  # whoever reads on must not be held up by it for ever
                plain.append(entry)
                continue
            read = readable(data, f"event {entry.event.seq} of run {entry.run_id}")
            plain.append(replace(entry, event=replace(entry.event, data=read)))
        return plain


class _Waiting:
    """A commit that is on its way to the store."""

    __slots__ = ("commit", "promise", "sealing")

    def __init__(self, commit: Commit, sealing: Sealing, promise: Promise) -> None:
        self.commit = commit
        self.sealing = sealing
        self.promise = promise


class _SealedOutbox:
    """``Outbox`` through a codec."""

    def __init__(self, seam: SealedJournal, outbox: Outbox) -> None:
        self._seam = seam
        self._outbox = outbox

    async def start(self, new: NewRun) -> Started:
        sealing = Sealing(self._seam.codec)
        sealed = sealing.new_run(new)
        await self._seam._storage.keep(sealing.blobs)
        return await self._seam._started(new, await self._outbox.start(sealed))

    async def send(self, message: NewMessage) -> Sent:
        sealing = Sealing(self._seam.codec)
        sealed = sealing.message(message)
        await self._seam._storage.keep(sealing.blobs)
        return await self._outbox.send(sealed)


class _SealedTransaction:
    """``Transaction`` through a codec."""

    def __init__(self, seam: SealedJournal, transaction: Transaction) -> None:
        self._seam = seam
        self._transaction = transaction
        self.connection = transaction.connection

    async def commit(self, commit: Commit) -> Committed:
        sealing = Sealing(self._seam.codec)
        sealed = sealing.commit(commit)
        await self._seam._storage.keep(sealing.blobs)
        return await self._transaction.commit(sealed)
