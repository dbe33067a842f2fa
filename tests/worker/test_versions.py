"""Runs of a pinned version stay with it, others go on with the newest code; what nobody serves waits and says so."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import keepstep
from keepstep import Engine, step, workflow
from keepstep.client.progress import Surroundings, progress
from keepstep.journal import Condition
from keepstep.runtime.registry import forget
from keepstep.runtime.workflow import Workflow
from keepstep.testing import run
from tests.runtime.crashing import World, crash_at_every_commit
from tests.runtime.deploying import until_shown

NAME = "in_versions"


@step
async def note_version(version: str) -> str:
    return version


def define(version: str, *, pinned: bool = True, continues: tuple[str, ...] = ()) -> Workflow[[], Any]:
    @workflow(name=NAME, version=version, pinned=pinned, continues=continues, guard=False)
    async def code() -> list[str]:
        first = await note_version(version)
        await keepstep.receive("go")
        return [first, keepstep.info().queue]

    return code


@pytest.fixture(autouse=True)
def versions_are_forgotten() -> Any:
    yield
    forget("workflow", NAME)


FIRST, SECOND, THIRD = "1", "2", "10"


def test_each_run_goes_on_with_its_version_whichever_of_two_workers_starts_it() -> None:
    async def main() -> Any:
        world = World()
        first, second = define(FIRST), define(SECOND)
        older = await world.open(serve=[first])
        newer = await world.open(serve=[second])
        for n, engine in enumerate((older, newer)):
            await engine.start(first, id=f"first-{n}")
            await engine.start(second, id=f"second-{n}")
        ids = [f"{which}-{n}" for which in ("first", "second") for n in range(2)]
        seen = []
        for id in ids:
            info = await until_shown(newer, Condition.WAITING, id)
            seen.append((info.version, info.queue))
            await newer.signal(id, "go")
        results = [await older.get(id).result() for id in ids]
        await world.close()
        return seen, results

    seen, results = run(main)
    assert [version for version, _ in seen] == [FIRST, FIRST, SECOND, SECOND]
    assert {queue for _, queue in seen} == {"default"}
    assert results == [["1", "default"]] * 2 + [["2", "default"]] * 2


def test_a_process_with_several_versions_runs_each_and_starts_the_newest_by_name() -> None:
    async def main() -> Any:
        world = World()
        define(FIRST), define(THIRD), define(SECOND)
        engine = await world.open()
        client = await world.open(workers=False)
        by_name: keepstep.RunHandle[Any] = await client.start(NAME, id="by-name")
        pinned = await engine.start(define(FIRST), id="by-function")
        for handle in (by_name, pinned):
            await handle.signal("go")
        results = [await by_name.result(), await pinned.result()]
        versions = [(await each.describe()).version for each in (by_name, pinned)]
        world.engines.remove(client)
        await world.close()
        return results, versions

    assert run(main) == ([["10", "default"], ["1", "default"]], [THIRD, FIRST])


def test_a_pinned_run_waits_while_nobody_serves_its_version_and_says_so() -> None:
    async def main() -> Any:
        world = World()
        first, second = define(FIRST), define(SECOND)
        older = await world.open(serve=[first])
        handle = await older.start(first, id="stranded")
        await until_shown(older, Condition.WAITING, "stranded")
        await older.close()
        world.engines.remove(older)
        newer = await world.open(serve=[second])
        await newer.signal("stranded", "go")
        await asyncio.sleep(120)
        info = await newer.get("stranded").describe()
        said = progress(info, await Surroundings.of(newer.journal, info))
        again = await world.open(serve=[first])
        result = await again.get("stranded").result()
        await world.close()
        return handle.run_id == info.run_id, info.condition, said, result

    same, condition, said, result = run(main)
    assert same
    assert condition is Condition.WAITING
    text = "\n".join(said)
    assert "No worker serves version '1' of workflow 'in_versions' on queue 'default'" in text
    assert "continues=['1']" in text
    assert result == ["1", "default"]


def test_a_newer_version_that_continues_an_older_one_takes_its_runs_over() -> None:
    async def main() -> Any:
        world = World()
        first = define(FIRST)
        older = await world.open(serve=[first])
        await older.start(first, id="moved")
        await until_shown(older, Condition.WAITING, "moved")
        await older.close()
        world.engines.remove(older)

        @workflow(name=NAME, version=SECOND, pinned=True, continues=[FIRST], guard=False)
        async def code() -> list[str]:
            first = await note_version(FIRST)
            await keepstep.receive("go")
            return [first, "continued"]

        newer = await world.open(serve=[code])
        await newer.signal("moved", "go")
        result = await newer.get("moved").result()
        fresh = await newer.start(code, id="fresh")
        version = (await fresh.describe()).version
        await world.close()
        return result, version

    assert run(main) == (["1", "continued"], SECOND)


def test_a_run_that_is_not_pinned_moves_to_the_newest_code() -> None:
    async def main() -> Any:
        world = World()
        first = define(FIRST, pinned=False)
        older = await world.open(serve=[first])
        await older.start(first, id="moving")
        await until_shown(older, Condition.WAITING, "moving")
        await older.close()
        world.engines.remove(older)

        @workflow(name=NAME, version=SECOND, guard=False)
        async def code() -> list[str]:
            first = await note_version(FIRST)
            await keepstep.receive("go")
            return [first, await note_version(SECOND)]

        newer = await world.open(serve=[code])
        await newer.signal("moving", "go")
        result = await newer.get("moving").result()
        version = (await newer.get("moving").describe()).version
        await world.close()
        return result, version

    assert run(main) == (["1", "2"], "")


def test_an_older_worker_that_comes_back_does_not_make_its_version_the_newest() -> None:
    async def main() -> list[str]:
        world = World()
        first, second = define(FIRST), define(SECOND)
        forget("workflow", NAME)
        client = await world.open(workers=False)
        got = []

        async def started(id: str) -> None:
            client.published._read_at = None
            got.append((await (await client.start(NAME, id=id)).describe()).version)

        older = await world.open(serve=[first])
        await started("before")
        newer = await world.open(serve=[second])
        await started("deployed")
        await older.close()
        older_again = await world.open(serve=[first])
        await started("in the middle")
        await newer.close()
        rolled_back = await world.open(serve=[first])
        await started("rolled back")
        for engine in (older_again, rolled_back):
            await engine.close()
        return got

    assert run(main) == [FIRST, SECOND, SECOND, FIRST]


def test_a_child_stays_with_its_own_version_and_a_crash_changes_nothing_of_it() -> None:
    child = define(FIRST)

    @workflow(name="parent_of_versions")
    async def parent() -> list[str]:
        result: list[str] = await child()
        return result

    async def program(engine: Engine) -> Any:
        handle = await engine.start(parent, id="parent")
        info = await engine.get("parent").describe()
        while info.status == "running":
            with_child = [each async for each in engine.list("WorkflowType = 'in_versions'")]
            if with_child and with_child[0].status == "running":
                await with_child_go(engine, with_child[0].id)
            await asyncio.sleep(1)
            info = await handle.describe()
        [child_info] = [each async for each in engine.list("WorkflowType = 'in_versions'")]
        return await handle.result(), child_info.version

    async def with_child_go(engine: Engine, id: str) -> None:
        await engine.signal(id, "go")

    def check(outcome: Any, _: int) -> None:
        assert outcome == (["1", "default"], FIRST)

    assert crash_at_every_commit(program, check) > 4
