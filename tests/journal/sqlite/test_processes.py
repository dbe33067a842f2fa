"""Several real processes on one file, some of them killed."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

from keepstep.journal import Commit, Position, Status, StoreUnavailable
from keepstep.journal.sqlite import open_sqlite
from keepstep.journal.sqlite.turn import Turn
from tests.journal.children import Spawn, last_words, next_line
from tests.journal.scene import event, get, lease, new_run, wait_until
from tests.journal.sqlite.conftest import flusher_of

STEPS = 100


def exit_code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


async def test_two_processes_committing_at_once_lose_and_mix_up_nothing(database: Path, spawn: Spawn) -> None:
    children = [spawn("work", database, name, STEPS) for name in ("a", "b")]
    for child in children:
        assert next_line(child) == "ready"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        assert next_line(child) == "done"
    journal = await open_sqlite(database)
    for run_id in [f"{name}-{i}" for name in ("a", "b") for i in range(10)]:
        events = await journal.read_events(run_id)
        assert [one.seq for one in events] == list(range(1, STEPS + 2))
        assert [one.data for one in events[1:]] == [f"{seq}".encode() for seq in range(2, STEPS + 2)]
    log: list[int] = []
    while page := await journal.read_log(Position(0, len(log))):
        log += [entry.position.n for entry in page]
    assert log == list(range(1, 20 * (STEPS + 1) + 1))
    await journal.close()


async def test_what_was_acknowledged_before_a_kill_is_there_and_the_runs_go_on_before_the_lease_is_over(
    database: Path, spawn: Spawn
) -> None:
    child = spawn("commit_aloud", database)
    said = [next_line(child) for _ in range(300)]
    child.send_signal(signal.SIGKILL)
    said += last_words(child)
    killed = time.monotonic()
    journal = await open_sqlite(database)
    assert await journal.reap() == ["child"]
    await journal.open_lease(lease("heir"))
    runs = await journal.claim_runs("heir", 100)
    assert time.monotonic() - killed < 5.0
    assert len(runs) == 10
    for line in said:
        run_id, seq = line.split()
        assert (await journal.read_events(run_id, int(seq) - 1, 1))[0].data == seq.encode()
    await journal.close()


async def test_a_log_that_cannot_grow_delays_commits_until_it_can(database: Path, spawn: Spawn) -> None:
    child = spawn("outgrow_the_disk", database)
    assert next_line(child) == "stuck 0"
    assert next_line(child) == "resumed True True"


async def test_a_process_killed_while_it_holds_the_lock_stops_nobody(database: Path, spawn: Spawn) -> None:
    journal = await open_sqlite(database)
    child = spawn("hold_turn", database)
    assert next_line(child) == "mine"
    starting = asyncio.create_task(journal.start(new_run()))
    assert await journal.count_runs("default") == 0
    assert not starting.done()
    child.send_signal(signal.SIGKILL)
    assert (await starting).created
    await journal.close()


async def test_a_run_started_in_one_process_is_heard_of_in_another(database: Path, spawn: Spawn) -> None:
    journal = await open_sqlite(database)
    heard: list[str] = []
    journal.listen(lambda hint: heard.append(hint.kind))
    child = spawn("start_one", database)
    assert next_line(child) == "started"
    await wait_until(lambda: "ready" in heard)
    await journal.close()


async def test_a_journal_refuses_to_work_in_a_forked_child(database: Path) -> None:
    journal = await open_sqlite(database)
    started = await journal.start(new_run())
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            journal._put(lambda picture, argument: None, None)
        except StoreUnavailable as refused:
            code = 0 if "fork" in str(refused) else 2
        finally:
            os._exit(code)
    assert exit_code(pid) == 0
    assert (await get(journal, started.run_id)).last_seq == 1
    await journal.close()


async def test_a_forked_child_that_outlives_its_parents_lock_does_not_keep_it(database: Path) -> None:
    journal = await open_sqlite(database)
    turn = flusher_of(journal)._turn
    assert isinstance(turn, Turn)
    descriptors = (turn._turn, turn._write)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if turn._turn == turn._write == -1 else 1)
    assert exit_code(pid) == 0
    assert (turn._turn, turn._write) == descriptors, "the parent keeps its own"
    await journal.close()


async def test_positions_are_not_reused_after_the_last_run_was_purged_by_another_handle(database: Path) -> None:
    one, other = await open_sqlite(database), await open_sqlite(database)
    await one.open_lease(lease())
    run_id = (await one.start(new_run(lease_id="L"))).run_id
    await one.commit(Commit(run_id=run_id, epoch=1, events=(event(),), status=Status.COMPLETED))
    assert await other.purge("default", one.clock.now() + 1) == 1
    await one.start(new_run("next"))
    [entry] = await other.read_log(Position(0, 2))
    assert entry.position.n == 3
    await one.close()
    await other.close()
