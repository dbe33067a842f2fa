"""What a key lets a client do, what it does not see, and what no client may write, whatever its key."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import msgspec
import pytest

import keepstep
from keepstep import AccessDenied, Engine, InvalidInput, NotFound, workflow
from keepstep.client.access import KeyRing, Role
from keepstep.client.address import open_journal
from keepstep.journal import Condition, NewEvent, NewMessage, NewRun, Status, uuid7
from keepstep.journal.port import Journal
from keepstep.journal.remote import words
from keepstep.journal.remote.journal import _ELSEWHERE, RemoteJournal
from keepstep.journal.search import Search
from keepstep.runtime import history
from keepstep.server import guard as guard_module
from keepstep.server.guard import Guard
from tests.client.remote.house import House, house_of
from tests.server.test_access import random_bytes


@workflow
async def far_guarded(title: str) -> str:
    callback = keepstep.callback()
    keepstep.set_status("waiting")
    answer: str = await keepstep.human_task(title, form=str)
    await callback.result(str)
    return answer


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(guard_module, "KEEP_SECONDS", 0.0)
    store = await open_journal("memory:")
    ring = KeyRing(store, random_bytes, uuid7)
    async with (
        house_of(
            guard=Guard(ring, store.clock), store=store, callback_url="http://here", show_after_seconds=0.01
        ) as house,
        asyncio.timeout(60),
    ):
        yield house
    await store.close()


async def key_for(house: House, role: Role, *namespaces: str) -> str:
    ring = KeyRing(house.store, random_bytes, uuid7)
    return (await ring.create(f"{role.value} {uuid7()}", role, namespaces))[1]


async def asking_run(engine: Engine) -> keepstep.RunHandle[Any]:
    run = await engine.start(far_guarded, "look", id="guarded")
    while b"human_task" not in (there := await engine.journal.read_run(run.run_id or "")).detail:  # type: ignore[union-attr]
        await asyncio.sleep(0.005)
    assert there is not None
    return run


@pytest.mark.parametrize("key", [None, "ks_abcdefgh_" + "A" * 43])
async def test_without_a_key_or_with_a_wrong_one_nothing_is_opened(house: House, key: str | None) -> None:
    with pytest.raises(AccessDenied, match="key"):
        async with house.client(key=key):
            pass


async def test_the_key_may_be_in_the_environment(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEEPSTEP_KEY", await key_for(house, Role.READ))
    async with house.client() as engine:
        assert await engine.count() == 0


async def test_who_may_only_read_looks_and_asks_and_changes_nothing(house: House) -> None:
    run = await asking_run(house.first)
    async with house.client(key=await key_for(house, Role.READ)) as engine:
        there = engine.get("guarded")
        assert [each.id async for each in engine.list("Status = 'running'")] == ["guarded"]
        assert (await there.describe()).status_text == "waiting"
        for change in (
            engine.start(far_guarded, "x"), there.signal("x"), there.cancel(), there.terminate(), there.pause(),
            engine.queues.pause("default"), there.fork(at=1), engine.attributes.register(a="int"),
            engine.schedule("s", far_guarded, "x", cron="0 3 * * *"), engine.retention.set("completed", "1d"),
            engine.export("guarded"),
        ):  # fmt: skip
            with pytest.raises(AccessDenied, match="role"):
                await change
    assert (await run.describe()).status == "running"


async def test_limits_attributes_and_retention_are_for_admins(house: House) -> None:
    async with house.client(key=await key_for(house, Role.OPERATE)) as engine:
        await engine.queues.pause("far-limits")
        for change in (
            engine.queues.limit("far-limits", concurrency=1),
            engine.attributes.register(rank="int"),
            engine.retention.set("completed", "1d"),
        ):
            with pytest.raises(AccessDenied, match="admin"):
                await change
    async with house.client(key=await key_for(house, Role.ADMIN)) as engine:
        await engine.queues.limit("far-limits", concurrency=1)
        await engine.attributes.register(rank="int")
        await engine.retention.set("completed", "1d")


async def test_who_may_only_read_sees_nothing_that_completes_a_callback(house: House) -> None:
    run = await asking_run(house.first)
    info = await run.describe()
    tokens = [wait.token for wait in info.waiting_for if wait.token]
    first = (await house.first.journal.read_events(info.run_id, 0, 1))[0]
    seed = history.unpack(first.type, first.data).seed
    key = await key_for(house, Role.READ)
    async with house.client(key=key) as engine:
        seen = await engine.get("guarded").describe()
        assert len(seen.waiting_for) == len(info.waiting_for)
        assert [task.token async for task in engine.human_tasks()] == [""]
        shown: list[Any] = [seen, [each async for each in engine.get("guarded").history()]]
        shown += await engine.journal.read_events(info.run_id)
        shown += [await engine.journal.search_runs("default", Search(), limit=10)]
        text = msgspec.json.encode(shown).decode()
        assert not any(token in text for token in tokens)
        assert base64.b64encode(seed).decode().rstrip("=")[:-1] not in text
        assert all(seed not in event.data for event in await engine.journal.read_events(info.run_id))
        with pytest.raises(AccessDenied):
            await engine.journal.read_state(info.run_id)
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as web:
        body = {"run_id": info.run_id}
        asked = await web.post(f"{house.address}/api/v1/journal/read_events?as_stored=true", json=body)
        assert asked.status_code == 403
    async with house.client(key=await key_for(house, Role.OPERATE)) as engine:
        assert {wait.token for wait in (await engine.get("guarded").describe()).waiting_for} >= set(tokens)


async def test_a_key_for_one_namespace_opens_no_other_and_reaches_into_none(house: House) -> None:
    run = await asking_run(house.first)
    key = await key_for(house, Role.ADMIN, "shop")
    with pytest.raises(AccessDenied, match="not for namespace"):
        async with house.client(key=key):
            pass
    async with house.client(key=key, namespace="shop") as engine:
        assert await engine.count() == 0
        await engine.start("far_elsewhere", id="here", queue="gpu")
        assert (await engine.get("here").describe()).queue == "gpu"
        assert await engine.journal.read_run((await run.describe()).run_id) is None
        with pytest.raises(NotFound):
            await engine.get("guarded", run.run_id).cancel()
        with pytest.raises(InvalidInput, match="cannot be reached"):
            await engine.journal.find_run("default", "guarded")


async def test_a_key_that_is_revoked_ends_the_waiting(house: House) -> None:
    await asking_run(house.first)
    ring = KeyRing(house.store, random_bytes, uuid7)
    _, key = await ring.create("soon gone", Role.OPERATE)
    async with house.client(key=key, poll_seconds=0.05) as engine:
        waiting = asyncio.create_task(engine.get("guarded").result())
        while not engine.closings._waiting:
            await asyncio.sleep(0.005)
        await ring.revoke("soon gone")
        with pytest.raises(AccessDenied, match="counts no longer"):
            await waiting


# what no client may write


def started(**changes: Any) -> NewRun:
    """What the library would send, with something else in its place."""
    data = history.pack(history.WorkflowStartedWithHeaders(b"\x00", bytes(16), 1))
    run = NewRun(
        run_id=uuid7(), workflow_id="forged", namespace="default", language="python", format=1, type="far_guarded",
        queue="default", events=(NewEvent("workflow_started", 1, None, data),), started_at=1, input_digest=b"",
    )  # fmt: skip
    return msgspec.structs.replace(run, **changes)


FORGED_STARTS: dict[str, dict[str, Any]] = {
    "another language": {"language": "schedules"},
    "another namespace": {"namespace": "shop"},
    "the room of schedules in python": {"namespace": "default:schedules"},
    "no uuid": {"run_id": "made-up"},
    "another beginning": {"events": (NewEvent("workflow_completed", 1, None, b""),)},
    "no beginning": {"events": ()},
    "what nobody can read": {"events": (NewEvent("workflow_started", 1, None, b"\xc1"),)},
    "an unknown event": {"events": (*started().events, NewEvent("made_up", 1, None, b""))},
    "a time that cannot be shown": {"started_at": 2**62},
    "a worker's word": {"messages": (NewMessage(kind="step_result", name="charge"),)},
    "a sign of code 0": {"workflow_id": "a\0b"},
}


@pytest.mark.parametrize("what", FORGED_STARTS)
async def test_no_client_starts_what_no_library_would(house: House, what: str) -> None:
    async with house.client(key=await key_for(house, Role.ADMIN)) as engine:
        with pytest.raises(InvalidInput):
            await engine.journal.start(started(**FORGED_STARTS[what]))
        assert await engine.count() == 0


FORGED_CHANGES: dict[str, dict[str, Any]] = {
    "a step's result": {"events": (NewEvent(history.STEP_COMPLETED, 1, "x", b"\x92\xc4\x00\xc4\x00"),)},
    "a signal that nobody has sent": {"events": (NewEvent(history.SIGNAL_RECEIVED, 1, None, b"\x92\xa1x\xc4\x00"),)},
    "an end that is the worker's to write": {"status": Status.COMPLETED},
    "an end without its event": {"status": Status.TERMINATED},
    "an event without its end": {
        "events": (NewEvent(history.WORKFLOW_TERMINATED, 1, None, history.pack(history.WorkflowTerminated(""))),)
    },
    "the end of one that has begun, as if another took its place": {
        "status": Status.CONTINUED,
        "events": (NewEvent(history.WORKFLOW_CONTINUED, 1, None, history.pack(history.WorkflowContinued("x"))),),
    },
    "a condition that is the worker's to find": {"condition": Condition.QUARANTINED},
    "what it waits for": {"detail": b"{}"},
    "a worker's word to another": {"send": (NewMessage(kind="step_result", name="x", run_id="x"),)},
    "a word into another namespace": {"send": (NewMessage(kind="signal", namespace="shop", workflow_id="x"),)},
}


@pytest.mark.parametrize("what", FORGED_CHANGES)
async def test_no_client_writes_what_a_worker_records(house: House, what: str) -> None:
    run = await asking_run(house.first)
    before = [each.type async for each in run.history()]
    there = await house.first.journal.read_run(run.run_id or "")
    assert there is not None
    change = words.Change(run_id=there.run_id, version=there.version, id="c", seize=True, **FORGED_CHANGES[what])
    headers = {"Authorization": f"Bearer {await key_for(house, Role.ADMIN)}"}
    async with httpx2.AsyncClient(headers=headers) as web:
        body = msgspec.json.encode(change)
        answer = await web.post(f"{house.address}/api/v1/journal/commit", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_input")
    assert [each.type async for each in run.history()] == before


@pytest.mark.parametrize("kind", ["step_result", "child_closed", "parent", "start_refused", "made-up"])
async def test_no_client_speaks_as_a_worker_or_as_another_run(house: House, kind: str) -> None:
    run = await asking_run(house.first)
    async with house.client(key=await key_for(house, Role.ADMIN)) as engine:
        with pytest.raises(InvalidInput, match="do not say"):
            await engine.journal.send(NewMessage(run_id=run.run_id, kind=kind, name="x"))


def test_every_method_of_the_port_is_asked_of_the_server_or_refused_by_name() -> None:
    port = {name for name in vars(Journal) if not name.startswith("_")}
    port |= set(Journal.__annotations__)
    here = {name for name in dir(RemoteJournal) if not name.startswith("_")} | {"clock", "value_bytes_max"}
    assert port - here == set(_ELSEWHERE)
    assert not set(_ELSEWHERE) & here


async def test_the_log_of_a_server_names_who_has_changed_what(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "keepstep.audit")
    async with house.client(key=await key_for(house, Role.OPERATE)) as engine:
        await engine.start("far_guarded", "secret title", id="logged")
        await engine.get("logged").describe()
    calls = [each.__dict__["call"] for each in caplog.records]
    assert calls == ["journal_start"]
    assert "secret title" not in caplog.text
