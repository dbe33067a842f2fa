"""The stores against a simple model, and against each other, under operations that nobody would think of.

Hypothesis makes sequences of operations by several handles and leases on few runs, stale epochs and versions among
them. Both stores play each sequence; every answer and, at the end, everything that can be read must be the same. The
model beside them knows only what the port promises: who may write, how seq and version grow, what waits in an inbox.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keepstep.journal import (
    ClosedRun,
    Commit,
    Condition,
    IfRunning,
    Journal,
    JournalError,
    Loaded,
    NewMessage,
    NewTask,
    Position,
    Run,
    StateChange,
    Status,
    TaskToken,
    Timer,
)
from keepstep.testing import run as run_virtually
from keepstep.testing.postgres import Access
from tests.journal.scene import SCENES, START, PostgresScene, Scene, TroubledSqliteScene, event, lease, new_run

RUNS = 4
HANDLES = 2
Step = tuple[str, dict[str, Any]]

slots = st.integers(0, RUNS - 1)
handles = st.integers(0, HANDLES - 1)
rarely = st.sampled_from([False, False, False, True])
conditions = st.sampled_from([None, None, None, *Condition])
statuses = st.sampled_from([None, None, None, None, Status.COMPLETED, Status.FAILED, Status.CONTINUED])
times = st.sampled_from([None, 0, START + 5, START + 50])


def step(name: str, **choices: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    return st.tuples(st.just(name), st.fixed_dictionaries({"by": handles, **choices}))


commits = step(
    "commit",
    run=slots,
    by_epoch=st.sampled_from([None, None, None, True, False]),
    stale=st.sampled_from([0, 0, 0, 0, 1, -1]),
    events=st.integers(0, 3),
    consume=st.booleans(),
    unseen=rarely,
    release=st.booleans(),
    seize=rarely,
    status=statuses,
    condition=conditions,
    wake_at=times,
    timers=st.sampled_from([None, None, (), (START + 3,), (START + 9, START + 30)]),
    send=st.sampled_from([None, None, *range(RUNS)]),
    child=st.sampled_from([None, None, None, *range(RUNS)]),
    state=st.sampled_from([None, None, b"", b"x"]),
    task=st.booleans(),
)
steps = st.one_of(
    step("start", run=slots, leased=st.booleans(), closed=st.sampled_from(list(IfRunning)), wake_at=times),
    commits,
    commits,
    commits,
    step("reopen", run=slots, stale=st.sampled_from([0, 0, 1])),
    step("send", run=slots, id=st.sampled_from([None, "m1", "m2"]), wakes=st.booleans()),
    step("claim", limit=st.integers(1, 3)),
    step("claim", limit=st.integers(1, 3)),
    step("claim_tasks"),
    step("claim_tasks"),
    step("finish_task", run=slots, release=st.booleans()),
    step("cycle_lease"),
    step("pass_time", microseconds=st.integers(1, 20)),
    step("rebuild"),
    step("purge", age=st.integers(0, 5)),
    step("end", run=slots, status=st.sampled_from([Status.COMPLETED, Status.FAILED])),
    step("end", run=slots, status=st.sampled_from([Status.COMPLETED, Status.FAILED])),
    step("look_at_closed", status=st.sampled_from([Status.COMPLETED, Status.FAILED]), limit=st.integers(1, 3)),
    step("remove", run=slots, stale=rarely),
    step("remove", run=slots, stale=rarely),
    step("bring_back", one=st.sampled_from([0, 0, 1, 2])),
)


@dataclass
class ModelRun:
    """What the port promises about one run, whatever the store."""

    types: list[str] = field(default_factory=list)
    bumps: int = 0
    closed: bool = False
    inbox: dict[int, str | None] = field(default_factory=dict)

    def version(self) -> int:
        return len(self.types) + self.bumps


class Play:
    """One sequence played on one store."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.journals: list[Journal] = []
        self.leases = [f"L{n}" for n in range(HANDLES)]
        self.model: dict[str, ModelRun] = {}
        self.tasks: dict[str, TaskToken] = {}
        self.elsewhere: list[Loaded] = []
        """Runs that were removed, as somebody has kept them."""
        self.made = 0
        self.answers: list[Any] = []

    async def perform(self, sequence: list[Step]) -> list[Any]:
        for n in range(HANDLES):
            self.journals.append(await self.scene.open())
            await self.journals[n].open_lease(lease(self.leases[n]))
        for slot in range(RUNS):
            by = slot % HANDLES
            await self.start(
                self.journals[by], by=by, run=slot, leased=slot < RUNS // 2, closed=IfRunning.ATTACH, wake_at=0
            )
        for name, choices in sequence:
            try:
                answer = await getattr(self, name)(self.journals[choices["by"]], **choices)
            except JournalError as error:
                answer = type(error).__name__
            self.answers.append((name, answer))
        self.answers.append(await self.everything())
        return self.answers

    def name(self) -> str:
        self.made += 1
        return f"run-{self.made:04d}"

    async def newest(self, slot: int) -> Run | None:
        return await self.journals[0].find_run("default", f"w{slot}")

    async def start(self, journal: Journal, *, by: int, run: int, leased: bool, closed: Any, wake_at: Any) -> Any:
        new = new_run(
            f"w{run}",
            run_id=self.name(),
            lease_id=self.leases[by] if leased else None,
            if_closed=closed,
            wake_at=wake_at,
        )
        started = await journal.start(new)
        if started.created:
            self.model[new.run_id] = ModelRun(["started"])
        return started

    async def commit(self, journal: Journal, *, by: int, run: int, **choices: Any) -> Any:
        before = await self.newest(run)
        if before is None:
            return None
        waiting = await journal.read_messages(before.run_id)
        commit = self.make_commit(before, [message.n for message in waiting], by, **choices)
        children = [new.run_id for new in commit.start]
        done = await journal.commit(commit)
        assert before.status is Status.RUNNING
        assert choices["stale"] == 0
        model = self.model[before.run_id]
        model.types += [each.type for each in commit.events]
        model.bumps += not commit.events
        model.closed = commit.status is not None
        assert (done.version, done.last_seq) == (model.version(), len(model.types))
        for started in done.started:
            assert started.run_id in children
            self.model[started.run_id] = ModelRun(["started"])
        return done

    def make_commit(self, before: Run, inbox: list[int], by: int, **choices: Any) -> Commit:
        version = before.version + choices["stale"]
        send, child, timers = choices["send"], choices["child"], choices["timers"]
        closing = choices["status"] is not None
        fitting = before.owner is not None and not choices["seize"]
        by_epoch = fitting if choices["by_epoch"] is None else choices["by_epoch"]
        return Commit(
            run_id=before.run_id,
            epoch=before.epoch + choices["stale"] if by_epoch else None,
            version=None if by_epoch and not choices["seize"] else version,
            seize=choices["seize"],
            lease_id=self.leases[by] if choices["seize"] and not closing else None,
            events=tuple(event(f"e{n}", b"x" * n) for n in range(choices["events"])),
            consume=tuple(inbox[:1]) if choices["consume"] else (),
            inbox_seen=0 if choices["unseen"] else None,
            release=choices["release"],
            status=choices["status"],
            condition=None if closing else choices["condition"],
            wake_at=choices["wake_at"],
            timers=None if timers is None else tuple(Timer(f"t{n}", at) for n, at in enumerate(timers)),
            send=() if send is None else (NewMessage(namespace="default", workflow_id=f"w{send}", kind="signal"),),
            start=() if child is None else (new_run(f"w{child}", run_id=self.name()),),
            state=() if choices["state"] is None else (StateChange("k", "a", choices["state"] or None),),
            tasks=(NewTask(kind="step", key="a", queue="q"),) if choices["task"] else (),
        )

    async def reopen(self, journal: Journal, *, by: int, run: int, stale: int) -> Any:
        before = await self.newest(run)
        if before is None or before.status is Status.RUNNING:
            return None
        commit = Commit(run_id=before.run_id, version=before.version + stale, status=Status.RUNNING)
        done = await journal.commit(commit)
        assert stale == 0
        model = self.model[before.run_id]
        model.closed = False
        model.bumps += 1
        assert done.version == model.version()
        return done

    async def send(self, journal: Journal, *, by: int, run: int, id: str | None, wakes: bool) -> Any:
        message = NewMessage(namespace="default", workflow_id=f"w{run}", kind="signal", id=id, wakes=wakes)
        sent = await journal.send(message)
        assert not self.model[sent.run_id].closed
        return sent

    async def claim(self, journal: Journal, *, by: int, limit: int) -> Any:
        claimed = await journal.claim_runs(self.leases[by], limit)
        for run in claimed:
            assert not self.model[run.run_id].closed
            assert run.owner == self.leases[by]
            assert run.condition not in (Condition.PAUSED, Condition.QUARANTINED)
        return claimed

    async def claim_tasks(self, journal: Journal, *, by: int) -> Any:
        claimed = await journal.claim_tasks(self.leases[by], ["q"], ["step"], 2)
        for task in claimed:
            self.tasks[task.run_id] = task.token
        return [(task.run_id, task.key, task.attempt) for task in claimed]

    async def finish_task(self, journal: Journal, *, by: int, run: int, release: bool) -> Any:
        before = await self.newest(run)
        token = None if before is None else self.tasks.get(before.run_id)
        if before is None or token is None:
            return None
        if release:
            return await journal.release_task(token, visible_at=0, attempt=2)
        done = await journal.commit(Commit(run_id=before.run_id, task_token=token, events=(event("task"),)))
        self.model[before.run_id].types.append("task")
        return done

    async def cycle_lease(self, journal: Journal, *, by: int) -> None:
        """A worker stops and another one begins in its place."""
        await journal.close_lease(self.leases[by])
        self.leases[by] += "+"
        await journal.open_lease(lease(self.leases[by]))

    async def pass_time(self, journal: Journal, *, by: int, microseconds: int) -> None:
        self.scene.clock.time += microseconds

    async def rebuild(self, journal: Journal, *, by: int) -> int:
        return await journal.rebuild()

    async def purge(self, journal: Journal, *, by: int, age: int) -> int:
        return await journal.purge("default", self.scene.clock.time - age, limit=1)

    async def end(self, journal: Journal, *, by: int, run: int, status: Status) -> Any:
        before = await self.newest(run)
        if before is None:
            return None
        change = StateChange("kind", "end", status.encode())
        done = await journal.commit(
            Commit(
                run_id=before.run_id, version=before.version, seize=True, events=(event("end"),), state=(change,),
                status=status,
            )
        )  # fmt: skip
        self.model[before.run_id].types.append("end")
        self.model[before.run_id].closed = True
        return done

    async def look_at_closed(self, journal: Journal, *, by: int, status: Status, limit: int) -> list[ClosedRun]:
        return await journal.list_closed("default", status, self.scene.clock.time + 1, limit)

    async def remove(self, journal: Journal, *, by: int, run: int, stale: bool) -> Any:
        before = await self.newest(run)
        if before is None:
            return None
        loaded = await journal.load(before.run_id)
        seen = ClosedRun(before.run_id, before.version - stale, before.closed_at, before.last_seq)
        removed = await journal.remove_runs([seen])
        assert bool(removed) == (self.model[before.run_id].closed and not stale)
        if removed:
            self.elsewhere.append(loaded)
        return removed

    async def bring_back(self, journal: Journal, *, by: int, one: int) -> Any:
        if one >= len(self.elsewhere):
            return None
        loaded = self.elsewhere[-1 - one]
        await journal.import_run(loaded)
        there = await journal.load(loaded.run.run_id)
        assert (there.run, there.events, there.state) == (loaded.run, loaded.events, loaded.state)
        return there

    async def everything(self) -> list[Any]:
        """All that can be read, checked against the model on the way."""
        journal = self.journals[-1]
        seen: list[Any] = []
        kept = [run for run in [await journal.read_run(run_id) for run_id in self.model] if run is not None]
        for run in kept:
            model = self.model[run.run_id]
            loaded = await journal.load(run.run_id)
            assert [each.seq for each in loaded.events] == list(range(1, len(model.types) + 1))
            assert [each.type for each in loaded.events] == model.types
            assert (run.version, run.last_seq) == (model.version(), len(model.types))
            assert (run.status is not Status.RUNNING) == model.closed
            assert run.owner is None or not model.closed
            seen.append(loaded)
        open_ids = [run.workflow_id for run in kept if run.status is Status.RUNNING]
        assert len(open_ids) == len(set(open_ids))
        seen += [await journal.read_inbox(lease_id, 0) for lease_id in self.leases]
        seen += [await journal.next_wake(lease_id) for lease_id in self.leases]
        seen.append(sorted((state.lease.lease_id, state.runs_held) for state in await journal.list_leases()))
        seen.append(await journal.list_runs("default"))
        seen.append(await self.log(journal))
        return seen

    async def log(self, journal: Journal) -> Any:
        try:
            entries = await journal.read_log(Position(0, 0))
        except JournalError as error:
            return type(error).__name__
        assert [each.position.n for each in entries] == list(range(1, len(entries) + 1))
        return entries


async def play(kind: str, sequence: list[Step]) -> list[Any]:
    with tempfile.TemporaryDirectory() as folder:
        return await play_in(
            TroubledSqliteScene(Path(folder)) if kind == "troubled" else SCENES[kind](Path(folder)), sequence
        )


async def play_in(scene: Scene, sequence: list[Step]) -> list[Any]:
    try:
        return await Play(scene).perform(sequence)
    finally:
        await scene.close()


def flat(answers: list[Any]) -> list[str]:
    """Each answer as text, so that the first that differs shows."""
    return [repr(answer) for answer in answers]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(sequence=st.lists(steps, min_size=5, max_size=40))
def test_both_stores_answer_any_sequence_of_operations_alike_and_as_the_model_does(sequence: list[Step]) -> None:
    memory = asyncio.run(play("memory", sequence))
    sqlite = asyncio.run(play("sqlite", sequence))
    assert flat(memory) == flat(sqlite)


_GIVEN_OUT = re.compile(r"((?:Sent|Message)\(run_id='[^']*', n=|TaskToken\(task_id=)(\d+)")


def renumbered(answers: list[Any]) -> list[str]:
    """The same, with arrival numbers and task ids by the order of their appearance: they need only grow."""
    given_out: dict[tuple[str, str], int] = {}

    def renumber(found: re.Match[str]) -> str:
        kind = "task" if found[1].startswith("TaskToken") else "message"
        return f"{found[1]}{given_out.setdefault((kind, found[2]), len(given_out))}"

    return [_GIVEN_OUT.sub(renumber, answer) for answer in flat(answers)]


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(sequence=st.lists(steps, min_size=15, max_size=40))
def test_postgres_answers_any_sequence_of_operations_as_memory_does(
    postgres_server: Access, sequence: list[Step]
) -> None:
    memory = asyncio.run(play("memory", sequence))
    postgres = asyncio.run(play_in(PostgresScene(postgres_server.url), sequence))
    assert renumbered(memory) == renumbered(postgres)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(sequence=st.lists(steps, min_size=5, max_size=40))
def test_a_disk_in_trouble_changes_no_answer(sequence: list[Step]) -> None:
    memory = run_virtually(lambda: play("memory", sequence))
    troubled = run_virtually(lambda: play("troubled", sequence))
    assert flat(memory) == flat(troubled)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(sequence=st.lists(steps, min_size=5, max_size=80))
def test_the_memory_store_keeps_to_the_model(sequence: list[Step]) -> None:
    assert flat(asyncio.run(play("memory", sequence)))
