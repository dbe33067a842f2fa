"""Sessions lie in the database, whichever store it is: they end when they should, in all processes, and are bounded."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keepstep.client.access import Grant, Role
from keepstep.client.namespace import SESSIONS_ROOM, checked_namespace
from keepstep.journal import InvalidInput, Journal, Overloaded, Status, uuid7
from keepstep.server import sessions as sessions_module
from keepstep.server.sessions import Sessions
from tests.journal.conftest import make_scene
from tests.journal.scene import SCENES

GRANTS = (Grant(role=Role.READ), Grant(role=Role.ADMIN, namespaces=("shop",), decodes=True))
MINUTE = 60_000_000


class Desk:
    """Two processes of a server, as far as sessions go, and the time by which both of them go."""

    def __init__(self, first: Journal, second: Journal) -> None:
        self.store = first
        self.now = first.clock.now()
        self._count = 0
        self.one, self.other = (
            Sessions(store, self._random_bytes, uuid7, idle_seconds=3600, total_seconds=4 * 3600, now=lambda: self.now)
            for store in (first, second)
        )

    def _random_bytes(self, count: int) -> bytes:
        self._count += 1
        return hashlib.sha512(str(self._count).encode()).digest()[:count]

    async def count(self, status: Status) -> int:
        return await self.store.count_runs(SESSIONS_ROOM, statuses=[status])


@pytest.fixture(params=[*SCENES, "postgres"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    scene = make_scene(request, tmp_path)
    yield Desk(await scene.open(), await scene.open())
    await scene.close()


async def test_a_session_is_known_in_all_processes_until_it_is_ended_in_one(desk: Desk) -> None:
    text = await desk.one.begin("ann", subject="ann-1", grants=GRANTS)
    found = await desk.other.find(text)
    assert found is not None
    assert (found.name, found.subject, found.grants) == ("ann", "ann-1", GRANTS)
    await desk.other.end(text)
    assert await desk.one.find(text) is None
    await desk.one.end(text)


async def test_a_session_that_is_not_used_ends(desk: Desk) -> None:
    text = await desk.one.begin("ann", grants=GRANTS)
    for _ in range(3):
        desk.now += 50 * MINUTE
        assert await desk.one.find(text) is not None
    desk.now += 60 * MINUTE
    assert await desk.one.find(text) is None
    assert await desk.count(Status.COMPLETED) == 1


async def test_a_session_ends_however_much_it_is_used(desk: Desk) -> None:
    text = await desk.one.begin("ann", grants=GRANTS)
    for _ in range(239 // 30):
        desk.now += 30 * MINUTE
        assert await desk.one.find(text) is not None
    desk.now += 30 * MINUTE
    assert await desk.other.find(text) is None


async def test_that_it_was_used_is_written_down_seldom(desk: Desk) -> None:
    text = await desk.one.begin("ann", grants=GRANTS)
    [run] = await desk.store.list_runs(SESSIONS_ROOM)
    for _ in range(10):
        desk.now += MINUTE // 2
        await desk.one.find(text)
    assert (await desk.store.read_run(run.run_id) or run).version == run.version
    desk.now += MINUTE
    await asyncio.gather(*[each.find(text) for each in (desk.one, desk.other, desk.one)])
    assert (await desk.store.read_run(run.run_id) or run).version > run.version


async def test_the_database_has_no_name_of_a_session(desk: Desk) -> None:
    text = await desk.one.begin("ann", grants=GRANTS)
    [run] = await desk.store.list_runs(SESSIONS_ROOM)
    assert text not in repr(run)
    assert await desk.one.find(run.workflow_id) is None
    assert await desk.one.find(text[:-1]) is None
    assert await desk.one.find("") is None


async def test_what_has_ended_or_is_over_is_removed_as_others_log_in(desk: Desk) -> None:
    for _ in range(3):
        await desk.one.begin("gone", grants=GRANTS)
    desk.now += 5 * 60 * MINUTE
    text = await desk.one.begin("ann", grants=GRANTS)
    await desk.one.begin("bob", grants=GRANTS)
    assert (await desk.count(Status.RUNNING), await desk.count(Status.COMPLETED)) == (2, 0)
    assert await desk.one.find(text) is not None


async def test_sessions_are_not_too_many(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions_module, "SESSIONS_MAX", 1)
    await desk.one.begin("ann", grants=GRANTS)
    with pytest.raises(Overloaded):
        await desk.one.begin("bob", grants=GRANTS)


async def test_who_is_logged_in_is_listed_and_all_that_one_has_is_ended(desk: Desk) -> None:
    texts = []
    for name in ("ann", "bob", "ann"):
        texts.append(await desk.one.begin(name, subject=f"{name}-1", grants=GRANTS))
        desk.now += MINUTE
    assert [each.name for each in await desk.other.list_open()] == ["ann", "bob", "ann"]
    assert (await desk.other.end_of("nobody"), await desk.other.end_of("ann-1")) == (0, 2)
    assert [await desk.one.find(text) is not None for text in texts] == [False, True, False]
    desk.now += 300 * MINUTE
    assert await desk.one.list_open() == []


def test_no_namespace_reaches_the_sessions() -> None:
    with pytest.raises(InvalidInput):
        checked_namespace(SESSIONS_ROOM)
