"""Starts: what was acknowledged exists, once; every run is closed, and as its plan wants it."""

from __future__ import annotations

from collections.abc import Iterator

from keepstep.testing.chaos.client import digest_of
from keepstep.testing.chaos.plan import plan_of

from .case import Case

CLOSED = ("completed", "failed", "cancelled")


def check_starts(case: Case) -> Iterator[str]:
    yield from _acknowledged(case)
    yield from _told(case)
    asked = {line.facts[0] for line in case.facts["cancelling"]}
    for name, ending in case.endings.items():
        if ending.status not in CLOSED:
            yield f"run {name} ({ending.type}) is {ending.status} at the end: {ending.said}"
        elif ending.status not in _allowed(name, name in asked) and not case.was_given_up(ending):
            yield f"run {name} ({ending.type}) is {ending.status}, which its plan does not want: {ending.said}"
    for line in case.facts["cancelled"]:
        ending_of = case.endings.get(line.facts[0])
        if ending_of is not None and ending_of.cancels == 0:
            yield f"run {line.facts[0]}: a cancel was acknowledged, and its history has none"


def _acknowledged(case: Case) -> Iterator[str]:
    run_ids: dict[str, str] = {}
    for line in case.facts["started"]:
        name, run_id = line.facts
        if run_ids.setdefault(name, run_id) != run_id:
            yield f"run {name} was acknowledged as {run_ids[name]} and as {run_id}"
    for name, run_id in run_ids.items():
        ending = case.endings.get(name)
        if ending is None:
            yield f"the acknowledged run {name} is gone"
        elif ending.run_id != run_id:
            yield f"run {name} was acknowledged as {run_id} and is {ending.run_id} at the end"


def _told(case: Case) -> Iterator[str]:
    for line in case.facts["result"]:
        name, status, digest = line.facts
        ending = case.endings.get(name)
        if ending is None or ending.status != status:
            yield f"a client was told that run {name} is {status}; it is {ending and ending.status} at the end"
        elif status == "completed" and digest_of(ending.result) != digest:
            yield f"a client was told another result of run {name} than it has at the end"


def _allowed(name: str, was_asked_to_stop: bool) -> tuple[str, ...]:
    if "/" in name:
        return ("completed",)
    plan = plan_of(name)
    fails = plan.raises or any(link.is_refused for link in plan.links)
    planned = "failed" if fails else "completed"
    return (planned, "cancelled") if was_asked_to_stop else (planned,)
