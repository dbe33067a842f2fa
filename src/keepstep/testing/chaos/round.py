"""Round: one database, one ledger, some hundred kills, the ending, and the judgement."""

from __future__ import annotations

import gc
import shutil
import time
from collections import Counter
from pathlib import Path
from random import Random

import msgspec

from . import workload
from .audit import judge
from .campaign import Campaign
from .client import Frontier
from .haunting import haunt
from .home import Home
from .life import Scene
from .nursery import Nursery

ANSWER_SECONDS = 60.0
ANSWERS_PER_SECOND_MIN = 100
"""For asking what came of every run."""

CLOSE_SECONDS = 20.0
LAST_WORKERS = 2
KILLS_PER_HAUNTING = 80


class Round(msgspec.Struct, frozen=True):
    """What a round came to."""

    seed: int
    kills: Counter[str]
    findings: list[str]
    counts: Counter[str]
    seconds: float


def play_round(seed: int, campaign: Campaign, folder: Path, home: Home) -> Round:
    """Play one round in a folder of its own, which is removed if nothing was found."""
    assert workload.chain is not None  # everything that lives need is imported here, before they are forked
    folder.mkdir(parents=True)
    (folder / "books").mkdir()
    began = time.monotonic()
    frontier = Frontier(seed, began, campaign.runs_per_second, campaign.runs)
    scene = Scene(home.url_of(folder), folder, campaign, frontier, home.is_troubled)
    nursery = Nursery(scene, Random(seed), home.troubles)
    gc.freeze()
    try:
        home.begin_trouble()
        nursery.play()
        if campaign.kills:
            haunt(nursery, max(1, campaign.kills // KILLS_PER_HAUNTING), scene)
        killed_in = time.monotonic() - began
        _end(nursery, campaign.ending_seconds, frontier.newest())
    finally:
        nursery.leave()
    home.end_trouble()
    findings, counts = judge(scene)
    if home.is_troubled:
        counts["troubles"] = home.troubles()
    counts |= {"lives": nursery.births, "freezes": nursery.freezes, "closed in peace": nursery.closed}
    counts["seconds of killing"] = round(killed_in)
    home.leave(folder, is_kept=bool(findings))
    if not findings:
        shutil.rmtree(folder)
    return Round(seed, nursery.kills, findings, counts, time.monotonic() - began)


def _end(nursery: Nursery, seconds: float, runs: int) -> None:
    workers = [nursery.fork("worker") for _ in range(LAST_WORKERS)]
    operator = nursery.fork("operator")
    nursery.wait_for(operator, seconds + ANSWER_SECONDS + runs / ANSWERS_PER_SECOND_MIN)
    nursery.close([operator, *workers], CLOSE_SECONDS)
