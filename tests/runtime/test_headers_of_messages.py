"""What is said to a run carries headers: they reach its handler, and what that sets going, at every replay."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import keepstep
from keepstep import Engine, Interceptor, InvalidInput, RunClosed, Running, Sending, TooLarge, step, workflow
from keepstep.journal.payload import Payload, headers_of, seal, unseal, with_headers
from keepstep.runtime.interceptor import CallNext
from tests.runtime.crashing import crash_at_every_commit
from tests.runtime.programs import on_an_engine


class Caller(Interceptor):
    """Says who is calling, and notes what handlers are called with."""

    def __init__(self) -> None:
        self.who = "nobody"
        self.heard: set[str] = set()

    async def send(self, call: Sending, call_next: CallNext[Sending]) -> Any:
        call.headers["by"] = self.who
        if call.kind == "start":
            call.headers["tenant"] = "acme"
        return await call_next(call)

    async def run(self, call: Running, call_next: CallNext[Running]) -> Any:
        self.heard.add(f"{call.kind} {call.name} by {call.headers['by']} for {call.headers['tenant']}")
        return await call_next(call)


@step
async def who_asks_here(what: str) -> str:
    return f"{what} {keepstep.step_info().headers['by']}"


@step(queue="default")
async def who_asks_elsewhere(what: str) -> str:
    return f"{what} {keepstep.step_info().headers['by']} {keepstep.step_info().headers['tenant']}"


@workflow
async def child_of_a_caller() -> str:
    return f"child {keepstep.info().headers['by']}"


@workflow
class Switchboard:
    def __init__(self) -> None:
        self.said: list[str] = []
        self.is_over = False

    async def run(self) -> list[str]:
        await keepstep.wait_for(lambda: self.is_over)
        return [*sorted(self.said), await who_asks_here("run")]

    @keepstep.signal
    async def ring(self, what: str) -> None:
        self.said.append(await who_asks_here(what))
        self.said.append(await child_of_a_caller())
        self.is_over = True

    @keepstep.update
    async def connect(self, what: str) -> str:
        return f"{await who_asks_elsewhere(what)} {keepstep.info().headers['by']}"

    @connect.validator
    def check_connect(self, what: str) -> None:
        if keepstep.info().headers["by"] == "a stranger":
            raise PermissionError("no strangers")

    @keepstep.query
    def who(self) -> str:
        return f"asked by {keepstep.info().headers['by']}"


async def speak_with_headers(engine: Engine, caller: Caller) -> list[str]:
    caller.who = "ann"
    run = await engine.start(Switchboard, id="s")
    caller.who = "bob"
    said = [await run.update("connect", "update", id="u"), await run.query("who")]
    caller.who = "a stranger"
    with pytest.raises((keepstep.UpdateRejected, RunClosed)):
        await run.update("connect", "refused")
    caller.who = "eve"
    with suppress(RunClosed):  # it is over, and was told so before the crash
        await run.signal("ring", "signal", id="r")
    return [*said, *await run.result()]


EXPECTED = ["update bob acme bob", "asked by bob", "child eve", "signal eve", "run ann"]


def test_headers_reach_handlers_and_what_they_set_going_whatever_crashes() -> None:
    caller = Caller()

    def check(said: list[str], _: int) -> None:
        assert said == EXPECTED

    assert crash_at_every_commit(lambda engine: speak_with_headers(engine, caller), check, interceptors=[caller]) > 10
    assert {
        "workflow Switchboard by ann for acme",
        "signal ring by eve for acme",
        "update connect by bob for acme",
        "validator check_connect by bob for acme",
        "validator connect by a stranger for acme",
        "query who by bob for acme",
    } - {"validator check_connect by bob for acme"} <= caller.heard


def test_what_travels_with_a_start_has_its_own_headers() -> None:
    caller = Caller()

    async def program(engine: Engine) -> list[str]:
        caller.who = "bob"
        first = await engine.update_with_start(Switchboard, id="u", update="connect", update_args=["update"])
        run = await engine.signal_with_start(Switchboard, id="u", signal="ring", value="signal")
        return [first, *await run.result(timeout="1h")]

    said = on_an_engine(program, interceptors=[caller])
    assert said == ["update bob acme bob", "child bob", "signal bob", "run bob"]


class Wrong(Interceptor):
    def __init__(self, headers: Any) -> None:
        self.headers = headers

    async def send(self, call: Sending, call_next: CallNext[Sending]) -> Any:
        if call.kind != "start":
            call.headers = self.headers
        return await call_next(call)


@pytest.mark.parametrize(
    ("headers", "refused"), [({"by": 7}, InvalidInput), ({"": "x"}, InvalidInput), ({"by": "x" * 20_000}, TooLarge)]
)
def test_headers_that_cannot_travel_are_refused_where_they_are_given(headers: Any, refused: Any) -> None:
    async def program(engine: Engine) -> None:
        run = await engine.start(Switchboard, id="s")
        with pytest.raises(refused):
            await run.signal("ring", "x")
        with pytest.raises(refused):
            await run.update("connect", "x")
        with pytest.raises(refused):
            await run.query("who")
        await run.terminate()

    on_an_engine(program, interceptors=[Wrong(headers)])


@workflow
async def receive_with_headers() -> list[Any]:
    return [await keepstep.receive("word", str), await keepstep.receive("word", int), keepstep.info().headers]


def test_a_signal_that_is_received_has_its_value_whatever_it_carries() -> None:
    caller = Caller()

    async def program(engine: Engine) -> Any:
        run = await engine.start(receive_with_headers, id="s")
        caller.who = "bob"
        await run.signal("word", "text")
        await run.signal("word", 7)
        result = await run.result(timeout="1h")
        events = [each.data["payload"] async for each in run.history() if each.type == "signal_received"]
        return result, events

    result, events = on_an_engine(program, interceptors=[caller])
    assert result == ["text", 7, {"by": "nobody", "tenant": "acme"}]
    assert events == ["text", 7]


def test_a_payload_carries_headers_beside_its_content_and_none_costs_no_byte() -> None:
    assert with_headers(b"[1]", {}) == b"[1]"
    carried = with_headers(b"[1]", {"a": "b"})
    assert (unseal(carried).content, dict(headers_of(carried)), dict(headers_of(b"[1]"))) == (b"[1]", {"a": "b"}, {})
    versioned = seal(Payload(type="Order", type_version=2, content=b"{}"))
    both = with_headers(versioned, {"a": "b"})
    assert (unseal(both).type, unseal(both).type_version, dict(headers_of(both))) == ("Order", 2, {"a": "b"})
    assert dict(headers_of(versioned)) == {}
    assert with_headers(both, {"c": "d"}) == with_headers(versioned, {"c": "d"})


@workflow
async def scheduled_with_headers(what: str) -> str:
    return await who_asks_here(what)


class Scheduling(Interceptor):
    def __init__(self) -> None:
        self.who = "ann"

    async def send(self, call: Sending, call_next: CallNext[Sending]) -> Any:
        call.headers["by"] = f"{self.who}, {call.kind} {call.name} {call.workflow_id}"
        return await call_next(call)


def test_the_runs_of_a_schedule_carry_the_headers_that_it_was_made_with_whatever_crashes() -> None:
    caller = Scheduling()

    async def program(engine: Engine) -> set[str]:
        caller.who = "ann"
        handle = await engine.schedule("s", scheduled_with_headers, "fired", every="1h", limit=2)
        caller.who = "bob"
        await engine.schedule("s", scheduled_with_headers, "fired", every="1h", limit=2)
        await handle.update(args=("fired",))
        while True:
            runs = [each async for each in engine.list("WorkflowType = 'scheduled_with_headers'")]
            if len(runs) == 2 and all(each.status == "completed" for each in runs):
                return {await engine.get(each.id).result() for each in runs}
            await asyncio.sleep(600)

    def check(said: set[str], _: int) -> None:
        assert said == {"fired ann, schedule scheduled_with_headers s"}

    assert crash_at_every_commit(program, check, poll_seconds=60.0, interceptors=[caller]) > 6


async def test_large_arguments_and_headers_of_a_schedule_are_kept_in_a_store_on_disk(tmp_path: Path) -> None:
    async with Engine(f"sqlite:///{tmp_path / 'k.db'}", interceptors=[Scheduling()]) as engine:
        handle = await engine.schedule("s", scheduled_with_headers, "x" * 50_000, every="1h", paused=True)
        id = await handle.trigger()
        while (runs := [each async for each in engine.list(f"WorkflowId = '{id}'")]) == []:
            await asyncio.sleep(0.02)
        assert runs[0].id == id
        assert await engine.get(id).result(timeout=60) == f"{'x' * 50_000} ann, schedule scheduled_with_headers s"
