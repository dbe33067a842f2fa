"""Marker: which version of a piece of code a run has chosen, recorded so that it stays chosen.

``patched("x")`` asks whether the run has the patch, ``version("x", 3)`` which of its versions. The first time that a
run comes to the question, live, the newest answer is chosen and recorded as one event. A run that was at that point
before, with code that did not ask, has no such event: its answer is no, or version 0, and it replays what it has done.

"Was there before" is meant strictly. A turn that an earlier owner of the run may have run counts as passed, even where
nothing has been recorded since: that owner may have begun a step whose result was lost with it, and code that takes
the other way now would do another thing beside it. For the same reason nothing that the code asks for after a choice
is begun before the choice is durable (``worker.resident``): whoever takes the run up after a crash finds either the
choice, or a run in which nothing has come of it.

A run answers once for each name, in all its branches and loops: a run has a patch, or has it not. Keys of other
operations do not know of markers, so that adding or removing one shifts nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from keepstep.journal import Event, InvalidInput

from . import history
from .blocked import Asked, Contradiction, Diff, Site, site_of
from .call import required
from .data import checked_name
from .loop import task_of
from .operation import Operation

if TYPE_CHECKING:
    from .execution import Execution

PATCHED = 1
"""A patch is version 1 of what was there before."""

VERSIONS_MAX = 1_000_000


class MarkerOperation(Operation):
    """A choice that is not in history yet. Nothing waits for it, but what was asked for after it does."""

    __slots__ = ("marker", "version")

    kind = "version"

    def __init__(self, execution: Execution, marker: str, version: int) -> None:
        self.key = marker_key(marker)
        self.digest = b""
        self.abandoned = False
        self.asked_seq = 0
        self.task = task_of(execution.loop)
        self.marker = marker
        self.version = version

    def settle(self) -> None:
        """There is no future to let go of."""

    @property
    def name(self) -> str:
        return f"version {self.version} of {self.marker!r}"


class Markers:
    """The choices of one run."""

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self._recorded: dict[str, history.VersionMarked] = {}
        self._chosen: dict[str, int] = {}
        """What code was told, where history says nothing."""
        self._heard: set[str] = set()
        """Names whose event was delivered."""
        self._new: list[MarkerOperation] = []
        self.unconfirmed: set[str] = set()
        """Keys of choices made here that are not durable yet."""
        self.live_from = 0
        """Turns from that seq on have never been run by anybody else."""

    def read(self, events: Sequence[Event], *, is_first: bool) -> None:
        """Look for the choices in a history that is about to be replayed.

        ``is_first``: nobody has run its code before, except for what was copied from the run that it was forked from.
        """
        is_copy = any(event.type == history.FORKED for event in events)
        for event in events:
            if event.type == history.VERSION_MARKED:
                data = history.unpack(event.type, event.data)
                self._recorded[data.name] = data
        self.live_from = 0 if is_first and not is_copy else events[-1].seq + 1

    def choose(self, name: str, newest: int, oldest: int, *, records: bool = True) -> int:
        """The version of ``name`` that the run has. Raises ``Contradiction`` for one that the code does not know."""
        if self.execution.handling.is_answering:
            return min(max(self._known(name), oldest), newest)
        seq = self.execution.seen_seq
        recorded = self._recorded.get(name)
        if recorded is not None and seq >= recorded.asked_seq:
            found = recorded.version
            self._expect(name, found)
        elif name in self._chosen:
            found = self._chosen[name]
        else:
            is_live = recorded is None and seq >= self.live_from
            found = newest if is_live else 0
            if is_live and records:
                self._make(name, newest)
            if recorded is None:
                self._chosen[name] = found
        if not oldest <= found <= newest:
            raise self._unknown(name, found, newest, oldest)
        return found

    def _known(self, name: str) -> int:
        """What a query or a validator is told, which chooses nothing."""
        recorded = self._recorded.get(name)
        is_there = recorded is not None and self.execution.seen_seq >= recorded.asked_seq
        return recorded.version if recorded is not None and is_there else self._chosen.get(name, 0)

    def _expect(self, name: str, version: int) -> None:
        """The recorded choice was asked for, and its event will find that."""
        if name not in self._heard and marker_key(name) not in self.execution.pending:
            self.execution.add(MarkerOperation(self.execution, name, version))

    def _make(self, name: str, version: int) -> None:
        operation = MarkerOperation(self.execution, name, version)
        self.execution.add(operation)
        self._new.append(operation)
        self.unconfirmed.add(operation.key)

    def take_new(self) -> list[MarkerOperation]:
        """The choices that are to be recorded, in the order in which they were made."""
        new, self._new = self._new, []
        return new

    def confirm(self, data: history.VersionMarked) -> None:
        """A choice is durable."""
        self._recorded[data.name] = data
        self._heard.add(data.name)
        self.unconfirmed.discard(marker_key(data.name))

    def _unknown(self, name: str, found: int, newest: int, oldest: int) -> Contradiction:
        known = f"version {newest} alone" if oldest == newest else f"versions {oldest} to {newest}"
        summary = f"The code does not fit the run's history: it knows {known} of {name!r}, and the run has {found}."
        recorded = self._recorded.get(name)
        has = f"{history.VERSION_MARKED} {marker_key(name)} (version {found})" if recorded is not None else ""
        asked = Asked(marker_key(name), f"{known} of {name!r}", self._site())
        return Contradiction(Diff(summary, 0 if recorded is None else recorded.asked_seq, has, (asked,)))

    def _site(self) -> Site | None:
        return site_of(task_of(self.execution.loop))


def marker_key(name: str) -> str:
    """The key of a choice's event. It begins like no other key does."""
    return f"@version/{name}"


def patched(name: str) -> bool:
    """Whether this run has the patch of that name: True in runs that come here for the first time with this code.

    A run that was past this point when the patch was deployed gets False, and goes on as it began. The answer is the
    same wherever in the run it is asked. See ``docs/changing-code.md``.
    """
    return version(name, PATCHED) == PATCHED


def deprecate_patch(name: str) -> None:
    """Say that the way without the patch is gone: every run that comes here has it, or never needed to ask.

    Stands where ``patched(name)`` stood. Runs that have recorded the patch go on; new ones record nothing any more. It
    may be removed when no open run has the patch recorded; ``keepstep check`` tells.
    """
    execution = required("deprecate_patch", only_looks=True)
    execution.choose_version(checked_name(name, "the name of a patch"), PATCHED, 0, records=False)


def version(name: str, newest: int, oldest: int = 0) -> int:
    """Which version of the code called ``name`` this run has: ``newest`` in runs that come here for the first time.

    :param newest: of this code, from 1. A run keeps the version that was the newest when it came here.
    :param oldest: the oldest that this code can still go on with; 0 is what was there before the first marker.

    A run with a version outside of these blocks. Raises ``InvalidInput`` for numbers that are none.
    """
    execution = required("version", only_looks=True)
    checked_name(name, "the name of a version marker")
    numbers = (oldest, newest)
    if any(type(each) is not int for each in numbers) or not 0 <= oldest <= newest <= VERSIONS_MAX or newest < 1:
        raise InvalidInput(
            f"version({name!r}, newest, oldest) takes whole numbers with 0 <= oldest <= newest and newest from 1 to "
            f"{VERSIONS_MAX}, not newest={newest!r}, oldest={oldest!r}"
        )
    return execution.choose_version(name, newest, oldest)
