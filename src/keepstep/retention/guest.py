"""Guest: the place of retention in a worker. What carries it out is loaded with the first policy that is claimed.

The policy of a namespace is a run of a language of its own, in a namespace beside that of the workflows, as schedules
are. So one worker at a time carries it out, another one goes on when that one dies, what is not due costs no question,
and older workers, which do not know the language, leave it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from keepstep.journal import Journal, Run, Unreadable

if TYPE_CHECKING:
    from .sweeper import Sweeper

LANGUAGE = "retention"
FORMAT = 1
QUEUE = ":retention"
TYPE = ":retention"
ID = "policy"

_ROOM = ":retention"


def room_of(namespace: str) -> str:
    """The namespace of the policy of a namespace."""
    return namespace + _ROOM


def namespace_of(room: str) -> str:
    """The namespace whose policy is in a room."""
    return room.removesuffix(_ROOM)


class Host(Protocol):
    """What a worker does for its guest."""

    journal: Journal

    @property
    def ids(self) -> Callable[[], str]:
        """Makes ids."""
        ...

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do something in the background, for as long as the worker lives."""
        ...

    async def park_unreadable(self, run: Run, error: Unreadable) -> None:
        """It is offered to every other worker, and looked at again."""
        ...

    def doubt_claims(self) -> None:
        """Nobody knows whether a policy was given back."""
        ...


class Retention:
    """See the module."""

    language = LANGUAGE
    queue = QUEUE
    types = (TYPE,)

    def __init__(self, host: Host) -> None:
        self._host = host
        self._sweeper: Sweeper | None = None

    async def take_up(self, runs: Sequence[Run]) -> None:
        """Begin to carry out policies that the worker owns; in the background, because archives can be slow."""
        if self._sweeper is None:
            from .sweeper import Sweeper

            self._sweeper = Sweeper(self._host)
        self._sweeper.take_up(runs)
