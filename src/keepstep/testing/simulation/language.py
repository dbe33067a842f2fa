"""Language: the workflow that walks a generated program, and the steps that it is made of.

A program is a tree of lists: a node's name and its arguments, some of which are nodes. ``Walk`` has one method for each
name. Whatever a program did, it tells as a trace, which is its result; receipts of steps are handed on to later steps,
so that the outside world can tell on what each call was based.

There are several versions of the workflow, as there are after deploys. ``FITTING`` ones can go on with each other's
runs, but for the first one with what the second has done by a patch; version 3 contradicts every history.
"""

from __future__ import annotations

import asyncio
from typing import Any

import keepstep
from keepstep import Retry, step, workflow
from keepstep.runtime.registry import definition_of
from keepstep.runtime.saga import Outcome
from keepstep.runtime.workflow import Workflow
from keepstep.worker.attempt import StepInfo

from .outside import Outside
from .programs import CHAPTERS
from .scheduler import fate
from .structures import NoLuck, Structures

PREFIX = "simulation."

REMOTE_LIMIT, TALKS_LIMIT = 2, 3

REMOTE_QUEUE = keepstep.queue("remote", concurrency=REMOTE_LIMIT, per_key=1)

TALK_QUEUE = keepstep.queue("talks", concurrency=TALKS_LIMIT)
"""Where runs wait that are spoken to."""

RATE, RATE_OF_KEY, RATE_SECONDS = 5, 2, 1
"""So many begin on the rated queue in any stretch of so long, and so many of one key."""

RATED_QUEUE = keepstep.queue("rated", rate=(RATE, f"{RATE_SECONDS}s"), rate_per_key=(RATE_OF_KEY, f"{RATE_SECONDS}s"))

ELSEWHERE = PREFIX + "act_elsewhere"
"""The step on the limited queue; the name is part of its keys."""

RATED = PREFIX + "act_rated"
"""The step on the rated queue, likewise."""

LINGERING, TIDYING_SECONDS = PREFIX + "act_lingering", 0.2
"""The step whose end is waited for, likewise, and how long it goes on when it is told to end."""

ANSWERED = "answered "
"""What code does that a person has answered begins with it."""

AFTER = "after "
"""What a cancelled branch does when such a step has ended begins with it."""

NEWEST, FITTING, CONTRADICTING = 2, (1, 2), 3
"""Versions of the workflow: the newest does one more step at the end than the first; the last one more at the start."""

REFUSED = "refused"
"""Updates whose names begin with it are rejected by their validator."""

WAYS = (" in the old way", " in the new way")
"""How the names of acts end that the first version does in one way and the others, by a patch, in another."""

TOLD, ACTS = "told", "acts"
"""Streams: what a run notes in its trace, and the numbers of the executions of its steps."""

CHAPTER_ENDS = "the chapter ends"
"""What a run's trace says, and the traces of those that continue it, when it has walked its part of a program."""

CONTRADICTION = "contradiction"
"""The step that only the contradicting version does."""

TRANSACTIONAL = PREFIX + "act_in_transaction"
"""The step whose effect is in the journal's own database; the name is part of its keys."""

ALL_ATTEMPTS = Retry(max_attempts=4, initial=0.05, factor=2.0, max_interval=0.5)
UNDO_ATTEMPTS = Retry(max_attempts=50, initial=0.05, factor=2.0, max_interval=0.5)


def _outside() -> tuple[Outside, int, StepInfo]:
    from .process import Process

    process = fate.get()
    assert isinstance(process, Process), "steps of a simulation run in its processes only"
    return process.outside, process.number, keepstep.step_info()


async def _act(name: str, premise: str, seconds: float, fails: bool, saga: str = "") -> str:
    outside, process, info = _outside()
    await outside.take_time()
    execution = outside.begin(info, name, process, premise, saga)
    if outside.is_listened_to(info):
        await keepstep.write_stream(ACTS, execution.number)
        execution.is_said = True
    await asyncio.sleep(seconds)
    if fails:
        raise NoLuck(name)
    receipt = outside.end(execution)
    await outside.take_time()
    return receipt


@step(name=PREFIX + "act", retry=Retry(max_attempts=1))
async def act(name: str, premise: str, seconds: float, fails: bool, saga: str = "") -> str:
    """Take so long, and fail if asked to."""
    return await _act(name, premise, seconds, fails, saga)


@step(name=PREFIX + "act_stubbornly", retry=ALL_ATTEMPTS)
async def act_stubbornly(name: str, premise: str, failures: int) -> str:
    """Fail so many times before it works, or give up."""
    return await _act(name, premise, 0.0, keepstep.step_info().attempt <= failures)


@step(name=PREFIX + "act_in_time", retry=Retry(max_attempts=2, initial=0.05), timeout=0.2, heartbeat_timeout=0.15)
async def act_in_time(name: str, premise: str, seconds: float) -> str:
    """Be timed out if it takes too long, after it has done its work."""
    keepstep.heartbeat(name)
    return await _act(name, premise, seconds, False)


@step(name=PREFIX + "act_on_a_thread")
def act_on_a_thread(name: str, premise: str) -> str:
    outside, process, info = _outside()
    execution = outside.begin(info, name, process, premise, "")
    if outside.is_listened_to(info):
        keepstep.write_stream(ACTS, execution.number)
    return outside.end(execution)


@step(name=ELSEWHERE, queue=REMOTE_QUEUE, retry=ALL_ATTEMPTS)
async def act_elsewhere(name: str, premise: str, failures: int) -> str:
    """For whoever serves that queue."""
    return await _act(name, premise, 0.1, keepstep.step_info().attempt <= failures)


@step(name=RATED, queue=RATED_QUEUE, retry=ALL_ATTEMPTS)
async def act_rated(name: str, premise: str, failures: int) -> str:
    """Where no more may begin than the queue's rates say."""
    return await _act(name, premise, 0.0, keepstep.step_info().attempt <= failures)


@step(name=LINGERING, on_cancel="wait", timeout=5, retry=ALL_ATTEMPTS)
async def act_lingering(name: str, premise: str, seconds: float) -> str:
    """Told to end, tidy up for a while; it is done in either case."""
    outside, process, info = _outside()
    execution = outside.begin(info, name, process, premise, "")
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        execution.told = outside.now()
        await asyncio.sleep(TIDYING_SECONDS)
    return outside.end(execution)


@step(name=PREFIX + "act_once", once=True)
async def act_once(name: str, premise: str, seconds: float) -> str:
    """Never twice; an operator says what happened where nobody knows."""
    return await _act(name, premise, seconds, False)


@step(name=TRANSACTIONAL, transaction=True, retry=ALL_ATTEMPTS)
def act_in_transaction(db: keepstep.Connection, name: str, premise: str, failures: int) -> str:
    """Leave its receipt in a table of the journal's own database. The first attempts leave it, and fail."""
    outside, process, info = _outside()
    execution = outside.begin(info, name, process, premise, "")
    receipt = outside.end(execution)
    db.execute(outside.insert_effect, (info.run_id, info.key, receipt))
    if info.attempt <= failures:
        raise NoLuck(name)
    return receipt


@step(name=PREFIX + "undo", retry=UNDO_ATTEMPTS)
async def undo(name: str, premise: str, seconds: float, fails: bool, saga: str, outcome: Outcome) -> str:
    """Take one act of a saga back; sometimes only at the second attempt."""
    return await _act(f"undo {name}", outcome.status, 0.0, seconds > 0 and keepstep.step_info().attempt == 1, saga)


def key_of(name: str) -> str:
    """Under which key an act waits on the limited queue, where one of each key is at work at a time."""
    return "even" if ord(name[-1]) % 2 == 0 else "odd"


def rated_key_of(name: str) -> str:
    """Under which key an act, or a run by its workflow id, waits on the rated queue."""
    return "abc"[ord(name[-1]) % 3]


class Walk(Structures):
    """What one run of a program has seen, in the order in which it saw it."""

    def __init__(self, itself: Workflow[Any, Any] | None = None, *, is_patched: bool = False) -> None:
        super().__init__()
        self.receipt = "start"
        """Of the last step that this run heard of."""
        self.changes: list[str] = []
        """Updates that came to their end, by name."""
        self._itself = itself
        self._is_patched = is_patched
        self._is_speaking = False
        self._sagas = 0

    def heard(self, receipt: str) -> str:
        self.receipt = receipt
        return receipt

    # leaves

    async def step(self, name: str, seconds: float, fails: bool) -> str:
        return self.heard(await act(name, self.receipt, seconds, fails))

    async def either(self, name: str, seconds: float) -> str:
        """What the newer versions do in another way, in runs that came here with one of them."""
        way = WAYS[1] if self._is_patched and keepstep.patched(name) else WAYS[0]
        return self.heard(await act(f"{name}{way}", self.receipt, seconds, False))

    async def retried(self, name: str, failures: int) -> str:
        return self.heard(await act_stubbornly(name, self.receipt, failures))

    async def timed(self, name: str, seconds: float) -> str:
        return self.heard(await act_in_time(name, self.receipt, seconds))

    async def threaded(self, name: str) -> str:
        return self.heard(await act_on_a_thread(name, self.receipt))

    async def elsewhere(self, name: str, failures: int) -> str:
        one_by_one = act_elsewhere.options(fairness_key=key_of(name))
        return self.heard(await one_by_one(name, self.receipt, failures))

    async def rated(self, name: str, failures: int) -> str:
        of_its_key = act_rated.options(fairness_key=rated_key_of(name))
        return self.heard(await of_its_key(name, self.receipt, failures))

    async def transacted(self, name: str, failures: int) -> str:
        return self.heard(await act_in_transaction(name, self.receipt, failures))

    async def once(self, name: str, seconds: float) -> str:
        return self.heard(await act_once(name, self.receipt, seconds))

    async def lingering(self, name: str, seconds: float, is_elsewhere: bool) -> str:
        """Its end is waited for, in whatever way it is cut off; so what comes after has nobody beside it."""
        act_so = act_lingering.options(queue=REMOTE_QUEUE, fairness_key=key_of(name)) if is_elsewhere else act_lingering
        try:
            return self.heard(await act_so(name, self.receipt, seconds))
        except asyncio.CancelledError:
            await act(f"{AFTER}{name}", self.receipt, 0.0, False)
            raise

    async def asked(self, name: str, seconds: float) -> str:
        """A person is asked for a number, and what they answer is told to the outside world."""
        async with asyncio.timeout(seconds):
            number = await keepstep.human_task(name, form=int, assignee="anybody")
        return self.heard(await act(f"{ANSWERED}{number}", self.receipt, 0.0, False))

    async def sleep(self, seconds: float) -> str:
        before = keepstep.now()
        await keepstep.sleep(seconds)
        passed = (keepstep.now() - before).total_seconds()
        return "slept" if passed >= seconds else f"woke {seconds - passed:g} s early"

    async def receive(self, seconds: float) -> str:
        return str(await keepstep.receive("word", timeout=seconds))

    async def receive_at_last(self) -> str:
        """Waits for ever; whoever started the program sends as many as it has of these."""
        return str(await keepstep.receive("must"))

    async def until_changed(self, count: int) -> str:
        """Waits for ever, in a run that takes updates; whoever started it has so many of them done."""
        await keepstep.wait_for(lambda: len(self.changes) >= count)
        return "changed"

    async def meet(self, seconds: float) -> str:
        self.event.set()
        await keepstep.wait_for(lambda: len(self.trace) > 2, timeout=seconds)
        return "met"

    async def chance(self) -> str:
        keepstep.set_status(f"after {len(self.trace)}")
        return f"{keepstep.random().random()} {keepstep.uuid4()} {keepstep.now()}"

    async def callback(self, seconds: float) -> str:
        """The other side answers by calling back, perhaps never."""
        called = keepstep.callback()
        await act(f"ask {called.token}", self.receipt, 0.0, False)
        return str(await called.result(timeout=seconds))

    def tell(self, what: str) -> None:
        super().tell(what)
        if self._is_speaking:
            keepstep.write_stream(TOLD, what)

    # structures that make durable calls of their own

    async def speaking(self, node: list[Any]) -> str:
        """From here on, whoever listens hears all that goes into the trace."""
        self._is_speaking = True
        return await self.go(node)

    async def saga(self, name: str, nodes: list[Any], fails: bool) -> str:
        """Steps in it are acts of the saga. It has a name of its own, and another one each time that it is walked."""
        self._sagas += 1
        name = f"{name}, {self._sagas}"
        try:
            async with keepstep.saga() as saga:
                for n, each in enumerate(nodes):
                    if each[0] == "step":
                        label, seconds, misses = each[1:]
                        done = saga.run(act, f"{label}@{n}", self.receipt, seconds, misses, name, undo=undo)
                        self.heard(await done)
                    else:
                        await self.go(each)
                if fails:
                    raise NoLuck("saga")
        except (NoLuck, keepstep.StepFailed):
            return f"{name} undone"
        return f"{name} done"

    async def child(self, node: list[Any]) -> str:
        assert self._itself is not None
        try:
            return " ".join(await self._itself(node))
        except keepstep.Cancelled:
            return "child cancelled"


def take_over(walk: Walk, program: list[Any]) -> None:
    """Know what the chapters before have seen. Done before all else, so that whoever asks is told of it at once."""
    if program[0] == CHAPTERS:
        _, changes, trace = program[1:]
        walk.changes += changes
        walk.trace += trace


async def walk_through(walk: Walk, program: list[Any]) -> None:
    """Walk a program, or the first of its chapters; then the run goes on as a new one, which knows what it has seen."""
    if program[0] != CHAPTERS:
        await walk.go(program)
        return
    chapters = program[1]
    await walk.go(chapters[0])
    walk.trace.append(CHAPTER_ENDS)
    if len(chapters) > 1:
        await keepstep.wait_for(keepstep.all_handlers_finished)
        keepstep.continue_as_new([CHAPTERS, chapters[1:], walk.changes, walk.trace])


async def change(walk: Walk, name: str, seconds: float, fails: bool) -> str:
    """What an update does: acts, and waits; its result is the receipt."""
    receipt = walk.heard(await act(f"change {name}", walk.receipt, 0.0, fails))
    await keepstep.sleep(seconds)
    walk.changes.append(name)
    return receipt


def _deploy(version: int) -> tuple[Workflow[Any, Any], ...]:
    """The workflows as they are in that version of the code.

    Without and with a timeout, one that is spoken to, and a sync one.
    """
    from .walking_in_sync import WalkInSync

    async def go_through(walk: Walk, program: list[Any]) -> list[str]:
        take_over(walk, program)
        if version == CONTRADICTING:
            await walk.go(["step", CONTRADICTION, 0.0, False])
        await walk_through(walk, program)
        if version >= NEWEST:
            await walk.go(["step", "added", 0.0, False])
        return [f"version {version}", *walk.trace]  # tasks left behind go on writing

    async def walk(program: list[Any]) -> list[str]:
        return await go_through(Walk(unlimited, is_patched=version >= NEWEST), program)

    @workflow(name=PREFIX + "talk", queue=TALK_QUEUE, guard=False)
    class Talk:
        """Walks a program, and takes updates and answers queries meanwhile."""

        def __init__(self) -> None:
            self.walk = Walk(unlimited, is_patched=version >= NEWEST)
            self.noted: list[str] = []

        async def run(self, program: list[Any]) -> list[str]:
            return await go_through(self.walk, program)

        @keepstep.signal
        async def note(self, name: str) -> None:
            self.walk.heard(await act(f"note {name}", self.walk.receipt, 0.0, False))
            self.noted.append(name)

        @keepstep.update
        async def change(self, name: str, seconds: float, fails: bool) -> str:
            return await change(self.walk, name, seconds, fails)

        @change.validator
        def check_change(self, name: str, seconds: float, fails: bool) -> None:
            if name.startswith(REFUSED):
                raise NoLuck(name)

        @keepstep.query
        def changed(self) -> list[str]:
            return self.walk.changes

    def walk_in_sync(program: list[Any]) -> list[str]:
        walking = WalkInSync(in_sync)
        if version == CONTRADICTING:
            walking.go(["step", CONTRADICTION, 0.0, False])
        walking.go(program)
        if version >= NEWEST:
            walking.go(["step", "added", 0.0, False])
        return [f"version {version}", *walking.trace]

    unlimited: Workflow[Any, Any] = workflow(name=PREFIX + "walk", guard=False)(walk)
    in_sync: Workflow[Any, Any] = workflow(name=PREFIX + "walk_in_sync", guard=False)(walk_in_sync)
    talk = definition_of(Talk)
    assert talk is not None
    return unlimited, workflow(name=PREFIX + "walk_in_time", timeout=6, guard=False)(walk), talk, in_sync


VERSIONS = {version: _deploy(version) for version in (CONTRADICTING, *FITTING)}

WALK, WALK_IN_TIME, TALK, WALK_IN_SYNC = (each.name for each in VERSIONS[NEWEST])
