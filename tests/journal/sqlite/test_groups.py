"""Operations that travel in one group must come out as if each had been written alone, in the order they were made."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from keepstep.journal import (
    Commit,
    Condition,
    IfClosed,
    Journal,
    JournalError,
    NewMessage,
    NewTask,
    ParentLink,
    Position,
    Run,
    StateChange,
    Status,
    TaskRef,
    TaskToken,
    Timer,
)
from keepstep.journal.sqlite import open_sqlite
from keepstep.testing import run as run_virtually
from tests.journal.scene import START, ManualClock, SimulatedSqliteScene, TroubledSqliteScene, event, lease, new_run

Operation = Callable[[Journal], Coroutine[Any, Any, Any]]

WORKFLOWS = 8
LEASES = ("L1", "L2")
GROUPS = 20


class Chance:
    """Makes operations that often fit the runs as they are, and often do not."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._started = 0
        self._runs: list[Run] = []
        self._inboxes: dict[str, list[int]] = {}

    async def look(self, journal: Journal) -> None:
        """Aim at the newest runs, as they are now."""
        self._runs = await journal.list_runs("default", limit=12)
        for run in self._runs:
            self._inboxes[run.run_id] = [message.n for message in await journal.read_messages(run.run_id)]

    def operation(self) -> Operation:
        kind = self._random.choices(
            [self._start, self._commit, self._send, self._claim, self._claim_tasks, self._rebuild],
            [4, 14, 6, 2, 1, 0.2],
        )[0]
        return kind()

    def size(self) -> int:
        return self._random.choice([1, 3, 10, 40])

    def _maybe(self, value: Any, share: float = 0.25) -> Any:
        return value if self._random.random() < share else None

    def _run_id(self) -> str:
        return self._run().run_id if self._runs and self._random.random() < 0.95 else "nobody"

    def _run(self) -> Run:
        return self._random.choice(self._runs)

    def _new_run(self) -> Any:
        self._started += 1
        chance = self._random
        return new_run(
            f"w{chance.randrange(WORKFLOWS)}",
            run_id=f"r{self._started:06d}",
            lease_id=self._maybe(chance.choice([*LEASES, "gone"]), 0.5),
            if_closed=chance.choice([IfClosed.RESTART] * 4 + [IfClosed.ATTACH, IfClosed.REJECT]),
            timers=(Timer("t", START + 10),) if chance.random() < 0.2 else (),
            messages=self._messages(),
            wake_at=chance.choice([0, 0, START + 5, None]),
            parent=self._maybe(ParentLink("r000001", "child"), 0.3),
            attributes={"size": chance.randrange(3)} if chance.random() < 0.3 else {},
        )

    def _messages(self) -> tuple[NewMessage, ...]:
        return tuple(self._message() for _ in range(self._random.choice([0, 0, 0, 1, 2])))

    def _message(self) -> NewMessage:
        chance = self._random
        by_workflow = chance.random() < 0.5
        return NewMessage(
            run_id=None if by_workflow else self._run_id(),
            namespace="default" if by_workflow else None,
            workflow_id=f"w{chance.randrange(WORKFLOWS)}" if by_workflow else None,
            kind="signal",
            name="s",
            id=self._maybe(f"m{chance.randrange(6)}", 0.4),
            wakes=chance.random() < 0.7,
        )

    def _consumed(self, run_id: str) -> tuple[int, ...]:
        waiting = self._inboxes.get(run_id)
        return (self._random.choice(waiting),) if waiting and self._random.random() < 0.4 else ()

    def _start(self) -> Operation:
        new = self._new_run()
        return lambda journal: journal.start(new)

    def _send(self) -> Operation:
        message = self._message()
        return lambda journal: journal.send(message)

    def _claim(self) -> Operation:
        lease_id, limit = self._random.choice(LEASES), self._random.randint(1, 4)
        return lambda journal: journal.claim_runs(lease_id, limit)

    def _claim_tasks(self) -> Operation:
        lease_id = self._random.choice(LEASES)
        return lambda journal: journal.claim_tasks(lease_id, ["gpu"], ["step"], 2)

    def _rebuild(self) -> Operation:
        return lambda journal: journal.rebuild()

    def _commit(self) -> Operation:
        if not self._runs:
            return self._start()
        chance, run = self._random, self._run()
        by_version = run.owner is None or chance.random() < 0.2
        status = self._maybe(chance.choice(list(Status)), 0.15)
        commit = Commit(
            run_id=run.run_id,
            epoch=None if by_version else run.epoch + chance.choice([0] * 9 + [1]),
            version=run.version + chance.choice([0, 0, 0, 1]) if by_version else None,
            seize=by_version and chance.random() < 0.5,
            lease_id=self._maybe(chance.choice(LEASES), 0.5),
            task_token=self._maybe(TaskToken(chance.randint(1, 8), chance.randint(0, 2)), 0.05),
            first_seq=self._maybe(run.last_seq + 1, 0.3),
            inbox_seen=self._maybe(chance.randint(0, 400), 0.2),
            consume=self._consumed(run.run_id),
            events=tuple(event(data=b"%d" % i) for i in range(chance.choice([0, 1, 1, 1, 2]))),
            state=(StateChange("k", f"{chance.randrange(3)}", self._maybe(b"s", 0.7)),)
            if chance.random() < 0.3
            else (),
            send=self._messages(),
            start=(self._new_run(),) if chance.random() < 0.1 else (),
            tasks=(NewTask(kind="step", key=f"{chance.randrange(3)}", queue="gpu"),) if chance.random() < 0.15 else (),
            drop_tasks=(TaskRef("step", f"{chance.randrange(3)}"),) if chance.random() < 0.1 else (),
            timers=self._maybe((Timer("t", START + chance.randint(-5, 5)),), 0.2),
            status=status,
            condition=self._maybe(chance.choice(list(Condition))),
            detail=self._maybe(b"d"),
            attributes=self._maybe({"a": chance.choice([None, 1, 2])}, 0.2),
            status_text=self._maybe("text", 0.1),
            release=chance.random() < 0.3,
            wake_at=self._maybe(START + chance.randint(-5, 5), 0.2),
            blocked_for=self._maybe(chance.choice(LEASES), 0.1),
            clear_strikes=chance.random() < 0.1,
            audit=self._maybe("somebody did it", 0.1),
        )
        return lambda journal: journal.commit(commit)


async def answer(operation: Operation, journal: Journal) -> Any:
    try:
        return await operation(journal)
    except JournalError as refused:
        return type(refused), str(refused)


async def everything(journal: Journal) -> list[Any]:
    """All that can be read."""
    runs = await journal.list_runs("default", limit=10_000)
    loaded = [await journal.load(run.run_id) for run in runs]
    audits = [await journal.read_audit(run.run_id) for run in runs]
    log = await journal.read_log(Position(0, 0), 10_000)
    wakes = [await journal.next_wake(lease_id) for lease_id in LEASES]
    return [loaded, audits, log, wakes, await journal.list_leases()]


async def play(seed: int, together: Journal, alone: Journal) -> None:
    """The same operations in groups on one store, and one by one on the other."""
    for journal in (together, alone):
        for lease_id in LEASES:
            await journal.open_lease(lease(lease_id))
    chance, refused, done = Chance(seed), 0, 0
    for _ in range(GROUPS):
        group = [chance.operation() for _ in range(chance.size())]
        got = await asyncio.gather(*[answer(operation, together) for operation in group])
        expected = [await answer(operation, alone) for operation in group]
        assert got == expected
        refused += sum(isinstance(one, tuple) for one in got)
        done += len(got)
        await chance.look(alone)
    assert await everything(together) == await everything(alone)
    assert 0 < refused < done
    await together.close()
    await alone.close()


@pytest.mark.parametrize("seed", range(12))
async def test_a_group_comes_out_as_its_operations_would_one_by_one(seed: int, tmp_path: Path) -> None:
    together = await open_sqlite(tmp_path / "together.db", clock=ManualClock())
    alone = await open_sqlite(tmp_path / "alone.db", clock=ManualClock())
    await play(seed, together, alone)


@pytest.mark.parametrize("seed", range(12, 24))
def test_a_group_that_is_done_again_comes_out_as_if_it_was_done_once(seed: int, tmp_path: Path) -> None:
    async def main() -> None:
        scenes = []
        for kind in (TroubledSqliteScene, SimulatedSqliteScene):
            (tmp_path / kind.__name__).mkdir()
            scenes.append(kind(tmp_path / kind.__name__))
        await play(seed, *[await scene.open() for scene in scenes])

    run_virtually(main)
