"""A class changes while runs that hold it are under way, and they go on with what they have recorded of it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from keepstep import AlreadyStarted, Engine
from keepstep.codecs import Codec
from keepstep.codecs.keys import Keys, new_key
from keepstep.runtime import registry
from keepstep.runtime.data import codec, versions

FIRST = """
from dataclasses import dataclass
import keepstep
from keepstep import step, workflow

@dataclass
class Parcel:
    grams: int

@step
async def weigh(parcel: Parcel) -> Parcel:
    return Parcel(parcel.grams + 1)

@workflow
async def ship(parcel: Parcel) -> list:
    got = await weigh(parcel)
    word = await keepstep.receive("go", Parcel)
    return [got, word, await weigh(got)]
"""

SECOND = """
from dataclasses import dataclass
import keepstep
from keepstep import step, workflow

@dataclass
class Parcel:
    kilos: float
    colour: str

@keepstep.upcast(Parcel, 1)
def in_kilos(data: dict) -> dict:
    return {"kilos": data["grams"] / 1000, "colour": "brown"}

@step
async def weigh(parcel: Parcel) -> Parcel:
    return Parcel(parcel.kilos + 1, parcel.colour)

@workflow
async def ship(parcel: Parcel) -> list:
    got = await weigh(parcel)
    word = await keepstep.receive("go", Parcel)
    return [got, word, await weigh(got)]
"""


@pytest.fixture(autouse=True)
def own_names() -> Iterator[None]:
    with registry.emptied():
        yield
    versions.VERSIONED.clear()
    codec._cached_decoder.cache_clear()
    sys.modules.pop("shop_of_parcels", None)


def deploy(folder: Path, source: str) -> ModuleType:
    """The module as a new process would import it."""
    registry.forget_all()
    codec._cached_decoder.cache_clear()
    file = folder / f"shop_{len(source)}.py"
    file.write_text(source)
    spec = importlib.util.spec_from_file_location("shop_of_parcels", file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["shop_of_parcels"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("sealed", [False, True])
async def test_a_run_goes_on_with_values_of_the_class_as_it_was(tmp_path: Path, sealed: bool) -> None:
    key = new_key()

    def engine(**options: Any) -> Engine:
        chain = Codec(keys=Keys({"k1": key})) if sealed else None
        return Engine(f"sqlite:///{tmp_path}/a.db", codec=chain, **options)

    old: Any = deploy(tmp_path, FIRST)
    async with engine() as first:
        handle = await first.start(old.ship, old.Parcel(2000), id="parcel")
        while len([event async for event in handle.history()]) < 2:
            pass
    async with engine(workers=False) as client:
        await client.signal("parcel", "go", old.Parcel(500))
    new: Any = deploy(tmp_path, SECOND)
    async with engine() as second:
        result = await second.get("parcel").result(timeout=10)
        assert result == [
            {"kilos": 2.001, "colour": "brown"},
            {"kilos": 0.5, "colour": "brown"},
            {"kilos": 3.001, "colour": "brown"},
        ]
        again = await second.start(new.ship, new.Parcel(2.0, "brown"), id="parcel")
        assert again.run_id == (await second.get("parcel").describe()).run_id, "the same input, in words of today"
        with pytest.raises(AlreadyStarted):
            await second.start(new.ship, new.Parcel(2.0, "red"), id="parcel")


async def test_arguments_of_the_same_version_are_still_compared(tmp_path: Path) -> None:
    new: Any = deploy(tmp_path, SECOND)
    async with Engine(f"sqlite:///{tmp_path}/a.db") as first:
        handle = await first.start(new.ship, new.Parcel(2.0, "red"), id="parcel")
        while len([event async for event in handle.history()]) < 2:
            pass
    other: Any = deploy(tmp_path, SECOND.replace("got = await weigh(parcel)", "got = await weigh(Parcel(1.0, 'x'))"))
    async with Engine(f"sqlite:///{tmp_path}/a.db") as second:
        await second.signal("parcel", "go", other.Parcel(1.0, "y"))
        while True:
            info = await second.get("parcel").describe()
            if info.condition == "blocked":
                break
        assert "other arguments" in str(info.error)
