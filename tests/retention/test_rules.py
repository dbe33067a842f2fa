"""Runs are kept as long as somebody said, by status and namespace, and for ever where nobody did."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from keepstep import Engine, InvalidInput, NotFound, WorkflowFailed, workflow
from keepstep.archive import Archive, encode_line, place_at
from keepstep.journal import Loaded, Position, StoreUnavailable, TooLarge
from keepstep.retention import sweep, sweeper
from keepstep.retention.guest import LANGUAGE, room_of
from keepstep.testing import run
from tests.runtime.crashing import World

HOUR, DAY = 3600.0, 86_400.0


@workflow
async def retained_order(name: str) -> str:
    return name


@workflow
async def retained_failure(name: str) -> str:
    raise ValueError(name)


@workflow
async def retained_forever(name: str) -> str:
    await asyncio.sleep(10 * 365 * DAY)
    return name


async def open_engine(world: World, **options: Any) -> Engine:
    """One that polls seldom, so that days pass quickly."""
    return await world.open(**{"poll_seconds": HOUR, "lease_seconds": 100 * DAY, **options})


def played(program: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    async def play() -> None:
        world = World()
        await program(world)
        await world.close()

    run(play)


async def have_failed(engine: Engine, name: str) -> None:
    with pytest.raises(WorkflowFailed):
        await engine.run(retained_failure, name, id=name)


async def ids(engine: Engine) -> list[str]:
    return sorted([each.id async for each in engine.list()])


def test_nothing_is_removed_unasked_and_an_engine_without_rules_keeps_no_policy() -> None:
    async def play(world: World) -> None:
        engine = await open_engine(world)
        await engine.run(retained_order, "a", id="a")
        await engine.retention.set("all", None)
        await asyncio.sleep(100 * DAY)
        assert await ids(engine) == ["a"]
        info = await engine.retention.describe()
        assert {rule.keep for rule in info.rules.values()} == {None}
        assert (info.removed, info.swept_at, info.next_at, info.trouble) == (0, None, None, None)
        assert await engine.journal.find_run(room_of("default"), "policy") is None

    played(play)


def test_each_status_is_kept_as_long_as_was_said_counted_from_the_close() -> None:
    async def play(world: World) -> None:
        engine = await open_engine(world)
        await engine.retention.set("completed", "1d")
        await engine.retention.set("failed", timedelta(days=10))
        await engine.run(retained_order, "early", id="early")
        await have_failed(engine, "broken")
        await engine.start(retained_forever, "open", id="open")
        await (await engine.start(retained_forever, "ended", id="ended")).terminate("enough")
        await asyncio.sleep(0.5 * DAY)
        await engine.run(retained_order, "late", id="late")
        await asyncio.sleep(0.5 * DAY - 60)
        assert await ids(engine) == ["broken", "early", "ended", "late", "open"]
        await asyncio.sleep(0.1 * DAY + 120)
        assert await ids(engine) == ["broken", "ended", "late", "open"]
        await asyncio.sleep(0.5 * DAY)
        assert await ids(engine) == ["broken", "ended", "open"]
        await asyncio.sleep(9 * DAY)
        assert await ids(engine) == ["ended", "open"]
        info = await engine.retention.describe()
        assert (info.removed, info.archived, info.trouble) == (3, 0, None)
        with pytest.raises(NotFound):
            await engine.get("early").describe()

    played(play)


def test_a_short_rule_is_kept_to_beside_a_long_one_also_when_no_run_of_it_is_there_yet() -> None:
    async def play(world: World) -> None:
        engine = await open_engine(world, poll_seconds=10.0)
        await have_failed(engine, "long ago")
        await engine.retention.set("failed", "30d")
        await engine.retention.set("completed", "10m")
        await asyncio.sleep(HOUR / 12)
        await engine.run(retained_order, "soon", id="soon")
        await asyncio.sleep(10 * 60 - 1)
        assert await ids(engine) == ["long ago", "soon"]
        await asyncio.sleep(60 + 60)
        assert await ids(engine) == ["long ago"]

    played(play)


def test_rules_are_of_one_namespace_and_seen_by_every_engine() -> None:
    async def play(world: World) -> None:
        engine, other = await open_engine(world), await open_engine(world, namespace="other")
        await engine.run(retained_order, "a", id="a")
        await other.run(retained_order, "b", id="b")
        await engine.retention.set("all", "1h")
        again = await open_engine(world)
        assert (await again.retention.describe()).rules["failed"].keep == timedelta(hours=1)  # type: ignore[index]
        assert (await other.retention.describe()).rules["failed"].keep is None  # type: ignore[index]
        await asyncio.sleep(3 * HOUR)
        assert (await ids(engine), await ids(other)) == ([], ["b"])

    played(play)


def test_a_rule_that_is_lifted_removes_nothing_more_and_one_that_is_set_acts_at_once() -> None:
    async def play(world: World) -> None:
        engine = await open_engine(world)
        await engine.retention.set("completed", "30d")
        await engine.run(retained_order, "a", id="a")
        await engine.retention.set("completed", "forever")
        await asyncio.sleep(40 * DAY)
        assert await ids(engine) == ["a"]
        await engine.retention.set("completed", "30d")
        await asyncio.sleep(5)
        assert await ids(engine) == []
        changes = (await engine.retention.describe()).changes
        told = [text for _, text in changes]
        assert told == ["completed: 30d, then removed", "completed: forever", "completed: 30d, then removed"]
        assert [later - earlier > timedelta(days=39) for (earlier, _), (later, _) in pairwise(changes)] == [False, True]

    played(play)


def test_many_runs_go_in_bounded_batches_with_pauses_and_nothing_is_asked_when_nothing_is_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweep, "BATCH_RUNS", 10)
    batches: list[int] = []
    removing = sweep.Sweeping._remove

    async def noted(self: Any, status: Any, rule: Any, due: Any, batch: Any) -> None:
        batches.append(len(due))
        await removing(self, status, rule, due, batch)

    monkeypatch.setattr(sweep.Sweeping, "_remove", noted)

    async def play(world: World) -> None:
        engine = await open_engine(world)
        await asyncio.gather(*(engine.run(retained_order, "x", id=f"{n}") for n in range(45)))
        await asyncio.sleep(1)
        begin = world.loop.time()
        await engine.retention.set("completed", 0)
        while await engine.count():
            await asyncio.sleep(0.01)
        assert batches == [10, 10, 10, 10, 5]
        assert world.loop.time() - begin >= 4 * sweeper.PAUSE_SECONDS_MIN
        policy = await engine.journal.find_run(room_of("default"), "policy")
        assert policy is not None
        await asyncio.sleep(DAY)
        now = await engine.journal.find_run(room_of("default"), "policy")
        assert now is not None
        assert now.version - policy.version <= DAY / sweeper.LOOK_SECONDS_MIN + 1

    played(play)


def test_a_run_that_is_reopened_is_not_removed_however_long_ago_it_had_failed() -> None:
    async def play(world: World) -> None:
        engine = await open_engine(world)
        await have_failed(engine, "a")
        await asyncio.sleep(10 * DAY)
        listed = await engine.journal.list_closed("default", (await engine.get("a").describe()).status, 1 << 62)
        await engine.get("a").retry()
        assert await engine.journal.remove_runs(listed) == []
        assert await ids(engine) == ["a"]

    played(play)


def test_what_a_registered_subscriber_has_not_read_is_kept_and_never_archived_twice(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        engine = await open_engine(world)
        await engine.run(retained_order, "a", id="a")
        await engine.journal.save_cursor("reports", Position(0, 0))
        await engine.retention.set("completed", "1h", archive=str(tmp_path))
        await asyncio.sleep(3 * DAY)
        assert await ids(engine) == ["a"]
        assert place_at(str(tmp_path)).names() == []
        entries = await engine.journal.read_log(Position(0, 0))
        await engine.journal.save_cursor("reports", entries[-1].position)
        await asyncio.sleep(2 * HOUR)
        assert await ids(engine) == []
        assert len(place_at(str(tmp_path)).names()) == 1

    played(play)


def test_what_is_archived_can_be_listed_and_is_whole(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        engine = await open_engine(world)
        await engine.retention.set("all", "1d", archive=str(tmp_path / "archive"))
        await engine.run(retained_order, "a", id="a")
        await have_failed(engine, "b")
        history = [each async for each in engine.get("a").history()]
        await asyncio.sleep(2 * DAY)
        assert await ids(engine) == []
        archive = engine.archive(str(tmp_path / "archive"))
        listed = await archive.list()
        assert sorted((each.id, str(each.status)) for each in listed) == [("a", "completed"), ("b", "failed")]
        assert archive.troubles == ()
        handle = await archive.restore("a")
        assert [each async for each in handle.history()] == history
        assert await handle.result() == "a"

    played(play)


def test_an_archive_that_cannot_be_written_to_removes_nothing_and_is_tried_again(tmp_path: Path) -> None:
    place = tmp_path / "archive"

    async def play(world: World) -> None:
        engine = await open_engine(world)
        await engine.run(retained_order, "a", id="a")
        place.write_text("in the way")
        await engine.retention.set("completed", "1h", archive=str(place))
        await asyncio.sleep(3 * HOUR)
        assert await ids(engine) == ["a"]
        trouble = (await engine.retention.describe()).trouble
        assert trouble is not None
        assert trouble.startswith(f"the archive {place} cannot be written to")
        with pytest.raises(StoreUnavailable, match="cannot be written to"):
            await engine.retention.sweep()
        place.unlink()
        await asyncio.sleep(2 * HOUR)
        assert await ids(engine) == []
        assert (await engine.retention.describe()).trouble is None
        assert [each.run.workflow_id for each in Archive(place_at(str(place))).list()] == ["a"]

    played(play)


def test_a_sweep_by_hand_needs_no_worker_and_a_dry_run_only_counts(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        worker = await open_engine(world)
        for name in ("a", "b"):
            await worker.run(retained_order, name, id=name)
        await have_failed(worker, "c")
        await worker.close()
        world.engines.remove(worker)
        engine = await open_engine(world, workers=False)
        await engine.retention.set("completed", "1h", archive=str(tmp_path))
        await engine.retention.set("failed", "9d")
        assert (await engine.retention.sweep(dry_run=True)).removed == 0
        await asyncio.sleep(2 * HOUR)
        dry = await engine.retention.sweep(dry_run=True)
        assert (dry.removed, dry.archived, await ids(engine)) == (2, 2, ["a", "b", "c"])
        swept = await engine.retention.sweep()
        assert (swept.removed, swept.archived, swept.left, await ids(engine)) == (2, 2, {}, ["c"])
        info = await engine.retention.describe()
        assert (info.removed, info.archived) == (2, 2)

    played(play)


@pytest.mark.parametrize(
    ("status", "keep", "archive", "why"),
    [
        ("running", "1d", None, "retention is set for all, or for one of completed, failed"),
        ("done", "1d", None, "not for 'done'"),
        ("failed", "soon", None, 'how long to keep: .*or "forever"'),
        ("failed", -1, None, "negative"),
        ("failed", None, "archive", "kept for ever is never archived"),
        ("failed", "1d", "ftp://host/place", "no place for an archive"),
        ("failed", "1d", "", "an archive is a folder"),
    ],
)
def test_what_is_no_rule_is_refused_and_nothing_is_written(status: str, keep: Any, archive: Any, why: str) -> None:
    async def play(world: World) -> None:
        engine = await open_engine(world)
        with pytest.raises(InvalidInput, match=why):
            await engine.retention.set(status, keep, archive=archive)
        assert await engine.journal.find_run(room_of("default"), "policy") is None

    played(play)


def test_workers_of_older_versions_leave_the_policy_alone() -> None:
    async def play(world: World) -> None:
        engine = await open_engine(world)
        await engine.retention.set("all", "1h")
        worker = engine.worker
        assert worker is not None
        [lease] = await engine.journal.list_leases()
        assert LANGUAGE in lease.lease.languages
        older = lease.lease
        await engine.journal.open_lease(
            type(older)(
                lease_id="older", lease_seconds=10, process=older.process, queues=older.queues, languages=("python",),
                code="", opened_at=0,
            )
        )  # fmt: skip
        assert await engine.journal.claim_runs("older", 10) == []

    played(play)


def test_rules_that_are_set_anew_while_they_are_carried_out_are_carried_out_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker that has the policy in hand claims it once more before it has noticed that it lost it."""
    writing, set_anew = asyncio.Event(), asyncio.Event()
    write = sweep.Sweeping._write

    async def wait_and_write(self: sweep.Sweeping, url: str, lines: list[bytes]) -> None:
        writing.set()
        await set_anew.wait()
        await write(self, url, lines)

    async def play(world: World) -> None:
        engine = await open_engine(world, poll_seconds=10.0)
        await engine.run(retained_order, "a", id="a")
        await have_failed(engine, "b")
        await asyncio.sleep(HOUR)
        monkeypatch.setattr(sweep.Sweeping, "_write", wait_and_write)
        await engine.retention.set("completed", "1m", archive=str(tmp_path))
        await writing.wait()
        await engine.retention.set("failed", "1m")
        await asyncio.sleep(60)
        set_anew.set()
        await asyncio.sleep(60)
        assert await ids(engine) == []
        assert len(place_at(str(tmp_path)).names()) == 2
        assert [each.id for each in await engine.archive(str(tmp_path)).list()] == ["a"]

    played(play)


def test_a_run_that_cannot_be_archived_is_named_with_why_and_tried_again_at_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play(world: World) -> None:
        engine = await open_engine(world)
        for name in ("a", "b"):
            await engine.run(retained_order, name, id=name)
        run_id = (await engine.get("a").describe()).run_id
        encode = encode_line

        def refuse(loaded: Loaded, *rest: Any) -> bytes:
            if loaded.run.run_id == run_id:
                raise TooLarge("it is too large")
            return encode(loaded, *rest)

        monkeypatch.setattr(sweep, "encode_line", refuse)
        await engine.retention.set("completed", "1h", archive=str(tmp_path))
        await asyncio.sleep(3 * HOUR)
        info = await engine.retention.describe()
        assert (await ids(engine), info.left, info.trouble) == (["a"], {run_id: "it is too large"}, None)
        assert (await engine.retention.sweep()).left == info.left
        monkeypatch.setattr(sweep, "encode_line", encode)
        await asyncio.sleep(3 * HOUR)
        assert (await ids(engine), (await engine.retention.describe()).left) == ([], {})

    played(play)


def test_a_sweep_by_hand_goes_on_by_the_rules_that_were_set_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "BATCH_RUNS", 2)

    async def play(world: World) -> None:
        engine = await open_engine(world)
        for n in range(6):
            await engine.run(retained_order, str(n), id=str(n))
        await have_failed(engine, "broken")
        await asyncio.sleep(DAY)
        await engine.close()
        world.engines.remove(engine)
        operator, other = [await world.open(workers=False) for _ in range(2)]
        await operator.retention.set("completed", "1h")
        remove_runs = operator.journal.remove_runs

        async def remove(seen: Any) -> list[str]:
            monkeypatch.undo()
            removed = await remove_runs(seen)
            await other.retention.set("completed", None)
            await other.retention.set("failed", "1h")
            return removed

        monkeypatch.setattr(operator.journal, "remove_runs", remove, raising=False)
        assert (await operator.retention.sweep()).removed == 3
        assert await ids(operator) == ["2", "3", "4", "5"]
        assert (await operator.retention.describe()).removed == 3

    played(play)
