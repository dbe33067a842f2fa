"""Speaking to runs over HTTP: signals, queries, updates, callbacks, and what operators do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import keepstep
from keepstep import Engine, Retry, step, workflow
from tests.server.asking import Api, api_of, until

weights = {"a": -1}


@step(retry=Retry(max_attempts=1))
async def weigh_for_speaking(name: str) -> int:
    if weights[name] < 0:
        raise ValueError("it has no weight")
    return weights[name]


@step(once=True, timeout=0.02)
async def charge_for_speaking() -> str:
    await asyncio.Event().wait()
    return "never"


@workflow
async def pay_for_speaking() -> str:
    return await charge_for_speaking()


@workflow
async def weigh_twice_for_speaking(name: str) -> int:
    return await weigh_for_speaking(name) + 1


@workflow
async def receive_for_speaking() -> Any:
    return await keepstep.receive("picked")


@workflow
async def callback_for_speaking() -> Any:
    callback = keepstep.callback()
    keepstep.set_status(callback.token)
    return await callback.result()


@workflow
class BasketForSpeaking:
    def __init__(self) -> None:
        self.items: list[str] = []
        self.is_closed = False

    async def run(self) -> list[str]:
        await keepstep.wait_for(lambda: self.is_closed)
        return self.items

    @keepstep.query
    def total(self, least: int = 0) -> int:
        if least > 100:
            raise ValueError("so many there are never")
        return max(len(self.items), least)

    @keepstep.update
    async def add(self, item: str) -> int:
        if item == "broken":
            raise ValueError("it broke")
        self.items.append(item)
        return len(self.items)

    @add.validator
    def check_add(self, item: str) -> None:
        if not item:
            raise ValueError("an item has a name")

    @keepstep.signal
    def close(self) -> None:
        self.is_closed = True


async def status_of(api: Api, id: str, wanted: str) -> Any:
    async def look() -> Any:
        found = await api.get(f"/runs/{id}")
        return found if wanted in (found["status"], found["condition"]) else None

    return await until(look)


async def test_a_signal_is_accepted_and_handled_and_by_its_id_once(engine: Engine, api: Api) -> None:
    await api.post("/runs", {"type": "receive_for_speaking", "id": "r"})
    answer = await api.ask("POST", "/runs/r/signals/picked", json={"value": {"by": "anna"}, "id": "s1"})
    assert (answer.status_code, answer.json()) == (202, {"id": "r"})
    assert await engine.get("r").result() == {"by": "anna"}


async def test_a_signal_without_a_body_carries_null(engine: Engine, api: Api) -> None:
    await api.post("/runs", {"type": "receive_for_speaking", "id": "r"})
    await api.post("/runs/r/signals/picked")
    assert await engine.get("r").result() is None


async def test_a_closed_run_takes_no_message_and_one_that_is_not_there_neither(engine: Engine, api: Api) -> None:
    await api.post("/runs", {"type": "receive_for_speaking", "id": "r"})
    await api.post("/runs/r/terminate", {"reason": "enough"})
    for path in ("signals/picked", "cancel", "terminate", "pause", "resume"):
        assert (await api.refusal("POST", f"/runs/r/{path}"))[:2] == (410, "run_closed"), path
        assert (await api.refusal("POST", f"/runs/none/{path}"))[:2] == (404, "not_found"), path


async def test_a_query_is_answered_and_its_errors_are_told(api: Api) -> None:
    await api.post("/runs", {"type": "BasketForSpeaking", "id": "b"})
    assert await api.post("/runs/b/queries/total", {"args": [3]}) == {"result": 3}
    assert await api.post("/runs/b/queries/total") == {"result": 0}
    failed = await api.refusal("POST", "/runs/b/queries/total", json={"args": [101]})
    assert (failed[:2], "so many there are never" in failed[2]) == ((422, "query_failed"), True)
    unknown = await api.refusal("POST", "/runs/b/queries/sum")
    assert (unknown[:2], "it has: total" in unknown[2]) == ((400, "invalid_input"), True)
    misfit = await api.refusal("POST", "/runs/b/queries/total", json={"args": ["x"]})
    assert misfit[:2] == (400, "invalid_input")


async def test_an_update_is_done_once_by_its_id_and_its_refusals_are_told(engine: Engine, api: Api) -> None:
    await api.post("/runs", {"type": "BasketForSpeaking", "id": "b"})
    for _ in range(2):
        assert await api.post("/runs/b/updates/add", {"args": ["x"], "id": "u1"}) == {"result": 1, "id": "u1"}
    rejected = await api.refusal("POST", "/runs/b/updates/add", json={"args": [""]})
    assert (rejected[:2], "an item has a name" in rejected[2]) == ((422, "update_rejected"), True)
    failed = await api.refusal("POST", "/runs/b/updates/add", json={"args": ["broken"]})
    assert (failed[:2], "it broke" in failed[2]) == ((422, "update_failed"), True)
    await api.post("/runs/b/signals/close")
    assert await engine.get("b").result() == ["x"]


async def test_an_update_that_nobody_takes_names_the_id_to_ask_again_by(api: Api) -> None:
    await api.post("/runs", {"type": "BasketForSpeaking", "id": "b"})
    await api.post("/runs/b/pause")
    late = await api.refusal("POST", "/runs/b/updates/add", json={"args": ["x"], "timeout": 0.05, "id": "u1"})
    assert (late[:2], "'u1'" in late[2]) == ((504, "timed_out"), True)
    await api.post("/runs/b/resume")
    assert await api.post("/runs/b/updates/add", {"args": ["x"], "id": "u1"}) == {"result": 1, "id": "u1"}


async def test_where_nobody_serves_a_run_a_query_says_so() -> None:
    async with Engine("memory:", workers=False) as engine, api_of(engine) as api:
        await api.post("/runs", {"type": "BasketForSpeaking", "id": "b"})
        refused = await api.refusal("POST", "/runs/b/queries/total", json={"timeout": 0.05})
        assert refused[:2] == (409, "no_worker")


async def test_a_callback_is_completed_or_fails_by_its_token(engine: Engine, api: Api) -> None:
    for id, body in (("one", {"value": 7}), ("two", {"error": "no stock"})):
        await api.post("/runs", {"type": "callback_for_speaking", "id": id})

        async def token(id: str = id) -> Any:
            return (await api.get(f"/runs/{id}"))["status_text"]

        assert await api.post(f"/callbacks/{await until(token)}", body) == {"completed": True}
    assert await engine.get("one").result() == 7
    with pytest.raises(keepstep.WorkflowFailed, match="no stock"):
        await engine.get("two").result()
    assert (await api.refusal("POST", "/callbacks/made-up", json={"value": 1}))[:2] == (404, "not_found")


async def test_a_run_is_paused_resumed_and_cancelled(engine: Engine, api: Api) -> None:
    await api.post("/runs", {"type": "receive_for_speaking", "id": "r"})
    await api.post("/runs/r/pause")
    await status_of(api, "r", "paused")
    assert (await api.refusal("POST", "/runs/r/retry"))[:2] == (400, "invalid_input")
    await api.post("/runs/r/resume")
    assert (await api.ask("POST", "/runs/r/cancel", json={"reason": "not wanted"})).status_code == 202
    assert (await status_of(api, "r", "cancelled"))["error"] == "cancelled: not wanted"


async def test_a_failed_run_is_retried_and_forked_with_another_result(engine: Engine, api: Api) -> None:
    await api.post("/runs", {"type": "weigh_twice_for_speaking", "input": ["a"], "id": "w"})
    await status_of(api, "w", "failed")
    answer = await api.ask("POST", "/runs/w/fork", json={"replace": {"weigh_for_speaking": 41}, "id": "w2"})
    assert (answer.status_code, answer.headers["location"]) == (201, "/api/v1/runs/w2")
    assert await engine.get("w2").result() == 42
    misfit = await api.refusal("POST", "/runs/w/fork", json={"replace": {"weigh_for_speaking": "heavy"}})
    assert misfit[:2] == (400, "invalid_input")
    weights["a"] = 5
    try:
        await api.post("/runs/w/retry")
        assert await engine.get("w").result() == 6
    finally:
        weights["a"] = -1
    assert (await api.refusal("POST", "/runs/w/retry"))[:2] == (400, "invalid_input")


async def test_an_uncertain_step_is_resolved_by_its_value_or_its_error(engine: Engine, api: Api) -> None:
    for id, said in (("one", {"value": "paid"}), ("two", {"error": "declined"})):
        await api.post("/runs", {"type": "pay_for_speaking", "id": id})
        [wait] = (await status_of(api, id, "uncertain"))["waiting_for"]
        assert (wait["key"], wait["parked"]) == ("charge_for_speaking", "uncertain")
        misfit = await api.refusal("POST", f"/runs/{id}/resolve", json={"key": wait["key"], "value": 7})
        assert misfit[:2] == (400, "invalid_input")
        await api.post(f"/runs/{id}/resolve", {"key": wait["key"], **said})
    assert await engine.get("one").result() == "paid"
    with pytest.raises(keepstep.WorkflowFailed, match="declined"):
        await engine.get("two").result()


async def test_what_became_of_a_step_is_said_by_a_value_or_an_error_and_not_by_both(api: Api) -> None:
    await api.post("/runs", {"type": "receive_for_speaking", "id": "r"})
    for body in ({"key": "k"}, {"key": "k", "value": 1, "error": "x"}):
        refused = await api.refusal("POST", "/runs/r/resolve", json=body)
        assert (refused[:2], "either a value or an error" in refused[2]) == ((400, "invalid_input"), True)
    nothing = await api.refusal("POST", "/runs/r/resolve", json={"key": "k", "value": None})
    assert (nothing[:2], "'k'" in nothing[2]) == ((400, "invalid_input"), True)
