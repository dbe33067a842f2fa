"""Keeping: how the policy of a namespace is set, and read.

A change is one commit that expects the version that was read. It takes the policy from a worker that is just carrying
it out: what that one has removed is removed, and what it was about to note is refused.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from keepstep.journal import (
    Commit,
    Condition,
    Conflict,
    IfRunning,
    Journal,
    NewEvent,
    NewRun,
    Run,
    RunClosed,
    Status,
)

from .guest import FORMAT, ID, LANGUAGE, QUEUE, TYPE, room_of
from .policy import Rule, Standing, encode_standing, standing_of

TRIES_MAX = 20

SET = "retention_set"
"""The event of a policy's history. Nothing else is written into it: who has set what, and when, can be read there."""


async def find_policy(journal: Journal, namespace: str) -> tuple[Run, Standing] | None:
    """The policy of a namespace, if it has one. Raises ``Unreadable``."""
    run = await journal.find_run(room_of(namespace), ID)
    return None if run is None or run.status is not Status.RUNNING else (run, standing_of(run))


async def change_policy(
    journal: Journal, namespace: str, make_id: Callable[[], str], edit: Callable[[Standing], Standing], audit: str
) -> Standing:
    """Change it, and have it carried out at once. Raises ``Conflict`` if it changes too quickly, ``Unreadable``."""
    for _ in range(TRIES_MAX):
        found = await find_policy(journal, namespace)
        if found is None:
            await _create(journal, namespace, make_id())
            continue
        run, standing = found
        changed = edit(standing)
        event = NewEvent(SET, journal.clock.now(), None, _encode_rules(changed.rules))
        is_set_anew = changed.rules != standing.rules
        try:
            await journal.commit(
                Commit(
                    run_id=run.run_id,
                    version=run.version,
                    seize=True,
                    events=(event,) if is_set_anew else (),
                    condition=Condition.WAITING,
                    detail=encode_standing(changed),
                    wake_at=0,
                    audit=audit if is_set_anew else None,
                )
            )
            return changed
        except (Conflict, RunClosed):
            continue
    raise Conflict(f"the retention of namespace {namespace!r} changes too quickly to be changed; try again")


def _encode_rules(rules: dict[Status, Rule]) -> bytes:
    return msgspec.json.encode(rules)


async def _create(journal: Journal, namespace: str, run_id: str) -> None:
    """A policy without a rule, which nobody is offered until it has one."""
    now = journal.clock.now()
    await journal.start(
        NewRun(
            run_id=run_id,
            workflow_id=ID,
            namespace=room_of(namespace),
            language=LANGUAGE,
            format=FORMAT,
            type=TYPE,
            queue=QUEUE,
            events=(NewEvent(SET, now, None, _encode_rules({})),),
            started_at=now,
            input_digest=b"",
            wake_at=None,
            if_running=IfRunning.ATTACH,
            if_closed=IfRunning.RESTART,
        )
    )
