"""A town for every test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from examples.order_fulfilment.world.mischief import Fate, Fault

from .town import Arranged, Town

Build = Callable[..., Town]


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    """Builds a town of some fate, whose first requests at each endpoint meet some faults."""
    towns: list[Town] = []

    def make(fate: Fate = Fate.SMOOTH, faults: tuple[Fault, ...] = ()) -> Town:
        towns.append(Town(tmp_path / f"books-{len(towns)}.db", Arranged(fate, faults)))
        return towns[-1]

    yield make
    for town in towns:
        town.books.close()


@pytest.fixture
def town(build: Build) -> Town:
    """A town where all goes smoothly."""
    return build()
