"""What a start refuses before anything is written, and what it makes of a name without code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from keepstep import Engine, InvalidInput, RunHandle, workflow
from keepstep.client.published import schema_of
from keepstep.journal import Definition


@workflow
async def double_it(n: int) -> int:
    return 2 * n


@pytest.fixture(params=["sqlite", "memory"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    url = "memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'runs.db'}"
    async with Engine(url) as engine, asyncio.timeout(30):
        yield engine


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"id": 42}, "workflow id must be text, not 42"),
        ({"id": ""}, "none of them empty"),
        ({"id": "a\0b"}, "NUL"),
        ({"id": "\ud800"}, "surrogate"),
        ({"queue": 3}, "queue must be text"),
        ({"queue": ""}, "none of them empty"),
        ({"attributes": {"x": object()}}, "the attributes"),
        ({"attributes": [1]}, "attributes are a dict"),
        ({"attributes": {1: 2}}, "attributes are a dict"),
        ({"if_running": "replace"}, "if_running and if_closed are"),
        ({"if_closed": None}, "if_running and if_closed are"),
    ],
)
async def test_what_cannot_be_kept_is_refused_and_starts_nothing(
    engine: Engine, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        await engine.start(double_it, 1, **options)
    assert await engine.count() == 0


@pytest.mark.parametrize("id", ["a b", "ä/ö\n\t'\"", "😀"])
async def test_an_id_may_be_any_text(engine: Engine, id: str) -> None:
    assert await engine.run(double_it, 2, id=id) == 4
    assert (await engine.get(id).describe()).id == id


async def test_attributes_are_kept_as_json_says_them(engine: Engine) -> None:
    run = await engine.start(double_it, 1, attributes={"sizes": (1, 2), "who": {"name": "ä"}})
    assert (await run.describe()).attributes == {"sizes": [1, 2], "who": {"name": "ä"}}


async def test_a_name_without_code_is_checked_by_what_workers_have_published(engine: Engine) -> None:
    published = {"arguments": [{"name": "n", "required": True, "schema": {"type": "integer"}}]}
    with pytest.raises(InvalidInput, match=r"no worker has published a workflow 'triple'; known are: .*double_it"):
        await engine.start("triple", 1)
    await engine.journal.publish([a_definition("triple", published)])
    for arguments, said in (
        (("one",), r"input 1 \(argument 'n'\) does not fit"),
        ((), "missing"),
        ((1, 2), "at most 1"),
    ):
        with pytest.raises(InvalidInput, match=said):
            await engine.start("triple", *arguments)
    with pytest.raises(InvalidInput, match="pass its arguments in order"):
        await engine.start("triple", n=1)
    run: RunHandle[Any] = await engine.start("triple", 1)
    assert (await run.describe()).queue == "elsewhere"


@workflow(version="2026-11", timeout="2h")
async def of_a_version() -> None:
    return None


async def test_what_is_published_of_a_workflow_tells_its_version_and_its_timeout(engine: Engine) -> None:
    schema = schema_of((await engine.published.workflows())["of_a_version"])
    assert (schema["version"], schema["timeout_seconds"]) == ("2026-11", 7200)
    assert "version" not in schema_of((await engine.published.workflows())["double_it"])


async def test_while_nothing_is_published_any_name_is_taken() -> None:
    async with Engine("memory:", workers=False) as client:
        run: RunHandle[Any] = await client.start("something", 1, {"two": 2})
        assert (await run.describe()).type == "something"


@pytest.mark.parametrize("reason", [3, None, "\ud800"])
async def test_a_reason_that_cannot_be_kept_ends_nothing(engine: Engine, reason: Any) -> None:
    async with Engine(engine.url, journal=engine.journal, workers=False) as client:
        run: RunHandle[Any] = await client.start("double_it", 1, queue="nobody")
        for end in (run.cancel, run.terminate):
            with pytest.raises(InvalidInput, match="the reason"):
                await end(reason)
        assert (await run.describe()).status == "running"


async def test_a_signal_needs_a_name_that_is_text(engine: Engine) -> None:
    run = await engine.start(double_it, 1)
    with pytest.raises(InvalidInput, match="the name of a signal must be text, not 3"):
        await run.signal(3)  # type: ignore[arg-type]


def a_definition(name: str, schema: dict[str, Any]) -> Definition:
    return Definition(
        namespace="default", language="python", kind="workflow", name=name, queue="elsewhere",
        schema=msgspec.json.encode(schema), code="c", published_at=0,
    )  # fmt: skip
