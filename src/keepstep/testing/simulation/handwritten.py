"""Handwritten programs: small ones, one for each thing that can be interrupted in its middle; and schedules."""

from __future__ import annotations

from typing import Any

from keepstep.schedules import Overlap
from keepstep.testing.virtual import EPOCH_MICROSECONDS

from .language import WALK
from .planners import moment
from .record import Planned

A, B, C, D = (["step", name, 0.01, False] for name in "abcd")
FAILS: list[Any] = ["step", "fails", 0.01, True]
SLOW: list[Any] = ["step", "slow", 0.5, False]
NAP: list[Any] = ["sleep", 0.05]

IN_SYNC: dict[str, list[Any]] = {
    "sync: a chain of steps": ["sequence", [A, ["threaded", "t"], B]],
    "sync: a step that fails, and one that is retried": ["sequence", [FAILS, ["retried", "stubborn", 2]]],
    "sync: once, a nap and a signal": ["sequence", [["once", "o", 0.05], NAP, ["receive_at_last"], A]],
    "sync: branches": ["gather", [A, ["sequence", [NAP, B]], FAILS, ["elsewhere", "e", 1]]],
    "sync: a branch that is cancelled": ["cancelled", 0.1, ["sequence", [SLOW, A]]],
    "sync: a time limit that is not met": ["sequence", [["timeout", 0.1, ["finally_", SLOW, A]], B]],
    "sync: a callback": ["sequence", [["callback", 1.0], A]],
    "sync: a saga that fails": ["sequence", [["saga", "saga", [A, B, C], True], D]],
    "sync: a saga that is cut off": ["sequence", [["timeout", 0.1, ["saga", "saga", [A, SLOW], False]], B]],
    "sync: two sagas at once": ["gather", [["saga", "one", [A, NAP], True], ["saga", "two", [B], True]]],
    "sync: a child": ["sequence", [["child", ["saga", "saga", [A, B], True]], C]],
}
"""For a sync workflow."""

HANDWRITTEN: dict[str, list[Any]] = {
    "nothing": ["chance"],
    "one step": A,
    "a chain of steps": ["sequence", [A, B, C, D]],
    "a step that fails": FAILS,
    "a step after one that fails": ["sequence", [FAILS, A]],
    "retries until it works": ["retried", "stubborn", 2],
    "retries in vain": ["sequence", [["retried", "stubborn", 9], A]],
    "a step on a thread": ["sequence", [["threaded", "t"], A]],
    "a step on a queue": ["sequence", [["elsewhere", "e", 0], A]],
    "a step on a queue that is retried": ["elsewhere", "e", 2],
    "two steps on a queue at once": ["gather", [["elsewhere", "e", 0], ["elsewhere", "f", 1]]],
    "steps under a rate": ["gather", [["rated", "a", 0], ["rated", "d", 0], ["rated", "g", 1]]],
    "a step that takes too long": ["sequence", [["timed", "t", 0.3], A]],
    "a step in time": ["timed", "t", 0.05],
    "a step in a transaction": ["sequence", [A, ["transacted", "t", 0], B]],
    "a step in a transaction that is retried": ["transacted", "t", 2],
    "a step in a transaction that fails": ["sequence", [["transacted", "t", 9], A]],
    "steps in transactions beside others": ["gather", [["transacted", "t", 1], ["transacted", "u", 0], A, NAP]],
    "a step in a transaction that is cut off": ["sequence", [["race", [["transacted", "t", 0], NAP, A]], B]],
    "once": ["sequence", [["once", "o", 0.05], A]],
    "once, twice": ["sequence", [["once", "o", 0.0], ["once", "p", 0.0]]],
    "once beside others": ["gather", [["once", "o", 0.05], A, NAP]],
    "a nap": ["sequence", [A, NAP, B]],
    "two naps at once": ["gather", [NAP, ["sleep", 0.08]]],
    "a signal": ["sequence", [["receive_at_last"], A]],
    "a signal in vain": ["sequence", [["receive", 0.05], A]],
    "two signals": ["gather", [["receive_at_last"], ["receive_at_last"]]],
    "an update": ["sequence", [A, ["until_changed", 1], B]],
    "two updates at once": ["until_changed", 2],
    "an update beside others": ["gather", [A, ["until_changed", 1], NAP]],
    "a callback": ["sequence", [["callback", 1.0], A]],
    "a callback in vain": ["callback", 0.05],
    "all at once": ["gather", [A, B, FAILS, NAP]],
    "a group": ["group", [A, B, C]],
    "a group that fails": ["sequence", [["group", [SLOW, FAILS, NAP]], A]],
    "the first of three": ["sequence", [["race", [SLOW, A, NAP]], B]],
    "as they come": ["completed", [SLOW, A, B]],
    "a time limit that is met": ["timeout", 1.0, A],
    "a time limit that is not": ["sequence", [["timeout", 0.1, SLOW], A]],
    "a wait that is given up": ["sequence", [["wait_for", 0.1, ["sequence", [SLOW, B]]], A]],
    "shielded": ["shielded", 0.1, SLOW],
    "a lock": ["gather", [["locked", A], ["locked", B]]],
    "finally": ["finally_", FAILS, A],
    "finally, when time is up": ["timeout", 0.1, ["finally_", SLOW, A]],
    "a task that is cancelled": ["cancelled", 0.1, ["sequence", [SLOW, A]]],
    "a task that declines to be cancelled": ["timeout", 0.1, ["declining", SLOW]],
    "a queue between tasks": ["pipeline", [A, B]],
    "a meeting": ["meeting", [A, B, NAP]],
    "a generator": ["generator", [A, FAILS, B]],
    "a step whose end is waited for": ["sequence", [["cancelled", 0.1, ["lingering", "l", 1.0, False]], A]],
    "a step on a queue whose end is waited for": ["timeout", 0.2, ["lingering", "l", 1.0, True]],
    "a person who does not answer": ["sequence", [["asked", "p", 0.1], A]],
    "a saga that succeeds": ["saga", "saga", [A, B], False],
    "a saga that fails": ["sequence", [["saga", "saga", [A, B, C], True], D]],
    "a saga whose step fails": ["saga", "saga", [A, FAILS, C], False],
    "a saga that is cut off": ["sequence", [["timeout", 0.1, ["saga", "saga", [A, SLOW], False]], B]],
    "a saga in a saga": ["saga", "outer", [A, ["saga", "inner", [B, C], True]], True],
    "two sagas at once": ["gather", [["saga", "one", [A, NAP], True], ["saga", "two", [B, C], True]]],
    "an undo that is retried": ["saga", "saga", [["step", "a", 0.05, False]], True],
    "a child": ["sequence", [["child", ["sequence", [A, B]]], C]],
    "two children at once": ["gather", [["child", A], ["child", NAP]]],
    "a child that is given up": ["sequence", [["timeout", 0.1, ["child", SLOW]], A]],
    "a child of a child": ["child", ["child", A]],
    "a saga in a child": ["sequence", [["child", ["saga", "saga", [A, B], True]], C]],
    "a run that continues": ["chapters", [["sequence", [A, ["receive_at_last"]]], B, C], [], []],
    "a run that continues, and takes an update": ["chapters", [A, ["until_changed", 1]], [], []],
    "a run that speaks": ["speaking", ["sequence", [A, ["gather", [B, NAP, ["threaded", "t"]]], C]]],
    "a run whose step on a queue speaks": ["speaking", ["sequence", [["elsewhere", "e", 1], FAILS]]],
    **IN_SYNC,
}

SCHEDULES = {f"a schedule whose overlap is {each}": each for each in Overlap}

SCHEDULE_SECONDS = 4


def write_schedule(overlap: Overlap) -> Planned:
    """One that fires while the run before goes on."""
    end = EPOCH_MICROSECONDS + SCHEDULE_SECONDS * 1_000_000
    return Planned(
        id="plan",
        words={"every": 1, "overlap": overlap, "end_at": moment(end)},
        every=1_000_000,
        offset=0,
        jitter=0,
        end=end,
        catchup=86_400_000_000,
        overlap=overlap,
        workflow=WALK,
        program=["sequence", [A, ["sleep", 1.2], B]],
    )
