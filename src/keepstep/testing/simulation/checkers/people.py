"""Tasks for people: what code is told is what was answered to that very task, and the first who was heard counts.

Code says what it was told by an act, whose name has the answer; an answer is a number that was given once. Nonsense is
refused as long as the task is open, and comes too late afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator

from keepstep.runtime import history
from keepstep.testing.simulation.language import ANSWERED
from keepstep.testing.simulation.record import NONSENSE, PersonsAnswer, Record


def check(record: Record) -> Iterator[str]:
    given = {str(each.value): each for each in record.persons_answers}
    by_token: dict[str, list[PersonsAnswer]] = {}
    for each in record.persons_answers:
        by_token.setdefault(each.token, []).append(each)
    for loaded in record.runs.values():
        for event in loaded.events:
            if event.type == history.CALLBACK_COMPLETED and NONSENSE.encode() in event.data:
                yield f"{loaded.run.workflow_id} was answered nonsense by a person, which nobody refused"
    runs: dict[str, set[str]] = {}
    for execution in record.executions:
        if not execution.name.startswith(ANSWERED):
            continue
        answer = given.get(execution.name.removeprefix(ANSWERED))
        if answer is None or answer.is_refused:
            yield f"{execution} was told what nobody has answered"
            continue
        runs.setdefault(answer.token, set()).add(f"{execution.run_id} {execution.name}")
        before = [each for each in by_token[answer.token] if each.told is not None and each.told <= answer.asked]
        if before:
            yield f"{execution} was told {answer}, and {before[0]} was heard before"
    for token, told in runs.items():
        if len(told) > 1:
            yield f"the task {token} was answered in several ways: {sorted(told)}"
