"""What a schedule decides, without a journal: it is told what was said and what the time is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from keepstep.journal import Message
from keepstep.schedules import Overlap
from keepstep.schedules.plan import Action, Plan
from keepstep.schedules.spec import Spec
from keepstep.schedules.standing import Backfill, Standing
from keepstep.schedules.turn import START_REFUSED, Decision, decide

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def every_minute(overlap: Overlap) -> Plan:
    return Plan(spec=Spec(every=(MINUTE,)), action=Action(type="any", arguments=b"{}"), overlap=overlap, catchup=DAY)


def standing(overlap: Overlap, **where: object) -> Standing:
    return Standing(plan=every_minute(overlap), plan_seq=1, **{"after": 0, **where})  # type: ignore[arg-type]


def look(there: Standing, now: int, said: Sequence[Message] = ()) -> Decision:
    numbers = count()
    return decide("s", there, said, now, lambda: f"run-{next(numbers)}")


def test_a_clock_that_was_set_back_fires_nothing_a_second_time() -> None:
    there = look(standing(Overlap.ALLOW), 3 * MINUTE).standing
    assert (there.started, there.after) == (3, 3 * MINUTE)
    for now in (2 * MINUTE, 1, 3 * MINUTE):
        again = look(there, now)
        assert (again.starts, again.standing.after, again.wake_at) == ([], 3 * MINUTE, 4 * MINUTE)


def test_a_pause_under_a_clock_that_was_set_back_keeps_its_place() -> None:
    there = standing(Overlap.ALLOW, after=10 * MINUTE, paused=True)
    assert look(there, 2 * MINUTE).standing.after == 10 * MINUTE


def test_a_clock_that_was_set_ten_years_ahead_makes_up_what_lies_within_the_window_at_most() -> None:
    there, now = standing(Overlap.SKIP), 3650 * DAY
    turns = 0
    while (decision := look(there, now)).wake_at is not None and decision.wake_at <= now:
        there, turns = decision.standing, turns + 1
        assert turns < 10
    assert decision.standing.started == 1
    assert decision.standing.missed == 1000


def played(there: Standing, now: int, known: frozenset[str]) -> tuple[list[str], Standing]:
    """What is started in the next turns, if there are runs of some ids already and none of the others ends."""
    said: tuple[Message, ...] = ()
    started = []
    for _ in range(4):
        decision = look(there, now, said)
        there = decision.standing
        started += [each.id[-10:] for each in decision.starts]
        said = tuple(
            Message(run_id="s", n=1, kind=START_REFUSED, name=each.id, data=b"", id=None, time=0)
            for each in decision.starts
            if each.id[-10:] in known
        )
    return started, there


def test_a_backfill_of_what_has_happened_does_not_have_the_next_firing_skipped() -> None:
    there = standing(Overlap.SKIP, after=2 * MINUTE, backfills=(Backfill(0, 2 * MINUTE, Overlap.BUFFER_ALL),))
    started, there = played(there, 3 * MINUTE, frozenset(("T00:01:00Z", "T00:02:00Z")))
    assert started == ["T00:01:00Z", "T00:02:00Z", "T00:03:00Z"]
    assert (there.started, there.skipped, there.refused) == (1, 0, 2)


def test_what_a_backfill_finds_to_have_happened_does_not_have_the_rest_of_it_skipped() -> None:
    there = standing(Overlap.SKIP, after=3 * MINUTE, backfills=(Backfill(0, 3 * MINUTE, Overlap.SKIP),))
    started, there = played(there, 3 * MINUTE, frozenset(("T00:01:00Z",)))
    assert started == ["T00:01:00Z", "T00:02:00Z"]
    assert (there.started, there.skipped, there.refused) == (1, 1, 1)
