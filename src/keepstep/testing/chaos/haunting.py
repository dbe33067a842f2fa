"""Haunting: the zombies that a kill loop alone seldom makes.

Where everybody dies young, hardly anybody lives long enough to take over from a frozen worker before that one is let go
on. So each round ends with some acts in which a worker that owns everything is frozen for some leases beside another
that lives, and then lives on for a while: everything that it still believes to own is somebody else's, its timers are
all due, and its steps come to their ends. All that it writes must be refused.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from keepstep.client.address import sqlite_path

from .home import is_postgres
from .life import Scene
from .nursery import Child, Nursery

STAGE_SECONDS_MAX = 5.0
CLAIMING_SECONDS = 0.25
FROZEN_LEASES = 3.0
AWAKE_LEASES = 1.5
FREEZES_MAX = 20
LOOKS = 25
LOOK_SECONDS = 0.002


def haunt(nursery: Nursery, acts: int, scene: Scene) -> None:
    """Play so many acts; the zombie of each is killed at its end, and the others after the last one."""
    lease_seconds = scene.campaign.lease_seconds
    clients = [nursery.fork("client") for _ in range(2)]
    keeper = nursery.fork("worker")
    for _ in range(acts):
        zombie, keeper = keeper, nursery.fork("worker")
        nursery.wait_until(zombie, "worked", STAGE_SECONDS_MAX)
        nursery.wait_until(keeper, "opened", STAGE_SECONDS_MAX)
        nursery.linger(CLAIMING_SECONDS)
        _freeze(nursery, zombie, scene.url)
        nursery.linger(FROZEN_LEASES * lease_seconds)
        nursery.thaw(zombie)
        nursery.linger(AWAKE_LEASES * lease_seconds)
        nursery.kill(zombie)
    for child in (keeper, *clients):
        nursery.kill(child)


def _freeze(nursery: Nursery, zombie: Child, url: str) -> None:
    """What a zombie keeps on a PostgreSQL server, the server takes from it; on SQLite nobody can."""
    if is_postgres(url):
        nursery.freeze(zombie)
    else:
        database = sqlite_path(url)
        _freeze_between_flushes(nursery, zombie, database.with_name(f"{database.name}-write"))


def _freeze_between_flushes(nursery: Nursery, zombie: Child, lock_file: Path) -> None:
    """Freeze it where it does not keep the right to write: else nobody could take over, and it would be no zombie."""
    for _ in range(FREEZES_MAX):
        nursery.freeze(zombie)
        if _can_be_written(nursery, lock_file):
            return
        nursery.thaw(zombie)
        nursery.linger(LOOK_SECONDS)
    nursery.freeze(zombie)


def _can_be_written(nursery: Nursery, lock_file: Path) -> bool:
    """Whether the right to write is to be had within some looks: others take it, too, but not for long."""
    file = os.open(lock_file, os.O_RDWR)
    try:
        for _ in range(LOOKS):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                nursery.linger(LOOK_SECONDS)
        return False
    finally:
        os.close(file)
