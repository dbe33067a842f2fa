"""Surroundings: where a worker and a client get chance, identifiers and their own identity from.

Handed in at the door, so that a simulation can own all of it. The clock comes with the journal.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from keepstep.journal import IdFactory, ProcessIdentity, this_process, uuid7

from .watchdog import Watchdog


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is real unless somebody says otherwise."""

    make_id: IdFactory = uuid7
    random: random.Random = field(default_factory=random.SystemRandom)
    """For the seeds of runs and the jitter of retries."""
    identify: Callable[[], ProcessIdentity] = this_process
    make_watchdog: Callable[[], Watchdog] = Watchdog
