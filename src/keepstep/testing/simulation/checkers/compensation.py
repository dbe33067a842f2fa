"""Sagas: where one failed, exactly what it had begun is undone, each act once, the last one first.

Code that contradicts others' goes on with a run of which nothing is recorded, and may end it before it has come to a
saga. What others had begun in that saga and could not record, it does not know.
"""

from __future__ import annotations

from collections.abc import Iterator

from keepstep.journal import Event, Status
from keepstep.runtime import history
from keepstep.testing.simulation.record import Execution, Record


def check(record: Record) -> Iterator[str]:
    sagas: dict[tuple[str, str], list[Execution]] = {}
    for each in record.executions:
        if each.saga:
            sagas.setdefault((each.run_id, each.saga), []).append(each)
    for (run_id, saga), executions in sagas.items():
        loaded = record.runs.get(run_id)
        if loaded is not None:
            where = f"{saga} of {run_id}"
            if (
                record.contradicted
                and loaded.run.status is Status.CANCELLED
                and not _recorded(executions, loaded.events)
            ):
                continue
            yield from _check_saga(where, executions, loaded.events, loaded.run.status)
            yield from _check_end(where, saga, executions, loaded.events[-1])


def _recorded(executions: list[Execution], events: list[Event]) -> bool:
    """Whether the history tells of anything in the saga."""
    return not {each.key for each in executions}.isdisjoint(event.key for event in events)


def _check_end(where: str, saga: str, executions: list[Execution], last: Event) -> Iterator[str]:
    """What the run itself says of a saga must be what happened."""
    acts = [each.name for each in executions if not each.name.startswith("undo ")]
    undos = [each.name for each in executions if each.name.startswith("undo ")]
    if f"saga {saga} undone".encode() in last.data and acts and not undos:
        yield f"{where} is said to be undone, and of {acts} nothing was"
    if f"saga {saga} done".encode() in last.data and undos:
        yield f"{where} is said to be done, and {undos} were called"


def _check_saga(where: str, executions: list[Execution], events: list[Event], status: Status) -> Iterator[str]:
    acts = list(dict.fromkeys(each.name for each in executions if not each.name.startswith("undo ")))
    keys = {each.key: each.name.removeprefix("undo ") for each in executions if each.name.startswith("undo ")}
    undone = [keys[event.key] for event in events if event.type == history.STEP_COMPLETED and event.key in keys]
    if not keys:
        return
    if len(set(undone)) != len(undone):
        yield f"{where}: something was undone twice: {undone}"
    if len(keys) != len(set(keys.values())):
        yield f"{where}: an act has more than one undo: {keys}"
    if status is Status.TERMINATED:
        return
    if not set(acts) <= set(undone):
        yield f"{where}: begun were {acts}, and undone was only {undone}"
    if [_place(each) for each in undone] != sorted(map(_place, undone), reverse=True):
        yield f"{where}: undone in the order {undone}, which is not the reverse of the order of doing"
    unheard = [each.name for each in executions if each.premise == "succeeded" and keys.get(each.key) not in acts]
    if unheard:
        yield f"{where}: undone as succeeded was {unheard}, and it had never begun"


def _place(name: str) -> int:
    """Acts are numbered as the saga asked for them."""
    return int(name.rpartition("@")[2])
