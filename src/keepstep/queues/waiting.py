"""Waiting: how a run that is started waits on its queue, as the start says it."""

from __future__ import annotations

from datetime import datetime

import msgspec

from keepstep.journal import InvalidInput, Ticket
from keepstep.runtime.code_version import split_queue
from keepstep.runtime.data import Duration, checked_name, to_seconds
from keepstep.runtime.step import checked_priority


class WaitingOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a start says."""

    priority: int | None = None
    fairness_key: str | None = None
    delay: Duration | None = None
    start_at: datetime | None = None

    def is_asked_for(self) -> bool:
        """Whether it says anything."""
        return any(getattr(self, name) is not None for name in self.__struct_fields__)

    def not_before(self, now: int) -> int:
        """Engine time before which the run does not begin; 0 for at once. Raises ``InvalidInput``."""
        if self.delay is not None and self.start_at is not None:
            raise InvalidInput("delay= and start_at= both say when the run begins; give one of them")
        if self.delay is not None:
            return now + round(to_seconds(self.delay) * 1e6)
        if self.start_at is None:
            return 0
        if not isinstance(self.start_at, datetime) or self.start_at.tzinfo is None:
            raise InvalidInput(
                f"start_at is a datetime with a time zone, such as datetime(2030, 1, 1, tzinfo=UTC), "
                f"not {self.start_at!r:.60}"
            )
        return max(round(self.start_at.timestamp() * 1e6), now)

    def ticket(self, type: str, offered_on: str, not_before: int) -> Ticket | None:
        """How the run waits; None where nothing but its queue decides that, by its name."""
        queue, version = split_queue(offered_on, type) if isinstance(offered_on, str) else (offered_on, None)
        if not self.is_asked_for() and version is None:
            return None
        return Ticket(
            queue=queue,
            key=type if version is None else offered_on,
            priority=-checked_priority(self.priority or 0, "the priority of a start"),
            fairness_key="" if self.fairness_key is None else checked_name(self.fairness_key, "a fairness_key"),
            not_before=not_before,
            is_asked_for=self.is_asked_for(),
        )


def deduplicated_id(queue: str, dedup: str) -> str:
    """The workflow id by which starts with the same ``dedup=`` on a queue are one run while it is open."""
    return f"{queue}/{checked_name(dedup, 'a dedup key')}"
