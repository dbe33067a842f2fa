"""Runs over HTTP: started, listed, counted and described as the library does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest

import keepstep
from keepstep import Engine, Retry, step, workflow
from keepstep.journal import Overloaded, StoreUnavailable
from tests.server.asking import Api, until


@dataclass
class Parcel:
    name: str
    weight: float = 1.0


@step(retry=Retry(max_attempts=1))
async def weigh_over_http(parcel: Parcel) -> float:
    if parcel.weight < 0:
        raise ValueError("a parcel has a weight")
    return parcel.weight


@workflow
async def send_over_http(parcel: Parcel, note: str = "") -> float:
    return await weigh_over_http(parcel)


@workflow
async def wait_over_http() -> Any:
    keepstep.set_attributes(customer="c7")
    return await keepstep.receive("picked")


@workflow
async def parent_over_http() -> Any:
    return await wait_over_http()


async def test_a_run_is_started_with_its_input_and_told_where_it_is(engine: Engine, api: Api) -> None:
    body = {
        "type": "send_over_http",
        "input": [{"name": "a", "weight": 2.5}],
        "id": "order/7 ü",
        "attributes": {"k": 1},
    }
    answer = await api.ask("POST", "/runs", json=body)
    assert (answer.status_code, answer.json()["id"], answer.json()["attributes"]) == (201, "order/7 ü", {"k": 1})
    assert answer.headers["location"] == "/api/v1/runs/order%2F7%20%C3%BC"
    assert await engine.get("order/7 ü").result() == 2.5
    found = await api.get("/runs/order%2F7%20%C3%BC")
    assert (found["status"], found["result"], found["input"]) == ("completed", 2.5, [{"name": "a", "weight": 2.5}])
    assert found["started_at"].endswith("Z")


async def test_the_same_start_attaches_and_another_input_is_refused(api: Api) -> None:
    body = {"type": "wait_over_http", "id": "once"}
    first, second = [await api.ask("POST", "/runs", json=body) for _ in range(2)]
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["run_id"] == second.json()["run_id"]
    rejected = await api.refusal("POST", "/runs", json={**body, "if_running": "reject"})
    assert rejected[:2] == (409, "already_started")
    other = await api.refusal("POST", "/runs", json={"type": "parent_over_http", "id": "once"})
    assert other[:2] == (409, "already_started")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "must be JSON"),
        (b'{"type": "wait_over_http", "input": ' + b"[" * 200_000, "nested too deeply"),
        (b"\xff", "must be JSON"),
        (b"null", "Expected 'object'"),
        (b"", "missing required field 'type'"),
        (b'{"type": 7}', "the body, type: Expected 'str', got 'int'"),
        (b'{"type": "send_over_http", "inputs": []}', "unknown field 'inputs'"),
        (b'{"type": "nobody_has_this"}', "nobody_has_this"),
        (b'{"type": "send_over_http", "input": ["x"]}', "parcel"),
        (b'{"type": "send_over_http", "input": []}', "parcel"),
        (b'{"type": "wait_over_http", "if_running": "perhaps"}', "the body, if_running"),
        (b'{"type": "wait_over_http", "id": ""}', "id"),
        (b'{"type": "wait_over_http", "delay": "soon"}', "soon"),
        (b'{"type": "wait_over_http", "attributes": {"RunId": 1}}', "RunId"),
        (b'{"type": "wait_over_http", "priority": 1000000000000000000000}', "priority"),
        (b'{"type": "wait_over_http", "dedup": "k", "id": "k"}', "give id= or dedup="),
        (b'{"type": "wait_over_http", "timeout": 1e999}', "out of range"),
    ],
)
async def test_a_start_that_cannot_be_meant_is_refused_and_says_why(api: Api, body: bytes, said: str) -> None:
    status, code, message = await api.refusal("POST", "/runs", content=body)
    assert (status, code) == (400, "invalid_input")
    assert said in message
    assert (await api.get("/runs/count"))["count"] == 0


async def test_a_value_over_its_limit_is_too_large_and_so_is_a_body(api: Api) -> None:
    huge = await api.refusal("POST", "/runs", json={"type": "wait_over_http", "id": "x" * 600})
    assert huge[:2] == (413, "too_large")
    value = await api.refusal("POST", "/runs", json={"type": "send_over_http", "input": [{"name": "x" * 2_100_000}]})
    assert value[:2] == (413, "too_large")
    body = await api.refusal("POST", "/runs", content=b"x" * 2_500_000)
    assert body[:2] == (413, "too_large")


async def test_pages_go_through_all_runs_and_the_last_one_says_so(api: Api) -> None:
    for n in range(5):
        await api.post("/runs", {"type": "wait_over_http", "id": f"r{n}"})
    ids: list[str] = []
    page = await api.get("/runs", limit=2)
    while True:
        ids += [each["id"] for each in page["runs"]]
        if page["next"] is None:
            break
        page = await api.get("/runs", limit=2, cursor=page["next"])
    assert ids == ["r4", "r3", "r2", "r1", "r0"]


async def test_a_filter_chooses_and_one_that_is_wrong_says_where(engine: Engine, api: Api) -> None:
    for n in range(3):
        await api.post("/runs", {"type": "wait_over_http", "id": f"r{n}"})
    await engine.get("r1").terminate("enough")
    assert (await api.get("/runs/count", filter="Status = 'terminated'"))["count"] == 1
    [one] = (await api.get("/runs", filter="WorkflowId = 'r1'"))["runs"]
    assert (one["status"], one["error"]) == ("terminated", "terminated: enough")
    answer = await api.ask("GET", "/runs", params={"filter": "Status = "})
    assert answer.status_code == 400
    assert (answer.json()["error"]["field"], answer.json()["error"]["position"]) == ("filter", 10)


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=x", "limit=", "cursor=nonsense", "colour=red", "limit=1&limit=2", "filter=%FF",
     "filter=%00", "namespace=", "namespace=other-one/schedules", "&".join(f"a{n}=1" for n in range(60))],
)  # fmt: skip
async def test_a_query_that_is_not_as_described_is_refused(api: Api, query: str) -> None:
    status, code, _ = await api.refusal("GET", f"/runs?{query}")
    assert (status, code) in ((400, "invalid_input"), (404, "not_found"))


async def test_runs_are_counted_by_status_and_type(engine: Engine, api: Api) -> None:
    for n in range(3):
        await api.post("/runs", {"type": "wait_over_http", "id": f"r{n}"})
    await engine.get("r0").terminate()
    await api.post("/runs", {"type": "parent_over_http", "id": "p"})

    async def counted() -> Any:
        counts = await api.get("/runs/counts")
        return counts if counts["by_status"]["running"] == 4 else None

    counts = await until(counted)
    assert counts["by_status"]["terminated"] == 1
    by_type = {each["type"]: each["count"] for each in counts["by_type"]}
    assert (by_type["wait_over_http"], by_type["parent_over_http"], counts["others"]) == (4, 1, 0)


async def test_runs_are_counted_by_the_values_of_a_field(api: Api) -> None:
    for n in range(3):
        await api.post("/runs", {"type": "wait_over_http", "id": f"r{n}", "attributes": {"shop": "ab"[n % 2]}})
    groups = (await api.get("/runs/groups", field="shop", filter="WorkflowType = 'wait_over_http'"))["groups"]
    assert groups == [{"value": "a", "count": 2}, {"value": "b", "count": 1}]
    for wrong in ("field=Colour", "field=", "", "field=shop&filter=Status"):
        assert (await api.refusal("GET", f"/runs/groups?{wrong}"))[:2] == (400, "invalid_input")


async def test_a_run_is_told_of_with_why_it_waits_its_owner_and_its_children(api: Api) -> None:
    await api.post("/runs", {"type": "parent_over_http", "id": "p"})

    async def waiting() -> Any:
        found = await api.get("/runs/p")
        return found if found["children"] and found["waiting_for"] else None

    parent = await until(waiting)
    assert (parent["waiting_for"][0]["kind"], "waits for its child" in parent["progress"]) == ("child", True)
    [child] = parent["children"]
    by_run_id = await api.get(f"/runs/{child['run_id']}")
    assert (by_run_id["id"], by_run_id["parent_run_id"]) == (child["id"], parent["run_id"])
    assert parent["owner"]["pid"] > 0


async def test_a_failed_run_shows_its_error_with_its_traceback(engine: Engine, api: Api) -> None:
    await api.post("/runs", {"type": "send_over_http", "input": [{"name": "a", "weight": -1}], "id": "bad"})
    with pytest.raises(keepstep.WorkflowFailed):
        await engine.get("bad").result()
    found = await api.get("/runs/bad")
    assert (found["status"], "a parcel has a weight" in found["error"]) == ("failed", True)
    assert "weigh_over_http" in str(found["failure"]["cause"]["traceback"])
    assert "result" not in found


@pytest.mark.parametrize("path", ["/runs/none", "/runs/none/history", "/runs/r?run_id=none", "/nothing", "/runs/"])
async def test_what_is_not_there_is_not_found(api: Api, path: str) -> None:
    await api.post("/runs", {"type": "wait_over_http", "id": "r"})
    assert (await api.refusal("GET", path))[:2] == (404, "not_found")


@pytest.mark.parametrize("path", ["/runs/%00", "/runs/%ff"])
async def test_ids_that_nothing_can_have_are_refused(api: Api, path: str) -> None:
    assert (await api.refusal("GET", path))[:2] == (400, "invalid_input")


async def test_a_run_id_is_looked_for_under_its_own_workflow_id_alone(api: Api) -> None:
    one = await api.post("/runs", {"type": "wait_over_http", "id": "one"})
    await api.post("/runs", {"type": "wait_over_http", "id": "two"})
    assert (await api.get("/runs/one", run_id=one["run_id"]))["id"] == "one"
    assert (await api.refusal("GET", f"/runs/two?run_id={one['run_id']}"))[0] == 404


async def test_other_methods_are_told_which_there_are(api: Api) -> None:
    answer = await api.ask("DELETE", "/runs")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
    head = await api.client.head("/api/v1/runs")
    assert (head.status_code, head.content) == (200, b"")


async def test_an_overloaded_store_and_one_that_is_away_ask_to_come_again(
    engine: Engine, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def overloaded(*_: Any) -> None:
        raise Overloaded("the queue is full")

    async def away(*_: Any) -> None:
        raise StoreUnavailable("connection to server at 10.0.0.7 failed")

    for refuse, status, code in ((overloaded, 429, "overloaded"), (away, 503, "unavailable")):
        with monkeypatch.context() as patched:
            patched.setattr(engine.journal, "start", refuse)
            answer = await api.ask("POST", "/runs", json={"type": "wait_over_http"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        assert answer.headers["retry-after"] == "2"
        assert "10.0.0.7" not in answer.text


async def test_what_was_not_foreseen_is_not_shown(
    engine: Engine, api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(engine.journal, "find_run", broken)
    answer = await api.client.get(f"/api/v1/runs/{quote('any', safe='')}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "unexpected")
    assert "secret" not in answer.text
    assert "a secret" in caplog.text


code: list[str] = []


@workflow(guard=False)
async def changes_over_http() -> Any:
    if code:
        await weigh_over_http(Parcel("a new one"))
    return await wait_over_http()


async def test_a_fork_says_where_it_is_from_and_a_blocked_run_what_its_code_asks_for_instead(
    engine: Engine, api: Api
) -> None:
    await api.post("/runs", {"type": "changes_over_http", "id": "source"})
    source = await engine.get("source").describe()

    async def child_is_there() -> Any:
        return (await api.get("/runs/source"))["children"]

    await until(child_is_there)
    await api.post(f"/runs/{quote('source/wait_over_http', safe='')}/signals/picked", {"value": 1})
    assert await engine.get("source").result() == 1
    own = await api.get("/runs/source")
    assert (own["forked_from"], own["blocked"], own["continued_from"]) == (None, None, None)
    code.append("changed")
    try:
        await api.post("/runs/source/fork", {"at": 3, "id": "forked", "replace": {"wait_over_http": 2}})

        async def is_blocked() -> Any:
            found = await api.get("/runs/forked")
            return found if found["condition"] == "blocked" else None

        found = await until(is_blocked)
    finally:
        code.clear()
    assert found["forked_from"] == {
        "id": "source",
        "run_id": source.run_id,
        "at": 3,
        "replaced": ["wait_over_http"],
    }
    blocked = found["blocked"]
    assert "does not fit" in blocked["summary"]
    assert (blocked["seq"], "wait_over_http" in blocked["history"]) == (2, True)
    [asked] = blocked["asked"]
    assert (asked["key"], asked["site"]["function"]) == ("weigh_over_http", "changes_over_http")
    assert asked["site"]["file"].endswith("test_runs.py")
