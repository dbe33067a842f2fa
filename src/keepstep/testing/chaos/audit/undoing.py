"""Undoing: an order that failed or was cancelled is undone in reverse, exactly as far as it had come.

Undone are the steps from the first to the one that ended the order, without a gap. Only that last one may have been
undone without having been executed, and is then *uncertain*. An order that went well has undone nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from keepstep.testing.chaos.plan import plan_of

from .case import Case

ORDER = "chaos_order"


def check_undoing(case: Case) -> Iterator[str]:
    for name, ending in case.endings.items():
        if ending.type != ORDER:
            continue
        places = case.places(name)
        done = {int(place) for place in places if place.isdigit()}
        undone = sorted(int(place.removeprefix("undo ")) for place in places if place.startswith("undo "))
        if ending.status == "completed":
            if undone:
                yield f"{name} went well, and undid {undone}"
        elif ending.status in ("failed", "cancelled"):
            ends_as_planned = ending.status == "failed" and not case.was_given_up(ending)
            yield from _check_reach(case, name, ends_as_planned, done, undone)
            yield from _check_order(case, name, undone)


def _check_reach(case: Case, name: str, ends_as_planned: bool, done: set[int], undone: list[int]) -> Iterator[str]:
    if undone != list(range(len(undone))):
        yield f"{name} undid {undone}: there is a gap"
        return
    last = len(undone) - 1
    if not done <= set(undone):
        yield f"{name} did {sorted(done)} and undid only {undone}"
    if not set(undone[:-1]) <= done:
        yield f"{name} undid {undone} and had done only {sorted(done)}"
    ends_at = _ends_at(name)
    if ends_as_planned and last != ends_at:
        yield f"{name} failed at step {ends_at} and undid {undone}"
    refused = {place for place, link in enumerate(plan_of(name).links) if link.is_refused}
    for place in undone:
        outcome, receipt = case.places(name)[f"undo {place}"][0].given
        yield from _check_outcome(case, name, place, outcome, receipt, place in refused, place == last, done)


def _check_outcome(
    case: Case, name: str, place: int, outcome: str, receipt: str, is_refused: bool, is_last: bool, done: set[int]
) -> Iterator[str]:
    where = f"{name}: the undo of step {place} was told {outcome}"
    if outcome == "succeeded":
        execution = case.execution(receipt)
        if execution is None or execution.place != str(place) or execution.run != name:
            yield f"{where} with {receipt}, which is no receipt of it"
    elif outcome == "failed":
        if not is_refused:
            yield f"{where}, and it was not refused"
    elif not is_last:
        yield f"{where}, and a later step had been done"
    if place not in done and outcome != "uncertain":
        yield f"{where}, and it was never done"


def _ends_at(name: str) -> int:
    links = plan_of(name).links
    return next((place for place, link in enumerate(links) if link.is_refused), len(links) - 1)


def _check_order(case: Case, name: str, undone: list[int]) -> Iterator[str]:
    """Each undo begins for the first time after the one of the step behind it has been done for the first time."""
    places = case.places(name)
    for place in undone[:-1]:
        began = min(each.began for each in places[f"undo {place}"])
        behind = min(each.done for each in places[f"undo {place + 1}"])
        if began < behind:
            yield f"{name}: step {place} was undone before step {place + 1}"
