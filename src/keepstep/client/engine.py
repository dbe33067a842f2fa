"""Engine: what application code holds. A client, and by default a worker, in this process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, TypeVar

import msgspec

from keepstep.journal import (
    AlreadyStarted,
    Clock,
    Commit,
    Conflict,
    Definition,
    IdFactory,
    IfClosed,
    IfRunning,
    InvalidInput,
    Journal,
    NewEvent,
    NewMessage,
    NewRun,
    NotFound,
    Run,
    RunClosed,
    Started,
    Status,
    StoreUnavailable,
    uuid7,
)
from keepstep.runtime import history
from keepstep.runtime.callback import is_genuine, parse_token
from keepstep.runtime.data import describe, encode, encode_failure, reader, within_limit
from keepstep.runtime.data.schema import Misfit
from keepstep.runtime.data.schema import check as check_json
from keepstep.runtime.history import pack
from keepstep.runtime.human_task import HumanTask
from keepstep.runtime.registry import find_workflow
from keepstep.runtime.workflow import Workflow
from keepstep.worker.inbox import StepAnswer
from keepstep.worker.resident import HUMAN_TASK
from keepstep.worker.worker import Worker, WorkerOptions, started_run

from .address import open_journal
from .closing import Closings, last_event
from .filter import parse_filter
from .handle import SEIZE_TRIES_MAX, RunHandle
from .info import RunInfo, run_info
from .published import Published, timeout_of

R = TypeVar("R")

PAGE = 200
UNSET: Any = msgspec.UNSET


class Engine:
    """``async with Engine("sqlite:///orders.db") as engine: run = await engine.start(fulfil_order, order)``

    :param url: ``sqlite:///file`` or ``memory:``. :param workers: False for a client that runs nothing itself.
    :param queues: which queues the worker serves. :param lease_seconds: after so long without a sign of life of this
        process, others take over what it owned.
    :param callback_url: base of the URLs that ``callback()`` hands out, such as ``https://example.org``.
    :param create: make a missing database.
    :param options: limits of the worker, see ``WorkerOptions``.
    """

    def __init__(
        self,
        url: str = "sqlite:///keepstep.db",
        *,
        workers: bool = True,
        queues: tuple[str, ...] = ("default",),
        namespace: str = "default",
        lease_seconds: float = 10.0,
        callback_url: str | None = None,
        create: bool = True,
        clock: Clock | None = None,
        ids: IdFactory = uuid7,
        journal: Journal | None = None,
        **options: Any,
    ) -> None:
        self.url = url
        self.namespace = namespace
        self._clock = clock
        self._ids = ids
        self._create = create
        self._given_journal = journal
        self._has_worker = workers
        self._options = WorkerOptions(
            queues=tuple(queues),
            namespace=namespace,
            lease_seconds=lease_seconds,
            callback_base=(callback_url or "").rstrip("/"),
            **options,
        )
        self.journal: Journal
        self.closings: Closings
        self.published: Published
        self.worker: Worker | None = None
        self.known_types: dict[str, str] = {}

    async def __aenter__(self) -> Engine:
        self.journal = self._given_journal or await open_journal(self.url, create=self._create, clock=self._clock)
        self.closings = Closings(self.journal)
        self.published = Published(self.journal, self.namespace)
        if self._has_worker:
            self.worker = Worker(self.journal, self._options, ids=self._ids)
            await self.worker.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self, grace_seconds: float = 10.0) -> None:
        """Give back what the worker owns and close the store."""
        if self.worker is not None:
            await self.worker.stop(grace_seconds)
        self.closings.close()
        if self._given_journal is None:
            await self.journal.close()

    # starting

    async def start(
        self,
        workflow: Workflow[Any, R] | str,
        *args: Any,
        id: str | None = None,
        if_running: str = "attach",
        if_closed: str = "attach",
        queue: str | None = None,
        attributes: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> RunHandle[R]:
        """Start a run, or attach to the one of that id if type and input are the same.

        :param if_running: what to do if a run of that id is open: attach, reject, or restart (ending it by force).
        :param if_closed: likewise for the newest closed run.

        Raises ``AlreadyStarted`` for another input, or when asked; ``InvalidInput`` for arguments that do not fit.
        """
        served = await self._served_elsewhere(workflow)
        policies = _policy(if_running), _policy(if_closed)
        new = self._new_run(workflow, served, args, kwargs, id, queue, attributes, *policies)
        if self.worker is not None and self.worker.can_adopt(new):
            new = msgspec.structs.replace(new, lease_id=self.worker.lease_id)
        try:
            started = await self.journal.start(new)
        except Conflict:
            if new.if_running is not IfRunning.RESTART:
                raise
            started = await self._restart(msgspec.structs.replace(new, lease_id=None))
        except (asyncio.CancelledError, StoreUnavailable):
            if self.worker is not None and new.lease_id is not None:
                self.worker.recover(new.run_id)  # it may have been started under the worker's lease all the same
            raise
        if not started.created and (started.type, started.input_digest) != (new.type, new.input_digest):
            raise AlreadyStarted(
                f"a run with the id {new.workflow_id!r} exists already with another type or input; "
                'choose another id, or start with if_running="restart" or if_closed="restart"'
            )
        if started.leased and self.worker is not None:
            self.worker.adopt(new, started)
        return RunHandle(self, new.workflow_id, started.run_id, is_fresh=started.leased)

    async def run(self, workflow: Workflow[Any, R] | str, *args: Any, **options: Any) -> R:
        """``start`` and ``result`` in one."""
        handle: RunHandle[R] = await self.start(workflow, *args, **options)
        return await handle.result()

    async def _served_elsewhere(self, workflow: Workflow[Any, Any] | str) -> Definition | None:
        """What other processes tell of a workflow that this one knows by its name alone."""
        if isinstance(workflow, str) and find_workflow(workflow) is None:
            return await self.published.find(workflow)
        return None

    def _new_run(
        self,
        workflow: Workflow[Any, Any] | str,
        served: Definition | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        id: str | None,
        queue: str | None,
        attributes: dict[str, Any] | None,
        if_running: IfRunning,
        if_closed: IfClosed,
    ) -> NewRun:
        known = find_workflow(workflow) if isinstance(workflow, str) else workflow
        if known is None:
            if kwargs:
                raise InvalidInput(f"workflow {workflow!r} is not known in this process; pass its arguments in order")
            name, arguments = str(workflow), encode(list(args))
            timeout = None if served is None else timeout_of(served)
            home = "default" if served is None else served.queue
        elif getattr(known, "__keepstep__", "") != "workflow":
            raise InvalidInput(f"start takes a function decorated with @workflow, or a name, not {workflow!r}")
        else:
            known.signature.check_args(args, kwargs)
            name, arguments = known.name, known.signature.encode_args(args, kwargs)
            timeout, home = known.timeout_seconds, known.queue
            known.signature.decode_args(arguments)  # what does not fit is the caller's error, not the run's
        within_limit(arguments, "the arguments of workflow", name)
        run_id = self._ids()
        self._remember_type(run_id, name)
        return started_run(
            name,
            arguments,
            run_id=run_id,
            workflow_id=id or run_id,
            namespace=self.namespace,
            queue=queue or home,
            timeout_seconds=timeout,
            now=self.journal.clock.now(),
            seed=os.urandom(16),
            attributes=attributes or {},
            if_running=if_running,
            if_closed=if_closed,
        )

    def _remember_type(self, run_id: str, name: str) -> None:
        if len(self.known_types) > 100_000:
            self.known_types.clear()
        self.known_types[run_id] = name

    async def _restart(self, new: NewRun) -> Started:
        """End the open run of that id by force and start the new one, in one commit."""
        for _ in range(SEIZE_TRIES_MAX):
            run = await self.journal.find_run(new.namespace, new.workflow_id)
            if run is None or run.status is not Status.RUNNING:
                return await self.journal.start(new)
            commit = self.termination(run, "restarted")
            commit.start = (msgspec.structs.replace(new, continued_from=run.run_id),)
            try:
                return (await self.journal.commit(commit)).started[0]
            except Conflict:
                continue
        raise Conflict(f"run {new.workflow_id!r} changes too quickly to be restarted; try again")

    def termination(self, run: Run, reason: str) -> Commit:
        """The commit that ends an open run by force."""
        data = pack(history.WorkflowTerminated(reason))
        event = NewEvent(history.WORKFLOW_TERMINATED, self.journal.clock.now(), None, data)
        send: tuple[NewMessage, ...] = ()
        if run.parent_run_id is not None:
            told = pack(history.ChildClosed(Status.TERMINATED, b""))
            send = (NewMessage(run_id=run.parent_run_id, kind="child_closed", name=run.parent_key or "", data=told),)
        return Commit(
            run_id=run.run_id,
            version=run.version,
            seize=True,
            status=Status.TERMINATED,
            events=(event,),
            send=send,
            audit=f"terminate: {reason}",
        )

    # finding

    def get(self, id: str, run_id: str | None = None) -> RunHandle[Any]:
        """The newest run of a workflow id, or a certain run of it."""
        return RunHandle(self, id, run_id)

    async def list(self, filter: str | None = None, limit: int | None = None) -> AsyncIterator[RunInfo]:
        """Runs, newest first. For the filter language see ``keepstep.client.filter``."""
        wanted = parse_filter(filter)
        before: tuple[int, str] | None = None
        left = limit if limit is not None else 1 << 62
        while left > 0:
            page = await self.journal.list_runs(
                self.namespace,
                statuses=wanted.statuses,
                conditions=wanted.conditions,
                types=wanted.types,
                before=before,
                limit=min(PAGE, left),
            )
            for run in page:
                closing = await last_event(self.journal, run) if run.status is Status.FAILED else None
                yield run_info(run, closing)
            if len(page) < min(PAGE, left):
                return
            left -= len(page)
            before = (page[-1].started_at, page[-1].run_id)

    async def count(self, filter: str | None = None) -> int:
        """How many runs the filter fits."""
        wanted = parse_filter(filter)
        return await self.journal.count_runs(
            self.namespace, statuses=wanted.statuses, conditions=wanted.conditions, types=wanted.types
        )

    # speaking to runs

    async def signal(self, id: str, name: str, value: Any = None) -> None:
        """Send a signal to the newest run of that id."""
        await self.get(id).signal(name, value)

    async def complete_callback(self, token: str, value: Any = None) -> None:
        """Complete a callback or a human task. A second completion is accepted and has no effect.

        Raises ``NotFound`` for a token that no run made, ``RunClosed`` if the run ended before it came, and
        ``InvalidInput`` for an answer that does not fit a human task's form.
        """
        payload = within_limit(encode(value), "the value of the callback")
        await self._answer_callback("callback", token, payload)

    async def fail_callback(self, token: str, error: BaseException | str) -> None:
        """Let the wait for a callback raise an error."""
        raised = RuntimeError(error) if isinstance(error, str) else error
        await self._answer_callback("callback_failed", token, encode_failure(describe(raised)))

    async def _answer_callback(self, kind: str, token: str, data: bytes) -> None:
        run_id, key, _ = parse_token(token)
        first = await self.journal.read_events(run_id, 0, 1)
        if not first or first[0].type != history.WORKFLOW_STARTED:
            raise NotFound("no run has made this callback token")
        if not is_genuine(token, history.unpack(first[0].type, first[0].data).seed):
            raise NotFound("no run has made this callback token")
        if kind == "callback":
            await self._check_form(run_id, key, data)
        try:
            await self.journal.send(NewMessage(run_id=run_id, kind=kind, name=token, data=data))
        except RunClosed:
            if not await self._was_answered(run_id, key):
                raise

    async def _check_form(self, run_id: str, key: str, payload: bytes) -> None:
        """An answer that does not fit is the answerer's error: it must not fail the run."""
        if "human_task:" not in key:
            return
        task = (await self.journal.read_state(run_id, HUMAN_TASK)).get((HUMAN_TASK, key))
        if task is None:
            return
        form = msgspec.json.decode(task, type=HumanTask).form
        try:
            check_json(reader()(payload), form)
        except Misfit as misfit:
            raise InvalidInput(f"the answer does not fit the task's form: {misfit}") from None

    async def _was_answered(self, run_id: str, key: str) -> bool:
        async for event in self.get("", run_id).history():
            if event.key == key and event.type in (history.CALLBACK_COMPLETED, history.CALLBACK_FAILED):
                return True
        return False

    async def resolve(self, id: str, key: str, value: Any = UNSET, error: BaseException | str | None = None) -> None:
        """Say what happened to an *uncertain* step: its ``value``, or the ``error`` that it ended with."""
        if (value is UNSET) == (error is None):
            raise InvalidInput("resolve needs either a value or an error")
        if error is None:
            said = StepAnswer(True, encode(value), by="resolve")
        else:
            raised = RuntimeError(error) if isinstance(error, str) else error
            said = StepAnswer(False, encode_failure(describe(raised)), by="resolve")
        run = await self.get(id)._run()
        await self.journal.send(
            NewMessage(run_id=run.run_id, kind="resolve", name=key, data=msgspec.msgpack.encode(said))
        )

    async def human_tasks(self, limit: int = 1000) -> AsyncIterator[HumanTask]:
        """Open tasks for people, oldest first. Complete one with ``complete_callback(task.token, answer)``."""
        after: tuple[str, str] | None = None
        while limit > 0:
            page = await self.journal.list_state(self.namespace, HUMAN_TASK, after=after, limit=min(limit, PAGE))
            for _, _, data in page:
                yield msgspec.json.decode(data, type=HumanTask)
            if len(page) < PAGE:
                return
            limit -= len(page)
            after = page[-1][:2]


def _policy(word: str) -> IfRunning:
    try:
        return IfRunning(word)
    except ValueError:
        raise InvalidInput(f'if_running and if_closed are "attach", "reject" or "restart", not {word!r}') from None
