"""Runs speak to other runs, end with their parents or without them, and continue as new."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

import keepstep
from keepstep import (
    Cancelled,
    Engine,
    InvalidInput,
    NotFound,
    RunClosed,
    Terminated,
    WorkflowFailed,
    step,
    workflow,
)
from keepstep.testing import run as run_virtually
from tests.runtime.crashing import World, crash_at_every_commit
from tests.runtime.programs import on_an_engine

effects: Counter[str] = Counter()


@step
async def mark(what: str) -> None:
    effects[what] += 1


@workflow
class Neighbour:
    def __init__(self) -> None:
        self.heard: list[str] = []

    async def run(self, count: int) -> list[str]:
        await keepstep.wait_for(lambda: len(self.heard) >= count)
        return self.heard

    @keepstep.signal
    def hear(self, what: str) -> None:
        self.heard.append(what)

    @keepstep.query
    def heard_so_far(self) -> list[str]:
        return self.heard


@workflow
async def speak_to_neighbours(ids: list[str]) -> list[str]:
    told = []
    for id in ids:
        try:
            await keepstep.get_run(id).signal(Neighbour.hear, f"hello {id}")
            told.append("told")
        except (NotFound, RunClosed) as error:
            told.append(type(error).__name__)
    return told


async def visit_neighbours(engine: Engine) -> tuple[list[str], list[str]]:
    there = await engine.start(Neighbour, 2, id="there")
    await engine.run(Neighbour, 0, id="gone")
    speaking = await engine.start(speak_to_neighbours, ["there", "gone", "nowhere", "there"], id="speaking")
    return await speaking.result(), await there.result()


def test_a_run_signals_others_exactly_once_whatever_crashes() -> None:
    def check(seen: tuple[list[str], list[str]], crashes: int) -> None:
        assert seen == (["told", "RunClosed", "NotFound", "told"], ["hello there", "hello there"])

    assert crash_at_every_commit(visit_neighbours, check) >= 14


@workflow
async def lie_in() -> None:
    try:
        await keepstep.sleep("30d")
    finally:
        await mark("got up")


@workflow
async def wake_up(id: str) -> None:
    await keepstep.get_run(id).cancel("it is noon")


def test_a_run_cancels_another_one() -> None:
    async def program(engine: Engine) -> None:
        lying = await engine.start(lie_in, id="lying")
        await engine.run(wake_up, "lying", id="waking")
        with pytest.raises(Cancelled, match="it is noon"):
            await lying.result()

    effects.clear()
    on_an_engine(program)
    assert effects == {"got up": 1}


def test_speaking_to_runs_is_for_workflows_and_takes_ids() -> None:
    with pytest.raises(RuntimeError, match="get_run can only be used inside a workflow"):
        keepstep.get_run("x")

    @workflow
    async def speak_to_nobody() -> None:
        keepstep.get_run("")

    async def program(engine: Engine) -> None:
        with pytest.raises(WorkflowFailed, match="the id of a run must have 1 to"):
            await engine.run(speak_to_nobody, id="nobody")

    on_an_engine(program)


@workflow
async def sleep_as_child(name: str) -> str:
    try:
        await keepstep.sleep(30)
        return name
    except asyncio.CancelledError:
        await mark(f"{name} cancelled")
        raise


@workflow
async def leave_children(how: str) -> str:
    for policy in ("cancel", "terminate", "abandon"):
        await keepstep.start_child(sleep_as_child, policy, id=f"{how}-{policy}", if_parent_closes=policy)
    waiting = asyncio.ensure_future(sleep_as_child("awaited"))
    await keepstep.sleep(1)
    if how == "fail":
        raise RuntimeError("no good")
    if how == "wait":
        await keepstep.sleep("2d")
    assert not waiting.done()
    return how


async def leave(engine: Engine, how: str) -> dict[str, str]:
    handle = await engine.start(leave_children, how, id=how)
    if how == "wait":
        while (await handle.describe()).events < 8:
            await asyncio.sleep(0.1)
        await handle.terminate("enough")
    try:
        await handle.result()
    except WorkflowFailed:
        pass
    ends = {}
    for id in (f"{how}-cancel", f"{how}-terminate", f"{how}-abandon", f"{how}/sleep_as_child#4"):
        try:
            ends[id.removeprefix(how)] = str(await engine.get(id).result())
        except (Cancelled, Terminated) as error:
            ends[id.removeprefix(how)] = type(error).__name__
    return ends


ENDS = {"-cancel": "Cancelled", "-terminate": "Terminated", "-abandon": "abandon", "/sleep_as_child#4": "Cancelled"}


@pytest.mark.parametrize("how", ["complete", "fail", "wait"])
def test_children_end_with_their_parent_as_was_agreed(how: str) -> None:
    effects.clear()
    assert on_an_engine(lambda engine: leave(engine, how)) == ENDS
    assert effects == {"cancel cancelled": 1, "awaited cancelled": 1}


def test_children_end_with_their_parent_whatever_crashes() -> None:
    def check(ends: dict[str, str], crashes: int) -> None:
        assert ends == ENDS

    assert crash_at_every_commit(lambda engine: leave(engine, "crash"), check) >= 14


def test_a_child_is_signalled_and_cancelled_by_its_handle() -> None:
    @workflow
    async def raise_child() -> list[str]:
        child = await keepstep.start_child(Neighbour, 1, id="neighbours-child")
        await child.signal(Neighbour.hear, "from home")
        lying = await keepstep.start_child(sleep_as_child, "lazy")
        await lying.cancel("up")
        with pytest.raises(Cancelled):
            await lying
        heard: list[str] = await child
        return heard

    assert on_an_engine(lambda engine: engine.run(raise_child, id="raising")) == ["from home"]


def test_a_policy_that_is_none_is_refused() -> None:
    @workflow
    async def misguide() -> None:
        await keepstep.start_child(sleep_as_child, "x", if_parent_closes="adopt")

    async def program(engine: Engine) -> None:
        with pytest.raises(WorkflowFailed, match="if_parent_closes is one of cancel, terminate, abandon, not 'adopt'"):
            await engine.run(misguide, id="misguide")

    on_an_engine(program)


@workflow
class Relay:
    """Passes a baton on: each run of it takes two words, and continues."""

    def __init__(self) -> None:
        self.handled: list[str] = []

    async def run(self, rounds: int, words: list[str]) -> list[str]:
        await keepstep.sleep(1)
        words = [*words, await keepstep.receive("word", str), await keepstep.receive("word", str), *self.handled]
        await mark(f"round {rounds}")
        if rounds > 1:
            keepstep.set_attributes(round=rounds)
            keepstep.continue_as_new(rounds - 1, words)
        return words

    @keepstep.query
    def handled_here(self) -> list[str]:
        return self.handled

    @keepstep.update
    async def add(self, word: str) -> str:
        await mark(f"adding {word}")
        self.handled.append(word)
        return word


async def run_relay(engine: Engine) -> list[str]:
    handle = await engine.start(Relay, 3, [], id="relay", attributes={"team": "red"})
    first = await anext(aiter(handle.history()))
    if "continued_from" not in first.data:  # otherwise all of them are on their way
        for n in range(6):
            await handle.signal("word", f"w{n}", id=f"w{n}")
    words: list[str] = await handle.result()
    assert (await engine.get("relay").describe()).attributes == {"team": "red", "round": 2}
    return words


def test_a_run_continues_as_new_with_the_signals_that_nobody_has_read_whatever_crashes() -> None:
    def check(words: list[str], crashes: int) -> None:
        assert words == [f"w{n}" for n in range(6)]
        assert set(effects) == {"round 3", "round 2", "round 1"}
        effects.clear()

    effects.clear()
    assert crash_at_every_commit(run_relay, check) >= 20


def test_a_handle_speaks_to_the_run_that_goes_on() -> None:
    async def program(engine: Engine) -> list[str]:
        handle = await engine.start(Relay, 2, [], id="long-relay")
        await handle.signal("word", "a")
        await handle.signal("word", "b")
        while (await handle.describe()).status != "continued":
            await asyncio.sleep(0.1)
        assert await handle.update("add", "c") == "c"
        assert await handle.query("handled_here") == ["c"]
        await handle.signal("word", "d")
        await handle.signal("word", "e")
        return await handle.result()

    assert on_an_engine(program) == ["a", "b", "d", "e", "c"]


@workflow
async def say_round(rounds: int) -> str:
    await mark(f"child of round {rounds}")
    return f"said {rounds}"


@workflow
async def have_it_said_in_rounds(rounds: int, said: list[str]) -> list[str]:
    by_itself = await say_round(rounds)
    by_name = await (await keepstep.start_child(say_round, rounds * 10, id="by-name"))
    said = [*said, by_itself, by_name]
    if rounds > 1:
        keepstep.continue_as_new(rounds - 1, said)
    return said


async def have_three_rounds(engine: Engine) -> list[str]:
    said: list[str] = await engine.run(have_it_said_in_rounds, 3, [], id="rounds")
    assert await engine.count("WorkflowType = 'say_round'") == 6
    return said


def test_each_run_that_continues_has_children_of_its_own_whatever_crashes() -> None:
    """Their ids are those of the children of the run before, which have ended."""

    def check(said: list[str], crashes: int) -> None:
        assert said == ["said 3", "said 30", "said 2", "said 20", "said 1", "said 10"]
        assert set(effects) == {f"child of round {n}" for n in (1, 2, 3, 10, 20, 30)}
        effects.clear()

    effects.clear()
    assert crash_at_every_commit(have_three_rounds, check) >= 20


def test_a_parent_waits_for_a_child_that_continues() -> None:
    @workflow
    async def count_down(n: int) -> str:
        if n > 0:
            keepstep.continue_as_new(n - 1)
        return "zero"

    @workflow
    async def wait_for_zero() -> str:
        return await count_down(3)

    @workflow
    async def never_ending(n: int) -> None:
        await keepstep.sleep(10)
        keepstep.continue_as_new(n + 1)

    @workflow
    async def give_up() -> str:
        try:
            await asyncio.wait_for(never_ending(1), 25)
        except TimeoutError:
            return "given up"
        return "ended"

    async def program(engine: Engine) -> list[str]:
        told = [await engine.run(wait_for_zero, id="zero"), await engine.run(give_up, id="giving-up")]
        with pytest.raises(Cancelled, match="stopped waiting"):
            await engine.get("giving-up/never_ending").result()
        return told

    assert on_an_engine(program) == ["zero", "given up"]


def test_where_a_run_cannot_continue_as_new_it_is_told_so() -> None:
    @workflow
    async def continue_badly(how: str) -> None:
        if how == "saga":
            async with keepstep.saga():
                keepstep.continue_as_new(how)
        if how == "task":
            await asyncio.gather(continue_in_a_task())
        keepstep.continue_as_new(5)

    async def continue_in_a_task() -> None:
        keepstep.continue_as_new("again")

    async def program(engine: Engine) -> None:
        for how, why in (
            ("saga", "cannot continue as new inside of a saga"),
            ("task", "no place in handlers and other tasks"),
            ("type", "argument 'how'"),
        ):
            with pytest.raises(WorkflowFailed, match=why) as failed:
                await engine.run(continue_badly, how, id=how)
            assert isinstance(failed.value.__cause__, InvalidInput)

    on_an_engine(program)


def test_a_run_is_told_when_its_history_has_grown_long(monkeypatch: pytest.MonkeyPatch) -> None:
    @workflow
    async def grow() -> list[bool]:
        told = []
        for _ in range(4):
            told.append(keepstep.info().should_continue_as_new)
            await mark("grown")
        return [*told, keepstep.info().events == 5]

    monkeypatch.setattr("keepstep.runtime.execution.CONTINUE_AFTER_EVENTS", 3)
    assert on_an_engine(lambda engine: engine.run(grow, id="grow")) == [False, False, True, True, True]


def test_a_run_that_continues_waits_for_its_handlers() -> None:
    @workflow
    class Continuing:
        def __init__(self) -> None:
            self.count = 0

        async def run(self, rounds: int, sum: int) -> int:
            await keepstep.wait_for(lambda: self.count > 0 and keepstep.all_handlers_finished())
            if rounds > 1:
                keepstep.continue_as_new(rounds - 1, sum + self.count)
            return sum + self.count

        @keepstep.update
        async def add(self, n: int) -> int:
            await keepstep.sleep(5)
            self.count += n
            return self.count

    async def program(engine: Engine) -> int:
        handle = await engine.start(Continuing, 2, 0, id="continuing")
        assert sorted(await asyncio.gather(handle.update("add", 1), handle.update("add", 2))) in ([1, 3], [2, 3])
        assert await handle.update("add", 4) == 4
        return await handle.result()

    assert on_an_engine(program) == 7


# signal and update with start


@workflow
class Hamper:
    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.items: list[str] = []
        self.is_closed = False

    async def run(self, owner: str) -> list[str]:
        await keepstep.wait_for(lambda: self.is_closed)
        return self.items

    @keepstep.signal
    def put(self, item: str) -> None:
        self.items.append(item)

    @keepstep.signal
    def close(self) -> None:
        self.is_closed = True

    @keepstep.update
    async def count(self, plus: int = 0) -> int:
        await mark("counted")
        return len(self.items) + plus

    @count.validator
    def check_count(self, plus: int = 0) -> None:
        if plus < 0:
            raise ValueError("less than nothing")


async def fill_basket(engine: Engine) -> list[Any]:
    told: list[Any] = []
    with_start: dict[str, Any] = {"id": "basket"}
    try:
        told.append(await engine.update_with_start(Hamper, "ann", update="count", update_id="u1", **with_start))
        for n in range(2):
            handle = await engine.signal_with_start(
                Hamper, "ann", signal=Hamper.put, value=f"i{n}", signal_id=f"{n}", **with_start
            )
        told.append(
            await engine.update_with_start(
                Hamper, "ben", update=Hamper.count, update_args=[10], update_id="u2", **with_start
            )
        )
        await handle.signal("close", id="close")
    except RunClosed:
        told = [
            await engine.update_with_start(Hamper, "ann", update="count", update_id=id, **with_start)
            for id in ("u1", "u2")
        ]
    told.append(await engine.get("basket").result())
    return told


def test_a_run_is_started_with_what_is_said_to_it_whatever_crashes() -> None:
    def check(told: list[Any], crashes: int) -> None:
        assert told == [0, 12, ["i0", "i1"]]
        assert 2 <= effects["counted"] <= 2 + crashes
        effects.clear()

    effects.clear()
    assert crash_at_every_commit(fill_basket, check) >= 14


def test_an_update_that_is_rejected_leaves_the_run_that_it_started() -> None:
    async def program(engine: Engine) -> list[str]:
        with pytest.raises(keepstep.UpdateRejected, match="less than nothing"):
            await engine.update_with_start(Hamper, "ann", id="rejected", update="count", update_args=[-1])
        for no_list in (1, "2"):
            with pytest.raises(keepstep.InvalidInput, match="update_args is a list of the arguments of update 'count'"):
                await engine.update_with_start(Hamper, "ann", id="none", update="count", update_args=no_list)  # type: ignore[arg-type]
        handle = engine.get("rejected")
        assert [event.type async for event in handle.history()] == ["workflow_started"]
        with pytest.raises(keepstep.AlreadyStarted, match="is a 'Hamper', not a 'Neighbour'"):
            await engine.signal_with_start(Neighbour, 1, id="rejected", signal="hear", value="x")
        await handle.signal("close")
        result: list[str] = await handle.result()
        with pytest.raises(RunClosed):
            await engine.signal_with_start(Hamper, "ann", id="rejected", signal="put", value="x")
        again = await engine.signal_with_start(
            Hamper, "ann", id="rejected", signal="put", value="x", if_closed="restart"
        )
        await again.signal("close")
        assert await again.result() == ["x"]
        return result

    assert on_an_engine(program) == []


def test_messages_that_came_before_the_first_worker_are_kept_in_order() -> None:
    async def main() -> list[str]:
        world = World()
        client = await world.open(workers=False)
        handle = await client.signal_with_start(Neighbour, 3, id="early", signal="hear", value="1")
        await handle.signal("hear", "2")
        await handle.signal("hear", "3")
        await world.open(poll_seconds=1.0)
        heard: list[str] = await handle.result()
        await world.close()
        return heard

    assert run_virtually(main) == ["1", "2", "3"]


@workflow
class Turnstile:
    """Continues as new as often as it can, while updates and signals come."""

    def __init__(self, passed: list[str]) -> None:
        self.passed = passed

    async def run(self, passed: list[str]) -> list[str]:
        before = len(passed)
        await keepstep.wait_for(lambda: len(self.passed) > before and keepstep.all_handlers_finished())
        if len(self.passed) < 12:
            keepstep.continue_as_new(self.passed)
        return self.passed

    @keepstep.update
    async def pass_through(self, who: str) -> str:
        await mark(f"pass {who}")
        self.passed.append(who)
        return f"{who} passed"

    @keepstep.signal
    def jump(self, who: str) -> None:
        self.passed.append(who)


async def pass_turnstile(engine: Engine) -> tuple[list[Any], list[str]]:
    handle = await engine.start(Turnstile, [], id="turnstile")

    async def jump(n: int) -> None:
        try:
            await handle.signal("jump", f"j{n}", id=f"j{n}")
        except RunClosed:
            pass

    told = await asyncio.gather(
        *(handle.update("pass_through", f"u{n}", id=f"u{n}") for n in range(6)), *(jump(n) for n in range(6))
    )
    return told[:6], await handle.result()


def test_what_comes_at_the_moment_of_continuing_goes_over_to_the_run_that_goes_on() -> None:
    async def program(engine: Engine) -> None:
        told, passed = await pass_turnstile(engine)
        assert told == [f"u{n} passed" for n in range(6)]
        assert sorted(passed) == [*(f"j{n}" for n in range(6)), *(f"u{n}" for n in range(6))]
        first = await engine.get("turnstile").describe()
        assert [info.status async for info in engine.list()].count(first.status) == 1  # the others have continued
        for n in range(6):  # each is known by its id to one of the runs
            assert await engine.get("turnstile", first_run).update("pass_through", "x", id=f"u{n}") == f"u{n} passed"

    first_run = ""

    async def with_first_run(engine: Engine) -> None:
        nonlocal first_run
        handle = await engine.start(Turnstile, [], id="turnstile")
        first_run = handle.run_id or ""
        await program(engine)

    effects.clear()
    on_an_engine(with_first_run)
    assert {what: count for what, count in effects.items() if count > 1} == {}


def test_who_has_taken_the_id_of_a_child_that_has_ended_does_not_mind_its_parent() -> None:
    @workflow
    async def raise_briefly() -> None:
        await keepstep.start_child(sleep_as_child, "own", id="disputed")
        await keepstep.sleep("1h")

    async def program(engine: Engine) -> str:
        parent = await engine.start(raise_briefly, id="brief")
        while (await parent.describe()).events < 3:
            await asyncio.sleep(0.1)
        await parent.pause()  # it does not hear how its child ends
        await engine.get("disputed").result()
        stranger = await engine.start(sleep_as_child, "stranger", id="disputed", if_closed="restart")
        await parent.terminate("enough")
        return await stranger.result()

    assert on_an_engine(program) == "stranger"
