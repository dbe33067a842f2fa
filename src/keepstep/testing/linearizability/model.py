"""The client API as it would behave with one caller at a time: what each call changes and answers.

The state of a workflow id is the runs that it has had, oldest first; all but the newest are closed. An open run has
accepted notes and perhaps a cancel, in an order that decides how it may end (``fates``). When it ends is its own
affair: a run that may end is both open and closed until somebody is told which (``_settled``).

What is promised, and so judged:

* a start makes one run, attaches to it, or is refused, as the id's state and the policies say; a restart ends the open
  run and makes the new one at the same moment; another input is ``AlreadyStarted``;
* an open run accepts every signal and cancel, a closed one refuses each with ``RunClosed``, and an id without a run
  with ``NotFound``; what was accepted shows in the result, once, in the order in which it was accepted;
* an update is done by an open run, which returns the notes that it has by then, and rejected where it has that note;
  asked for again by its id it is not done again, and has the same outcome, also when the run has closed; one that
  was accepted by a run which was then ended by force has no outcome: ``RunClosed``; a cancel may cut one off, which
  has then failed;
* a query tells all that was accepted before; what comes after a run's end has come is seen or not;
* a second cancel changes nothing; ``terminate`` ends a run at once;
* ``describe`` tells the status of now; ``result`` the one end of a run, and follows restarts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from .operation import (
    READS,
    Answer,
    Cancel,
    Describe,
    Done,
    Ended,
    Operation,
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

CANCELLED = Ended("cancelled")
TERMINATED = Ended("terminated")
CLOSED = Refused("RunClosed")
CUT_OFF = Refused("UpdateFailed")


class RunState(msgspec.Struct, frozen=True):
    """One run."""

    run_id: str
    program: Program
    notes: tuple[str, ...] = ()
    """Accepted while it could still collect them."""
    message_ids: frozenset[str] = frozenset()
    updates: frozenset[tuple[str, Answer]] = frozenset()
    """Outcomes of updates, by their ids."""
    is_doomed: bool = False
    """It accepted an update whose outcome will never be: nothing but force can end it."""
    fates: tuple[Ended, ...] = ()
    """How it may end by now; none while it has no reason to end."""
    end: Ended | None = None
    followed_by: str = ""
    """The run that took its place by a restart."""


State = tuple[RunState, ...]


class ClientModel:
    """``checker.Model`` of one workflow id."""

    def initial(self) -> State:
        return ()

    def step(self, state: State, operation: Operation) -> Iterable[State]:
        for settled in _settled(state):
            for answer, after in _effects(settled, operation):
                if operation.answer is None or operation.answer == answer:
                    yield after


def changes_nothing(operation: Operation) -> bool:
    """True if the history says the same without it, except for what it claims itself: reads, refusals, attaches."""
    call, answer = operation.call, operation.answer
    if isinstance(call, READS) or isinstance(answer, Refused):
        return True
    return isinstance(call, Start) and isinstance(answer, Ran) and answer.run_id != call.run_id


def _settled(state: State) -> Iterator[State]:
    """The state, and what it may have become by itself."""
    yield state
    if state and state[-1].end is None and not state[-1].is_doomed:
        for fate in state[-1].fates:
            yield _replaced(state, msgspec.structs.replace(state[-1], end=fate))


def _effects(state: State, operation: Operation) -> Iterator[tuple[Answer, State]]:
    """What the call may answer now, and the state after it."""
    call = operation.call
    if isinstance(call, Start):
        yield _start(state, call)
        return
    run = _target(state, call.run_id)
    if run is None:
        yield Refused("NotFound"), state
    elif isinstance(call, Update | Query) and run.program.kind != "asked":
        yield Refused("InvalidInput"), state  # its workflow has neither
    elif isinstance(call, Update):
        for answer, after in _updated(run, call, operation.answer):
            yield answer, _replaced(state, after)
    elif isinstance(call, Query):
        for notes in _shown(run, operation.answer):
            yield Told(notes), state
    elif isinstance(call, Describe):
        yield Seen(run.run_id, "running" if run.end is None else run.end.status), state
    elif isinstance(call, Result):
        last = _followed(state, run)
        if last.end is not None:
            yield last.end, state
    elif run.end is not None:
        yield CLOSED, state
    else:
        yield Done(), _replaced(state, _told(run, call))


def _start(state: State, call: Start) -> tuple[Answer, State]:
    new = begun(call.run_id, call.program)
    if not state:
        return Ran(new.run_id), (new,)
    newest = state[-1]
    policy = call.if_running if newest.end is None else call.if_closed
    if policy == "reject" or (policy == "attach" and newest.program != call.program):
        return Refused("AlreadyStarted"), state
    if policy == "attach":
        return Ran(newest.run_id), state
    if newest.end is None:
        replaced = msgspec.structs.replace(newest, end=TERMINATED, followed_by=new.run_id)
        return Ran(new.run_id), (*_replaced(state, replaced), new)
    return Ran(new.run_id), (*state, new)


def _updated(run: RunState, call: Update, answer: Answer | None) -> Iterator[tuple[Answer, RunState]]:
    """What an update may answer, and the run after it. One whose function has ended takes it, or does not any more."""
    known = dict(run.updates).get(call.update_id)
    if known is not None:
        yield known, run
        return
    if run.end is not None or run.fates:
        yield CLOSED, run
    if run.end is not None:
        return
    if run.fates:
        yield Refused("UpdateRejected"), run
        if CANCELLED in run.fates:
            yield CUT_OFF, _remembering(run, call, CUT_OFF)
        if isinstance(answer, Told) and _begins(answer.notes, run.notes):
            yield answer, _remembering(run, call, answer)
    elif call.note in run.notes:
        yield Refused("UpdateRejected"), run
    else:
        after = _noted(run, call.note)
        told = Told(after.notes)
        yield told, _remembering(after, call, told)
        if answer == CLOSED:
            yield CLOSED, msgspec.structs.replace(_remembering(after, call, CLOSED), is_doomed=True)


def _remembering(run: RunState, call: Update, outcome: Answer) -> RunState:
    return msgspec.structs.replace(run, updates=run.updates | {(call.update_id, outcome)})


def _shown(run: RunState, answer: Answer | None) -> Iterator[tuple[str, ...]]:
    """What a query may tell of a run.

    Its notes; when it has ended, or has every reason to, what came last may not have reached it, or still have done.
    """
    if run.end is None and not run.fates:
        yield run.notes
    elif isinstance(answer, Told) and (_begins(answer.notes, run.notes) or _begins(run.notes, answer.notes)):
        yield answer.notes


def _begins(notes: tuple[str, ...], with_these: tuple[str, ...]) -> bool:
    return notes[: len(with_these)] == with_these


def begun(run_id: str, program: Program) -> RunState:
    """A run that was just started; one that has nothing to collect may end at once."""
    return RunState(run_id, program, fates=() if program.size else (Ended("completed"),))


def _target(state: State, run_id: str | None) -> RunState | None:
    if run_id is None:
        return state[-1] if state else None
    return next((each for each in state if each.run_id == run_id), None)


def _followed(state: State, run: RunState) -> RunState:
    """The run that goes on where this one was restarted, at the end of all restarts."""
    for each in state:  # followers are younger
        if each.run_id == run.followed_by:
            run = each
    return run


def _replaced(state: State, changed: RunState) -> State:
    return tuple(changed if each.run_id == changed.run_id else each for each in state)


def _told(run: RunState, call: Signal | Cancel | Terminate) -> RunState:
    """An open run after something was said to it."""
    if isinstance(call, Terminate):
        return msgspec.structs.replace(run, end=TERMINATED)
    if isinstance(call, Cancel):
        return msgspec.structs.replace(run, fates=_cancelled_fates(run))
    if call.message_id is not None:
        if call.message_id in run.message_ids:
            return run
        run = msgspec.structs.replace(run, message_ids=run.message_ids | {call.message_id})
    return run if run.fates else _noted(run, call.note)  # accepted; the run has enough by now, or was cancelled


def _noted(run: RunState, note: str) -> RunState:
    """A run that was not at its end, after a note was accepted."""
    notes = (*run.notes, note)
    fates = (Ended("completed", notes),) if len(notes) == run.program.size else ()
    return msgspec.structs.replace(run, notes=notes, fates=fates)


def _cancelled_fates(run: RunState) -> tuple[Ended, ...]:
    """How a run may end after a cancel. The first of what was said that ends it decides, except while it is busy."""
    if not run.fates:
        return (Ended("completed", ("cancelled", *run.notes)),) if run.program.kind == "careful" else (CANCELLED,)
    is_busy = run.program.kind == "stepped" and run.program.size > 0
    return (*run.fates, CANCELLED) if is_busy and CANCELLED not in run.fates else run.fates
