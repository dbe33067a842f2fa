"""RemoteJournal: the client's part of the port, asked of a server.

What only a worker does, or who has the database itself, is refused by name with what to do instead (``_ELSEWHERE``); a
test holds the methods here and that list against the port.

Writing is safe to repeat, and is repeated when an answer is lost. A start is known by its run id and a commit by its id
(both are made here), a message by its id where it has one, and a second word of the other kinds changes nothing. Only a
signal or update without an id is said once: whether a lost one has arrived, nobody can tell but the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NoReturn, TypeVar, cast

import msgspec

from keepstep.journal.attribute import Attribute
from keepstep.journal.backlog import Backlog
from keepstep.journal.commit import Commit, Committed, NewRun, Started
from keepstep.journal.definition import Definition
from keepstep.journal.errors import AlreadyStarted, Conflict, InvalidInput, NotFound, RunClosed, StoreUnavailable
from keepstep.journal.event import Event
from keepstep.journal.field import Field
from keepstep.journal.flow import Stretch, Window
from keepstep.journal.hint import Listener
from keepstep.journal.identifier import uuid7
from keepstep.journal.lease import LeaseState
from keepstep.journal.message import Message, NewMessage, Sent
from keepstep.journal.port import AuditLine, Journal, Loaded
from keepstep.journal.promise import Promise
from keepstep.journal.queue import Place as PlaceInQueue
from keepstep.journal.queue import Queue, QueueChange, QueueState
from keepstep.journal.run import Condition, Run, Status
from keepstep.journal.search import Group, Page, Place, Predicate, Search

from . import words
from .clock import RemoteClock
from .transport import Transport
from .watch import Watch

T = TypeVar("T")

PATIENCE_SECONDS = 30.0
"""So long a call is tried that may be repeated."""

POLL_SECONDS = 15.0
"""Behind live changes, which tell at once."""

WORKER = "is done by workers, which have the database; run keepstep worker, or keepstep server --app, where that is"
TRANSACTION = (
    "is part of a transaction on the database itself, which a server's client has not; open the engine with the "
    "database's URL"
)
DATABASE = "is done where the database is; give its URL instead of the server's"

PAGE = 1000
TRIES_MAX = 20

_ELSEWHERE = {
    **dict.fromkeys(
        "open_lease close_lease reap claim_runs list_owned_runs probe claim_tasks claim_work list_held_tasks "
        "release_task take_asks answer read_inbox next_wake publish declare_queues".split(),
        WORKER,
    ),
    **dict.fromkeys("transaction within".split(), TRANSACTION),
    **dict.fromkeys(
        "read_log read_log_ends save_cursor read_cursor read_kept swap_kept rebuild purge list_closed remove_runs "
        "import_run list_namespaces".split(),
        DATABASE,
    ),
}
"""Methods of the port that have no words, and where they are done."""

_ONCE = ("signal", "update")
"""Kinds of messages that happen twice if they are said twice; by an id they do not."""


async def open_remote(
    url: str,
    *,
    namespace: str,
    key: str | None = None,
    as_stored: bool = False,
    patience_seconds: float = PATIENCE_SECONDS,
    make_id: Callable[[], str] = uuid7,
    **options: Any,
) -> Journal:
    """The journal of one namespace of a server.

    :param as_stored: what is written and read is taken as it is, sealed by this client; else the server seals and opens
        it. :param patience_seconds: so long a server that is away is waited for. :param options: of the HTTP client.

    Raises ``StoreUnavailable``, ``AccessDenied``, and ``InvalidInput`` for an address or a key that cannot be one.
    """
    if not patience_seconds >= 0:
        raise InvalidInput(f"patience_seconds is a number of seconds from 0 on, not {patience_seconds!r:.60}")
    transport = Transport(url, namespace, key, patience_seconds, **options)
    journal = RemoteJournal(transport, as_stored=as_stored, make_id=make_id)
    try:
        await journal.greet()
    except BaseException:
        await transport.close()
        raise
    return cast(Journal, journal)


class RemoteJournal:
    """See the module."""

    performs_deeds = False

    def __init__(self, transport: Transport, *, as_stored: bool, make_id: Callable[[], str]) -> None:
        self._transport = transport
        self._params = {"as_stored": "true"} if as_stored else {}
        self._make_id = make_id
        self._watch = Watch(transport)
        self.clock = RemoteClock()
        self.value_bytes_max = 0
        self._endings: dict[tuple[str, int], Event] = {}
        """Last events that came with the last page of runs, by run and seq, until they are asked for."""
        self._committing: dict[str, asyncio.Task[None]] = {}
        """Of each run, the last commit that is on its way."""

    def __getattr__(self, name: str) -> Any:
        if name in _ELSEWHERE:
            return partial(self._refuse, name)
        raise AttributeError(name)

    def _refuse(self, name: str, *_: Any, **__: Any) -> NoReturn:
        raise InvalidInput(f"{name.replace('_', ' ')} {_ELSEWHERE[name]} (this engine asks {self._transport.url})")

    async def greet(self) -> None:
        """Ask what server that is, and what time it has."""
        asked_at = self.clock.monotonic()
        try:
            greeting = await self._transport.call("", None, words.Greeting)
        except NotFound as error:
            raise StoreUnavailable(
                f"at {self._transport.url} there is no Keepstep server that clients can ask, or an older one"
            ) from error
        if greeting.protocol != words.PROTOCOL:
            raise StoreUnavailable(
                f"the server at {self._transport.url} (Keepstep {greeting.version}) speaks protocol "
                f"{greeting.protocol}, this client {words.PROTOCOL}; bring them to the same version"
            )
        self.value_bytes_max = greeting.value_bytes_max
        self.clock.agree(greeting.now, asked_at)

    async def _ask(self, name: str, said: msgspec.Struct, answer: type[T], **options: Any) -> T:
        if not self.clock.is_agreed:
            await self.greet()
        return await self._transport.call(name, said, answer, params=self._params, **options)

    async def close(self) -> None:
        await self._watch.close()
        await self._transport.close()

    def listen(self, listener: Listener) -> None:
        self._watch.listen(listener)

    def unlisten(self, listener: Listener) -> None:
        self._watch.unlisten(listener)

    # writing

    async def start(self, new: NewRun) -> Started:
        if new.lease_id is not None or new.parent is not None or new.timers or new.tasks:
            self._refuse("open_lease")
        try:
            return (await self._ask("start", words.StartRun(new), words.HasStarted)).started
        except (AlreadyStarted, Conflict):
            mine = await self.read_run(new.run_id)  # an answer to it was lost, and it was asked for again
            if mine is None:
                raise
            return _as_started(mine, new)

    async def commit(self, commit: Commit) -> Committed:
        id = commit.id or self._make_id()
        said = words.Change.of(commit, id)
        try:
            return (await self._ask("commit", said, words.HasCommitted)).committed
        except (Conflict, RunClosed, AlreadyStarted):
            if not await self.was_committed(id):
                raise
            run = await self.read_run(commit.run_id)
            started = [await self.read_run(new.run_id) for new in commit.start]
            if run is None:
                raise
            runs = zip(started, commit.start, strict=True)
            return Committed(
                run.version, run.last_seq, run.epoch, tuple(_as_started(mine, new) for mine, new in runs if mine)
            )

    def submit(self, commit: Commit) -> Promise:
        """Those of one run are asked for in the order submitted."""
        loop = asyncio.get_running_loop()
        promise = Promise(loop=loop)
        before = self._committing.get(commit.run_id)

        async def work() -> None:
            if before is not None:
                await asyncio.wait((before,))
            try:
                promise.settle(await self.commit(commit), None)
            except BaseException as error:
                promise.settle(None, error)

        task = self._committing[commit.run_id] = loop.create_task(work())
        task.add_done_callback(partial(self._forget, commit.run_id))
        return promise

    def _forget(self, run_id: str, task: asyncio.Task[None]) -> None:
        if self._committing.get(run_id) is task:
            del self._committing[run_id]

    async def was_committed(self, commit_id: str) -> bool:
        return (await self._ask("was_committed", words.CommitIs(commit_id), words.Known)).is_known

    async def send(self, message: NewMessage) -> Sent:
        is_repeatable = message.id is not None or message.kind not in _ONCE
        if message.id is None and is_repeatable:
            message = msgspec.structs.replace(message, id=self._make_id())
        said = words.SendMessage(message)
        return (await self._ask("send", said, words.HasSent, is_repeatable=is_repeatable)).sent

    async def register_attributes(self, named: Sequence[Attribute]) -> None:
        await self._ask("register_attributes", words.RegisterAttributes(list(named)), words.Done)

    async def change_queue(self, change: QueueChange) -> Queue:
        is_pause = not change.overridden and not change.withdrawn
        return await self._ask("pause_queue" if is_pause else "change_queue", change, Queue)

    # asking

    async def ask(self, run_id: str, kind: str, name: str, data: bytes, timeout_seconds: float) -> bytes:
        seconds = min(timeout_seconds, words.ASK_SECONDS_MAX)
        said = words.AskRun(run_id=run_id, name=name, data=data, timeout_seconds=seconds)
        word = "ask_query" if kind == "query" else "ask_update"
        answered = await self._ask(word, said, words.Answered, wait_seconds=seconds)
        if answered.data is None:
            raise TimeoutError
        return answered.data

    # reading

    async def read_run(self, run_id: str) -> Run | None:
        return (await self._ask("read_run", words.RunIs(run_id), words.FoundRun)).run

    async def find_run(self, namespace: str, workflow_id: str) -> Run | None:
        return (await self._ask("find_run", words.FindRun(namespace, workflow_id), words.FoundRun)).run

    async def list_runs(
        self,
        namespace: str,
        *,
        statuses: Sequence[Status] = (),
        conditions: Sequence[Condition] = (),
        types: Sequence[str] = (),
        before: tuple[int, str] | None = None,
        limit: int = 100,
    ) -> list[Run]:
        said = words.ListRuns(
            namespace=namespace, statuses=list(statuses), conditions=list(conditions), types=list(types),
            before=None if before is None else words.Behind(*before), limit=limit,
        )  # fmt: skip
        return (await self._ask("list_runs", said, words.FoundRuns)).runs

    async def count_runs(
        self,
        namespace: str,
        *,
        statuses: Sequence[Status] = (),
        conditions: Sequence[Condition] = (),
        types: Sequence[str] = (),
    ) -> int:
        said = words.ListRuns(
            namespace=namespace, statuses=list(statuses), conditions=list(conditions), types=list(types)
        )
        return (await self._ask("count_runs", said, words.Counted)).count

    async def search_runs(
        self, namespace: str, search: Search, *, after: Place | None = None, limit: int = 100
    ) -> Page:
        said = words.SearchRuns(namespace=namespace, search=search, after=after, limit=limit)
        found = await self._ask("search_runs", said, words.FoundPage)
        self._endings = {(each.run_id, each.event.seq): each.event for each in found.endings}
        return found.page

    async def count_found(self, namespace: str, where: Predicate) -> int:
        said = words.CountFound(namespace=namespace, where=where)
        return (await self._ask("count_found", said, words.Counted)).count

    async def count_groups(self, namespace: str, where: Predicate, field: Field, groups_max: int) -> list[Group]:
        said = words.CountGroups(namespace=namespace, where=where, field=field, groups_max=groups_max)
        found = await self._ask("count_groups", said, words.Grouped)
        return [(each.value, each.count) for each in found.groups]

    async def list_attributes(self, namespace: str) -> list[Attribute]:
        said = words.InNamespace(namespace)
        return (await self._ask("list_attributes", said, words.FoundAttributes)).attributes

    async def list_definitions(self, namespace: str) -> list[Definition]:
        said = words.InNamespace(namespace)
        return (await self._ask("list_definitions", said, words.FoundDefinitions)).definitions

    async def list_leases(self) -> list[LeaseState]:
        return (await self._ask("list_leases", words.Nothing(), words.FoundLeases)).leases

    async def list_queues(self) -> list[QueueState]:
        return (await self._ask("list_queues", words.Nothing(), words.FoundQueues)).queues

    async def list_backlogs(self) -> list[Backlog]:
        return (await self._ask("list_backlogs", words.Nothing(), words.FoundBacklogs)).backlogs

    async def read_flow(self, namespace: str, window: Window) -> list[Stretch]:
        said = words.ReadFlow(namespace=namespace, window=window)
        return (await self._ask("read_flow", said, words.FoundFlow)).stretches

    async def find_place(self, run_id: str) -> PlaceInQueue | None:
        return (await self._ask("find_place", words.RunIs(run_id), words.FoundPlace)).place

    async def load(self, run_id: str) -> Loaded:
        """Read in parts, and once more if it has changed meanwhile. Raises ``Conflict`` if it does so all the time."""
        for _ in range(TRIES_MAX):
            run = await self.read_run(run_id)
            if run is None:
                raise NotFound(f"there is no run {run_id}")
            events: list[Event] = []
            while len(events) < run.last_seq:
                events += await self.read_events(run_id, len(events), min(PAGE, run.last_seq - len(events)))
            state, messages = await self.read_state(run_id), await self.read_messages(run_id)
            now = await self.read_run(run_id)
            if now is not None and now.version == run.version:
                return Loaded(now, events, state, messages)
        raise Conflict(f"run {run_id} changes too quickly to be read over the network; pause it, or try again")

    async def read_events(self, run_id: str, after_seq: int = 0, limit: int = 1000) -> list[Event]:
        known = self._endings.pop((run_id, after_seq + 1), None) if limit == 1 else None
        events: list[Event] = [] if known is None else [known]
        while len(events) < limit:
            asked = min(limit - len(events), words.PAGE_MAX)
            said = words.ReadEvents(run_id=run_id, after_seq=after_seq + len(events), limit=asked)
            found = await self._ask("read_events", said, words.FoundEvents)
            events += found.events
            if not (found.is_cut or len(found.events) == asked):
                break
        return events

    async def read_state(self, run_id: str, kind: str | None = None) -> dict[tuple[str, str], bytes]:
        said = words.ReadState(run_id=run_id, kind=kind)
        rows = (await self._ask("read_state", said, words.FoundState)).state
        return {(each.kind, each.key): each.data for each in rows}

    async def list_state(
        self, namespace: str, kind: str, *, after: tuple[str, str] | None = None, limit: int = 100
    ) -> list[tuple[str, str, bytes]]:
        behind = None if after is None else words.LastState(*after)
        said = words.ListState(namespace=namespace, kind=kind, after=behind, limit=limit)
        rows = (await self._ask("list_state", said, words.FoundState)).state
        return [(each.run_id, each.key, each.data) for each in rows]

    async def read_messages(self, run_id: str) -> list[Message]:
        return await self.read_messages_of((run_id,))

    async def read_messages_of(self, run_ids: Sequence[str]) -> list[Message]:
        said = words.RunsAre(list(run_ids))
        return (await self._ask("read_messages", said, words.FoundMessages)).messages

    async def read_audit(self, run_id: str) -> list[AuditLine]:
        return (await self._ask("read_audit", words.RunIs(run_id), words.FoundAudit)).lines


def _as_started(run: Run, new: NewRun) -> Started:
    """What a start has come to whose answer was lost."""
    return Started(
        run_id=run.run_id,
        created=True,
        leased=False,
        type=run.type,
        input_digest=new.input_digest,
        status=run.status,
        epoch=run.epoch,
        version=run.version,
    )
