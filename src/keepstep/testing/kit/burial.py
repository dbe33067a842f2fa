"""Burial: what is left of dead workers is thrown away, without a word.

Their coroutines stand in the middle of something. When Python throws them away their ``finally`` blocks run after all,
in a loop that is closed, and complain. So they are kept until somebody buries them, several at a time, as looking
through all of a process's memory for garbage takes a while.
"""

from __future__ import annotations

import gc
import sys

GRAVES_MAX = 40

_dead: list[object] = []


def lay_out(*dead: object) -> None:
    """Keep them until the next burial, which is now if there are many."""
    _dead.append(dead)
    if len(_dead) >= GRAVES_MAX:
        bury()


def bury() -> None:
    """Throw them away."""
    if not _dead:
        return
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        _dead.clear()
        gc.collect()
    finally:
        sys.unraisablehook = hook
