"""Round: one database, one ledger, some hundred kills, the ending, and the judgement."""

from __future__ import annotations

import gc
import shutil
import time
from collections import Counter
from pathlib import Path
from random import Random

import msgspec

from keepstep.client.address import sqlite_path

from . import workload
from .audit import judge
from .client import Frontier
from .haunting import haunt
from .life import Scene
from .nursery import Nursery

LEASE_SECONDS = 0.4
"""Short, so that others can judge a frozen life before they are killed themselves."""

ENDING_SECONDS = 90.0
ANSWER_SECONDS = 60.0
"""For asking what came of every run."""

CLOSE_SECONDS = 20.0
LAST_WORKERS = 2
KILLS_PER_HAUNTING = 80
RUNS_PER_SECOND = 10.0


class Round(msgspec.Struct, frozen=True):
    """What a round came to."""

    seed: int
    kills: Counter[str]
    findings: list[str]
    counts: Counter[str]
    seconds: float


def play_round(
    seed: int, kills: int, until: float, folder: Path, url: str | None = None, ending_seconds: float = ENDING_SECONDS
) -> Round:
    """Play one round in a folder of its own, which is removed if nothing was found.

    :param kills: how many. :param until: no kill after this moment of the monotonic clock.
    :param url: the database; by default one in the folder. :param ending_seconds: what is then still open is lost.
    """
    assert workload.chain is not None  # everything that lives need is imported here, before they are forked
    folder.mkdir(parents=True)
    (folder / "books").mkdir()
    began = time.monotonic()
    frontier = Frontier(seed, began, RUNS_PER_SECOND)
    scene = Scene(url or f"sqlite:///{folder}/chaos.db", folder, LEASE_SECONDS, ending_seconds, frontier)
    nursery = Nursery(scene, Random(seed))
    gc.freeze()
    try:
        nursery.play(kills, until)
        haunt(nursery, max(1, kills // KILLS_PER_HAUNTING), LEASE_SECONDS, sqlite_path(scene.url))
        killed_in = time.monotonic() - began
        _end(nursery, ending_seconds)
    finally:
        nursery.leave()
    findings, counts = judge(scene)
    counts |= {"lives": nursery.births, "freezes": nursery.freezes, "closed in peace": nursery.closed}
    counts["seconds of killing"] = round(killed_in)
    if not findings:
        shutil.rmtree(folder)
    return Round(seed, nursery.kills, findings, counts, time.monotonic() - began)


def _end(nursery: Nursery, seconds: float) -> None:
    workers = [nursery.fork("worker") for _ in range(LAST_WORKERS)]
    operator = nursery.fork("operator")
    nursery.wait_for(operator, seconds + ANSWER_SECONDS)
    nursery.close([operator, *workers], CLOSE_SECONDS)
