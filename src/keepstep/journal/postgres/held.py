"""Held: starts that wait for what somebody else has not committed, and keep nobody waiting meanwhile.

A run is started by inserting it, and an insertion waits for one of the same workflow id that is not committed: perhaps
in a user's transaction, which may be open for as long as he likes. A process has one session that writes. So a start
that was not let through soon is put off and tried now and then, each one on its own and with little patience, and all
else is written in between. With it wait other starts of its workflow id.

One look waits a few times at most, and begins with those that the last one did not come to.
"""

from __future__ import annotations

from collections.abc import Sequence

from keepstep.journal.deciding.operation import Operation
from keepstep.journal.deciding.start import start

from .pace import Pace
from .statement import Statement

SHORT_WAIT = Statement("SET LOCAL lock_timeout TO 250")
"""Of a group in which there are starts."""

SHORTEST_WAIT = Statement("SET LOCAL lock_timeout TO 20")
"""Of each start that is held up."""

HELD_UP_MAX = 5
"""So many have been waited for in vain when a look ends."""

LOOK_SECONDS, PAUSE_SECONDS = 0.2, 0.02
"""From one look to the next, and a rest in between where there is nothing else to do."""

Name = tuple[str, str]


def name_of(operation: Operation) -> Name | None:
    """Namespace and workflow id of what is to be started; None of all else."""
    return (operation.argument.namespace, operation.argument.workflow_id) if operation.verb is start else None


def has_starts(group: Sequence[Operation]) -> bool:
    return any(each.verb is start for each in group)


class Held:
    """See the module."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._names: set[Name | None] = set()
        """Workflow ids whose starts are, or may be, held up."""
        self._look_at = 0.0
        self._in_vain: list[Operation] = []
        self._untried: list[Operation] = []

    def parts_of(self, group: Sequence[Operation]) -> tuple[Sequence[Operation], Sequence[Operation]]:
        """What can be written, and the starts that are held up."""
        if not self._names:
            return group, ()
        return (
            [each for each in group if name_of(each) not in self._names],
            [each for each in group if name_of(each) in self._names],
        )

    def suspect(self, group: Sequence[Operation]) -> None:
        """One of these starts has waited in vain; a look will tell which."""
        self._names.update(name for each in group if (name := name_of(each)) is not None)
        self._look_at = self._pace.monotonic()

    def is_due(self) -> bool:
        return self._pace.monotonic() >= self._look_at

    def begin(self) -> None:
        """Begin a look, or begin it again; not where it is found to have happened, which ends as it was."""
        self._in_vain, self._untried = [], []

    def passes_over(self, operation: Operation) -> bool:
        """Whether a start is left to the next look."""
        name = name_of(operation)
        if len(self._in_vain) < HELD_UP_MAX and all(name_of(each) != name for each in self._in_vain):
            return False
        self._untried.append(operation)
        return True

    def note_in_vain(self, operation: Operation) -> None:
        self._in_vain.append(operation)

    def end(self) -> Sequence[Operation]:
        """End a look; the starts that are put off."""
        left = (*self._untried, *self._in_vain)
        self._names = {name_of(each) for each in left}
        self._look_at = self._pace.monotonic() + LOOK_SECONDS
        return left
