"""Views: filters that have a name, on every store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest

from keepstep.client.namespace import views_room
from keepstep.client.views import VIEWS_MAX, Views
from keepstep.codecs import Codec, Keys
from keepstep.codecs.journal import sealed_journal
from keepstep.codecs.keys import new_key
from keepstep.journal import InvalidInput, Journal, NotFound, Unreadable
from keepstep.search import FilterError
from tests.journal.conftest import make_scene
from tests.journal.scene import SCENES, lease, settle

_numbers = count()


@pytest.fixture(params=[*SCENES, "postgres"])
async def journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Journal]:
    scene = make_scene(request, tmp_path)
    yield await scene.open()
    await scene.close()


def views_of(journal: Journal, namespace: str = "default") -> Views:
    return Views(journal, namespace, lambda: f"views-{next(_numbers)}")


async def named(views: Views) -> dict[str, str]:
    return {each.name: each.filter for each in await views.list()}


async def test_a_view_is_saved_saved_anew_and_deleted(journal: Journal) -> None:
    views = views_of(journal)
    assert await views.list() == []
    await views.save("failed today", "Status = 'failed'", "ann")
    await views.save("Blocked", "Condition = 'blocked'")
    assert await named(views) == {"Blocked": "Condition = 'blocked'", "failed today": "Status = 'failed'"}
    await views.save("failed today", "Status = 'failed' AND StartTime > NOW - '1d'", "bob")
    [_, changed] = await views.list()
    assert (changed.by, changed.filter) == ("bob", "Status = 'failed' AND StartTime > NOW - '1d'")
    await views.delete("Blocked")
    assert list(await named(views_of(journal))) == ["failed today"]
    with pytest.raises(NotFound, match="no view 'Blocked'"):
        await views.delete("Blocked")
    run = await journal.find_run(views_room("default"), "views")
    assert run is not None
    audit = [line.text for line in await journal.read_audit(run.run_id)]
    assert audit == ["save failed today, by ann", "save Blocked", "save failed today, by bob", "delete Blocked"]


async def test_views_of_a_namespace_are_its_own_and_no_run_of_it(journal: Journal) -> None:
    await views_of(journal).save("all", "Status = 'running'")
    assert await views_of(journal, "other").list() == []
    assert await journal.count_runs("default") == 0


async def test_no_worker_is_offered_the_views_also_when_everything_is_rebuilt(journal: Journal) -> None:
    views = views_of(journal)
    await views.save("all", "Status = 'running'")
    await journal.rebuild()
    await journal.open_lease(lease(queues=("default", ":schedules", ":retention"), languages=("python",)))
    assert await journal.claim_runs("L", 10) == []
    await views.save("more", "Status = 'failed'")
    assert list(await named(views)) == ["all", "more"]


async def test_those_who_save_at_the_same_time_do_not_undo_each_other(journal: Journal) -> None:
    views = views_of(journal)
    done = await settle(*(views.save(f"v{n}", "") for n in range(6)))
    assert [each for each in done if isinstance(each, Exception)] == []
    assert len(await views.list()) == 6


@pytest.mark.parametrize("name", ["", " edge", "x" * 101, "new\nline"])
async def test_a_name_that_cannot_be_shown_is_refused(journal: Journal, name: str) -> None:
    with pytest.raises(InvalidInput, match="the name of a view"):
        await views_of(journal).save(name, "")


async def test_a_filter_that_cannot_be_understood_is_refused(journal: Journal) -> None:
    with pytest.raises(FilterError, match="position"):
        await views_of(journal).save("wrong", "Status ==")
    assert await views_of(journal).list() == []


async def test_there_is_a_limit_to_how_many_there_are(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keepstep.client.views.VIEWS_MAX", 2)
    views = views_of(journal)
    await views.save("one", "")
    await views.save("two", "")
    with pytest.raises(InvalidInput, match="delete those that nobody uses"):
        await views.save("three", "")
    await views.save("two", "Status = 'failed'")
    assert len(await views.list()) == 2 < VIEWS_MAX


async def test_views_are_sealed_where_runs_are_and_say_so_to_who_has_no_key(journal: Journal) -> None:
    key = new_key()
    sealed = sealed_journal(journal, Codec(keys=Keys({"k1": key})))
    await views_of(sealed).save("secret customer", "WorkflowId = 'acme'")
    assert await named(views_of(sealed)) == {"secret customer": "WorkflowId = 'acme'"}
    run = await journal.find_run(views_room("default"), "views")
    assert run is not None
    assert b"acme" not in run.detail
    with pytest.raises(Unreadable, match="the views are"):
        await views_of(journal).list()
