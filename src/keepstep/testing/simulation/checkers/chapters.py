"""Chapters: a run that continues as new does so once, hands on what it has seen, and loses nothing that was said to it.

Its steps tell the outside world which chapter they are of, and the last run of the chain tells all that the chain saw.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import msgspec

from keepstep.journal import Loaded, Status
from keepstep.runtime import history
from keepstep.testing.simulation.language import CHAPTER_ENDS
from keepstep.testing.simulation.programs import CHAPTERS, NAMES_OF_CHAPTER
from keepstep.testing.simulation.record import Record, Start

_NUMBER = re.compile(r"s(\d+)")


def check(record: Record) -> Iterator[str]:
    chains = record.chains()
    for start in record.starts.values():
        chain = chains.get(start.workflow_id, [])
        if start.program[0] != CHAPTERS:
            if len(chain) > 1:
                yield f"{start.workflow_id} has continued, and nobody has asked it to"
        elif chain:
            yield from _check_chain(record, start, chain)


def _check_chain(record: Record, start: Start, chain: list[Loaded]) -> Iterator[str]:
    name = start.workflow_id
    links = [(each.run.continued_from, each.run.status is Status.CONTINUED) for each in chain]
    wanted = [(None, True), *((each.run.run_id, True) for each in chain)][: len(chain)]
    wanted[-1] = (wanted[-1][0], False)
    if links != wanted:
        yield f"{name} is no chain of runs, each of which continues the one before: {links}"
    count = len(start.program[1])
    if len(chain) > count or (chain[-1].run.status is Status.COMPLETED and len(chain) != count):
        yield f"{name} has {count} chapters and came to {len(chain)} runs"
    yield from _check_walkers(record, name, [each.run.run_id for each in chain])
    yield from _check_notes(record, name, chain)
    if chain[-1].run.status is Status.COMPLETED:
        yield from _check_story(record, start, chain[-1])


def _check_walkers(record: Record, name: str, run_ids: list[str]) -> Iterator[str]:
    """Each chapter is walked by its own run."""
    for each in record.executions:
        number = _NUMBER.match(each.name.removeprefix("undo "))
        if number is None or each.run_id not in run_ids:
            continue
        chapter = int(number[1]) // NAMES_OF_CHAPTER
        if run_ids.index(each.run_id) != chapter:
            yield f"{each}, which is of chapter {chapter} of {name}, was executed by run {run_ids.index(each.run_id)}"


def _check_story(record: Record, start: Start, last: Loaded) -> Iterator[str]:
    """What the code of all runs has seen."""
    name = start.workflow_id
    result = msgspec.json.decode(history.unpack(last.events[-1].type, last.events[-1].data).payload)
    if start.told not in (None, result):
        yield f"whoever waited for {name} was told {start.told}, and it ended with {result}"
    trace = result[1:]
    if trace.count(CHAPTER_ENDS) != len(start.program[1]):
        yield f"{name} has lost a chapter of what it saw: {trace}"
    for kind in ("receive", "receive_at_last"):
        heard = Counter(told for told in trace if re.fullmatch(rf"{kind} \d+", told))
        twice = [told for told, times in heard.items() if times > 1]
        if twice:
            yield f"{name} has heard the same signals twice: {twice}"


def _check_notes(record: Record, name: str, chain: list[Loaded]) -> Iterator[str]:
    """Signals that a handler has taken do not go over."""
    acts = {(each.run_id, each.key): each.name for each in record.executions if each.name.startswith("note ")}
    handled = Counter(
        acts[loaded.run.run_id, event.key or ""]
        for loaded in chain
        for event in loaded.events
        if event.type == history.STEP_COMPLETED and (loaded.run.run_id, event.key or "") in acts
    )
    twice = [note for note, times in handled.items() if times > 1]
    if twice:
        yield f"{name} has handled the same signals twice: {twice}"
