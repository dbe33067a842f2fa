"""Round: a database of sleepers, half of them poisoned; two workers; the visits; the verdict."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable, Coroutine
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from .house import House, fork, wait_for
from .potions import POTIONS
from .verdict import Round, judge_code, judge_data, p99
from .visit import Block, Visited, bring_to_sleep, read_visit, start_poisonous_code, wake_in_blocks

BLOCKS_OF_A_KIND = 12
SLEEPERS_IN_BLOCK = 2


def play_round(seed: int, folder: Path, blocks: int = BLOCKS_OF_A_KIND) -> Round:
    """Play one round in a folder of its own, which is removed if nothing was found.

    :param blocks: how many of each kind.
    """
    folder.mkdir(parents=True)
    began, dice = time.monotonic(), Random(seed)
    path, log = folder / "poison.db", folder / "log"
    url = f"sqlite:///{path}"
    healthy, poisoned = draw_sleepers(dice, blocks * SLEEPERS_IN_BLOCK)
    if wait_for(fork(partial(bring_to_sleep, url, [*healthy, *poisoned]), log)):
        raise RuntimeError(f"the sleepers could not be brought to sleep; see {log}")
    poison(path, poisoned, dice)
    house = House(url, log)
    try:
        plan = interleave(healthy, list(poisoned), dice)
        woken = _visit(house, partial(wake_in_blocks, url, plan), folder / "woken", log)
        deaths = house.deaths
        coded = _visit(house, partial(start_poisonous_code, url), folder / "coded", log)
    finally:
        house.close()
    findings = judge_data(woken, deaths) + judge_code(coded, house.deaths - deaths)
    if not findings:
        shutil.rmtree(folder)
    return Round(
        seed,
        len(poisoned) + len(coded.parked),
        sum(map(len, woken.seconds.values())) + sum(map(len, coded.seconds.values())),
        p99(woken.seconds["healthy"]),
        p99(woken.seconds["poisoned"]),
        house.deaths,
        coded.longest_gap_seconds,
        findings,
        time.monotonic() - began,
    )


def draw_sleepers(dice: Random, count: int) -> tuple[list[str], dict[str, str]]:
    """Names of healthy sleepers, and of those to be poisoned, with their potions: each as often as any other."""
    potions: list[str] = []
    while len(potions) < count:
        potions += dice.sample(list(POTIONS), len(POTIONS))
    poisoned = {f"{potion} {n}": potion for n, potion in enumerate(potions[:count])}
    return [f"healthy {n}" for n in range(count)], poisoned


def poison(path: Path, poisoned: dict[str, str], dice: Random) -> None:
    """Apply the potions, behind the engine's back."""
    with closing(sqlite3.connect(path)) as db:
        for name, potion in poisoned.items():
            (run,) = db.execute("SELECT run FROM runs WHERE workflow_id = ?", (name,)).fetchone()
            POTIONS[potion](db, run, dice)
        db.commit()


def interleave(healthy: list[str], poisoned: list[str], dice: Random) -> list[Block]:
    """Blocks of both kinds in turns, ABBA or BAAB, so that a drift of the machine meets both alike."""
    kinds = {"healthy": iter(healthy), "poisoned": iter(poisoned)}
    blocks: list[Block] = []
    while sum(len(block.names) for block in blocks) < len(healthy) + len(poisoned):
        first, second = dice.sample(list(kinds), 2)
        for kind in (first, second, second, first):
            names = list(islice(kinds[kind], SLEEPERS_IN_BLOCK))
            if names:
                blocks.append(Block(kind, names))
    return blocks


def _visit(house: House, visit: Callable[[Path], Coroutine[Any, Any, None]], file: Path, log: Path) -> Visited:
    if house.keep(fork(partial(visit, file), log)):
        raise RuntimeError(f"the client broke off; see {log}")
    return read_visit(file)
