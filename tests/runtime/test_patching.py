"""A run has a patch, or has it not: decided when it first comes to the question, and kept whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import keepstep
from keepstep import Engine, InvalidInput, RunClosed, step
from keepstep.journal import Condition
from keepstep.testing import run
from tests.runtime.crashing import World, crash_at_every_commit
from tests.runtime.deploying import NAME, after_deploying, block_of, deploy, result_of, until_shown
from tests.runtime.programs import on_an_engine

done: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def nothing_is_done() -> None:
    done.clear()


@step
async def do_in_the_old_way(n: int = 0) -> str:
    done["old"] += 1
    return f"old {n}"


@step
async def do_in_the_new_way(n: int = 0) -> str:
    done["new"] += 1
    return f"new {n}"


@step
async def do_for_a_minute() -> str:
    done["slow"] += 1
    await asyncio.sleep(60)
    return "slow"


async def markers_of(engine: Engine) -> list[dict[str, Any]]:
    return [each.data async for each in engine.get(NAME).history() if each.type == "version_marked"]


async def result_and_markers(engine: Engine) -> Any:
    return await result_of(engine), await markers_of(engine)


async def before() -> list[str]:
    got = [await do_in_the_old_way(1)]
    await keepstep.receive("go")
    return [*got, await do_in_the_old_way(2)]


async def patched_first() -> list[str]:
    got = [await do_in_the_new_way(1) if keepstep.patched("way") else await do_in_the_old_way(1)]
    await keepstep.receive("go")
    return [*got, await do_in_the_old_way(2)]


async def patched_after_the_signal() -> list[str]:
    got = [await do_in_the_old_way(1)]
    await keepstep.receive("go")
    return [*got, await do_in_the_new_way(2) if keepstep.patched("way") else await do_in_the_old_way(2)]


def test_a_run_that_passed_the_point_before_the_patch_goes_on_without_it() -> None:
    assert after_deploying(before, patched_first, result_and_markers) == (["old 1", "old 2"], [])


def test_a_run_that_comes_to_the_point_after_the_deploy_gets_the_patch() -> None:
    result, markers = after_deploying(before, patched_after_the_signal, result_and_markers)
    assert result == ["old 1", "new 2"]
    assert [(each["name"], each["version"]) for each in markers] == [("way", 1)]


def test_a_new_run_gets_the_patch_and_keeps_it_when_it_has_left_memory() -> None:
    result, markers = after_deploying(patched_first, patched_first, result_and_markers)
    assert result == ["new 1", "old 2"]
    assert len(markers) == 1
    assert done == {"new": 1, "old": 1}


def test_a_run_that_stood_at_the_point_when_its_worker_was_killed_does_not_take_the_other_way_as_well() -> None:
    """The old step may have had its effect, although nothing of it was recorded."""

    async def old() -> str:
        return await do_for_a_minute()

    async def new() -> str:
        return await (do_in_the_new_way() if keepstep.patched("way") else do_for_a_minute())

    async def main() -> str:
        world = World()
        first = await world.open()
        await first.start(deploy(old), id=NAME)
        while not done["slow"]:
            await asyncio.sleep(0.1)
        world.kill(first)
        deploy(new)
        second = await world.open()
        result: str = await second.get(NAME).result(timeout=600)
        await world.close()
        return result

    assert run(main) == "slow"
    assert done == {"slow": 2}


@pytest.mark.parametrize("signalled_before", [0, 3])
def test_wherever_a_worker_dies_only_one_of_the_two_ways_is_ever_begun(signalled_before: int) -> None:
    """Others of the run's branches record things while the choice is on its way to the disk."""

    async def code() -> list[str]:
        async def other(n: int) -> str:
            await keepstep.receive("word")
            return await do_for_a_minute() + str(n)

        async def chooser() -> str:
            await keepstep.sleep(1)
            return await (do_in_the_new_way() if keepstep.patched("way") else do_in_the_old_way())

        return list(await asyncio.gather(chooser(), *(other(n) for n in range(3))))

    async def program(engine: Engine) -> Any:
        handle = await engine.start(deploy(code), id=NAME)
        with contextlib.suppress(RunClosed):  # it was killed when all was done
            for n in range(signalled_before):
                await handle.signal("word", id=f"w{n}")
            await asyncio.sleep(1)
            for n in range(3):
                await handle.signal("word", id=f"w{n}")
        return await handle.result(timeout=600), len(await markers_of(engine))

    def check(outcome: Any, crashes: int) -> None:
        (way, *others), markers = outcome
        assert others == ["slow0", "slow1", "slow2"]
        assert (way, markers, done["old"] == 0) in (("new 0", 1, True), ("old 0", 0, False))
        assert not (done["old"] and done["new"])
        assert crashes or way == "new 0"
        done.clear()

    assert crash_at_every_commit(program, check) > 10


def loop_of_turns(patch: str | None) -> Callable[[], Awaitable[list[str]]]:
    """A program of three turns, the patched way where it has the patch; ``{n}`` stands for the turn."""

    async def take_turns() -> list[str]:
        got = []
        for n in range(3):
            is_patched = patch is not None and keepstep.patched(patch.format(n=n))
            got.append(await (do_in_the_new_way(n) if is_patched else do_in_the_old_way(n)))
            await keepstep.receive("go")
        return got

    return take_turns


def test_a_run_answers_alike_in_all_turns_of_a_loop_and_in_all_its_branches() -> None:
    old, new = loop_of_turns(None), loop_of_turns("way")

    async def judge(engine: Engine) -> Any:
        await engine.signal(NAME, "go")
        await engine.signal(NAME, "go")
        return await result_and_markers(engine)

    assert after_deploying(old, new, judge) == (["old 0", "old 1", "old 2"], [])
    result, markers = after_deploying(new, new, judge)
    assert result == ["new 0", "new 1", "new 2"]
    assert len(markers) == 1


def test_a_loop_gets_a_patch_at_its_next_turn_if_each_turn_asks_for_its_own() -> None:
    old, new = loop_of_turns(None), loop_of_turns("way/{n}")

    async def judge(engine: Engine) -> Any:
        await engine.signal(NAME, "go")
        await engine.signal(NAME, "go")
        return await result_of(engine)

    assert after_deploying(old, new, judge) == ["old 0", "new 1", "new 2"]


def test_a_marker_shifts_the_keys_of_nothing_else() -> None:
    async def with_a_marker() -> list[str]:
        if keepstep.patched("way"):
            pass
        got = [await do_in_the_old_way(1), await do_in_the_old_way(2)]
        await keepstep.receive("go")
        return [*got, *await asyncio.gather(do_in_the_old_way(3), do_in_the_old_way(4))]

    async def without() -> list[str]:
        got = [await do_in_the_old_way(1), await do_in_the_old_way(2)]
        await keepstep.receive("go")
        return [*got, *await asyncio.gather(do_in_the_old_way(3), do_in_the_old_way(4))]

    assert after_deploying(without, with_a_marker, result_of) == ["old 1", "old 2", "old 3", "old 4"]

    async def keys(engine: Engine) -> list[str | None]:
        await result_of(engine)
        return [each.key async for each in engine.get(NAME).history() if each.type == "step_completed"]

    assert after_deploying(with_a_marker, with_a_marker, keys) == after_deploying(without, without, keys)


def test_a_workflow_that_ends_right_after_it_has_asked_has_recorded_what_it_was_told() -> None:
    async def code() -> str:
        await keepstep.receive("go")
        return "new" if keepstep.patched("way") else "old"

    async def types(engine: Engine) -> Any:
        return await result_of(engine), [event.type async for event in engine.get(NAME).history()]

    result, events = after_deploying(code, code, types)
    assert result == "new"
    assert events[-2:] == ["version_marked", "workflow_completed"]


def test_code_that_does_not_know_a_recorded_patch_blocks_the_run_and_writes_nothing() -> None:
    async def not_yet_patched() -> list[str]:
        await keepstep.receive("go")
        return ["old"]

    async def new() -> list[str]:
        if keepstep.patched("way"):
            await keepstep.receive("go")
        return ["new"]

    error, diff, events = after_deploying(new, not_yet_patched, block_of)
    assert "has not asked for what was recorded next" in error
    assert "@version/way" in diff["history"]
    assert events == ["workflow_started", "version_marked"]


async def deprecated() -> list[str]:
    keepstep.deprecate_patch("way")
    got = [await do_in_the_new_way(1)]
    await keepstep.receive("go")
    return [*got, await do_in_the_old_way(2)]


def test_deprecating_a_patch_lets_runs_that_have_it_go_on_and_new_ones_record_nothing() -> None:
    result, markers = after_deploying(patched_first, deprecated, result_and_markers)
    assert result == ["new 1", "old 2"]
    assert len(markers) == 1
    assert after_deploying(deprecated, deprecated, result_and_markers) == (["new 1", "old 2"], [])


def test_deprecating_a_patch_too_early_blocks_the_runs_that_are_without_it() -> None:
    error, diff, _ = after_deploying(before, deprecated, block_of)
    assert "does not fit the run's history" in error
    assert "do_in_the_old_way" in diff["history"]


def test_a_patch_that_is_asked_for_at_an_earlier_place_than_recorded_is_not_there_yet() -> None:
    async def asks_late() -> list[str]:
        got = [await do_in_the_old_way(1)]
        got.append(await do_in_the_new_way(2) if keepstep.patched("way") else await do_in_the_old_way(2))
        await keepstep.receive("go")
        return got

    async def asks_twice() -> list[str]:
        got = [await do_in_the_new_way(1) if keepstep.patched("way") else await do_in_the_old_way(1)]
        got.append(await do_in_the_new_way(2) if keepstep.patched("way") else await do_in_the_old_way(2))
        await keepstep.receive("go")
        return got

    assert after_deploying(asks_late, asks_twice, result_of) == ["old 1", "new 2"]


def versioned(newest: int, oldest: int = 0) -> Any:
    async def code() -> list[int]:
        first = keepstep.version("way", newest, oldest)
        await keepstep.receive("go")
        return [first, keepstep.version("way", newest, oldest), keepstep.version("other", newest)]

    return code


def test_a_run_keeps_the_version_that_was_the_newest_when_it_came_there() -> None:
    assert after_deploying(versioned(2), versioned(5, oldest=2), result_of) == [2, 2, 5]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (versioned(2), versioned(5, oldest=3), "it knows versions 3 to 5 of 'way', and the run has 2"),
        (versioned(5), versioned(2), "it knows versions 0 to 2 of 'way', and the run has 5"),
        (before, versioned(1, oldest=1), "it knows version 1 alone of 'way', and the run has 0"),
    ],
)
def test_a_version_that_the_code_does_not_know_blocks_the_run_and_says_where(old: Any, new: Any, words: str) -> None:
    error, diff, _ = after_deploying(old, new, block_of)
    assert words in error
    [asked] = diff["asked"]
    assert asked["site"]["file"] == __file__
    assert asked["site"]["function"].endswith("code")


def test_code_that_catches_everything_is_blocked_all_the_same() -> None:
    async def careless() -> str:
        try:
            keepstep.version("way", 3, 3)
        except Exception:
            await keepstep.receive("go")
        return "went on"

    error, _, _ = after_deploying(versioned(1), careless, block_of)
    assert "the run has 1" in error


def test_what_is_asked_for_after_a_choice_waits_in_vain_for_nothing() -> None:
    """Timers, children and callbacks of the turn of a choice are begun once it is durable."""

    async def code() -> str:
        async with asyncio.timeout(50):
            keepstep.patched("way")
            callback = keepstep.callback()
            await do_in_the_new_way()
            return str(await callback.result(timeout=40))

    async def program(engine: Engine) -> tuple[str, list[str]]:
        handle = await engine.start(deploy(code), id=NAME)
        info = await until_shown(engine, Condition.WAITING)
        token = next(each.token for each in info.waiting_for if each.kind == "callback")
        await engine.complete_callback(token, "called")
        return await handle.result(), [event.type async for event in handle.history()][:4]

    result, events = on_an_engine(program)
    assert result == "called"
    assert events == ["workflow_started", "version_marked", "timer_started", "callback_created"]


def test_a_query_hears_what_the_run_has_and_chooses_nothing_itself() -> None:
    @keepstep.workflow(name="queried_patch")
    class Queried:
        async def run(self) -> bool:
            await keepstep.receive("go")
            has_it = keepstep.patched("way")
            await keepstep.receive("end")
            return has_it

        @keepstep.query
        def has(self) -> tuple[bool, int]:
            return keepstep.patched("way"), keepstep.version("other", 5, 2)

    async def program(engine: Engine) -> list[Any]:
        handle = await engine.start(Queried, id="queried")
        before = await handle.query("has")
        await handle.signal("go")
        await until_shown(engine, Condition.WAITING, "queried")
        while not (after := await handle.query("has"))[0]:
            await asyncio.sleep(1)
        await handle.signal("end")
        result = await handle.result()
        markers = [each.key async for each in handle.history() if each.type == "version_marked"]
        return [tuple(before), tuple(after), result, tuple(await handle.query("has")), markers]

    assert on_an_engine(program) == [(False, 2), (True, 2), True, (True, 2), ["@version/way"]]


def test_numbers_that_are_no_versions_are_refused() -> None:
    async def code() -> list[str]:
        said = []
        for newest, oldest in ((0, 0), (1, 2), (1, -1), (True, 0), ("2", 0)):
            try:
                keepstep.version("way", newest, oldest)  # type: ignore[arg-type]
            except InvalidInput as error:
                said.append(str(error))
        return said

    async def program(engine: Engine) -> list[str]:
        said: list[str] = await engine.run(deploy(code))
        return said

    said = on_an_engine(program)
    assert len(said) == 5
    assert all("0 <= oldest <= newest" in each for each in said)


def test_outside_a_workflow_there_is_no_version() -> None:
    with pytest.raises(RuntimeError, match="only be used inside a workflow"):
        keepstep.patched("way")
