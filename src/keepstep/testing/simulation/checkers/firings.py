"""Firings: what was due of a schedule started one run, or was left out for a reason that its policy allows.

The checker knows a schedule by what its planner said, and by when: a pause, say, that was asked for at one moment and
confirmed at a later one began in between. So there are firings that must have happened, some that may have, and those
that must not. What was started is known by the runs themselves: their ids name the schedule and the nominal time.

Where a firing was left out, the runs that there were have to account for it. Nobody but the schedule knows when it
decided about a firing; but it does so in their order, so that it was not later than any later firing's start.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

import msgspec

from keepstep.journal import Loaded, Status
from keepstep.runtime import history
from keepstep.schedules import Overlap
from keepstep.schedules.diary import FIRED, REFUSED, read_pages
from keepstep.schedules.standing import Pending, Standing, first_standing, standing_of
from keepstep.testing.simulation.record import Deed, Planned, Record

from .timetable import FOR_EVER, Timetable, told

WAITING = (Overlap.BUFFER_ONE, Overlap.BUFFER_ALL, Overlap.CANCEL, Overlap.TERMINATE)
"""Policies by which a firing may start long after its time."""

ENDING = {Overlap.CANCEL: Status.CANCELLED, Overlap.TERMINATE: Status.TERMINATED}

OUTAGE_MICROSECONDS = 15_000_000
"""So long after something happened to a process others may still be late because of it."""

_NOMINAL = re.compile(r"-(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)")


def check(record: Record) -> Iterator[str]:
    by_id: dict[str, list[Loaded]] = {}
    for loaded in sorted(record.schedules.values(), key=lambda each: (each.run.started_at, each.run.run_id)):
        by_id.setdefault(loaded.run.workflow_id, []).append(loaded)
    for id, lives in record.planned.items():
        there = by_id.get(id, [])
        if len(there) != len(lives):
            yield f"schedule {id} was made {len(lives)} times, and there are {len(there)} of it"
            continue
        cases = [_Case(*life, record, _until(there, life[0].life)) for life in zip(lives, there, strict=True)]
        for case in cases:
            for violation in case.violations(cases):
                yield f"schedule {id} ({case.in_words()}): {violation}"


def _until(there: list[Loaded], life: int) -> int:
    """When the next schedule of the name was made: what was started until then is this one's."""
    return there[life].run.started_at if life < len(there) else FOR_EVER


class Fired(NamedTuple):
    """A run that a schedule has started. ``nominal`` is None if it was triggered by hand."""

    id: str
    nominal: int | None
    started: int
    closed: int
    status: Status


class _Case:
    """One schedule: what it was told, and what came of it."""

    def __init__(self, planned: Planned, loaded: Loaded, record: Record, until: int) -> None:
        self._planned = planned
        self._record = record
        self._run_id = loaded.run.run_id
        self._created = loaded.run.started_at
        self._until = until
        self._standing = standing_of(loaded.run) or first_standing(loaded.events[0], self._created)
        self._pages = read_pages(loaded.state)
        self._deeds = planned.deeds
        self._backfills = [each for each in self._deeds if each.kind == "backfill"]
        self._times = Timetable(planned, self._created)
        self._deleted = self._times.deleted
        self._fired = sorted(self._find(), key=lambda each: (each.started, each.id))
        self._by_nominal = {each.nominal: each for each in self._fired if each.nominal is not None}
        self._there = {each.id for each in self._fired}

    def in_words(self) -> str:
        changed = "".join(f", then {each.policy}" for each in self._deeds if each.policy)
        return f"life {self._planned.life}, {self._planned.overlap}{changed}"

    def violations(self, lives: Sequence[_Case]) -> Iterator[str]:
        """``lives``: all schedules of the name. What one of them has started is not started by another one."""
        yield from self._check_numbers()
        yield from self._check_diary()
        for each in self._fired:
            yield from self._check_fired(each)
        yield from self._check_overlap()
        yield from self._check_ends()
        yield from self._check_words()
        yield from self._check_due()
        for deed in self._deeds:
            if deed.kind == "trigger":
                yield from self._check_trigger(deed)
        happened = set[int]().union(*(each._by_nominal for each in lives))
        for deed in self._backfills:
            yield from self._check_backfill(deed, happened)
        for before in lives[: self._planned.life - 1]:
            for id in sorted(self._there & before._there):
                yield f"{id} was started again, by another schedule of that name"

    # what there is

    def _find(self) -> Iterator[Fired]:
        """Their children have ids that begin in the same way. What another schedule of the name has started is its."""
        prefix = f"{self._planned.id}-"
        for loaded in self._record.runs.values():
            run = loaded.run
            if not self._created <= run.started_at < self._until:
                continue
            if run.workflow_id.startswith(prefix) and run.parent_run_id not in self._record.runs:
                nominal = nominal_of(run.workflow_id)
                yield Fired(run.workflow_id, nominal, run.started_at, run.closed_at or FOR_EVER, run.status)

    def _may_be_beside_others(self, fired: Fired) -> bool:
        """Nobody minded it, or perhaps nobody did: it was asked for in this way by hand, or all are."""
        if fired.nominal is None:
            return any(each.run == fired.id and each.overlap == Overlap.ALLOW for each in self._deeds)
        beside = (each for each in self._backfills if each.overlap == Overlap.ALLOW)
        policies = self._times.policies(fired.nominal, fired.started)
        return Overlap.ALLOW in policies or any(each.first <= fired.nominal <= each.last for each in beside)

    def _is_by_hand(self, fired: Fired) -> bool:
        return fired.nominal is None or self._times.may_backfill(fired.nominal)

    def _decided_by(self, nominal: int) -> int:
        """The latest moment at which the calendar may have decided about a firing."""
        later = (each.started for each in self._fired if not self._is_by_hand(each) and (each.nominal or 0) > nominal)
        return min(later, default=FOR_EVER)

    # what was started

    def _check_numbers(self) -> Iterator[str]:
        fired = Counter(each.nominal for each in self._fired if each.nominal is not None)
        for nominal, count in fired.items():
            if count > 1:
                yield f"the firing of {nominal} happened {count} times"
        limited = [each for each in self._fired if not self._is_by_hand(each)]
        if self._planned.limit is not None and len(limited) > self._planned.limit:
            yield f"the calendar has started {len(limited)} runs, more than {self._planned.limit}"
        if self._deleted is None and self._standing.started != len(self._fired):
            yield f"it counts {self._standing.started} started runs, and there are {len(self._fired)}"
        policies = self._times.policies(0, FOR_EVER) | {Overlap(each.overlap) for each in self._deeds if each.overlap}
        if self._standing.skipped and policies <= {Overlap.ALLOW, Overlap.BUFFER_ALL}:
            yield f"it has skipped {self._standing.skipped} firings, and its policy is never to"
        if self._deleted is None and (self._standing.buffered or self._standing.asked or self._standing.backfills):
            yield "it has not come to its end: firings wait that nothing holds up"

    def _check_diary(self) -> Iterator[str]:
        """It has a page of each turn that did something, and tells of what there is."""
        if [page.number for page in self._pages] != list(range(self._standing.pages)):
            yield f"its diary has had {self._standing.pages} pages, and there are {self._pages}"
        told = [(entry.kind, entry.id) for page in self._pages for entry in page.entries]
        fired, refused = (Counter(id for each, id in told if each == kind) for kind in (FIRED, REFUSED))
        for id in self._there:
            if not fired[id]:
                yield f"its diary does not tell that it has started {id}"
        for id, count in fired.items() if self._deleted is None else ():  # else nobody has heard the last refusals
            if count > (id in self._there) + refused[id]:
                yield f"its diary tells {count} times that it has started {id}"

    def _check_fired(self, fired: Fired) -> Iterator[str]:
        """Each run has a reason to be there, and is not early, nor later than allowed."""
        planned, nominal = self._planned, fired.nominal
        if self._deleted is not None and fired.started > told(self._deleted):
            yield f"{fired.id} was started after it was deleted"
        if nominal is None:
            if fired.id not in {each.run for each in self._deeds}:
                yield f"{fired.id} was started, and nobody has triggered it"
            return
        if fired.started < nominal:
            yield f"{fired.id} was started {nominal - fired.started} microseconds early"
        if self._times.may_backfill(nominal):
            return
        if nominal not in self._times.meant(nominal - 1, nominal):
            yield f"{fired.id} was started, and nothing was due then"
        if nominal <= self._created:
            yield f"{fired.id} was started, and it was due before the schedule was made"
        if any(each.told <= nominal and nominal + planned.jitter < each.resume_asked for each in self._times.pauses):
            yield f"{fired.id} was started, and it was due in a pause"
        if any(each.told < fired.started < each.resume_asked for each in self._times.pauses):
            yield f"{fired.id} was started in a pause"
        lateness = fired.started - nominal - planned.jitter
        waits = self._times.policies(nominal, fired.started) & set(WAITING)
        if not waits and lateness > planned.catchup:
            yield f"{fired.id} was started {lateness / 1e6} s late, more than the catch-up window"

    def _check_overlap(self) -> Iterator[str]:
        minded = [each for each in self._fired if not self._may_be_beside_others(each)]
        for before, after in pairwise(minded):
            if after.started < before.closed:
                yield f"{after.id} was started while {before.id} went on"

    def _check_ends(self) -> Iterator[str]:
        """Only a firing of that policy may have ended a run in that way, and one that came while it went on."""
        for policy, status in ENDING.items():
            for each in self._fired:
                if each.status is status and not self._has_come(policy, each):
                    yield f"{each.id} is {status}, and no firing has asked for it"

    def _has_come(self, policy: Overlap, ended: Fired) -> bool:
        since = self._created if self._is_by_hand(ended) or ended.nominal is None else ended.nominal
        if policy in self._times.policies(since, ended.closed) and self._times.meant(since, ended.closed):
            return True
        return any(each.overlap == policy and each.asked <= ended.closed for each in self._deeds)

    def _check_words(self) -> Iterator[str]:
        """A schedule that lets a firing wait for a run to stop has told that run to."""
        for each in self._record.acknowledged:
            if each.commit.run_id != self._run_id or not each.commit.detail or each.commit.seize:
                continue
            standing = msgspec.json.decode(each.commit.detail, type=Standing)
            for waiting in standing.buffered:
                for running in standing.running if waiting.overlap in ENDING else ():
                    loaded = self._record.runs.get(running.run_id)
                    if loaded is not None and not self._was_told(loaded, waiting):
                        yield f"{running.id} was not told to end, and a firing waited for it ({waiting.overlap})"

    def _was_told(self, loaded: Loaded, waiting: Pending) -> bool:
        """To end. What a firing that a pause holds finds later is none of its business: it only waits for that."""
        if loaded.run.status is Status.TERMINATED or (self._times.pauses and loaded.run.started_at > waiting.due):
            return True
        is_cancelled = any(event.type == history.CANCEL_REQUESTED for event in loaded.events)
        return waiting.overlap == Overlap.CANCEL and is_cancelled

    # what was due

    def _check_due(self) -> Iterator[str]:
        left_out = 0
        for nominal in self._times.due(self._created):
            if nominal in self._by_nominal or self._is_out_of_time(nominal):
                continue
            left_out += 1
            if not (self._is_missed(nominal) or self._is_skipped(nominal)):
                yield f"the firing of {nominal} was neither started nor left out for a reason"
        recorded = self._standing.skipped + self._standing.missed
        if left_out > recorded:
            yield f"{left_out} firings were not started, and {recorded} are recorded as skipped or missed"

    def _is_out_of_time(self, nominal: int) -> bool:
        """It was due in a pause; or before one, an update or the deletion, and nothing shows that it was decided then.

        Or the schedule was to start no more runs.
        """
        decided_by = self._decided_by(nominal)
        if self._deleted is not None and (decided_by > self._deleted.asked or self._waited(nominal)):
            return True
        updated = self._times.updated
        if updated is not None and nominal <= updated.asked < decided_by:
            return True
        limit = self._planned.limit
        if limit is not None and len(self._by_nominal) + self._standing.refused >= limit:
            return True
        return any(decided_by > each.asked and nominal <= each.resume_told for each in self._times.pauses)

    def _waited(self, nominal: int) -> bool:
        """It still waited in the end, as may be while later ones take over, if its policy was to be patient."""
        return any(each.nominal == nominal for each in self._standing.buffered)

    def _is_missed(self, nominal: int) -> bool:
        """It could not be decided about in time, because something had happened to somebody."""
        until = nominal + self._planned.jitter + self._planned.catchup
        if not self._standing.missed or self._decided_by(nominal) <= nominal + self._planned.catchup:
            return False
        times = self._record.disturbances.values()
        return any(bisect_left(each, nominal - OUTAGE_MICROSECONDS) < bisect_right(each, until) for each in times)

    def _is_skipped(self, nominal: int) -> bool:
        """By what went on or waited when it was decided about."""
        if not self._standing.skipped:
            return False
        earlier = [each for each in self._fired if self._is_by_hand(each) or (each.nominal or 0) < nominal]
        later = [each for each in self._fired if self._is_by_hand(each) or (each.nominal or 0) > nominal]
        decided_by = self._decided_by(nominal)
        policies = self._times.policies(nominal, decided_by)
        return any(self._is_excused(each, nominal, decided_by, earlier, later) for each in policies)

    def _is_excused(self, policy: Overlap, since: int, until: int, earlier: list[Fired], later: list[Fired]) -> bool:
        """Whether a firing that was decided about between two moments may have been skipped.

        ``earlier`` and ``later`` are runs whose firings may have been decided about before it, or after it.
        """
        went_on = [each for each in earlier if each.closed >= since and each.started <= until]
        if policy is Overlap.SKIP:
            return bool(went_on)
        if policy is Overlap.BUFFER_ONE:
            return any(each.started >= since for each in earlier) or self._something_waited_in_vain()
        if policy in ENDING:
            others = [each for each in later if each.started >= since]
            return bool(went_on and others) or self._something_waited_in_vain()
        return False

    def _something_waited_in_vain(self) -> bool:
        """Asked for by hand, twice or after it had happened; or it still waited when all was deleted."""
        was_refused = self._standing.refused and any(each.overlap for each in self._deeds)
        return bool(was_refused or self._standing.buffered)

    # what was asked for

    def _check_trigger(self, deed: Deed) -> Iterator[str]:
        if deed.told is None or deed.run in self._there or self._is_forgotten(deed):
            return
        if not self._is_skipped_by_hand(deed):
            yield f"the trigger of {deed.run} was confirmed, and it was neither started nor skipped for a reason"

    def _check_backfill(self, deed: Deed, happened: set[int]) -> Iterator[str]:
        """``happened``: firings that somebody has started under this name, of which there is no second run."""
        if deed.told is None or self._is_forgotten(deed) or self._times.updated is not None:
            return  # an update may have come between that changed what there was to make up
        for nominal in self._times.due(deed.first - 1, deed.last):
            if nominal not in happened and not self._is_skipped_by_hand(deed):
                yield f"the backfill of {nominal} was confirmed, and it was neither started nor skipped for a reason"

    def _is_skipped_by_hand(self, deed: Deed) -> bool:
        """Of what is asked for by hand nothing shows when it was decided about."""
        if not self._standing.skipped:
            return False
        return self._is_excused(Overlap(deed.overlap), deed.asked, FOR_EVER, self._fired, self._fired)

    def _is_forgotten(self, deed: Deed) -> bool:
        """The schedule was deleted, and what it had not begun with it."""
        return self._deleted is not None and told(deed) <= told(self._deleted)


def nominal_of(workflow_id: str) -> int | None:
    """The nominal time that the id of a run names."""
    found = _NOMINAL.search(workflow_id)
    if found is None:
        return None
    since = datetime.fromisoformat(found.group(1)) - datetime.fromisoformat("1970-01-01T00:00:00Z")
    return round(since.total_seconds() * 1_000_000)
