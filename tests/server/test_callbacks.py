"""The callback listener, asked as webhooks ask it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

import keepstep
from keepstep import Engine, workflow
from keepstep.journal import Overloaded
from keepstep.journal.limits import PAYLOAD_BYTES_MAX
from keepstep.server.callbacks import callback_app


@workflow
async def wait_for_payment() -> Any:
    callback = keepstep.callback()
    keepstep.set_status(callback.token)
    return await callback.result()


@workflow
async def ask_somebody() -> str:
    answer: str = await keepstep.human_task("pick it", form=str)
    return answer


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with Engine(f"sqlite:///{tmp_path / 'runs.db'}") as engine, asyncio.timeout(30):
        yield engine


@pytest.fixture
async def web(engine: Engine) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=callback_app(engine))
    async with httpx2.AsyncClient(transport=transport, base_url="http://keepstep") as client:
        yield client


async def token_of(run: keepstep.RunHandle[Any]) -> str:
    while not (token := (await run.describe()).status_text):
        await asyncio.sleep(0)
    return token


async def test_a_webhook_completes_its_callback_with_the_body(engine: Engine, web: httpx2.AsyncClient) -> None:
    run = await engine.start(wait_for_payment)
    answered = await web.post(f"/callbacks/{await token_of(run)}", json={"paid": 7})
    assert (answered.status_code, answered.json()) == (200, {"completed": True})
    assert await run.result() == {"paid": 7}


async def test_an_empty_body_completes_with_null(engine: Engine, web: httpx2.AsyncClient) -> None:
    run = await engine.start(wait_for_payment)
    assert (await web.post(f"/callbacks/{await token_of(run)}")).status_code == 200
    assert await run.result() is None


async def test_a_repeated_webhook_is_accepted_and_changes_nothing(engine: Engine, web: httpx2.AsyncClient) -> None:
    run = await engine.start(wait_for_payment)
    url = f"/callbacks/{await token_of(run)}"
    answers = await asyncio.gather(*[web.post(url, json=n) for n in range(10)])
    assert {each.status_code for each in answers} == {200}
    result = await run.result()
    assert (await web.post(url, json="late")).status_code == 200
    assert await run.result() == result


@pytest.mark.parametrize("body", [b"{", b"nope", b"\xff", b"[" * 200_000, b'"\xed\xa0\x80"', b"1 2"])
async def test_a_body_that_is_no_json_is_refused(engine: Engine, web: httpx2.AsyncClient, body: bytes) -> None:
    run = await engine.start(wait_for_payment)
    token = await token_of(run)
    assert (await web.post(f"/callbacks/{token}", content=body)).status_code == 400
    assert (await run.describe()).status == "running"


async def test_an_answer_that_does_not_fit_the_form_is_refused_and_the_task_stays(
    engine: Engine, web: httpx2.AsyncClient
) -> None:
    run = await engine.start(ask_somebody)
    while not (tasks := [task async for task in engine.human_tasks()]):
        await asyncio.sleep(0)
    url = f"/callbacks/{tasks[0].token}"
    refused = await web.post(url, json=7)
    assert (refused.status_code, "expected string" in refused.json()["error"]) == (400, True)
    assert (await web.post(url, json="anna")).status_code == 200
    assert await run.result() == "anna"


async def test_tokens_that_no_run_made_are_unknown(engine: Engine, web: httpx2.AsyncClient) -> None:
    run = await engine.start(wait_for_payment)
    token = await token_of(run)
    forged = ("B" if token[25] == "A" else "A").join((token[:25], token[26:]))
    for unknown in (forged, "x", "%00", "a" * 5000, token[:30], f"{token}xxxx", "é"):
        assert (await web.post(f"/callbacks/{unknown}", json=1)).status_code == 404


async def test_a_callback_of_a_run_that_ended_without_it_is_gone(engine: Engine, web: httpx2.AsyncClient) -> None:
    run = await engine.start(wait_for_payment)
    token = await token_of(run)
    await run.terminate("enough")
    assert (await web.post(f"/callbacks/{token}", json=1)).status_code == 410


async def test_a_body_over_the_limit_is_refused_without_reading_it_to_its_end(
    engine: Engine, web: httpx2.AsyncClient
) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 100_000
            assert sent < 2 * PAYLOAD_BYTES_MAX
            yield b" " * 100_000

    token = await token_of(await engine.start(wait_for_payment))
    messages = endless()
    answers: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": await anext(messages), "more_body": True}

    async def send(message: Any) -> None:
        answers.append(message)

    scope = {
        "type": "http", "method": "POST", "path": f"/callbacks/{token}", "raw_path": b"", "query_string": b"",
        "headers": [], "http_version": "1.1", "scheme": "http", "root_path": "", "asgi": {"version": "3.0"},
    }  # fmt: skip
    await callback_app(engine)(scope, receive, send)
    assert answers[0]["status"] == 413


async def test_a_body_at_the_limit_is_accepted(engine: Engine, web: httpx2.AsyncClient) -> None:
    run = await engine.start(wait_for_payment)
    text = "x" * (PAYLOAD_BYTES_MAX - 100)
    assert (await web.post(f"/callbacks/{await token_of(run)}", json=text)).status_code == 200
    assert await run.result() == text


async def test_an_overloaded_store_asks_to_come_again(
    engine: Engine, web: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await engine.start(wait_for_payment)
    url = f"/callbacks/{await token_of(run)}"

    async def refuse(*_: Any) -> None:
        raise Overloaded("the queue is full")

    with monkeypatch.context() as patched:
        patched.setattr(engine.journal, "send", refuse)
        answered = await web.post(url, json=1)
    assert (answered.status_code, answered.headers["Retry-After"]) == (503, "2")
    assert (await web.post(url, json=1)).status_code == 200


async def test_only_post_is_allowed_and_health_is_told(engine: Engine, web: httpx2.AsyncClient) -> None:
    token = await token_of(await engine.start(wait_for_payment))
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        assert (await web.request(method, f"/callbacks/{token}")).status_code == 405
    assert (await web.get("/healthz")).text == "ok\n"
    assert (await web.get("/")).status_code == 404


@pytest.mark.parametrize("changed", ["{}%20", "{}=", "{}==", "{}%0a", "%20{}", "{}."])
async def test_only_the_tokens_own_text_is_taken(engine: Engine, web: httpx2.AsyncClient, changed: str) -> None:
    run = await engine.start(wait_for_payment)
    token = await token_of(run)
    assert (await web.post(f"/callbacks/{changed.format(token)}", json="lost")).status_code == 404
    assert (await web.post(f"/callbacks/{token}", json="paid")).status_code == 200
    assert await run.result() == "paid"


async def test_a_body_that_does_not_come_to_its_end_is_waited_for_no_longer_than_the_limit(engine: Engine) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"["
        await asyncio.Event().wait()

    run = await engine.start(wait_for_payment)
    transport = httpx2.ASGITransport(app=callback_app(engine, body_seconds_max=0.05))
    async with httpx2.AsyncClient(transport=transport, base_url="http://keepstep") as web:
        answer = await web.post(f"/callbacks/{await token_of(run)}", content=endless())
    assert (answer.status_code, "within 0.05 s" in answer.json()["error"]) == (408, True)


async def test_who_has_called_back_is_in_the_audit_log_without_the_token(
    engine: Engine, web: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "keepstep.audit")
    run = await engine.start(wait_for_payment)
    token = await token_of(run)
    await web.post(f"/callbacks/{token}", content=b"no JSON")
    await web.post(f"/callbacks/{token}", json=1)
    await web.post("/callbacks/made-up", json=1)
    told = [(each.__dict__["call"], each.__dict__["address"], each.__dict__["status"]) for each in caplog.records]
    its = f"/callbacks/(token of {run.run_id})"
    assert told == [("callback", its, 400), ("callback", its, 200), ("callback", "/callbacks/(token of nobody)", 404)]
    assert token not in caplog.text
