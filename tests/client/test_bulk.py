"""A bulk says one word to all runs that fit, to none of them twice, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import keepstep
from keepstep import (
    BlockingEngine,
    BulkOutcome,
    BulkProgress,
    BulkReport,
    Engine,
    FilterError,
    InvalidInput,
    Retry,
    RunHandle,
    StoreUnavailable,
    step,
    workflow,
)
from keepstep.client.bulk import Bulk, walk
from keepstep.journal import Commit, Committed, NewMessage, Sent
from keepstep.journal.memory import MemoryDisk, MemoryJournal
from keepstep.testing import VirtualClock, VirtualLoop, run
from tests.client.dweller import Dweller

broken: set[str] = set()
"""What steps find broken."""

ledger: Counter[str] = Counter()


@workflow
async def wait_for_bulk(label: str = "") -> list[str]:
    keepstep.set_attributes(label=label)
    heard: list[str] = []
    while True:
        word = await keepstep.receive("word", str)
        if word == "end":
            return heard
        heard.append(word)


@workflow
async def relay_of_bulks(heard: list[str]) -> list[str]:
    """Continues as new with every word, so that a bulk meets it where it is not any more."""
    word = await keepstep.receive("word", str)
    if word != "end":
        keepstep.continue_as_new([*heard, word])
    return heard


@workflow
async def begin_anew_for_bulk(cancelled: int) -> int:
    """Lives on when it is cancelled."""
    try:
        await keepstep.receive("word", str)
    except asyncio.CancelledError:
        keepstep.continue_as_new(cancelled + 1)
    return cancelled


@step(retry=Retry(max_attempts=1))
async def work_unless_broken(label: str) -> None:
    ledger[label] += 1
    await asyncio.sleep(0.01)
    if label in broken:
        raise ValueError(f"{label} is broken")


@step
async def put_back_for_bulk(label: str) -> None:
    ledger[f"undo {label}"] += 1


@workflow
async def work_for_bulk(label: str) -> str:
    await work_unless_broken(label)
    return label


@workflow
async def work_and_undo_for_bulk(label: str) -> str:
    async with keepstep.saga() as saga:
        saga.compensate(put_back_for_bulk, label)
        await work_unless_broken(label)
    return label


@step(retry=Retry(max_attempts=1))
async def undo_unless_broken(label: str) -> None:
    ledger[f"undo {label}"] += 1
    if f"undo {label}" in broken:
        raise OSError("no way back")


@workflow
async def undo_by_hand_for_bulk(label: str) -> str:
    async with keepstep.saga() as saga:
        saga.compensate(undo_unless_broken, label)
        await work_unless_broken(label)
    return label


@pytest.fixture(autouse=True)
def nothing_is_broken() -> None:
    broken.clear()
    ledger.clear()


def an_engine() -> Engine:
    """In virtual time."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return Engine(journal=MemoryJournal(MemoryDisk(), clock=VirtualClock(loop)), poll_seconds=30.0)


async def statuses(engine: Engine) -> dict[str, str]:
    return {info.id: str(info.status) async for info in engine.list()}


async def started(engine: Engine, count: int, workflow: Any = wait_for_bulk) -> list[RunHandle[Any]]:
    handles = []
    for n in range(count):
        handles.append(await engine.start(workflow, id=f"run-{n}"))
        await asyncio.sleep(0.01)
    return handles


async def until(holds: Callable[[], Any]) -> None:
    """In virtual time, so that this takes none."""
    for _ in range(1000):
        if await holds():
            return
        await asyncio.sleep(0.1)
    raise AssertionError("it did not come to hold")


# what is said


@pytest.mark.parametrize("store", ["memory", "sqlite", "postgres"])
async def test_all_open_runs_that_fit_are_told_and_no_others(
    store: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "PAGE", 3)
    url = {"memory": "memory:", "sqlite": f"sqlite:///{tmp_path}/runs.db"}.get(store) or request.getfixturevalue(
        "postgres_url"
    )
    async with Engine(url) as engine:
        for n in range(10):
            await engine.start(wait_for_bulk, "ab"[n % 2], id=f"run-{n}", attributes={"label": "ab"[n % 2]})
        await engine.start(relay_of_bulks, [], id="other")
        report = await engine.bulk.signal("WorkflowType = 'wait_for_bulk' AND label = 'a'", "word", "hello")
        assert (report.total, report.done, report.already, report.refused) == (5, 5, 0, 0)
        report = await engine.bulk.signal("label IN ('a', 'b')", "word", "end")
        assert (report.total, report.done) == (10, 10)
        results = [await engine.get(f"run-{n}").result(20) for n in range(10)]
        assert results == [["hello"], []] * 5
        report = await engine.bulk.terminate("WorkflowType = 'relay_of_bulks'", reason="not wanted")
        assert (report.done, report.refusals) == (1, ())
        other = await engine.get("other").describe()
        assert (other.status, other.error) == ("terminated", "terminated: not wanted")


@pytest.mark.parametrize("store", ["memory", "sqlite", "postgres"])
async def test_runs_that_wait_for_their_delay_are_told_too_unless_they_were_started_later(
    store: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "PAGE", 2)
    url = {"memory": "memory:", "sqlite": f"sqlite:///{tmp_path}/runs.db"}.get(store) or request.getfixturevalue(
        "postgres_url"
    )
    async with Engine(url) as engine:
        await engine.start(wait_for_bulk, id="at-once")
        for n in range(3):
            await engine.start(wait_for_bulk, id=f"delayed-{n}", delay="1h")
        await engine.debounce(wait_for_bulk, "first", key="d", delay="1h")
        await engine.debounce(wait_for_bulk, "second", key="d", delay="1h")
        would = await engine.bulk.terminate("WorkflowType = 'wait_for_bulk'", dry_run=True)
        assert (would.total, len(would.sample)) == (5, 5)
        await engine.start(wait_for_bulk, id="later", delay="1h")
        report = await engine.bulk.terminate("WorkflowType = 'wait_for_bulk'", id=would.id, began_at=would.began_at)
        assert (report.total, report.done, report.refused) == (5, 5, 0)
        assert [info.id async for info in engine.list("Status = 'running'")] == ["later"]


def test_runs_that_are_cancelled_compensate_and_say_the_reason() -> None:
    async def main() -> Any:
        async with an_engine() as engine:
            handles = await started(engine, 3)
            report = await engine.bulk.cancel("Status = 'running'", reason="closing down")
            for each in handles:
                with pytest.raises(keepstep.Cancelled):
                    await each.result(10)
            return report.done, [(await each.describe()).error for each in handles]

    assert run(main) == (3, ["cancelled: closing down"] * 3)


def test_progress_tells_each_run_once_in_the_order_of_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "PAGE", 4)
    told: list[BulkProgress] = []

    async def main() -> BulkReport:
        async with an_engine() as engine:
            handles = await started(engine, 10)
            await handles[3].terminate("before")

            async def tell(progress: BulkProgress) -> None:
                await asyncio.sleep(1)
                told.append(progress)

            return await engine.bulk.terminate("WorkflowId STARTS_WITH 'run'", on_progress=tell, at_once=2)

    report = run(main)
    assert [(each.total, each.runs) for each in told] == [(9, 4), (9, 8), (9, 9)]
    assert {each.id for each in told} == {report.id}
    outcomes = [outcome for each in told for outcome in each.outcomes]
    assert [each.id for each in outcomes] == [f"run-{n}" for n in range(10) if n != 3]
    assert {(each.outcome, each.why, each.type) for each in outcomes} == {("done", "", "wait_for_bulk")}


def test_a_plain_function_may_hear_of_the_progress_and_end_the_bulk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "PAGE", 2)

    def tell(progress: BulkProgress) -> None:
        if progress.runs >= 4:
            raise KeyError("enough")

    async def main() -> Any:
        async with an_engine() as engine:
            await started(engine, 6)
            with pytest.raises(KeyError, match="enough"):
                await engine.bulk.terminate("Status = 'running'", on_progress=tell)
            return Counter((await statuses(engine)).values())

    assert run(main) == {"terminated": 4, "running": 2}


def test_a_dry_run_changes_nothing_and_says_how_many_and_which() -> None:
    async def main() -> Any:
        async with an_engine() as engine:
            handles = await started(engine, 13)
            await handles[0].terminate()
            before = [(await each.describe()).events for each in handles]
            reports = [
                await engine.bulk.cancel("Status = 'running'", dry_run=True),
                await engine.bulk.terminate("WorkflowType = 'wait_for_bulk'", dry_run=True),
                await engine.bulk.signal(None, "word", "end", everything=True, dry_run=True),
            ]
            await asyncio.sleep(100)
            assert [(await each.describe()).events for each in handles] == before
            assert await engine.count("Status = 'running'") == 12
            return reports

    for report in run(main):
        assert (report.dry_run, report.total, report.done, report.refusals) == (True, 12, 12, ())
        assert [each.id for each in report.sample] == [f"run-{n}" for n in range(1, 11)]


# which runs


@pytest.mark.parametrize("filter", [None, "", "  "])
def test_all_runs_are_meant_only_by_who_says_so(filter: str | None) -> None:
    async def main() -> Any:
        async with an_engine() as engine:
            await started(engine, 2)
            with pytest.raises(InvalidInput, match="everything=True"):
                await engine.bulk.terminate(filter)
            return (await engine.bulk.terminate(filter, everything=True)).done

    assert run(main) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"filter": "Status = 'running' ORDER BY StartTime"}, "leave ORDER BY out"),
        ({"filter": "Status = 'running'", "everything": True}, "leave one out"),
        ({"filter": "Status = 'running'", "at_once": 0}, "from 1 to 1000"),
        ({"filter": "Status = 'running'", "id": ""}, "the id of a bulk"),
        ({"filter": "Status = 'running'", "began_at": datetime(2026, 1, 1)}, "aware datetime"),
        ({"filter": "Status = 'running'", "reason": 5}, "the reason must be text"),
    ],
)
def test_what_no_bulk_can_be_is_refused_before_anything_is_done(options: dict[str, Any], said: str) -> None:
    async def main() -> Any:
        async with an_engine() as engine:
            await started(engine, 1)
            with pytest.raises(InvalidInput, match=said):
                await engine.bulk.terminate(**options)
            with pytest.raises(FilterError):
                await engine.bulk.terminate("custmer = 1")
            return await engine.count("Status = 'running'")

    assert run(main) == 1


def test_a_signal_that_does_not_fit_its_handler_is_sent_to_nobody() -> None:
    async def main() -> Any:
        async with an_engine() as engine:
            [handle] = await started(engine, 1, Dweller)
            with pytest.raises(InvalidInput):
                await engine.bulk.signal("Status = 'running'", Dweller.hear, 5)
            assert (await engine.bulk.signal("Status = 'running'", Dweller.hear, "a")).done == 1
            return await handle.query(Dweller.so_far)

    assert run(main) == ["a"]


def test_runs_that_are_started_while_it_goes_are_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "PAGE", 2)

    async def main() -> Any:
        async with an_engine() as engine:
            await started(engine, 5)
            await asyncio.sleep(1)

            async def start_more(progress: BulkProgress) -> None:
                await asyncio.sleep(1)
                await engine.start(wait_for_bulk, id=f"late-{progress.runs}")

            report = await engine.bulk.terminate("Status = 'running'", on_progress=start_more)
            again = await engine.bulk.terminate("Status = 'running'", id=report.id, began_at=report.began_at)
            return report.done, again.total, await engine.count("Status = 'running'")

    assert run(main) == (5, 0, 3)


def test_runs_that_end_while_it_goes_leave_none_of_the_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "PAGE", 3)

    async def main() -> Any:
        async with an_engine() as engine:
            handles = await started(engine, 12)
            ending = iter([handles[0], handles[4], handles[11], handles[1]])

            async def end_one(_: BulkProgress) -> None:
                if (handle := next(ending, None)) is not None and (await handle.describe()).status == "running":
                    await handle.signal("word", "end")
                    await handle.result()

            await engine.bulk.signal("Status = 'running'", "word", "hello", on_progress=end_one)
            await engine.bulk.signal("Status = 'running'", "word", "end")
            return [await each.result(10) for each in handles]

    heard = run(main)
    assert [heard[n] for n in range(12) if n not in (4, 11)] == [["hello"]] * 10
    assert all(len(each) <= 1 for each in heard)


def test_runs_that_continue_as_new_meanwhile_are_reached_where_they_go_on_and_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Some go on before they are met, some between the look and the word, some after they were told."""
    monkeypatch.setattr(walk, "PAGE", 2)
    outcomes: list[BulkOutcome] = []

    async def main() -> Any:
        async with an_engine() as engine:
            handles = [await engine.start(relay_of_bulks, [], id=f"run-{n}") for n in range(8)]
            await asyncio.sleep(1)

            async def have_all_continue(progress: BulkProgress) -> None:
                outcomes.extend(progress.outcomes)
                if progress.runs <= 2:
                    for each in handles:
                        await engine.signal(each.id, "word", "on")
                    await asyncio.sleep(1)

            report = await engine.bulk.signal("Status = 'running'", "word", "bulk", on_progress=have_all_continue)
            again = await engine.bulk.signal(
                "Status = 'running'", "word", "bulk", id=report.id, began_at=report.began_at
            )
            await engine.bulk.signal("Status = 'running'", "word", "end")
            return report, again, [await each.result(10) for each in handles]

    report, again, heard = run(main)
    assert [Counter(each) for each in heard] == [{"on": 1, "bulk": 1}] * 8
    assert (report.total, report.done, report.already) == (8, 8, 0)
    assert len({each.id for each in outcomes}) == len(outcomes) == 8
    assert (again.done, again.refused) == (0, 0)


def test_runs_that_continue_between_the_look_and_the_word_are_terminated_all_the_same() -> None:
    async def main() -> Any:
        async with an_engine() as engine:
            handles = [await engine.start(relay_of_bulks, [], id=f"run-{n}") for n in range(3)]
            await asyncio.sleep(1)
            search = engine.journal.search_runs

            async def look_and_be_late(*args: Any, **options: Any) -> Any:
                page = await search(*args, **options)
                for each in handles:
                    if (await each.describe()).status == "running":
                        await each.signal("word", "on")
                await asyncio.sleep(1)
                return page

            engine.journal.search_runs = look_and_be_late  # type: ignore[method-assign]
            report = await engine.bulk.terminate("WorkflowType = 'relay_of_bulks'")
            del engine.journal.search_runs
            counts = [await engine.count(f"Status = '{each}'") for each in ("continued", "terminated", "running")]
            return report.done, counts

    assert run(main) == (3, [3, 3, 0])


def test_runs_that_continue_as_new_when_they_are_cancelled_are_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> Any:
        async with an_engine() as engine:
            handles = [await engine.start(begin_anew_for_bulk, 0, id=f"run-{n}") for n in range(3)]
            await asyncio.sleep(1)

            async def have_all_continue(_: BulkProgress) -> None:
                await asyncio.sleep(1)

            filter = "WorkflowType = 'begin_anew_for_bulk'"
            report = await engine.bulk.cancel(filter, on_progress=have_all_continue)
            again = await engine.bulk.cancel(filter, id=report.id, began_at=report.began_at)
            await engine.bulk.signal(filter, "word", "end")
            return report.done, again.done, [await engine.get(each.id).result() for each in handles]

    assert run(main) == (3, 0, [1, 1, 1])


# trouble


def test_a_run_that_was_removed_or_is_damaged_where_it_continued_does_not_end_the_bulk() -> None:
    async def main() -> Any:
        async with an_engine() as engine:
            handles = [await engine.start(relay_of_bulks, [], id=f"run-{n}") for n in range(4)]
            await asyncio.sleep(1)
            firsts = {each.run_id: each.id for each in handles}
            read = engine.journal.read_run

            async def read_run(run_id: str) -> Any:
                if firsts.get(run_id) == "run-2":
                    raise KeyError("a damaged row")
                return None if firsts.get(run_id) == "run-1" else await read(run_id)

            began_at = datetime.fromtimestamp(engine.journal.clock.now() / 1e6, UTC)
            for each in handles:
                await each.signal("word", "on")
            await asyncio.sleep(1)
            engine.journal.read_run = read_run  # type: ignore[method-assign]
            report = await engine.bulk.signal("WorkflowType = 'relay_of_bulks'", "word", "bulk", began_at=began_at)
            return report.done, [each.id for each in report.refusals]

    assert run(main) == (2, ["run-2"])


def test_what_one_run_refuses_does_not_keep_the_others_waiting() -> None:
    async def main() -> Any:
        async with an_engine() as engine:
            await started(engine, 5)
            send = engine.journal.send

            async def refuse(message: NewMessage) -> Sent:
                found = await engine.journal.read_run(message.run_id or "")
                assert found is not None
                if found.workflow_id == "run-1":
                    raise keepstep.Overloaded("the inbox of 'run-1' is full")
                if found.workflow_id == "run-3":
                    raise KeyError("a damaged row")
                return await send(message)

            engine.journal.send = refuse  # type: ignore[method-assign]
            return await engine.bulk.cancel("Status = 'running'")

    report = run(main)
    assert (report.done, report.refused, report.total) == (3, 2, 5)
    assert [(each.id, each.why) for each in report.refusals] == [
        ("run-1", "the inbox of 'run-1' is full"),
        ("run-3", "KeyError: 'a damaged row'"),
    ]


def test_a_store_that_is_gone_ends_it_and_it_can_be_done_again_by_its_id() -> None:
    async def main() -> Any:
        async with an_engine() as engine:
            handles = await started(engine, 6)
            send, sent = engine.journal.send, 0

            async def break_down(message: NewMessage) -> Sent:
                nonlocal sent
                sent += 1
                if sent > 3:
                    raise StoreUnavailable("the disk is gone")
                return await send(message)

            began_at = (await handles[-1].describe()).started_at
            bulk: dict[str, Any] = {"id": "incident-7", "began_at": began_at}
            engine.journal.send = break_down  # type: ignore[method-assign]
            with pytest.raises(StoreUnavailable, match="the disk is gone"):
                await engine.bulk.signal("Status = 'running'", "word", "once", **bulk, at_once=2)
            engine.journal.send = send  # type: ignore[method-assign]
            again = await engine.bulk.signal("Status = 'running'", "word", "once", **bulk)
            await engine.bulk.signal("Status = 'running'", "word", "end")
            return again.done, again.already, [await each.result(10) for each in handles]

    assert run(main) == (3, 3, [["once"]] * 6)


# retrying


def test_failed_runs_go_on_and_those_that_cannot_are_refused_with_why() -> None:
    async def main() -> Any:
        async with an_engine() as engine:
            broken.update({"a", "b", "c"})
            for label in "ab":
                await engine.start(work_for_bulk, label, id=label)
                await asyncio.sleep(1)
            await engine.start(work_and_undo_for_bulk, "c", id="c")
            await engine.start(work_for_bulk, "fine", id="fine")
            await until(lambda: _holds(engine, "Status = 'failed'", 3))
            broken.clear()
            would = await engine.bulk.retry("StartTime <= NOW", dry_run=True)
            assert await engine.count("Status = 'failed'") == 3
            report = await engine.bulk.retry("StartTime <= NOW")
            results = [await engine.get(label).result(10) for label in "ab"]
            return would, report, results

    would, report, results = run(main)
    assert results == ["a", "b"]
    assert [each.id for each in would.sample] == ["a", "b", "c"]
    for each in (would, report):
        assert (each.total, each.done, each.already, each.refused) == (3, 2, 0, 1)
        assert (each.refusals[0].id, "has compensated" in each.refusals[0].why) == ("c", True)


async def _holds(engine: Engine, filter: str, count: int) -> bool:
    return await engine.count(filter) == count


def test_a_failed_run_whose_id_was_started_again_is_not_retried_beside_the_newer_one() -> None:
    async def main() -> Any:
        async with an_engine() as engine:
            broken.add("a")
            first = await engine.start(work_for_bulk, "a", id="a")
            with pytest.raises(keepstep.WorkflowFailed):
                await first.result()
            broken.clear()
            await engine.run(work_for_bulk, "a", id="a", if_closed="restart")
            again = await engine.get("a").describe()
            dry = await engine.bulk.retry("WorkflowId = 'a'", dry_run=True)
            report = await engine.bulk.retry("WorkflowId = 'a'")
            await asyncio.sleep(1)
            by_hand = dict(ledger)
            await engine.get("a", first.run_id).retry()
            return (dry, report), again.run_id, by_hand, await first.result()

    reports, newer, by_hand, result = run(main)
    assert [(each.done, each.refused) for each in reports] == [(0, 1), (0, 1)]
    assert f"was started again, as run {newer}" in reports[1].refusals[0].why
    assert (by_hand, result) == ({"a": 2}, "a")


def test_runs_with_an_exhausted_undo_try_it_again_and_those_that_undo_are_left_alone() -> None:
    async def main() -> Any:
        async with an_engine() as engine:
            broken.update({"a", "undo a"})
            handle = await engine.start(undo_by_hand_for_bulk, "a", id="a")
            await until(lambda: _holds(engine, "Condition IN ('compensating', 'uncertain')", 1))
            await until(lambda: _is_parked(handle))
            first = await engine.bulk.retry("WorkflowId = 'a'")
            await asyncio.sleep(10)
            same = await engine.bulk.retry("WorkflowId = 'a'", id=first.id, began_at=first.began_at)
            assert ledger["undo a"] == 2
            broken.clear()
            await engine.bulk.retry("WorkflowId = 'a'")
            with pytest.raises(keepstep.WorkflowFailed):
                await handle.result(10)
            return first, same

    first, same = run(main)
    assert (first.done, first.already) == (1, 0)
    assert (same.done, same.already) == (0, 1)
    assert ledger["undo a"] == 3


async def _is_parked(handle: RunHandle[Any]) -> bool:
    run = await handle._journal.read_run((await handle.describe()).run_id)
    return (run is not None and run.owner is None) or bool(run and b"undo_exhausted" in run.detail)


def test_a_run_that_fails_again_is_not_retried_by_the_same_bulk() -> None:
    async def main() -> Any:
        async with an_engine() as engine:
            broken.add("a")
            await engine.start(work_for_bulk, "a", id="a")
            await until(lambda: _holds(engine, "Status = 'failed'", 1))
            await asyncio.sleep(1)
            first = await engine.bulk.retry("Status = 'failed'")
            await asyncio.sleep(1)
            await until(lambda: _holds(engine, "Status = 'failed'", 1))
            again = await engine.bulk.retry("Status = 'failed'", id=first.id, began_at=first.began_at)
            return first.done, again.total, ledger["a"]

    assert run(main) == (1, 0, 2)


# crashes


class Doomed(MemoryJournal):
    """A handle of a client that dies at its n-th write, before it is handed in or when it is durable."""

    dies_at: tuple[int, str] | None = None
    writes = 0
    death: asyncio.Event

    async def send(self, message: NewMessage) -> Sent:
        n = await self._next("before")
        sent = await super().send(message)
        await self._live_or_die(n, "after")
        return sent

    async def commit(self, commit: Commit) -> Committed:
        n = await self._next("before")
        committed = await super().commit(commit)
        await self._live_or_die(n, "after")
        return committed

    async def _next(self, side: str) -> int:
        self.writes += 1
        n = self.writes
        await self._live_or_die(n, side)
        return n

    async def _live_or_die(self, n: int, side: str) -> None:
        if (n, side) == self.dies_at:
            self.death.set()
        if self.death.is_set():
            await asyncio.Event().wait()


Say = Callable[[Bulk, Any], Any]

SIGNAL: Say = lambda bulk, options: bulk.signal("WorkflowId STARTS_WITH 'run'", "word", "bulk", **options)  # noqa: E731
CANCEL: Say = lambda bulk, options: bulk.cancel("WorkflowId STARTS_WITH 'run'", **options)  # noqa: E731
TERMINATE: Say = lambda bulk, options: bulk.terminate("WorkflowId STARTS_WITH 'run'", **options)  # noqa: E731
RETRY: Say = lambda bulk, options: bulk.retry("WorkflowId STARTS_WITH 'run'", **options)  # noqa: E731

RUNS = 4


async def _do_with_a_crash(say: Say, dies_at: tuple[int, str] | None, at_once: int) -> tuple[Any, int]:
    """What has become of the runs, and how many writes the first client made."""
    async with an_engine() as engine:
        await _start_runs(engine, say)
        now = datetime.fromtimestamp(engine.journal.clock.now() / 1e6, UTC)
        options = {"id": "bulk", "at_once": at_once, "began_at": now}
        await asyncio.sleep(1)
        memory = engine._given_journal
        assert isinstance(memory, MemoryJournal)
        journal = Doomed(memory.disk, clock=memory.clock)
        journal.dies_at, journal.death = dies_at, asyncio.Event()
        async with Engine(journal=journal, workers=False) as client:
            doing = asyncio.ensure_future(say(client.bulk, options))
            death = asyncio.ensure_future(journal.death.wait())
            await asyncio.wait((doing, death), return_when=asyncio.FIRST_COMPLETED)
            for each in (doing, death):
                each.cancel()
        await asyncio.sleep(5)  # what was told so far is done meanwhile, and runs go on
        report = await say(engine.bulk, options)
        assert report.refused == 0
        await asyncio.sleep(5)
        return await _become(engine, say), journal.writes


async def _start_runs(engine: Engine, say: Say) -> None:
    for n in range(RUNS):
        id = f"run-{n}"
        if say is RETRY:
            broken.add(id)
            await engine.start(work_for_bulk, id, id=id)
        else:
            await engine.start(relay_of_bulks, [], id=id)
    await asyncio.sleep(1)


async def _become(engine: Engine, say: Say) -> list[tuple[str, Any]]:
    """The status of each run, and what it has heard or how often it has worked."""
    found: list[tuple[str, Any]] = []
    for n in range(RUNS):
        handle = engine.get(f"run-{n}")
        if say is SIGNAL:
            await handle.signal("word", "end")
            found.append(("completed", await handle.result()))
        else:
            found.append((str((await handle.describe()).status), ledger[handle.id]))
    return found


@pytest.mark.parametrize(
    ("say", "expected"),
    [
        (SIGNAL, ("completed", ["bulk"])),
        (CANCEL, ("cancelled", 0)),
        (TERMINATE, ("terminated", 0)),
        (RETRY, ("failed", 2)),
    ],
    ids=["signal", "cancel", "terminate", "retry"],
)
@pytest.mark.parametrize("at_once", [1, 3])
def test_whenever_its_process_dies_it_is_done_again_and_nobody_is_told_twice(
    say: Say, expected: Any, at_once: int
) -> None:
    undisturbed, writes = run(lambda: _do_with_a_crash(say, None, at_once))
    assert undisturbed == [expected] * RUNS
    assert writes >= RUNS
    for n in range(1, writes + 1):
        for side in ("before", "after"):
            ledger.clear()
            outcome, _ = run(lambda n=n, side=side: _do_with_a_crash(say, (n, side), at_once))  # type: ignore[misc]
            assert outcome == [expected] * RUNS, (n, side)


# sync programs


def test_a_sync_program_has_the_same(tmp_path: Path) -> None:
    told: list[int] = []
    with BlockingEngine(f"sqlite:///{tmp_path}/runs.db") as engine:
        for n in range(3):
            engine.start(wait_for_bulk, id=f"run-{n}")
        assert engine.bulk.cancel("Status = 'running'", dry_run=True).total == 3
        report = engine.bulk.terminate("Status = 'running'", on_progress=lambda each: told.append(each.runs))
        assert (report.done, told) == (3, [3])
        assert {str(info.status) for info in engine.list()} == {"terminated"}
