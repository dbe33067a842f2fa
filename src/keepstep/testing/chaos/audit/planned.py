"""Planned: which steps a run has according to its plan, by place; that of a child follows from its parent's."""

from __future__ import annotations

from keepstep.testing.chaos.plan import Link, Plan, plan_of

LAST_CHILD_LINKS = 2


def planned_steps(name: str) -> dict[str, Link] | None:
    """All steps of a run that goes well. None for a mailbox, which has as many as it gets letters."""
    parent, _, child = name.partition("/")
    plan = plan_of(parent)
    if plan.kind == "mailbox":
        return None
    if child:
        return _numbered(plan.links[:LAST_CHILD_LINKS] if child == "last" else plan.links[int(child) :])
    if plan.kind in ("family", "dispenser"):
        return {}
    return _numbered(plan.links) | _others(plan)


def _numbered(links: tuple[Link, ...]) -> dict[str, Link]:
    return {str(place): link for place, link in enumerate(links)}


def _others(plan: Plan) -> dict[str, Link]:
    if plan.kind == "fan":
        return {f"all {begin}": Link() for begin in range(0, len(plan.links), plan.numbers[0])}
    return {"awake": Link()} if plan.kind == "naps" else {}
