"""Schedules over HTTP: made, shown, changed, paused, fired and deleted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from keepstep import Engine, workflow
from tests.server.asking import Api, until

NIGHTLY = {
    "id": "night/ly", "type": "close_for_schedules", "input": ["x"], "cron": "0 3 * * *", "tz": "Europe/Berlin",
    "overlap": "allow", "note": "by hand", "timeout": "1h", "attributes": {"shop": "b"},
}  # fmt: skip


@workflow
async def close_for_schedules(what: str) -> str:
    return what


async def change(api: Api, id: str, **body: Any) -> Any:
    answer = await api.ask("PATCH", f"/schedules/{id}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_schedule_is_made_and_shown_with_its_next_firings_in_utc(api: Api) -> None:
    answer = await api.ask("POST", "/schedules", json=NIGHTLY)
    assert (answer.status_code, answer.headers["location"]) == (201, "/api/v1/schedules/night%2Fly")
    shown = await api.get("/schedules/night%2Fly")
    assert (shown["type"], shown["input"], shown["overlap"], shown["note"]) == (
        "close_for_schedules",
        ["x"],
        "allow",
        "by hand",
    )
    assert (shown["spec"]["cron"], shown["spec"]["tz"], shown["timeout"]) == (["0 3 * * *"], "Europe/Berlin", 3600)
    assert shown["when"] == "0 3 * * * (Europe/Berlin)"
    assert {datetime.fromisoformat(each).hour for each in shown["upcoming"]} <= {1, 2}
    assert (await api.post("/schedules", NIGHTLY))["created_at"] == shown["created_at"]
    other = await api.refusal("POST", "/schedules", json={**NIGHTLY, "cron": "0 4 * * *"})
    assert other[:2] == (409, "already_started")


async def test_when_a_schedule_would_fire_is_told_without_making_it(api: Api) -> None:
    asked = {"cron": "0 9 * * MON-FRI", "tz": "Europe/Berlin", "count": 3, "start_at": "2031-03-28T00:00:00Z"}
    told = await api.post("/schedule-preview", asked)
    assert told["when"] == "0 9 * * MON-FRI (Europe/Berlin)"
    assert told["upcoming"] == [
        "2031-03-28T09:00:00+01:00",
        "2031-03-31T09:00:00+02:00",
        "2031-04-01T09:00:00+02:00",
    ]
    assert len((await api.post("/schedule-preview", {"every": "15m"}))["upcoming"]) == 10
    for wrong in ({}, {"cron": "often"}, {"every": "15m", "tz": "Nowhere"}, {"every": "15m", "count": 101}):
        assert (await api.refusal("POST", "/schedule-preview", json=wrong))[:2] == (400, "invalid_input")
    assert (await api.get("/schedules"))["schedules"] == []


async def test_every_way_to_say_when_is_taken(api: Api) -> None:
    body = {
        "id": "s", "type": "close_for_schedules", "input": ["x"], "every": [3600, "90m"], "offset": 60, "jitter": "5s",
        "calendar": [{"weekday": "MON-FRI", "hour": [9, 17]}], "exclude": ["2030-12-25", {"month": 8}],
        "start_at": "2030-01-01T00:00:00Z", "end_at": "2031-01-01T00:00:00+01:00",
    }  # fmt: skip
    spec = (await api.post("/schedules", body))["spec"]
    assert (spec["every"], spec["offset"], spec["jitter"]) == ([3600, 5400], 60, 5)
    assert spec["calendar"][0]["weekday"] == "MON-FRI"
    assert len(spec["exclude"]) == 2
    assert (spec["start_at"], spec["end_at"]) == ("2030-01-01T00:00:00Z", "2030-12-31T23:00:00Z")


@pytest.mark.parametrize(
    "wrong",
    [{"cron": "nonsense"}, {"tz": "Nowhere"}, {"cron": "0 3 * * *", "every": 0}, {"every": -5}, {"overlap": "maybe"},
     {"start_at": "2030-01-01T00:00:00"}, {"calendar": [{"moon": "full"}]}, {"type": "nobody_serves_this"},
     {"input": []}, {"id": ""}, {"limit": 0}, {"catchup": "soon"}, {"exclude": [7]}, {"if_exists": "destroy"}],
)  # fmt: skip
async def test_a_schedule_that_cannot_be_meant_is_refused(api: Api, wrong: dict[str, Any]) -> None:
    refused = await api.refusal("POST", "/schedules", json={**NIGHTLY, **wrong})
    assert refused[:2] == (400, "invalid_input")
    assert (await api.get("/schedules"))["schedules"] == []


async def test_what_is_given_is_changed_and_the_rest_stays(api: Api) -> None:
    await api.post("/schedules", NIGHTLY)
    changed = await change(api, "night%2Fly", every="2h", input=["y"], limit=5, timeout=None)
    assert (changed["spec"]["cron"], changed["spec"]["every"]) == ([], [7200])
    assert (changed["spec"]["tz"], changed["input"], changed["left"]) == ("Europe/Berlin", ["y"], 5)
    assert (changed["timeout"], changed["attributes"], changed["overlap"]) == (None, {"shop": "b"}, "allow")
    assert (await change(api, "night%2Fly", limit=None))["left"] is None
    wrong = await api.refusal("PATCH", "/schedules/night%2Fly", json={"input": [1, 2, 3]})
    assert wrong[:2] == (400, "invalid_input")


async def test_it_is_paused_fired_by_hand_and_resumed_and_its_history_tells(engine: Engine, api: Api) -> None:
    await api.post("/schedules", NIGHTLY)
    paused = await api.post("/schedules/night%2Fly/pause", {"note": "holidays"})
    assert (paused["paused"], paused["note"]) == (True, "holidays")
    run = (await api.post("/schedules/night%2Fly/trigger", {"id": "by-hand"}))["run"]
    assert run == "by-hand"

    async def fired() -> Any:
        return (await api.get("/schedules/night%2Fly"))["recent"]

    [firing] = await until(fired)
    assert firing["id"] == "by-hand"
    assert await engine.get("by-hand").result() == "x"
    assert (await api.post("/schedules/night%2Fly/resume"))["paused"] is False
    kinds = [each["kind"] for each in (await api.get("/schedules/night%2Fly/history"))["events"]]
    assert kinds[:2] == ["created", "paused"]
    assert {"triggered", "fired", "resumed"} <= set(kinds)


async def test_firings_are_made_up_for(engine: Engine, api: Api) -> None:
    await api.post("/schedules", {**NIGHTLY, "tz": "UTC"})
    body = {"start": "2020-01-01T00:00:00Z", "end": "2020-01-03T00:00:00Z", "overlap": "allow"}
    answer = await api.ask("POST", "/schedules/night%2Fly/backfill", json=body)
    assert answer.status_code == 202

    async def fired() -> Any:
        recent = (await api.get("/schedules/night%2Fly"))["recent"]
        return recent if len(recent) == 2 else None

    moments = [datetime.fromisoformat(each["scheduled_for"]) for each in await until(fired)]
    assert moments == [datetime(2020, 1, day, 3, tzinfo=UTC) for day in (1, 2)]
    backwards = {"start": "2020-01-03T00:00:00Z", "end": "2020-01-01T00:00:00Z"}
    assert (await api.refusal("POST", "/schedules/night%2Fly/backfill", json=backwards))[0] == 400


async def test_pages_of_schedules_have_all_of_them(api: Api) -> None:
    for n in range(5):
        await api.post("/schedules", {**NIGHTLY, "id": f"s{n}"})
    ids: list[str] = []
    page = await api.get("/schedules", limit=2)
    while True:
        ids += [each["id"] for each in page["schedules"]]
        if page["next"] is None:
            break
        page = await api.get("/schedules", limit=2, cursor=page["next"])
    assert ids == ["s4", "s3", "s2", "s1", "s0"]
    for wrong in ("x", "1", "1.", "-1.a", "9" * 30 + ".a"):
        assert (await api.refusal("GET", f"/schedules?cursor={wrong}"))[:2] == (400, "invalid_input")


async def test_a_deleted_schedule_is_gone_and_one_that_never_was_too(api: Api) -> None:
    await api.post("/schedules", NIGHTLY)
    assert (await api.ask("DELETE", "/schedules/night%2Fly")).json() == {"id": "night/ly"}
    for method, path in (
        ("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/trigger"),
    ):  # fmt: skip
        for id in ("night%2Fly", "never"):
            assert (await api.refusal(method, f"/schedules/{id}{path}"))[:2] == (404, "not_found")
    assert (await api.refusal("GET", "/schedules/never/history"))[:2] == (404, "not_found")
