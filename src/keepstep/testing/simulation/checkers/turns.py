"""Turns: who waits on a queue goes by priority, and by age within one; nothing begins before its delay is over.

And nothing is handed out while a queue is paused. When exactly the store has handed something out, only it knows: at
some moment between a claim and its end. So it was out of turn where another one had waited since before the claim and
was handed out by a later one only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from keepstep.testing.simulation.language import TALK_QUEUE
from keepstep.testing.simulation.record import Handout, Record, Start


def check(record: Record) -> Iterator[str]:
    for pause in record.queue_pauses:
        for each in record.handouts:
            is_within = pause.paused <= each.asked and (pause.resumed is None or each.told <= pause.resumed)
            if each.queue == pause.queue and is_within:
                yield f"{each} although its queue was paused: {pause}"
    yield from _check_delays(record)
    yield from _check_order(record)


def _check_delays(record: Record) -> Iterator[str]:
    delayed = {
        start.run_id: start.asked + round(start.options["delay"] * 1e6)
        for start in record.starts.values()
        if "delay" in start.options and start.asked is not None
    }
    for each in record.executions:
        if each.run_id in delayed and each.began < delayed[each.run_id]:
            yield f"{each} began, and its run was not to begin before {delayed[each.run_id]}"
    for handout in record.handouts:
        if handout.run_id in delayed and handout.told < delayed[handout.run_id]:
            yield f"{handout} although the run was not to begin before {delayed[handout.run_id]}"


@dataclass(slots=True)
class _Waiting:
    """A run that has waited on the queue since a moment between two, and was handed out."""

    start: Start
    handout: Handout
    since: int
    since_at_latest: int
    priority: int


def _check_order(record: Record) -> Iterator[str]:
    first: dict[str, Handout] = {}
    for each in record.handouts:
        if each.queue == TALK_QUEUE and not each.key:
            first.setdefault(each.run_id, each)
    waiting = [
        _Waiting(start, first[start.run_id], start.asked, start.acknowledged, start.options.get("priority", 0))
        for start in record.starts.values()
        if start.run_id in first and start.asked is not None and start.acknowledged is not None
    ]
    for one in waiting:
        for other in waiting:
            has_waited = other.since_at_latest <= one.handout.asked and one.handout.told <= other.handout.asked
            is_older = other.priority == one.priority and other.since_at_latest < one.since
            if has_waited and (other.priority < one.priority or is_older):
                yield f"{one.handout} of priority {one.priority} went before {other.handout} of {other.priority}"
