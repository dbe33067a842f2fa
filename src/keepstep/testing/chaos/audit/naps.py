"""Naps: no durable wait ends before its time, whoever set it and whoever let it end."""

from __future__ import annotations

from collections.abc import Iterator

from keepstep.testing.chaos.plan import plan_of

from .case import Case, used_receipts

NAPS = "chaos_naps"
CLOCK_SECONDS = 0.001
"""The engine counts microseconds of its own clock; the ledger's runs at the same speed."""


def check_naps(case: Case) -> Iterator[str]:
    for name, ending in case.endings.items():
        if ending.type == NAPS:
            yield from _check_nap(case, name)


def _check_nap(case: Case, name: str) -> Iterator[str]:
    plan = plan_of(name)
    for place, milliseconds in enumerate(plan.numbers):
        following = case.places(name).get(str(place + 1) if place + 1 < len(plan.numbers) else "awake", ())
        for execution in following:
            for receipt in used_receipts(execution.given):
                before = case.execution(receipt)
                if before is None:
                    continue
                waited = execution.began - before.done
                if waited < milliseconds / 1000 - CLOCK_SECONDS:
                    yield f"{name}: a nap of {milliseconds} ms after step {place} was over after {waited * 1000:.1f} ms"
