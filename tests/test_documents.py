"""The examples in the documents do what the documents say."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg
import pytest

import keepstep
from keepstep import Engine, Retry
from keepstep.codecs.keys import new_key
from keepstep.runtime import registry
from keepstep.runtime.data import decoder, versions
from keepstep.runtime.execution import RunInfo
from keepstep.runtime.step import StepOptions
from keepstep.testing import kit
from keepstep.worker.worker import WorkerOptions

DOCUMENTS = Path(__file__).parents[1] / "docs"


@pytest.fixture(autouse=True)
def own_names() -> Iterator[None]:
    """Each document is read alone: its names need not differ from those of other documents and tests."""
    with registry.emptied():
        yield


def code_of(document: str, folder: Path) -> ModuleType:
    """All Python of a document as one module."""
    blocks = re.findall(r"```python\n(.*?)```", (DOCUMENTS / document).read_text(), flags=re.DOTALL)
    name = f"example_of_{document.partition('.')[0]}"
    file = folder / f"{name}.py"
    file.write_text("\n\n".join(blocks))
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_tutorial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example: Any = code_of("tutorial.md", tmp_path)
    url = f"sqlite:///{tmp_path}/workshop.db"
    assert [await example.estimate_once(url) for _ in range(2)] == [70, 70]
    assert capsys.readouterr().out == "looking at tandem\ntandem: that will be 70 euros\n"
    assert await example.try_to_repair(url, "tandem") == "payment for tandem"
    assert "wreck" in await example.try_to_repair(url, "wreck")
    assert capsys.readouterr().out.splitlines()[-1] == "giving 65 euros back"


def test_the_tests_of_the_tutorial_pass(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (DOCUMENTS / "tutorial.md").read_text(), flags=re.DOTALL)
    (tmp_path / "workshop.py").write_text("\n\n".join(blocks))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "workshop.py"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, "2 passed" in ran.stdout) == (0, True), ran.stdout


async def test_transactions(tmp_path: Path) -> None:
    example: Any = code_of("transactions.md", tmp_path)
    url, path = f"sqlite:///{tmp_path}/shop.db", f"{tmp_path}/shop.db"
    assert await example.main(url, path) == "3 left"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE orders (id TEXT PRIMARY KEY, item TEXT)")
    async with Engine(url) as engine:
        assert await example.checkout(engine, db, "teapot") == "2 left"
    assert db.execute("SELECT * FROM orders").fetchall() == [("order-teapot", "teapot")]
    assert db.execute("SELECT * FROM stock").fetchall() == [("teapot", 2)]


async def test_retrying(tmp_path: Path) -> None:
    example: Any = code_of("retrying.md", tmp_path)
    async with Engine(f"sqlite:///{tmp_path}/parcels.db") as engine:
        said, result = await example.main(engine)
    assert said.endswith("no teapot left")
    assert result == "sent: a parcel with a teapot"
    assert example.stock == {"teapot": 0}


async def test_by_name(tmp_path: Path) -> None:
    example: Any = code_of("by-name.md", tmp_path)
    url = f"sqlite:///{tmp_path}/names.db"
    assert await example.main(url) == ["fetch of cards", "sort of cards"]

    @keepstep.step(name="charge", queue="payments")
    async def charge(order: str, cents: int) -> Any:
        return example.Payment(f"payment of {order}", cents)

    @keepstep.workflow(name="ship", queue="shipping")
    async def ship(order: str) -> str:
        return f"a parcel for {order}"

    async with Engine(url, queues=("default", "payments", "shipping")) as engine:
        assert await engine.run(example.buy, "order-7", 1999) == "payment of order-7 for a parcel for order-7"


async def test_observability(tmp_path: Path) -> None:
    example: Any = code_of("observability.md", tmp_path)
    async with Engine(f"sqlite:///{tmp_path}/parcels.db") as engine:
        handle = await engine.start(example.send_parcel, "a large crate", id="parcel")
        assert await handle.result() == 6.5
        assert await example.tell_visitors(handle) == ["heavy: 6.5 kg, goes by freight"]
        history = [event async for event in handle.history()]
    assert [each.type for each in history] == ["workflow_started", "step_completed", "note_added", "workflow_completed"]
    assert history[2].data == {"text": "heavy: 6.5 kg, goes by freight", "asked_seq": 2}


async def test_testing(tmp_path: Path) -> None:
    example: Any = code_of("testing.md", tmp_path)
    await example.test_a_copy_goes_on_where_it_was()


async def test_transactions_by_sql(postgres_url: str) -> None:
    statements, grants = re.findall(r"```sql\n(.*?)```", (DOCUMENTS / "transactions.md").read_text(), flags=re.DOTALL)
    start, send, *_ = statements.splitlines()
    async with Engine(postgres_url, workers=False) as engine:
        with psycopg.connect(postgres_url, autocommit=True) as db:
            [(run_id,)] = db.execute(start.encode()).fetchall()
            assert [db.execute(send.encode()).fetchone() for _ in range(2)] == [(True,), (False,)]
            db.execute("CREATE ROLE shop")
            try:
                for grant in grants.splitlines():
                    db.execute(grant.encode())
                db.execute("SET ROLE shop")
                assert db.execute(start.encode()).fetchall() == [(run_id,)]
            finally:
                db.execute("RESET ROLE")
                db.execute("DROP OWNED BY shop")
                db.execute("DROP ROLE shop")
        assert (await engine.get("order-42").describe()).run_id == run_id


async def test_changing_code(tmp_path: Path) -> None:
    example: Any = code_of("changing-code.md", tmp_path)
    async with Engine(f"sqlite:///{tmp_path}/shop.db") as engine:
        sold = await engine.start(example.sell_goods, "teapot", id="teapot")
        await sold.signal("paid")
        assert await sold.result() == "goods for teapot"
        types = [event.type async for event in sold.history()]
        assert types[:2] == ["workflow_started", "version_marked"]
        assert await example.sell_again(engine, "teapot") == "goods from another store"
        priced = await engine.start(example.price_goods, 2, id="priced")
        await priced.signal("weighed")
        assert await priced.result() == [3, 14]
        for workflow, by in ((example.refund_first, "1"), ("refund_goods", "2")):
            refunded = await engine.start(workflow, "teapot", id=f"refund-{by}")
            await refunded.signal("returned")
            assert await refunded.result() == f"teapot: refunded by version {by}"
            assert (await refunded.describe()).version == by


async def test_coming_from(tmp_path: Path) -> None:
    example: Any = code_of("coming-from.md", tmp_path)
    said = await example.main(f"sqlite:///{tmp_path}/orders.db")
    assert said == ["https://pay.example/o-1", "o-1: 1999", "pay_at", "o-1"]


def parameters_of(*callables: Callable[..., Any]) -> set[str]:
    return {name for each in callables for name in inspect.signature(each).parameters}


def test_the_tables_of_coming_from_name_nothing_that_is_not_there() -> None:
    page = (DOCUMENTS / "coming-from.md").read_text()
    ours = re.findall(r"^\|[^|\n]*\|[^|\n]*\|([^|\n]*)\|[^|\n]*\|$", page, flags=re.MULTILINE)
    assert len(ours) > 80
    places = (keepstep, keepstep.Engine, keepstep.RunHandle, keepstep.RunInfo, keepstep.StepInfo, kit, RunInfo, asyncio)
    there = {name for place in places for name in dir(place)} | set(StepOptions.__struct_fields__)
    there |= {name.removesuffix("_seconds") for name in StepOptions.__struct_fields__}
    there |= set(WorkerOptions.__struct_fields__) | parameters_of(keepstep.Engine.start, keepstep.start_child, Retry)
    there |= parameters_of(keepstep.queue, keepstep.Engine.close, keepstep.Engine.schedule)
    said = {
        name for code in re.findall(r"`([^`]*)`", " ".join(ours)) for name in re.findall(r"[a-z]+(?:_[a-z]+)+", code)
    }
    assert len(said) > 30
    assert said - there == set()


async def test_bulk(tmp_path: Path) -> None:
    example: Any = code_of("bulk.md", tmp_path)
    async with Engine(f"sqlite:///{tmp_path}/parcels.db", workers=False) as engine:
        for depot in ("north", "south"):
            await engine.start("send_parcel", id=depot, attributes={"depot": depot})
        report = await example.close_the_depot(engine, "south")
        assert (report.done, report.refusals) == (1, ())
        assert (await example.finish(engine, "depot = 'north'", report)).done == 1


async def test_namespaces(tmp_path: Path) -> None:
    example: Any = code_of("namespaces.md", tmp_path)
    assert await example.two_shops(f"sqlite:///{tmp_path}/shops.db") == ["book-shop"]


async def test_search(tmp_path: Path) -> None:
    example: Any = code_of("searching.md", tmp_path)
    assert await example.main(f"sqlite:///{tmp_path}/orders.db") == ["order-1"]
    async with Engine(f"sqlite:///{tmp_path}/orders.db", workers=False) as engine:
        assert (await example.prepare(engine)).items() >= {
            "items": "int",
            "due": "datetime",
            "tags": "keyword_list",
        }.items()


async def test_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "VERSIONED", dict(versions.VERSIONED))
    example: Any = code_of("data.md", tmp_path)
    assert decoder(example.Parcel)(b'{"grams":1500}') == example.Parcel(1.5, "brown")
    (tmp_path / "keys").write_text(f"2026-11 {new_key()}\n")
    codec = example.make_codec(str(tmp_path / "keys"), str(tmp_path / "blobs"))
    async with example.make_engine(f"sqlite:///{tmp_path}/a.db", codec) as engine:
        await engine.start("anything", "a secret", id="a")
        await engine.journal.load((await engine.get("a").describe()).run_id)
    assert b"a secret" not in (tmp_path / "a.db").read_bytes()


def test_sync(tmp_path: Path) -> None:
    example: Any = code_of("sync.md", tmp_path)
    assert example.main(f"sqlite:///{tmp_path}/orders.db") == [
        "order-1 paid 200",
        "tea packed",
        "cup packed",
        "by ben",
    ]
