"""Guest: the place of schedules in a worker. What decides for them is loaded with the first one that is claimed.

A schedule is a run of a language of its own, in a namespace beside that of the workflows: so it is among nobody's runs,
and schedules and workflows may have the same ids.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

from keepstep.journal import Journal, NewRun, Run, Started, Unreadable

if TYPE_CHECKING:
    from .runner import Runner

LANGUAGE = "schedule"
FORMAT = 1
QUEUE = ":schedules"
TYPE = ":schedule"

_ROOM = ":schedules"


def room_of(namespace: str) -> str:
    """The namespace of the schedules of a namespace."""
    return namespace + _ROOM


def namespace_of(room: str) -> str:
    """The namespace in which the schedules of a room start runs."""
    return room.removesuffix(_ROOM)


class Host(Protocol):
    """What a worker does for its guest."""

    journal: Journal
    lease_id: str
    random: Random

    @property
    def ids(self) -> Callable[[], str]:
        """Makes run ids."""
        ...

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do something beside what the caller does, for as long as the worker lives."""
        ...

    def can_adopt(self, new: NewRun) -> bool:
        """Whether a run could be started under the worker's lease."""
        ...

    def adopt(self, new: NewRun, started: Started) -> None:
        """It was."""
        ...

    def recover(self, run_id: str) -> None:
        """Nobody knows whether it was."""
        ...

    async def park_unreadable(self, run: Run, error: Unreadable) -> None:
        """It is offered to every other worker, and looked at again."""
        ...

    def look_again(self) -> None:
        """Schedules were given back, and one of them may be the next to be due."""
        ...

    def doubt_claims(self) -> None:
        """Nobody knows whether a schedule was given back."""
        ...


class Schedules:
    """See the module."""

    language = LANGUAGE
    queue = QUEUE
    types = (TYPE,)

    def __init__(self, host: Host) -> None:
        self._host = host
        self._runner: Runner | None = None

    async def take_up(self, runs: Sequence[Run]) -> None:
        """Begin to decide for schedules that the worker owns, and to give them back."""
        if self._runner is None:
            from .runner import Runner

            self._runner = Runner(self._host)
        await self._runner.take_up(runs)
