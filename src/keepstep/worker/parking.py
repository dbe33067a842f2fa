"""Parking: a run that cannot go on with its code, or that somebody has paused, is given back.

Steps that are being executed end first, and are recorded; nothing more is begun or delivered meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from keepstep.journal import Condition, Message
from keepstep.runtime.blocked import Diff

from .pause import of_pausing
from .waits import detail_of
from .words import Detail, encode_detail

if TYPE_CHECKING:
    from .resident import Resident

logger = logging.getLogger("keepstep.worker")


class Parking:
    """See the module's docstring; of one resident."""

    def __init__(self, resident: Resident) -> None:
        self.resident = resident
        self.is_under_way = False
        """It is only waited for the steps being executed to end. Asked several times for each step, and so kept."""
        self.blocked: Diff | None = None
        """Why it cannot go on with its code."""
        self.is_pausing = False
        """Somebody has paused it."""
        self._is_resumed = False
        """Somebody has resumed it before it was given back: it is not left paused then."""

    def block(self, diff: Diff) -> None:
        """The run cannot go on with this code."""
        resident = self.resident
        if self.blocked is None and not resident.is_dropped:
            self.blocked, self.is_under_way = diff, True
            if resident.worker.watching is not None:
                resident.worker.watching.blocked(resident)
            logger.warning("run %s (%s) is blocked: %s", resident.run_id, resident.execution.identity.workflow_id, diff)

    def finish(self) -> None:
        """Give the run back, if nothing of it is being executed or recorded any more."""
        resident = self.resident
        if resident.running or resident.in_flight or resident.is_dropped:
            return
        if self.blocked is None:
            resident.release()
            return
        detail = encode_detail(Detail(blocked=msgspec.to_builtins(self.blocked)))
        resident.release(condition=Condition.BLOCKED, detail=detail, blocked_for=resident.worker.lease_id)

    def pause(self) -> None:
        """Begin nothing more; called for a message whose consuming commit makes it durable."""
        self.is_pausing = self.is_under_way = True
        self._is_resumed = self.resident.is_shown = False
        self.resident.worker.steps.withdraw(self.resident)

    def resume(self) -> None:
        """Go on when the steps that are being executed have ended."""
        self._is_resumed = self.is_pausing

    def stay_paused(self, messages: Sequence[Message]) -> None:
        """It was paused before this worker could begin it: none of its code is run."""
        self.is_pausing = self.is_under_way = True
        self.resident.is_shown = False
        said = [each.n for each in of_pausing(messages)]
        if said:
            self.resident.append(consume=said, condition=Condition.PAUSED)
        else:
            self.finish()

    def changes(self) -> dict[str, Any]:
        """What a commit says of a run that is being paused; nothing of one that is not."""
        if not self.is_pausing:
            return {}
        if self._is_resumed:
            return {"condition": Condition.NONE, "detail": b""}
        shown = {"detail": encode_detail(detail_of(self.resident))} if self.resident.has_begun else {}
        return {"condition": Condition.PAUSED, **shown}

    def last_changes(self) -> dict[str, Any]:
        """The same of the commit that gives it back: one that was resumed meanwhile is to be taken up at once."""
        return self.changes() | ({"wake_at": 0} if self._is_resumed else {})
