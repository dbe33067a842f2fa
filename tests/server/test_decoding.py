"""What is encrypted is shown to those alone who may see it: over every route, and with a line in the audit log."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

import keepstep
from keepstep import Engine, Retry, step, workflow
from keepstep.client.access import KeyRing, Role
from keepstep.client.address import open_journal
from keepstep.codecs import Codec, Keys
from keepstep.journal import Journal, uuid7
from keepstep.server.api import ROUTES
from keepstep.server.app import server_app
from keepstep.server.engines import Engines
from keepstep.server.guard import Guard
from keepstep.worker.attempt import ATTEMPT
from keepstep.worker.opening import HUMAN_TASK
from tests.server.asking import Api, until

SECRET = "4711-0815"


@step(retry=Retry(max_attempts=1))
async def refuse_sealed(card: str) -> str:
    raise ValueError(f"the card {card} is refused")


@step
async def copy_sealed(card: str) -> str:
    return card


@workflow
class ChargeSealed:
    def __init__(self) -> None:
        self.card = ""

    async def run(self, card: str) -> str:
        self.card = await copy_sealed(card)
        go = await keepstep.receive("go", str)
        keepstep.write_stream("cards", go)
        return self.card

    @keepstep.query
    def which_card(self) -> str:
        return self.card

    @keepstep.update
    async def change_card(self, card: str) -> str:
        if card.startswith("bad"):
            raise ValueError(f"{self.card} cannot become {card}")
        self.card = card
        return card


@workflow
async def fail_sealed(card: str) -> None:
    await refuse_sealed(card)


@workflow
async def ask_sealed(card: str) -> str:
    return await keepstep.human_task("may it be charged?", str, assignee=card)


@workflow
async def say_sealed(card: str) -> None:
    keepstep.write_stream("cards", card)


class House:
    """A server that has the keys of the codec, and three who call."""

    def __init__(self, engine: Engine, api: Api, keys: dict[str, str]) -> None:
        self.engine = engine
        self.api = api
        self._keys = keys

    def headers(self, who: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._keys[who]}"}

    async def ask(self, who: str, method: str, path: str, **options: Any) -> httpx2.Response:
        return await self.api.ask(method, path, headers=self.headers(who), **options)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    store: Journal = await open_journal("memory:")
    codec = Codec(keys=Keys({"k": bytes(32)}))
    ring = KeyRing(store, os.urandom, uuid7)
    async with Engine("memory:", journal=store, codec=codec) as engine, asyncio.timeout(60):
        keys = {
            "reader": (await ring.create("reader", Role.READ))[1],
            "admin": (await ring.create("admin", Role.ADMIN))[1],
            "decoder": (await ring.create("decoder", Role.ADMIN, decodes=True))[1],
            "elsewhere": (await ring.create("elsewhere", Role.READ, ("other",), decodes=True))[1],
        }
        await engine.start(ChargeSealed, SECRET, id="charge")
        await engine.start(ask_sealed, SECRET, id="ask")
        with pytest.raises(keepstep.WorkflowFailed):
            await engine.run(fail_sealed, SECRET, id="fail")
        await engine.schedule("daily", "fail_sealed", SECRET, cron="0 3 * * *")

        async def is_waiting() -> bool:
            return [each.name for each in (await engine.get("charge").describe()).waiting_for] == ["go"]

        await until(is_waiting)

        def make(namespace: str) -> Engine:
            return Engine("memory:", journal=store, codec=codec, namespace=namespace, workers=False)

        engines = Engines(engine, make, store)
        transport = httpx2.ASGITransport(app=server_app(engines, Guard(ring, store.clock)))
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8710") as client:
            yield House(engine, Api(client), keys)
        await engines.close()
    await store.close()


LOOKS = [route for route in ROUTES if route.method == "GET" and route.is_json]


@pytest.mark.parametrize("who", ["reader", "admin"])
async def test_no_look_shows_what_is_encrypted_to_who_may_not_see_it(house: House, who: str) -> None:
    for route in LOOKS:
        for id in ("charge", "ask", "fail", "daily"):
            answer = await house.ask(who, "GET", re.sub(r"\{\w+\}", id, route.path))
            assert SECRET not in answer.text, route.name


async def test_who_may_see_it_sees_it_where_it_belongs(house: House) -> None:
    shown = [
        route.name
        for route in LOOKS
        for id in ("charge", "ask", "fail", "daily")
        if SECRET in (await house.ask("decoder", "GET", re.sub(r"\{\w+\}", id, route.path))).text
    ]
    assert {"describe_run", "read_history", "read_timeline", "list_human_tasks", "describe_schedule"} <= set(shown)
    assert (await house.ask("decoder", "GET", "/runs/charge")).json()["input"] == [SECRET]


async def test_views_and_who_has_decided_are_seen_by_who_may_read_and_what_was_answered_is_not(house: House) -> None:
    saved = {"name": "charges", "filter": "WorkflowType = 'ChargeSealed'"}
    assert (await house.ask("admin", "POST", "/views", json=saved)).status_code == 200
    for who in ("reader", "decoder"):
        [view] = (await house.ask(who, "GET", "/views")).json()["views"]
        assert (view["name"], view["filter"], view["by"]) == ("charges", saved["filter"], "admin")
    [task] = (await house.ask("decoder", "GET", "/human-tasks")).json()["tasks"]
    said = {"value": f"charge {SECRET}", "by": "Ada"}
    assert (await house.ask("admin", "POST", f"/callbacks/{task['token']}", json=said)).status_code == 200
    await house.engine.get("ask").result()
    [blind] = (await house.ask("reader", "GET", "/human-tasks/decisions")).json()["decisions"]
    [open_] = (await house.ask("decoder", "GET", "/human-tasks/decisions")).json()["decisions"]
    assert (blind["title"], open_["by"], open_["answer"]) == ("may it be charged?", "Ada (key admin)", said["value"])
    assert SECRET not in str(blind)


async def test_others_are_told_that_it_is_encrypted_and_how_long_it_is(house: House) -> None:
    described = (await house.ask("reader", "GET", "/runs/charge")).json()
    assert described["input"] == "<encrypted with key 'k'>"
    assert (described["id"], described["status"]) == ("charge", "running")
    events = (await house.ask("reader", "GET", "/runs/charge/history")).json()["events"]
    assert events[0]["data"]["sealed"] == "<encrypted with key 'k'>"
    assert events[0]["data"]["bytes"] > len(SECRET)
    schedule = (await house.ask("reader", "GET", "/schedules/daily")).json()
    assert (schedule["input"], schedule["when"]) == ("<encrypted>", "0 3 * * * (UTC)")


async def test_what_a_run_says_is_opened_for_who_may_see_it_alone(house: House) -> None:
    await house.engine.run(say_sealed, SECRET, id="say")
    for who, status in (("reader", 409), ("admin", 409), ("decoder", 200)):
        for path in ("/runs/say/streams/cards", "/runs/say/streams/cards/live"):
            answer = await house.api.client.get(f"/api/v1{path}", headers=house.headers(who))
            assert (answer.status_code, SECRET in answer.text) == (status, status == 200), (who, path, answer.text)


async def test_a_stream_that_goes_on_stays_closed_to_who_may_not_see_it(house: House) -> None:
    path = "/api/v1/runs/charge/streams/cards/live"
    reading = asyncio.ensure_future(house.api.client.get(path, headers=house.headers("reader")))
    await house.engine.signal("charge", "go", SECRET)
    said = (await reading).text
    assert SECRET not in said


def bytes_in(answer: httpx2.Response) -> bytes:
    """An answer, and what its parts in base64 stand for."""
    parts = re.findall(r'"([A-Za-z0-9+/]{4,}={0,2})"', answer.text)
    return answer.content + b"".join(base64.b64decode(part) for part in parts if len(part) % 4 == 0)


async def test_the_calls_of_the_library_show_cells_as_they_are_or_nothing(house: House) -> None:
    run_id = (await house.engine.get("charge").describe()).run_id
    shown = set()
    for name, body, expected in (
        ("find_run", {"namespace": "default", "workflow_id": "fail"}, 200),
        ("read_run", {"run_id": run_id}, 200),
        ("read_events", {"run_id": run_id}, 200),
        ("read_state", {"run_id": run_id, "kind": ATTEMPT}, 200),
        ("list_state", {"namespace": "default", "kind": HUMAN_TASK}, 409),
        ("read_messages", {"run_ids": [run_id]}, 200),
    ):
        for who in ("reader", "admin"):
            answer = await house.ask(who, "POST", f"/journal/{name}", json=body)
            assert answer.status_code == expected, (who, name, answer.text)
            assert SECRET.encode() not in bytes_in(answer), name
        if SECRET.encode() in bytes_in(await house.ask("decoder", "POST", f"/journal/{name}", json=body)):
            shown.add(name)
    assert {"read_events", "list_state"} <= shown


async def test_a_permission_for_one_namespace_shows_nothing_of_another(house: House) -> None:
    assert (await house.ask("elsewhere", "GET", "/runs/charge")).status_code == 403


async def test_who_may_not_see_it_asks_no_query_and_is_not_told_what_an_update_says(house: House) -> None:
    asked = await house.ask("reader", "POST", "/runs/charge/queries/which_card")
    assert (asked.status_code, asked.json()["error"]["code"], SECRET in asked.text) == (409, "unreadable", False)
    done = await house.ask("admin", "POST", "/runs/charge/updates/change_card", json={"args": ["0815"]})
    assert (done.status_code, done.json()["result"]) == (200, "<encrypted>")
    failed = await house.ask("admin", "POST", "/runs/charge/updates/change_card", json={"args": ["bad"]})
    assert (failed.status_code, "0815" in failed.text, "<encrypted>" in failed.text) == (422, False, True)
    seen = await house.ask("decoder", "POST", "/runs/charge/queries/which_card")
    assert seen.json()["result"] == "0815"


async def test_who_may_not_see_it_can_act_all_the_same(house: House) -> None:
    """And what they write is encrypted as all else is."""
    body = {"type": "ChargeSealed", "input": [SECRET], "id": "charge"}
    again = await house.ask("admin", "POST", "/runs", json=body)
    assert (again.status_code, SECRET in again.text) == (200, False)
    other = await house.ask("admin", "POST", "/runs", json={**body, "input": ["another"]})
    assert other.json()["error"]["code"] == "already_started"
    assert (await house.ask("admin", "POST", "/runs/charge/signals/go", json={"value": "now"})).status_code == 202
    assert await house.engine.get("charge").result() == SECRET
    for path, more in (
        ("/runs/fail/retry", {}),
        ("/runs/ask/pause", {}),
        ("/runs/ask/resume", {}),
        ("/runs/charge/fork", {"at": 1}),
        ("/schedules/daily/pause", {}),
        ("/runs/ask/terminate", {}),
    ):
        answer = await house.ask("admin", "POST", path, json=more)
        assert answer.status_code in (200, 201), (path, answer.text)
        assert SECRET not in answer.text, path
    made = await house.ask(
        "admin", "POST", "/schedules", json={"id": "s", "type": "fail_sealed", "input": [SECRET], "cron": "0 3 * * *"}
    )
    assert (made.status_code, SECRET in made.text) == (201, False)
    headers = house.headers("admin")
    for action in ("cancel", "retry"):
        bulk = {"action": action, "everything": True, "dry_run": True}
        dry = await house.api.client.post("/api/v1/bulk", json=bulk, headers=headers)  # whose answer is lines of JSON
        assert (dry.status_code, SECRET in dry.text) == (200, False)


async def test_what_is_opened_is_in_the_audit_log(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "keepstep.audit")
    await house.ask("reader", "GET", "/runs/charge")
    await house.ask("decoder", "GET", "/runs/charge")
    await house.ask("decoder", "GET", "/runs/count")
    [line] = caplog.records
    assert (line.__dict__["caller"], line.__dict__["call"], line.__dict__["decoded"] > 0) == (
        "decoder",
        "describe_run",
        True,
    )
    assert "encrypted values opened" in line.getMessage()
