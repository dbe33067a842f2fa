"""Reopening: a failed run goes on as if what failed it had not happened.

Nothing is taken out of a history: the event that reopens a run names those that count no more (``superseded``), and
those that count only if the code asks for them although the failure has not happened (``loose``).
"""

from __future__ import annotations

from collections.abc import Sequence

from keepstep.journal import Event

from . import history


def without_superseded(events: Sequence[Event]) -> tuple[Sequence[Event], set[int]]:
    """The history without what a reopening has set aside, and what in it counts only if somebody asks for it."""
    superseded: set[int] = set()
    loose: set[int] = set()
    for event in events:
        if event.type == history.WORKFLOW_REOPENED:
            reopened = history.unpack(event.type, event.data)
            superseded.update(reopened.superseded)
            loose.update(reopened.loose)
    return [each for each in events if each.seq not in superseded] if superseded else events, loose


def last_reopening(events: Sequence[Event]) -> history.WorkflowReopened | None:
    """How the run was reopened the last time; None if it never was."""
    for event in reversed(events):
        if event.type == history.WORKFLOW_REOPENED:
            reopened: history.WorkflowReopened = history.unpack(event.type, event.data)
            return reopened
    return None


def origins(error: BaseException, failures: Sequence[tuple[int, BaseException]]) -> tuple[int, ...]:
    """Where an error comes from: the nearest of the failures among itself, its members, its causes, its contexts."""
    numbers = {id(each): seq for seq, each in failures}
    seen: set[int] = set()

    def search(each: BaseException | None) -> set[int]:
        if each is None or id(each) in seen:
            return set()
        seen.add(id(each))
        if id(each) in numbers:
            return {numbers[id(each)]}
        members = each.exceptions if isinstance(each, BaseExceptionGroup) else ()
        found = set[int]().union(*map(search, members))
        return found or search(each.__cause__) or search(each.__context__)

    return tuple(sorted(search(error))) if numbers else ()
