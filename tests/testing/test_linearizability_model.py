"""The sequential model of the client API, by short histories that people can judge at a glance."""

from __future__ import annotations

import pytest

from keepstep.testing.linearizability import Operation, find_order
from keepstep.testing.linearizability.model import ClientModel
from keepstep.testing.linearizability.operation import (
    Answer,
    Call,
    Cancel,
    Describe,
    Done,
    Ended,
    Program,
    Query,
    Ran,
    Refused,
    Result,
    Seen,
    Signal,
    Start,
    Terminate,
    Told,
    Update,
)
from keepstep.testing.linearizability.smallest import smallest_wrong
from keepstep.testing.linearizability.telling import tell

PLAIN, STEPPED, CAREFUL, ASKED = (Program(kind, 2) for kind in ("plain", "stepped", "careful", "asked"))
CLOSED, REJECTED, DONE = Refused("RunClosed"), Refused("UpdateRejected"), Done()

Said = tuple[Call, Answer | None]


def in_turn(*said: Said) -> list[Operation]:
    """Calls that do not overlap; an answer of None never came."""
    return [
        Operation(
            client="c",
            subject="x",
            call=call,
            invoked=2 * n,
            completed=None if answer is None else 2 * n + 1,
            answer=answer,
        )
        for n, (call, answer) in enumerate(said)
    ]


def at_once(*said: Said) -> list[Operation]:
    """Calls that all overlap."""
    return [
        Operation(
            client=f"c{n}",
            subject="x",
            call=call,
            invoked=n,
            completed=None if answer is None else 100 + n,
            answer=answer,
        )
        for n, (call, answer) in enumerate(said)
    ]


def fits(history: list[Operation]) -> bool:
    verdict = find_order(ClientModel(), history).is_linearizable
    assert verdict is not None
    return verdict


def start(run_id: str, program: Program = PLAIN, **policies: str) -> Start:
    return Start(run_id, program, **policies)  # type: ignore[arg-type]


def note(text: str, run_id: str | None = None, id: str | None = None) -> Signal:
    return Signal(run_id, text, id)


def add(text: str, id: str = "u", run_id: str | None = None) -> Update:
    return Update(run_id, text, id)


BEGUN: Said = (start("r1"), Ran("r1"))
ONE: Said = (note("a"), DONE)
TWO: Said = (note("b"), DONE)
COMPLETED = Ended("completed", ("a", "b"))
OPEN: Said = (start("r1", ASKED), Ran("r1"))
ADDED: Said = (add("a"), Told(("a",)))
ENOUGH: Said = (add("b", "v"), Told(("a", "b")))

RIGHT: dict[str, list[Operation]] = {
    "an id without a run": in_turn((note("a"), Refused("NotFound")), (Describe(None), Refused("NotFound"))),
    "a run from its start to its result": in_turn(BEGUN, ONE, TWO, (Result("r1"), COMPLETED), (note("c"), CLOSED)),
    "two starts at once make one run": at_once((start("r1"), Ran("r1")), (start("r2"), Ran("r1"))),
    "a start with another input is refused": in_turn(BEGUN, (start("r2", CAREFUL), Refused("AlreadyStarted"))),
    "a start that rejects": in_turn(BEGUN, (start("r2", if_running="reject"), Refused("AlreadyStarted"))),
    "a restart ends the open run, and its result is that of the new one": in_turn(
        BEGUN,
        (start("r2", if_running="restart"), Ran("r2")),
        (Describe("r1"), Seen("r1", "terminated")),
        (start("r3", if_running="restart"), Ran("r3")),
        ONE,
        TWO,
        (Result("r1"), COMPLETED),
    ),
    "a closed run that is started anew keeps its own result": in_turn(
        BEGUN,
        ONE,
        TWO,
        (Result(None), COMPLETED),
        (start("r2", if_closed="restart"), Ran("r2")),
        (Describe(None), Seen("r2", "running")),
        (Result("r1"), COMPLETED),
    ),
    "a run that has enough may still accept": in_turn(BEGUN, ONE, TWO, (note("c"), DONE), (Result(None), COMPLETED)),
    "a run that has enough may have closed": in_turn(BEGUN, ONE, TWO, (Describe(None), Seen("r1", "completed"))),
    "a cancel before it has enough": in_turn(BEGUN, ONE, (Cancel(None), DONE), (Result(None), Ended("cancelled"))),
    "a cancel that comes too late": in_turn(BEGUN, ONE, TWO, (Cancel(None), DONE), (Result(None), COMPLETED)),
    "a careful run returns what it had": in_turn(
        (start("r1", CAREFUL), Ran("r1")),
        ONE,
        (Cancel(None), DONE),
        (Cancel(None), DONE),
        TWO,
        (Result(None), Ended("completed", ("cancelled", "a"))),
    ),
    "a busy run may be cancelled with all it needs": in_turn(
        (start("r1", STEPPED), Ran("r1")), ONE, TWO, (Cancel(None), DONE), (Result(None), Ended("cancelled"))
    ),
    "a message said twice counts once": in_turn(
        BEGUN, (note("a", id="m"), DONE), (note("a", id="m"), DONE), TWO, (Result(None), COMPLETED)
    ),
    "a start of unknown outcome happened": in_turn((start("r1"), None), (Describe(None), Seen("r1", "running"))),
    "a start of unknown outcome did not happen": in_turn((start("r1"), None), (Describe(None), Refused("NotFound"))),
    "a signal of unknown outcome took effect": in_turn(BEGUN, (note("a"), None), TWO, (Result(None), COMPLETED)),
    "signals at once arrive in either order": at_once(BEGUN, TWO, ONE, (Result(None), COMPLETED)),
    "updates and signals are notes in one order": in_turn(
        OPEN, ONE, (add("b"), Told(("a", "b"))), (Result(None), COMPLETED)
    ),
    "an update by one id is done once, and known when the run has closed": in_turn(
        OPEN, ADDED, ADDED, ENOUGH, (Result(None), COMPLETED), ADDED, (add("c", "w"), CLOSED)
    ),
    "a note that is there is rejected": in_turn(OPEN, ADDED, (add("a", "v"), REJECTED), (Query(None), ADDED[1])),
    "a run that has enough may take an update, or not": in_turn(
        OPEN, ADDED, ENOUGH, (add("c", "w"), CLOSED), (add("d", "x"), Told(("a", "b", "d"))), (Result(None), COMPLETED)
    ),
    "an update that was accepted by a run which is ended by force": in_turn(
        OPEN, (add("a"), CLOSED), (Query(None), ADDED[1]), (Terminate(None), DONE), (add("a"), CLOSED)
    ),
    "an update that is cut off by a cancel": in_turn(
        OPEN, (Cancel(None), DONE), (add("a"), Refused("UpdateFailed")), (add("a"), Refused("UpdateFailed"))
    ),
    "an update of unknown outcome is done when it is asked for again": in_turn(OPEN, (add("a"), None), ADDED),
    "a run whose workflow has no update": in_turn(
        BEGUN, (add("a"), Refused("InvalidInput")), (Query(None), Refused("InvalidInput"))
    ),
    "a query of a run that has enough shows what came last, or not": in_turn(
        OPEN, ADDED, ENOUGH, (Query(None), Told(("a", "b", "c"))), (Query(None), Told(("a", "b")))
    ),
}

WRONG: dict[str, list[Operation]] = {
    "two runs of one id": at_once((start("r1"), Ran("r1")), (start("r2"), Ran("r2"))),
    "a start attached to another input": in_turn(BEGUN, (start("r2", CAREFUL), Ran("r1"))),
    "a start that was told to reject": in_turn(BEGUN, (start("r2", if_running="reject"), Ran("r1"))),
    "a signal accepted after the run was known to be closed": in_turn(
        BEGUN, ONE, TWO, (Result(None), COMPLETED), (note("c"), DONE)
    ),
    "a signal refused by an open run": in_turn(BEGUN, (note("a"), CLOSED)),
    "a signal lost": in_turn(BEGUN, ONE, TWO, (Result(None), Ended("completed", ("b", "a")))),
    "a signal counted twice": in_turn(
        BEGUN, (note("a", id="m"), DONE), (note("a", id="m"), DONE), (Result(None), Ended("completed", ("a", "a")))
    ),
    "a result before there is one": in_turn(BEGUN, ONE, (Result(None), COMPLETED)),
    "a stale status": in_turn(BEGUN, (Terminate(None), DONE), (Describe(None), Seen("r1", "running"))),
    "a status from the future": in_turn(BEGUN, ONE, (Describe(None), Seen("r1", "completed"))),
    "two ends": in_turn(BEGUN, ONE, TWO, (Result(None), COMPLETED), (Describe(None), Seen("r1", "terminated"))),
    "terminated twice": in_turn(BEGUN, (Terminate(None), DONE), (Terminate(None), DONE)),
    "a cancel without effect": in_turn(BEGUN, ONE, (Cancel(None), DONE), TWO, (Result(None), COMPLETED)),
    "a second cancel cut the tidying up off": in_turn(
        (start("r1", CAREFUL), Ran("r1")),
        (Cancel(None), DONE),
        (Cancel(None), DONE),
        (Result(None), Ended("cancelled")),
    ),
    "a restart that others' results do not follow": in_turn(
        BEGUN, (start("r2", if_running="restart"), Ran("r2")), (Result("r1"), Ended("terminated"))
    ),
    "an update lost": in_turn(OPEN, ADDED, (Query(None), Told(()))),
    "an update seen before it was asked for": in_turn(OPEN, (Query(None), ADDED[1]), ADDED),
    "an update done twice": in_turn(OPEN, ADDED, (add("a"), Told(("a", "a")))),
    "an update that counts twice": in_turn(OPEN, ADDED, ADDED, (Result(None), Ended("completed", ("a", "a")))),
    "an update rejected without a reason": in_turn(OPEN, (add("a"), REJECTED)),
    "a rejected update that left something": in_turn(
        OPEN, ADDED, (add("a", "v"), REJECTED), (Query(None), Told(("a", "a")))
    ),
    "a note accepted that is there": in_turn(OPEN, ADDED, (add("a", "v"), Told(("a", "a")))),
    "an update without an outcome, of a run that came to its end": in_turn(
        OPEN, (add("a"), CLOSED), (add("b", "v"), Told(("a", "b"))), (Result(None), COMPLETED)
    ),
    "an update cut off though nobody has cancelled": in_turn(OPEN, (add("a"), Refused("UpdateFailed"))),
    "an update accepted by a closed run": in_turn(
        OPEN, ADDED, ENOUGH, (Result(None), COMPLETED), (add("c", "w"), Told(("a", "b", "c")))
    ),
    "an error that nobody promised": in_turn(BEGUN, (start("r2", if_running="restart"), CLOSED)),
}


@pytest.mark.parametrize("history", RIGHT.values(), ids=RIGHT)
def test_the_api_may_answer(history: list[Operation]) -> None:
    assert fits(history)


@pytest.mark.parametrize("history", WRONG.values(), ids=WRONG)
def test_the_api_may_not_answer(history: list[Operation]) -> None:
    assert not fits(history)


def test_the_smallest_wrong_part_leaves_out_what_proves_nothing() -> None:
    wrong = in_turn(
        (Describe(None), Refused("NotFound")),
        BEGUN,
        (start("r2"), Ran("r1")),
        ONE,
        (Describe(None), Seen("r1", "running")),
        TWO,
        (Result(None), COMPLETED),
        (note("c"), DONE),
        (Describe(None), Seen("r1", "completed")),
        (note("d"), CLOSED),
    )
    assert smallest_wrong(wrong) == [wrong[1], wrong[3], wrong[5], wrong[6], wrong[7]]


def test_answers_after_the_contradiction_are_still_to_come_in_its_smallest_part() -> None:
    late = Operation(client="c", subject="x", call=note("z"), invoked=1, completed=90, answer=DONE)
    unread = Operation(client="c", subject="x", call=Describe(None), invoked=1, completed=91, answer=Seen("r1", "x"))
    begun, stale = in_turn(BEGUN, (Describe(None), Refused("NotFound")))
    small = smallest_wrong([begun, late, unread, stale])
    assert [each.call for each in small] == [begun.call, late.call, stale.call]
    assert small[1].answer is None


def test_a_history_is_told_with_short_names_and_the_order_that_was_found() -> None:
    told = tell(in_turn(BEGUN, (note("a", "r1", "m"), None), (Cancel("r0"), Refused("NotFound")), ONE))
    lines = [" ".join(line.split()) for line in told.splitlines()]
    assert lines == [
        "order called answered client call answer",
        "1. 0 1 c start(plain of 2, if_running=attach, if_closed=attach) as run 1 run 1",
        "2. 2 never c signal(run 1, 'a', id='m') ?",
        "3. 4 5 c cancel(r0) NotFound",
        "4. 6 7 c signal(the newest run, 'a') accepted",
    ]
