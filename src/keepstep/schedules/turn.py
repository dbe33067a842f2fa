"""Turn: what a schedule does when it is looked at. Pure: what was said to it and the time go in, a decision comes out.

A decision becomes one commit: it starts the runs, moves the position and sets the next wake. So a firing happens once,
whoever decides and whatever crashes in between; and that its run's id is made of its nominal time makes it so across
backfills and updates, too.

One turn starts a bounded number of runs; what is left is the next one's, at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import msgspec

from keepstep.journal import Message
from keepstep.runtime import history

from .diary import BUFFERED, ENDED, FIRED, MISSED, REFUSED, SKIPPED, TOLD, Diary, Page
from .overlap import Overlap
from .spec import timing_of
from .standing import (
    BUFFERED_MAX,
    EXISTS,
    RECENT_MAX,
    Backfill,
    Firing,
    Pending,
    Running,
    Standing,
    firing_id,
)

CHILD_CLOSED = "child_closed"
START_REFUSED = "start_refused"
"""Kinds of the messages that a schedule minds: a run of its has ended, or was not started."""

STARTS_MAX = 100
CONSIDERED_MAX = 1000
"""Firings that one turn looks at; of a longer outage, so many count as missed and the rest is left out."""

BACKFILL_AHEAD = 100
"""So many firings of backfills wait for their turn; the next ones are made when those have been started."""


class Start(msgspec.Struct, frozen=True):
    """A run to be started. ``is_minded``: the schedule is told when it ends."""

    id: str
    run_id: str
    is_minded: bool


class Word(msgspec.Struct, frozen=True):
    """What is said to a run that goes on: to stop, or to be ended."""

    id: str
    overlap: Overlap


class Decision(msgspec.Struct, frozen=True):
    """What is to be committed. ``wake_at`` None: not before something is said to it."""

    standing: Standing
    starts: list[Start]
    words: list[Word]
    wake_at: int | None
    page: Page | None = None
    """What it has done, for its diary; None if that is nothing."""


def decide(
    schedule: str, standing: Standing, messages: Iterable[Message], now: int, make_id: Callable[[], str],
    starts_max: int = STARTS_MAX, there: Collection[str] = (),
) -> Decision:  # fmt: skip
    """What a schedule does now. ``there``: ids that are asked for by hand and that there are runs of already."""
    turn = _Turn(schedule, standing, now, make_id, starts_max, there)
    for message in messages:
        turn.hear(message)
    turn.start_buffered()
    turn.take_asked()
    turn.take_backfills()
    if not turn.has_started_something_to_mind():
        turn.take_due()
    turn.start_buffered()
    return turn.decision()


def is_due(schedule: str, standing: Standing, now: int) -> bool:
    """Whether there is something to do although nothing was said."""
    wake_at = _Turn(schedule, standing, now, str, STARTS_MAX)._wake_at()
    return wake_at is not None and wake_at <= now


class _Turn:
    def __init__(
        self, schedule: str, standing: Standing, now: int, make_id: Callable[[], str], starts_max: int,
        there: Collection[str] = (),
    ) -> None:  # fmt: skip
        self._there = there
        self._schedule, self._standing, self._now, self._make_id = schedule, standing, now, make_id
        self._plan = standing.plan
        self._timing = timing_of(standing.plan.spec)
        self._starts_max = starts_max
        self._starts: list[Start] = []
        self._words: list[Word] = []
        self._running = list(standing.running)
        self._buffered = list(standing.buffered)
        self._asked = list(standing.asked)
        self._backfills = list(standing.backfills)
        self._recent = list(standing.recent)
        self._after, self._left = standing.after, standing.left
        self._started, self._skipped = standing.started, standing.skipped
        self._missed, self._refused = standing.missed, standing.refused
        self._considered = 0
        self._diary = Diary()

    # what was said

    def hear(self, message: Message) -> None:
        """A run has ended, or could not be started. Anything else is nothing to a schedule."""
        if message.kind == CHILD_CLOSED:
            status = history.unpack(history.CHILD_CLOSED, message.data).status
            self._end(message.name, str(status))
            self._diary.note(ENDED, id=message.name, why=str(status))
        elif message.kind == START_REFUSED:
            self._refused += 1
            self._started -= 1
            self._diary.note(REFUSED, self._nominal_of(message.name), id=message.name)
            self._end(message.name, EXISTS)

    def _nominal_of(self, id: str) -> int:
        """Of the firing whose run was not started, if it is remembered and was of the calendar."""
        found = (
            each.nominal for each in self._recent if each.id == id and id == firing_id(self._schedule, each.nominal)
        )
        return next(found, 0)

    def _end(self, id: str, outcome: str) -> None:
        """It is the newest of that id: while a run goes on that is minded, none of its id is started."""
        self._running = [each for each in self._running if each.id != id]
        for place, firing in reversed(list(enumerate(self._recent))):
            if firing.id == id and not firing.outcome:
                self._recent[place] = msgspec.structs.replace(firing, outcome=outcome)
                return

    # what is to be fired

    def take_asked(self) -> None:
        """What was triggered by hand."""
        while self._asked and self._has_room():
            self._fire(self._asked.pop(0))

    def take_backfills(self) -> None:
        """What is to be made up, in its order."""
        while self._backfills and self._has_room() and len(self._buffered) < BACKFILL_AHEAD:
            backfill = self._backfills[0]
            if self._starts and backfill.overlap not in _UNMINDING:
                return  # only the next turn knows whether there was a run of that id, which holds nothing up then
            nominal = self._timing.after(backfill.after)
            if nominal is None or nominal > backfill.end:
                self._backfills.pop(0)
                continue
            self._backfills[0] = Backfill(nominal, backfill.end, backfill.overlap)
            self._fire(Pending(nominal=nominal, due=nominal, overlap=backfill.overlap, by_hand=True))

    def has_started_something_to_mind(self) -> bool:
        """The calendar waits for the next turn: that it is started is not known yet, and what is not holds nothing up.

        An example is a backfill of what has happened, all of which is refused, while firings are due that are skipped
        while a run goes on. The next turn comes at once.
        """
        return bool(self._starts) and self._plan.overlap is not Overlap.ALLOW

    def take_due(self) -> None:
        """What the calendar wants."""
        if self._standing.paused:
            self._after = max(self._after, self._now)
            return
        forgotten_before = self._now - self._plan.catchup
        while self._has_room() and (found := self._next()) is not None and found[1] <= self._now:
            nominal, due = found
            self._after = nominal
            if due >= forgotten_before:
                self._fire(Pending(nominal=nominal, due=due, overlap=self._plan.overlap))
                continue
            self._missed += 1
            self._diary.note(MISSED, nominal)
            if self._missed - self._standing.missed == CONSIDERED_MAX:
                self._after = max(self._after, forgotten_before - self._plan.spec.jitter - 1)

    def _next(self) -> tuple[int, int] | None:
        """Nominal time and due time of the next firing of the calendar, if there is one."""
        if self._left == 0:
            return None
        nominal = self._timing.after(self._after)
        return None if nominal is None else (nominal, self._timing.due_at(nominal, self._schedule))

    def _has_room(self) -> bool:
        self._considered += 1
        return self._considered <= CONSIDERED_MAX and len(self._starts) < self._starts_max

    # overlap

    def _fire(self, pending: Pending) -> None:
        """What is there already is refused at once: its policy would turn against itself, or against what goes on."""
        id = self._id_of(pending)
        if id in self._there or any(each.id == id for each in self._running):
            self._refused += 1
            self._diary.note(REFUSED, _shown(pending), id=id)
        elif pending.overlap is Overlap.ALLOW or not (self._running or self._first_buffered()):
            self._start(pending)
        else:
            _WHILE_RUNNING[pending.overlap](self, pending)

    def _id_of(self, pending: Pending) -> str:
        return pending.id or firing_id(self._schedule, pending.nominal)

    def _skip(self, pending: Pending, why: str = "the run before it went on") -> None:
        self._skipped += 1
        self._diary.note(SKIPPED, _shown(pending), why=why)

    def _buffer(self, pending: Pending, place: int | None = None) -> None:
        """It waits, by default behind all others."""
        self._buffered.insert(len(self._buffered) if place is None else place, pending)
        self._diary.note(BUFFERED, _shown(pending))

    def _buffer_one(self, pending: Pending) -> None:
        if self._buffered:
            self._skip(pending, "another one waited already")
        else:
            self._buffer(pending)

    def _buffer_all(self, pending: Pending) -> None:
        if len(self._buffered) < BUFFERED_MAX:
            self._buffer(pending)
        else:
            self._skip(pending, f"{BUFFERED_MAX} waited already")

    def _take_over(self, pending: Pending) -> None:
        """It is the next to start, in the place of what was to take over before it. What waits its turn still does."""
        patient = [each for each in self._buffered if _WHILE_RUNNING[each.overlap] is not _Turn._take_over]
        for each in self._buffered:
            if _WHILE_RUNNING[each.overlap] is _Turn._take_over:
                self._skip(each, "a later one took its place")
        self._buffered = patient
        self._buffer(pending, place=0)
        self._words += [Word(each.id, pending.overlap) for each in self._running]
        for running in self._running:
            self._diary.note(TOLD, id=running.id, why=str(pending.overlap))

    def start_buffered(self) -> None:
        """What has waited for others to end."""
        while not self._running and len(self._starts) < self._starts_max and (ready := self._first_buffered()):
            self._buffered.remove(ready)
            self._start(ready)

    def _first_buffered(self) -> Pending | None:
        """A pause holds what the calendar has brought, but not what was asked for by hand."""
        held = self._standing.paused
        return next((each for each in self._buffered if each.by_hand or not held), None)

    def _start(self, pending: Pending) -> None:
        if not pending.by_hand and self._left is not None:
            if self._left == 0:
                self._diary.note(SKIPPED, _shown(pending), why="it had started as many as it may")
                return
            self._left -= 1
        start = Start(
            self._id_of(pending),
            self._make_id(),
            pending.overlap is not Overlap.ALLOW,
        )
        self._starts.append(start)
        self._diary.note(FIRED, _shown(pending), id=start.id)
        self._started += 1
        if start.is_minded:
            self._running.append(Running(start.id, start.run_id))
        firing = Firing(
            nominal=pending.nominal, due=pending.due, started=self._now, id=start.id, run_id=start.run_id
        )  # fmt: skip
        self._recent = [*self._recent, firing][-RECENT_MAX:]

    # the outcome

    def decision(self) -> Decision:
        entries = self._diary.entries()
        page = Page(self._standing.pages, self._now, entries) if entries else None
        standing = msgspec.structs.replace(
            self._standing,
            after=self._after,
            left=self._left,
            running=tuple(self._running),
            buffered=tuple(self._buffered),
            asked=tuple(self._asked),
            backfills=tuple(self._backfills),
            recent=tuple(self._recent),
            started=self._started,
            skipped=self._skipped,
            missed=self._missed,
            refused=self._refused,
            pages=self._standing.pages + (page is not None),
        )
        return Decision(standing, self._starts, self._words, self._wake_at(), page)

    def _wake_at(self) -> int | None:
        waits_for_others = bool(self._running)
        if self._asked or (self._backfills and (not waits_for_others or len(self._buffered) < BACKFILL_AHEAD)):
            return 0
        if not waits_for_others and self._first_buffered() is not None:
            return 0
        if self._standing.paused or (found := self._next()) is None:
            return None
        return found[1]


def _shown(pending: Pending) -> int:
    """The time that a firing is known by; 0 for one that was triggered, which has an id of its own."""
    return 0 if pending.id else pending.nominal


_UNMINDING = (Overlap.ALLOW, Overlap.BUFFER_ALL)
"""With these a firing is started in any case, whatever goes on."""

_WHILE_RUNNING: dict[Overlap, Callable[[_Turn, Pending], None]] = {
    Overlap.SKIP: _Turn._skip,
    Overlap.BUFFER_ONE: _Turn._buffer_one,
    Overlap.BUFFER_ALL: _Turn._buffer_all,
    Overlap.CANCEL: _Turn._take_over,
    Overlap.TERMINATE: _Turn._take_over,
}
