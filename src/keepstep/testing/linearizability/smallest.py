"""The smallest part of a history that shows what is wrong with it.

Only what keeps the proof sound is left out: whatever came after the first moment at which no order was left (a
beginning of a linearizable history is linearizable), and calls that changed nothing (a linearizable history stays so
without them).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from .checker import find_order
from .model import ClientModel, changes_nothing
from .operation import READS, Operation


def is_wrong(history: Sequence[Operation]) -> bool:
    """True if it is certain that no order fits."""
    return find_order(ClientModel(), history).is_linearizable is False


def smallest_wrong(history: Sequence[Operation]) -> list[Operation]:
    """The shortest wrong beginning of a wrong history of one workflow id, less what does not matter."""
    answers = sorted(each.completed for each in history if each.completed is not None)
    low, high = 0, len(answers) - 1
    while low < high:
        middle = (low + high) // 2
        if is_wrong(_until(history, answers[middle])):
            high = middle
        else:
            low = middle + 1
    return _without_needless(_until(history, answers[low]))


def _until(history: Sequence[Operation], moment: int) -> list[Operation]:
    """The history as it was known right after that answer: later answers were still to come."""
    known: list[Operation] = []
    for each in history:
        if each.invoked >= moment:
            continue
        if each.completed is not None and each.completed <= moment:
            known.append(each)
        elif not isinstance(each.call, READS):
            known.append(msgspec.structs.replace(each, completed=None, answer=None))
    return known


def _without_needless(history: list[Operation]) -> list[Operation]:
    for each in list(history):
        if changes_nothing(each):
            less = [other for other in history if other is not each]
            if is_wrong(less):
                history = less
    return history
