"""Cuts: power fails at every place of one seeded life after another, and what is left is inspected.

At each place one disk is drawn; where a sync or a promise has just been made, the worst one is looked at as well. At
some cuts the power fails again while the journal recovers and begins to live anew.

A cut has a name, ``SEED.PLACE.DRAW`` or ``SEED.PLACE.DRAW.PLACE.DRAW``, by which it can be made again exactly.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from keepstep.journal.sqlite.connection import Synchronous

from .inspection import Expectation, Finding, enter, inspect
from .life import STEPS, STEPS_AFTER_A_CUT, Life, folder_in_memory
from .report import PowerReport
from .survival import Disk
from .trace import FailedSync, Sync, SyncFolder

RECOVERY_EVERY_CUTS = 25
RECOVERY_CUTS = 4
"""So many cuts into each recovery that is cut."""


class Setting(NamedTuple):
    """What kind of disk, and how the store is opened on it."""

    synchronous: Synchronous = "FULL"
    plant: str | None = None

    def options(self) -> str:
        """As the command line has them."""
        plant = "" if self.plant is None else f" --plant {self.plant}"
        return f"--synchronous {self.synchronous}{plant}"


class Cut(NamedTuple):
    """Where and how power fails: place and draw, of the life and then of its recovery."""

    seed: int
    place: int
    draw: int
    again: tuple[int, int] | None = None

    def __str__(self) -> str:
        return ".".join(map(str, (self.seed, self.place, self.draw, *(self.again or ()))))

    @classmethod
    def parse(cls, text: str) -> Cut:
        """Raises ``ValueError``."""
        numbers = [int(part) for part in text.split(".")]
        if len(numbers) not in (3, 5):
            raise ValueError(f"{text!r} names no cut; write SEED.PLACE.DRAW or SEED.PLACE.DRAW.PLACE.DRAW")
        again = (numbers[3], numbers[4]) if len(numbers) == 5 else None
        return cls(numbers[0], numbers[1], numbers[2], again)


Tell = Callable[[PowerReport], None]
"""Told now and then how far it has come."""


async def cut_power(cuts: int, setting: Setting, report: PowerReport, tell: Tell) -> None:
    """Make so many cuts, through the lives of seeds ``report.seed`` and up."""
    goal = report.cuts + cuts
    with folder_in_memory() as folder:
        for seed in itertools.count(report.seed):
            await _cut_life(seed, goal, setting, folder, report)
            report.lives += 1
            tell(report)
            if report.is_over(goal):
                return


async def _cut_life(seed: int, goal: int, setting: Setting, folder: Path, report: PowerReport) -> None:
    life = await record(str(seed), setting)
    expected, disk = life.expectation(), life.disk()
    for draw in _draws(disk, expected):
        cut = Cut(seed, disk.place, draw)
        is_whole = await _try(cut, disk.draw(draw), expected, setting, folder, report)
        if is_whole and report.cuts % RECOVERY_EVERY_CUTS == 0:
            await _cut_recovery(cut, disk.draw(draw), expected, setting, folder, report)
        if report.is_over(goal):
            return


def _draws(disk: Disk, expected: Expectation) -> Iterator[int]:
    """Which disks to look at, at every place."""
    promised, place = 0, 0
    while True:
        last = disk.last
        if expected.trace.promised_at(place) > promised or isinstance(last, Sync | FailedSync | SyncFolder):
            promised = expected.trace.promised_at(place)
            yield 0
        yield 1
        if not disk.advance():
            return
        place = disk.place


async def _try(
    cut: Cut, files: dict[str, bytes], expected: Expectation, setting: Setting, folder: Path, report: PowerReport
) -> bool:
    """Whether nothing was wrong."""
    place = cut.place if cut.again is None else cut.again[0]
    finding = await inspect(files, folder, expected, place)
    if finding is not None:
        enter(report, finding, f"--cut {cut} {setting.options()}")
    report.cuts += 1
    report.acknowledged += expected.acknowledged(place)
    return finding is None


async def _cut_recovery(
    cut: Cut, files: dict[str, bytes], expected: Expectation, setting: Setting, folder: Path, report: PowerReport
) -> None:
    again = await record(f"{cut}", setting, files)
    both = again.expectation()
    both.follow(expected, cut.place)
    chance = random.Random(str(cut))
    places = sorted(chance.randrange(again.trace.place + 1) for _ in range(RECOVERY_CUTS))
    disk = again.disk()
    for place in places:
        disk.advance_to(place)
        draw = chance.randrange(2)
        second = cut._replace(again=(place, draw))
        await _try(second, disk.draw(draw), both, setting, folder, report)
        report.cuts_in_recovery += 1


async def record(seed: str, setting: Setting, before: dict[str, bytes] | None = None) -> Life:
    """A life in virtual time has an event loop of its own, and so needs a thread of its own."""
    return await asyncio.to_thread(
        Life,
        seed,
        synchronous=setting.synchronous,
        plant=setting.plant,
        steps=STEPS if before is None else STEPS_AFTER_A_CUT,
        before=before,
    )


async def replay_cut(cut: Cut, setting: Setting) -> Finding | None:
    """Make one cut again."""
    life = await record(str(cut.seed), setting)
    expected, files = life.expectation(), _at(life.disk(), cut.place, cut.draw)
    with folder_in_memory() as folder:
        if cut.again is None:
            return await inspect(files, folder, expected, cut.place)
        first = cut._replace(again=None)
        again = await record(f"{first}", setting, files)
        both = again.expectation()
        both.follow(expected, cut.place)
        place, draw = cut.again
        return await inspect(_at(again.disk(), place, draw), folder, both, place)


def _at(disk: Disk, place: int, draw: int) -> dict[str, bytes]:
    disk.advance_to(place)
    return disk.draw(draw)
