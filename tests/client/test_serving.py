"""An engine can serve some of the workflows of its process, and tells clients of those alone."""

from __future__ import annotations

from keepstep import Engine, workflow


@workflow
async def be_served() -> str:
    return "served"


@workflow
async def be_left_to_others() -> str:
    return "done elsewhere"


async def test_only_what_is_served_is_published_and_run() -> None:
    async with Engine("memory:", serve=[be_served]) as engine:
        published = {each.name for each in await engine.journal.list_definitions("default") if each.kind == "workflow"}
        assert published == {"be_served"}
        assert await engine.run(be_served) == "served"
        handle = await engine.start(be_left_to_others)
        assert (await engine.run(be_served), (await handle.describe()).status) == ("served", "running")
