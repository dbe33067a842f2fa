"""Receipts: what a run used really happened, before it was used, and all executions of a step were given the same.

That all were given the same is the strong part. A result that is shown to workflow code before it is durable is gone
after a crash, and the step done again gives another receipt: then two executions of the next step differ in what they
were given, even if the run's history looks right.
"""

from __future__ import annotations

from collections.abc import Iterator

from .case import NEVER, Case, Execution, used_receipts
from .planned import planned_steps


def check_receipts(case: Case) -> Iterator[str]:
    used: dict[tuple[str, str], str] = {}
    for name, ending in case.endings.items():
        if ending.status == "completed":
            yield from _check_result(case, name, ending.result, used)
    for executions in case.executions.values():
        for execution in executions:
            yield from _check_given(case, execution, executions[0], used)


def _check_result(case: Case, name: str, result: object, used: dict[tuple[str, str], str]) -> Iterator[str]:
    receipts, own = used_receipts(result), list[str]()
    if "/" in name and receipts:  # the engine has named the child; its steps call it as its parent does
        name = receipts[0].partition("|")[0]
    for receipt in receipts:
        run, place, _ = receipt.split("|")
        if used.setdefault((run, place), receipt) != receipt:
            yield f"{name} ended with {receipt}, and {run} with {used[run, place]}"
        if run == name:
            own.append(place)
    steps = planned_steps(name)
    if steps is None or not case.places(name):
        return
    if sorted(own) != sorted(steps):
        yield f"{name} ended with receipts of {sorted(own)}, and its steps are {sorted(steps)}"
    for place in own:
        yield from _check_used(case, used[name, place], steps[place].failures + 1)


def _check_used(case: Case, receipt: str, attempt: int) -> Iterator[str]:
    execution = case.execution(receipt)
    if execution is None or execution.done == NEVER:
        yield f"{receipt} was used, and never happened"
    elif execution.attempt != attempt:
        yield f"{receipt} is of attempt {execution.attempt}, and {attempt} was to succeed: a crash uses up none"


def _check_given(case: Case, execution: Execution, first: Execution, used: dict[tuple[str, str], str]) -> Iterator[str]:
    where = f"{execution.run}: step {execution.place}"
    if execution.given != first.given:
        yield f"{where} was given {first.given} and then {execution.given}"
    for receipt in used_receipts(execution.given):
        run, place, _ = receipt.split("|")
        before = case.execution(receipt)
        if before is None or before.done > execution.began:
            yield f"{where} was given {receipt}, which had not happened"
        elif used.get((run, place), receipt) != receipt:
            yield f"{where} was given {receipt}, and {run} ended with {used[run, place]}"
