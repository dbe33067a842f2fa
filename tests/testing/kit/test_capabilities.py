"""What an engine can do, it can do on a stage: messages, children, schedules, queues, codecs; and through crashes."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from keepstep import InvalidInput
from keepstep.codecs import Codec
from keepstep.testing.kit import Crash, Stage
from tests.testing.kit.programs import KitBasket, kit_child, kit_family


async def shop(stage: Stage) -> list[Any]:
    run = await stage.engine.start(KitBasket, id="basket")
    told: list[Any] = [await run.update(KitBasket.add, "tea", id="a"), await run.query(KitBasket.count)]
    await stage.time.advance("100d")
    told += [await run.update(KitBasket.add, "cup", id="b"), await run.query(KitBasket.count)]
    await run.signal("pay")
    return [*told, await run.result(), await run.query(KitBasket.count)]


async def raise_children(stage: Stage) -> list[Any]:
    run = await stage.engine.start(kit_family, 5)
    return [await run.result(), len([each async for each in stage.engine.list("WorkflowType = 'kit_child'")])]


async def follow_a_schedule(stage: Stage) -> list[Any]:
    await stage.engine.schedule("daily", kit_child, 1, every="24h")
    await stage.time.advance("10d 2h")
    runs = [each async for each in stage.engine.list("WorkflowType = 'kit_child'")]
    return [len(runs), {each.status for each in runs[1:]}]


STORIES: list[tuple[Callable[[Stage], Coroutine[Any, Any, list[Any]]], list[Any]]] = [
    (shop, [1, 1, 2, 2, ["wrapped tea", "wrapped cup"], 2]),
    (raise_children, [10, 5]),
    (follow_a_schedule, [10, {"completed"}]),
]


@pytest.mark.parametrize(("story", "told"), STORIES, ids=lambda each: getattr(each, "__name__", ""))
def test_the_story_is_the_same_whatever_crash_comes(story: Any, told: list[Any]) -> None:
    def play(crash: Crash | None) -> int:
        with Stage(crash) as stage:
            assert stage.play(lambda: story(stage)) == told, crash
            assert (len(stage.workers) == 2) == (crash is not None)
            return stage.commits

    commits = play(None)
    assert commits > 5
    for commit in range(1, commits, 3):
        play(Crash(commit, "before"))
        play(Crash(commit + 1, "after"))


@pytest.mark.parametrize(("compression", "is_plain"), [(None, True), ("zlib", False)])
def test_a_codec_is_that_of_the_worker_and_of_the_test(compression: str | None, is_plain: bool) -> None:
    thing = "t" * 5000

    async def act() -> str:
        run = await stage.engine.start(KitBasket, id="basket")
        await run.update(KitBasket.add, thing)
        await run.signal("pay")
        return "".join(await run.result())

    with Stage(namespace="shop", codec=Codec(compression=compression)) as stage:
        assert stage.play(act) == f"wrapped {thing}"
        [row] = stage._disk.runs.values()
        assert row.run.namespace == "shop"
        assert any(thing.encode() in event.data for event in row.events) == is_plain


def test_the_store_and_the_time_of_a_stage_are_its_own() -> None:
    for option in ("url", "journal", "clock", "workers"):
        with pytest.raises(InvalidInput, match=f"{option}= is the test's own"):
            Stage(None, **{option: None})
