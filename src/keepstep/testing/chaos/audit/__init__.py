"""Audit: holds what the engine says at the end against what the ledger says.

Each module checks one promise and is a function from a ``Case`` to findings, in words. A round without findings has:

* ``starts``: every start that was acknowledged, and every result that a client was told, still true at the end; every
  run closed, as its plan wants it;
* ``receipts``: every result that a run used really happened, before it was used, and everybody was given the same one;
* ``repeats``: nothing done twice but what a kill, a freeze or a lost lease cut off;
* ``letters``: every acknowledged letter opened exactly once, those of one sender in order;
* ``undoing``: orders that failed or were cancelled undone in reverse, exactly as far as they had come;
* ``once``: no once-step called twice, and its resolver's word true;
* ``naps``: no timer early;
* ``database``: the files whole, nothing owned, leased or left to do;
* ``surprises``: no error that this torture does not explain.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from .case import Case, open_case
from .database import check_database
from .letters import check_letters
from .naps import check_naps
from .once import check_once
from .receipts import check_receipts
from .repeats import check_repeats
from .starts import check_starts
from .surprises import check_surprises
from .undoing import check_undoing

if TYPE_CHECKING:
    from keepstep.testing.chaos.life import Scene

CHECKS = (
    check_surprises,
    check_starts,
    check_receipts,
    check_repeats,
    check_letters,
    check_undoing,
    check_once,
    check_naps,
    check_database,
)


def judge(scene: Scene) -> tuple[list[str], Counter[str]]:
    """All findings, and what there was to judge."""
    case = open_case(scene)
    return [finding for check in CHECKS for finding in check(case)], case.counts()


__all__ = ["CHECKS", "Case", "judge", "open_case"]
