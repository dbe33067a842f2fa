"""Fork: a run whose history begins as a copy of another run's, and who it is in which part of it.

In the part that was copied the code must hear what it heard there, or it would ask for other things than are recorded:
the ids of the run that it was, its tokens, its chance, its order of tasks. From the last copied event on, the one at
which the fork was made, it is a run of its own: with its own ids, so that steps get new idempotency keys, with chance
of its own, so that a ``uuid4()`` is not that of the other run, and with the time of the fork.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from keepstep.journal import Event

from . import history
from .blocked import Contradiction, Diff

if TYPE_CHECKING:
    from .execution import Identity


class Forks:
    """The forks in a history that have not been passed yet; there are several in that of a fork of a fork.

    Raises ``Contradiction`` for a copy that was cut off: what it would do is not what the run that it was copied from
    has done.
    """

    def __init__(self, identity: Identity, events: Sequence[Event]) -> None:
        self._identity = identity
        self._ahead: deque[history.Forked] = deque(
            history.unpack(each.type, each.data) for each in events if each.type == history.FORKED
        )
        if events and events[0].type == history.WORKFLOW_STARTED:
            _check_whole(events[0], events[-1].seq)

    def __len__(self) -> int:
        return len(self._ahead)

    def known_as(self) -> Identity:
        """Who the code is, up to the next fork."""
        if not self._ahead:
            return self._identity
        known = self._ahead[0].known_as
        return msgspec.structs.replace(
            self._identity, **{name: getattr(known, name) for name in known.__struct_fields__}
        )

    def pass_one(self) -> bytes:
        """Pass the next fork; the seed of chance after it."""
        return self._ahead.popleft().seed


def _check_whole(started: Event, last_seq: int) -> None:
    at = history.unpack(started.type, started.data).forked_at
    if last_seq <= at:
        summary = (
            f"This run was to begin as a copy of {at} events of another one, and whoever copied them was cut off; "
            "terminate it, and fork again."
        )
        raise Contradiction(Diff(summary, last_seq))
