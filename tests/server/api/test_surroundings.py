"""What is around runs, over HTTP: queues, workers, definitions, attributes, tasks for people, and bulks."""

from __future__ import annotations

import contextlib
import json
import os
from datetime import timedelta
from typing import Any

import httpx2
import pytest

import keepstep
from keepstep import Engine, workflow
from keepstep.client.access import Grant, Role
from keepstep.server.app import server_app
from keepstep.server.caller import Caller
from keepstep.server.engines import Engines
from keepstep.server.guard import Guard
from tests.server.asking import Api, until


@workflow
async def wait_nearby() -> Any:
    return await keepstep.receive("go")


@workflow
async def ask_nearby(who: str) -> str:
    return await keepstep.human_task("look at it", form=str, assignee=who, due=timedelta(days=1))


@workflow
class BasketNearby:
    async def run(self, size: int = 3) -> None:
        """Things that somebody wants."""
        await keepstep.wait_for(lambda: False)

    @keepstep.query
    def total(self) -> int:
        return 0


class Reader(Guard):
    """Takes everybody for somebody who may only read."""

    async def admit(self, *_: Any, **__: Any) -> Caller:
        return Caller(name="reader", grants=(Grant(role=Role.READ),))


async def test_a_queue_is_limited_paused_and_reset(api: Api) -> None:
    assert (await api.refusal("GET", "/queues/gpu%2F1"))[:2] == (404, "not_found")
    limited = await api.ask("PATCH", "/queues/gpu%2F1", json={"concurrency": 2, "rate": "100/m", "weights": {"a": 3}})
    assert limited.json()["limits"] == {"concurrency": 2, "rate": "100/m", "weights": {"a": 3}}
    assert (await api.post("/queues/gpu%2F1/pause"))["is_paused"] is True
    assert (await api.post("/queues/gpu%2F1/resume"))["is_paused"] is False
    lifted = await api.ask("PATCH", "/queues/gpu%2F1", json={"rate": None, "reset": ["weights"]})
    assert (lifted.json()["limits"], sorted(lifted.json()["changed"])) == ({"concurrency": 2}, ["concurrency", "rate"])
    assert "gpu/1" in [each["name"] for each in (await api.get("/queues"))["queues"]]
    assert (await api.refusal("POST", "/queues/other/resume"))[:2] == (404, "not_found")


@pytest.mark.parametrize(
    "body",
    [{}, {"concurrency": 0}, {"concurrency": 10**30}, {"rate": "often"}, {"weights": {"a": 0}}, {"colour": 1},
     {"rate": "1/s", "reset": ["rate"]}, {"reset": ["colour"]}],
)  # fmt: skip
async def test_limits_that_cannot_be_are_refused(api: Api, body: dict[str, Any]) -> None:
    assert (await api.refusal("PATCH", "/queues/q", json=body))[:2] == (400, "invalid_input")


async def test_workers_are_shown_with_what_they_serve_and_have(engine: Engine, api: Api) -> None:
    await api.post("/runs", {"type": "wait_nearby"})
    [worker] = (await api.get("/workers"))["workers"]
    assert (worker["pid"], worker["queues"], worker["is_dead"]) == (os.getpid(), ["default"], False)
    assert engine.worker is not None
    assert worker["lease_id"] == engine.worker.lease_id
    assert "python" in worker["languages"]


async def test_definitions_have_the_schemas_that_a_form_needs(api: Api) -> None:
    found = {each["name"]: each for each in (await api.get("/definitions"))["definitions"]}
    basket = found["BasketNearby"]
    assert (basket["kind"], basket["doc"], list(basket["handlers"]["query"])) == (
        "workflow",
        "Things that somebody wants.",
        ["total"],
    )
    [size] = basket["arguments"]
    assert (size["name"], size["required"], size["schema"]["type"]) == ("size", False, "integer")


async def test_attributes_are_registered_once_and_keep_their_types(api: Api) -> None:
    body = {"attributes": {"due": "datetime", "shop": "keyword"}}
    for _ in range(2):
        assert (await api.post("/attributes", body))["attributes"] == body["attributes"]
    shown = await api.get("/attributes")
    assert (shown["attributes"], shown["fields"]["StartTime"]) == (body["attributes"], "datetime")
    for wrong in ({"due": "int"}, {"due": "colour"}, {"RunId": "int"}, {"": "int"}):
        assert (await api.refusal("POST", "/attributes", json={"attributes": wrong}))[:2] == (400, "invalid_input")


async def test_tasks_for_people_are_found_and_completed_by_their_tokens(engine: Engine, api: Api) -> None:
    for who in ("ada", "bob"):
        await api.post("/runs", {"type": "ask_nearby", "input": [who], "id": who})

    async def both() -> Any:
        tasks = (await api.get("/human-tasks"))["tasks"]
        return tasks if len(tasks) == 2 else None

    await until(both)
    [task] = (await api.get("/human-tasks", filter="Assignee = 'bob'"))["tasks"]
    assert (task["title"], task["form"]["type"], task["due"].endswith("Z")) == ("look at it", "string", True)
    assert (await api.get(f"/runs/{task['run_id']}"))["id"] == "bob"
    assert (await api.refusal("POST", f"/callbacks/{task['token']}", json={"value": 7}))[0] == 400
    await api.post(f"/callbacks/{task['token']}", {"value": "fine"})
    assert await engine.get("bob").result() == "fine"
    wrong = await api.ask("GET", "/human-tasks", params={"filter": "Colour = 1"})
    assert (wrong.status_code, wrong.json()["error"]["field"]) == (400, "filter")


async def test_how_tasks_were_decided_and_by_whom_is_told_the_newest_first(engine: Engine, api: Api) -> None:
    for who in ("ada", "bob", "eve"):
        await api.post("/runs", {"type": "ask_nearby", "input": [who], "id": who})

    async def all_asked() -> Any:
        tasks = (await api.get("/human-tasks"))["tasks"]
        return {task["id"]: task for task in tasks} if len(tasks) == 3 else None

    tasks = await until(all_asked)
    assert tasks["ada"]["type"] == "ask_nearby"
    assert (await api.get("/human-tasks/decisions"))["decisions"] == []
    await api.post(f"/callbacks/{tasks['ada']['token']}", {"value": "fine", "by": "Ada L."})
    await engine.get("ada").result()
    await api.post(f"/callbacks/{tasks['bob']['token']}", {"error": "it is broken"})
    with contextlib.suppress(keepstep.WorkflowFailed):
        await engine.get("bob").result()
    page = await api.get("/human-tasks/decisions")
    told = [(each["id"], each["title"], each["outcome"], each["by"]) for each in page["decisions"]]
    assert told == [("bob", "look at it", "failed", ""), ("ada", "look at it", "completed", "Ada L.")]
    assert page["decisions"][1]["answer"] == "fine"
    assert page["next"] is None
    [span] = [each for each in (await api.get("/runs/ada/timeline"))["spans"] if each["kind"] == "task"]
    assert span["resolved_by"] == "Ada L."
    wrong = await api.ask("GET", "/human-tasks/decisions", params={"cursor": "yesterday"})
    assert (wrong.status_code, wrong.json()["error"]["field"]) == (400, "cursor")


async def test_decisions_that_lie_far_back_are_found_by_asking_on(
    engine: Engine, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keepstep.server.decisions.LOOKED_AT_MAX", 3)
    await api.post("/runs", {"type": "ask_nearby", "input": ["ada"], "id": "ada"})

    async def asked() -> Any:
        return (await api.get("/human-tasks"))["tasks"]

    await api.post(f"/callbacks/{(await until(asked))[0]['token']}", {"value": "fine"})
    await engine.get("ada").result()
    for n in range(4):
        await api.post("/runs", {"type": "wait_nearby", "id": f"later-{n}"})
    found: list[Any] = []
    cursor, pages = None, 0
    while pages == 0 or cursor is not None:
        page = await api.get("/human-tasks/decisions", **({} if cursor is None else {"cursor": cursor}))
        found, cursor, pages = found + page["decisions"], page["next"], pages + 1
    assert [each["id"] for each in found] == ["ada"]
    assert pages > 2


async def test_who_may_only_read_sees_no_token_that_completes_something(engine: Engine, api: Api) -> None:
    await api.post("/runs", {"type": "ask_nearby", "input": ["ada"], "id": "ada"})

    async def asked() -> Any:
        return (await api.get("/human-tasks"))["tasks"]

    [task] = await until(asked)
    transport = httpx2.ASGITransport(app=server_app(Engines(engine), Reader()))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as web:
        for path in ("human-tasks", "runs", "runs/ada", "runs/ada/history", "runs/ada/timeline"):
            answer = await web.get(f"/api/v1/{path}")
            assert answer.status_code == 200
            assert task["token"] not in answer.text, path
    assert task["token"] in str(await api.get("/runs/ada"))


async def test_views_are_saved_for_everybody_shown_and_deleted(api: Api) -> None:
    assert await api.get("/views") == {"views": []}
    await api.post("/views", {"name": "failed / today", "filter": "Status = 'failed'"})
    [view] = (await api.get("/views"))["views"]
    assert (view["name"], view["filter"], view["by"]) == ("failed / today", "Status = 'failed'", "")
    wrong = await api.ask("POST", "/views", json={"name": "x", "filter": "Status ="})
    assert (wrong.status_code, wrong.json()["error"]["position"]) == (400, 9)
    assert (await api.ask("DELETE", "/views/failed%20%2F%20today")).json() == {"views": []}
    assert (await api.refusal("DELETE", "/views/failed%20%2F%20today"))[:2] == (404, "not_found")
    assert (await api.get("/namespaces"))["namespaces"] == ["default"]
    assert "views" not in str(await api.get("/queues"))


def lines(answer: httpx2.Response) -> list[dict[str, Any]]:
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson"), answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


async def bulk(api: Api, **body: Any) -> list[dict[str, Any]]:
    return lines(await api.client.post("/api/v1/bulk", json=body))


async def test_many_runs_are_looked_at_before_and_spoken_to_then(api: Api) -> None:
    for n in range(5):
        await api.post("/runs", {"type": "wait_nearby", "id": f"r{n}"})
    [preview] = await bulk(api, action="terminate", filter="WorkflowType = 'wait_nearby'", dry_run=True)
    assert (preview["total"], preview["dry_run"], preview["is_complete"], len(preview["sample"])) == (5, True, True, 5)
    assert (await api.get("/runs/count", filter="Status = 'running'"))["count"] == 5
    told = await bulk(api, action="terminate", filter="WorkflowType = 'wait_nearby'", reason="enough")
    assert (told[-1]["done"], told[-1]["refused"], told[-1]["is_complete"]) == (5, 0, True)
    assert (await api.get("/runs/r3"))["error"] == "terminated: enough"


async def test_a_signal_to_many_reaches_each_once_however_often_it_is_sent(engine: Engine, api: Api) -> None:
    for n in range(3):
        await api.post("/runs", {"type": "wait_nearby", "id": f"r{n}"})
    sent = await bulk(api, action="signal", name="go", value=7, everything=True)
    again = await bulk(
        api, action="signal", name="go", value=8, everything=True, id=sent[-1]["id"], began_at=sent[-1]["began_at"]
    )
    assert again[-1]["done"] == 0
    assert [await engine.get(f"r{n}").result() for n in range(3)] == [7, 7, 7]


@pytest.mark.parametrize(
    "body",
    [{"action": "cancel"}, {"action": "cancel", "filter": "Status = "}, {"action": "destroy", "everything": True},
     {"action": "signal", "everything": True}, {"action": "cancel", "everything": True, "name": "go"},
     {"action": "retry", "everything": True, "reason": "x"},
     {"action": "cancel", "everything": True, "filter": "Id = 'x'"},
     {"action": "cancel", "filter": "Id = 'x' ORDER BY StartTime"}],
)  # fmt: skip
async def test_a_bulk_that_cannot_be_meant_is_refused_before_it_begins(api: Api, body: dict[str, Any]) -> None:
    await api.post("/runs", {"type": "wait_nearby", "id": "r"})
    answer = await api.client.post("/api/v1/bulk", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_input")
    assert (await api.get("/runs/r"))["status"] == "running"


async def test_what_goes_wrong_in_the_middle_of_a_bulk_is_its_last_line(
    engine: Engine, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keepstep.client.bulk.walk.PAGE", 1)
    for n in range(3):
        await api.post("/runs", {"type": "wait_nearby", "id": f"r{n}"})
    search, asked = engine.journal.search_runs, 0

    async def away(*given: Any, **named: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == 4:  # after a look for runs that wait for their delay, and two pages
            raise keepstep.Overloaded("too much")
        return await search(*given, **named)

    monkeypatch.setattr(engine.journal, "search_runs", away)
    *told, last = await bulk(api, action="terminate", everything=True)
    assert (told[-1]["done"], told[-1]["is_complete"]) == (2, False)
    assert last["error"]["code"] == "overloaded"
