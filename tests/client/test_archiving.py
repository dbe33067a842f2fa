"""A closed run leaves a database as a file and is as it was in another one; an open one does not leave."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import keepstep
from keepstep import AlreadyStarted, BlockingEngine, Engine, InvalidInput, NotFound, WorkflowFailed, step, workflow
from keepstep.codecs import Codec, Keys
from keepstep.codecs.keys import new_key
from keepstep.journal import Unreadable
from keepstep.testing.kit import replay
from tests.archive.test_archive import put

OLD, NEW = new_key(), new_key()


@step
async def exported_charge(name: str) -> str:
    return f"charged {name}"


@workflow
async def exported_order(name: str) -> str:
    keepstep.set_attributes(customer=name)
    charged = await exported_charge(name)
    if name == "bad":
        raise ValueError(charged)
    return charged


@workflow
async def exported_wait(name: str) -> str:
    return await keepstep.receive("go", str)


def url(folder: Path, name: str) -> str:
    return f"sqlite:///{folder}/{name}.db"


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Engine]:
    async with Engine(url(tmp_path, "here"), workers=True) as engine:
        yield engine


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[Engine]:
    async with Engine(url(tmp_path, "there"), workers=True) as engine:
        yield engine


async def all_of(engine: Engine, id: str) -> tuple[Any, ...]:
    handle = engine.get(id)
    info = await handle.describe()
    return info, [each async for each in handle.history()]


async def test_a_run_is_in_another_database_as_it_was(here: Engine, there: Engine) -> None:
    assert await here.run(exported_order, "ann", id="order") == "charged ann"
    handle = await there.import_(await here.export("order"))
    assert await all_of(there, "order") == await all_of(here, "order")
    assert (handle.id, await handle.result()) == ("order", "charged ann")
    assert [each.id async for each in there.list("customer = 'ann'")] == ["order"]
    run_id = (await handle.describe()).run_id
    [line] = await there.journal.read_audit(run_id)
    assert line.text == "imported; it was 'order' in namespace 'default'"
    attached = await there.start(exported_order, "ann", id="order")
    assert await attached.result() == "charged ann"
    forked = await handle.fork(at=1)
    assert await forked.result() == "charged ann"


async def test_a_failed_run_that_was_imported_can_be_tried_again_there(here: Engine, there: Engine) -> None:
    with pytest.raises(WorkflowFailed):
        await here.run(exported_order, "bad", id="order")
    handle = await there.import_(await here.export("order"))
    await handle.retry()
    with pytest.raises(WorkflowFailed, match="charged bad"):
        await handle.result()


async def test_a_certain_run_is_exported_and_gets_another_id_where_its_own_is_taken(
    here: Engine, there: Engine
) -> None:
    first = await here.start(exported_order, "ann", id="order")
    await first.result()
    await (await here.start(exported_order, "bob", id="order", if_closed="restart")).result()
    run_id = (await here.get("order", first.run_id).describe()).run_id
    data = await here.export("order", run_id=run_id)
    await there.run(exported_order, "carl", id="order")
    with pytest.raises(AlreadyStarted, match="was started again here"):
        await there.import_(data)
    handle = await there.import_(data, as_id="order of last year")
    assert (handle.id, await handle.result()) == ("order of last year", "charged ann")
    assert await there.get("order").result() == "charged carl"
    with pytest.raises(AlreadyStarted, match=f"run {run_id} .* is here already"):
        await there.import_(data, as_id="once more")


async def test_an_open_run_is_not_exported_and_one_whose_id_is_open_not_imported(here: Engine, there: Engine) -> None:
    opened = await here.start(exported_wait, "ann", id="order")
    with pytest.raises(InvalidInput, match="'order' is open: imported elsewhere it would go on in both places"):
        await here.export("order")
    await there.start(exported_wait, "bob", id="order")
    await opened.signal("go", "x")
    await opened.result()
    data = await here.export("order")
    with pytest.raises(AlreadyStarted, match="'order' is open here as run"):
        await there.import_(data)
    with pytest.raises(NotFound):
        await here.export("nobody")


async def test_a_run_enters_the_namespace_of_the_engine_that_imports_it(here: Engine, tmp_path: Path) -> None:
    await here.run(exported_order, "ann", id="order")
    async with Engine(url(tmp_path, "there"), workers=False, namespace="restored") as other:
        handle = await other.import_(await here.export("order"))
        assert (await handle.describe()).namespace == "restored"
        assert await handle.result() == "charged ann"


async def test_what_was_exported_is_replayed_by_tests(here: Engine, tmp_path: Path) -> None:
    await here.run(exported_order, "ann", id="order")
    (tmp_path / "order.json").write_bytes(await here.export("order"))
    replay(tmp_path / "order.json")


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b"\xff\xfe", b'{"keepstep_recording": 2}'])
async def test_what_is_no_exported_run_is_refused_in_words(here: Engine, data: bytes) -> None:
    with pytest.raises(InvalidInput, match="what was given is no recorded history"):
        await here.import_(data)


async def test_a_file_that_claims_to_have_more_events_than_memory_can_count_is_refused(here: Engine) -> None:
    await here.run(exported_order, "ann", id="order")
    data = msgspec.json.decode(await here.export("order"))
    data["run"]["last_seq"] = 1 << 62
    with pytest.raises(InvalidInput, match="does not hold all"):
        await here.import_(msgspec.json.encode(data))


async def test_an_engine_with_keys_exports_nothing_in_plain_unless_it_is_told_to(tmp_path: Path) -> None:
    sealed, renewed = Codec(keys=Keys({"k1": OLD})), Codec(keys=Keys({"k1": OLD, "k2": NEW}))
    async with Engine(url(tmp_path, "here"), codec=sealed) as engine:
        await engine.run(exported_order, "ann", id="order")
        data, plain = await engine.export("order"), await engine.export("order", plain=True)
        assert (b"charged" in data, b'"type": "step_completed"' in plain) == (False, True)
    async with Engine(url(tmp_path, "without"), workers=False) as engine:
        with pytest.raises(Unreadable, match="encrypted with key 'k1'"):
            await engine.import_(data)
        await engine.import_(plain)
    async with Engine(url(tmp_path, "there"), workers=False, codec=renewed) as engine:
        assert await (await engine.import_(data)).result() == "charged ann"
    assert b"charged ann" not in (tmp_path / "there.db").read_bytes()
    async with Engine(url(tmp_path, "there"), workers=False, codec=Codec(keys=Keys({"k2": NEW}))) as engine:
        assert await engine.get("order").result() == "charged ann"


async def test_an_archive_is_read_without_the_database_that_it_comes_from(here: Engine, tmp_path: Path) -> None:
    place = str(tmp_path / "archive")
    for name in ("ann", "bob"):
        await here.run(exported_order, name, id=name)
    await here.retention.set("all", 0, archive=place)
    await here.retention.sweep()
    archive = here.archive(place)
    listed = await archive.list()
    assert sorted(each.id for each in listed) == ["ann", "bob"]
    replay(place)
    put(tmp_path / "archive", "zz", b"no run")
    async with Engine(url(tmp_path, "there"), workers=False) as other:
        elsewhere = other.archive(place)
        assert await (await elsewhere.restore("ann", as_id="again")).result() == "charged ann"
        assert await (await other.import_(await elsewhere.export("bob"))).result() == "charged bob"
        assert [trouble[:10] for trouble in elsewhere.troubles] == ["line 1 of "]
        with pytest.raises(NotFound, match="there is no run 'carl' in the archive"):
            await elsewhere.restore("carl")
    with pytest.raises(InvalidInput, match="cannot be replayed: line 1 of zz"):
        replay(place)


async def test_of_an_archive_that_namespaces_share_an_engine_takes_the_run_of_its_own(tmp_path: Path) -> None:
    place = str(tmp_path / "archive")
    async with Engine(url(tmp_path, "here"), namespace="tea") as tea, Engine(tea.url, namespace="books") as books:
        for engine, name in ((tea, "ann"), (books, "bob")):
            await engine.run(exported_order, name, id="order")
            await engine.retention.set("all", 0, archive=place)
            await engine.retention.sweep()
        await books.run(exported_order, "bob", id="of-bob")
        await books.retention.sweep()
        await tea.retention.set("all", None)
        [theirs] = await books.archive(place).list("of-bob")
        assert await (await tea.archive(place).restore("order", as_id="again")).result() == "charged ann"
        with pytest.raises(NotFound, match=f"of namespace 'books', and not of 'tea'.*{theirs.run_id}"):
            await tea.archive(place).restore("of-bob")
        moved = await tea.archive(place).restore("of-bob", run_id=theirs.run_id)
        assert await moved.result() == "charged bob"


def test_sync_programs_have_the_same(tmp_path: Path) -> None:
    place = str(tmp_path / "archive")
    with BlockingEngine(url(tmp_path, "here")) as engine:
        engine.run(exported_order, "ann", id="ann")
        data = engine.export("ann")
        engine.retention.set("completed", "30d", archive=place)
        assert engine.retention.sweep(dry_run=True).removed == 0
        engine.retention.set("completed", 0, archive=place)
        engine.retention.sweep()
        assert [each.id for each in engine.archive(place).list()] == ["ann"]
        assert engine.archive(place).restore("ann", as_id="x").result() == "charged ann"
    with BlockingEngine(url(tmp_path, "there"), workers=False) as engine:
        assert engine.import_(data).result() == "charged ann"
