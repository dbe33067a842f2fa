"""Said: signals, updates and queries of a run, as observers are told of them.

Signals and updates are in the run's history, so that whoever closes a run knows all of them, whichever processes they
came through. What leaves no event, a query or a rejected update, is told once, by who has answered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from enum import StrEnum

import msgspec

from keepstep.journal import Event
from keepstep.runtime import history

SAID_MAX = 1_000
"""Of one run; of more, the last ones are remembered."""


class SaidKind(StrEnum):
    """How a run was spoken to."""

    SIGNAL = "signal"
    UPDATE = "update"
    QUERY = "query"


class SaidOutcome(StrEnum):
    """What came of it."""

    RECEIVED = "received"
    """A signal is in the history."""
    ACCEPTED = "accepted"
    """An update will be done."""
    COMPLETED = "completed"
    FAILED = "failed"
    REJECTED = "rejected"
    """The validator of an update refused it, which leaves nothing in the history."""
    ANSWERED = "answered"


class Said(msgspec.Struct, frozen=True):
    """One moment of one of them."""

    kind: SaidKind
    outcome: SaidOutcome
    name: str
    at: int
    """Engine time."""
    id: str = ""
    seconds: float | None = None
    """From the acceptance of an update to its outcome; how long the answer to a query took."""


_OUTCOMES = {history.UPDATE_COMPLETED: SaidOutcome.COMPLETED, history.UPDATE_FAILED: SaidOutcome.FAILED}
_BEGINNINGS = (history.FORKED, history.WORKFLOW_REOPENED)
"""What comes before was said to another run, or told when this one was closed before."""

TYPES = frozenset((history.SIGNAL_RECEIVED, history.UPDATE_ACCEPTED, *_BEGINNINGS, *_OUTCOMES))
"""Events that say something here."""


def _data_of(event: Event) -> object:
    """None for what is sealed, or damaged: whoever runs the code says so."""
    try:
        return history.known_of(event.type, event.data)
    except msgspec.DecodeError:
        return None


class Hearing:
    """What was said to one run, from its history as it is replayed and as it grows."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.said: deque[Said] = deque(maxlen=SAID_MAX)
        self.reopened_at = 0
        """Engine time at which a closed run was last opened again; 0 for one that never was."""
        self._accepted: dict[str, Said] = {}
        for event in events:
            self.hear(event)

    def hear(self, event: Event) -> Said | None:
        """The moment that an event is; None for any other event, and for one that cannot be read here."""
        data = _data_of(event) if event.type in TYPES else None
        if data is None:
            return None
        if event.type in _BEGINNINGS:
            self.said.clear()
            self.reopened_at = event.time if event.type == history.WORKFLOW_REOPENED else 0
            return None
        said = self._moment(event, data)
        self.said.append(said)
        return said

    def _moment(self, event: Event, data: object) -> Said:
        if isinstance(data, history.SignalReceived):
            return Said(SaidKind.SIGNAL, SaidOutcome.RECEIVED, data.name, event.time, data.message_id)
        if isinstance(data, history.UpdateAccepted):
            said = Said(SaidKind.UPDATE, SaidOutcome.ACCEPTED, data.name, event.time, data.id)
            self._accepted[data.id] = said
            return said
        assert isinstance(data, history.UpdateCompleted | history.UpdateFailed)
        begun = self._accepted.pop(data.id, None)
        name, seconds = ("", None) if begun is None else (begun.name, (event.time - begun.at) / 1e6)
        return Said(SaidKind.UPDATE, _OUTCOMES[event.type], name, event.time, data.id, seconds)
