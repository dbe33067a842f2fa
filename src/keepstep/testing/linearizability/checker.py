"""Is there an order of overlapping operations that a sequential model allows? (Wing and Gong, with Lowe's memory.)

An operation may take effect at any moment between its call and its answer; one without an answer at any moment after
its call, or never. The search takes, of the operations whose call comes before the first answer that is still open,
one that the model allows, as if it happened next; where none is left it takes back the last one and tries another.
What makes it fast is that the same set of operations done, leading to the same states, is never searched twice.

Wing and Gong, *Testing and verifying concurrent objects* (1993); Lowe, *Testing for linearizability* (2016); Horn and
Kroening, *Faster linearizability checking via P-compositionality* (2015). The last is what Porcupine implements; its
callers, like ours, give each independent object's history alone.

A model may be undetermined (a run may close by itself): a state is then the set of all states possible by now, as in
Porcupine's ``NondeterministicModel``.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

State = TypeVar("State", bound=Hashable)
Op_contra = TypeVar("Op_contra", contravariant=True)

STEPS_MAX = 5_000_000
"""How many operations are tried before the checker gives up; a history of 60 takes some hundreds."""


class Timed(Protocol):
    """What the checker itself needs of an operation."""

    @property
    def invoked(self) -> int: ...
    @property
    def completed(self) -> int | None: ...


Op = TypeVar("Op", bound=Timed)


class Model(Protocol[State, Op_contra]):
    """The object as it behaves when nothing overlaps."""

    def initial(self) -> State:
        """The state before the first operation."""
        ...

    def step(self, state: State, operation: Op_contra) -> Iterable[State]:
        """The states that may follow if the operation takes effect now and is answered as it was.

        None if the answer is impossible now; an operation without an answer could have got any.
        """
        ...


class Verdict(msgspec.Struct, frozen=True):
    """``is_linearizable`` is None if the search was given up. ``order`` holds indexes into the history: the order that
    was found, or else the longest one that begins well."""

    is_linearizable: bool | None
    order: tuple[int, ...]
    steps: int


def find_order(model: Model[State, Op], history: Sequence[Op], steps_max: int = STEPS_MAX) -> Verdict:
    """Search for an order; see the module's docstring."""
    return _Search(model, history, steps_max).run()


class _Entry:
    """A call or an answer, in a list ordered by moment from which pairs can be lifted and put back in constant time."""

    __slots__ = ("after", "before", "index", "its_answer")

    def __init__(self, index: int) -> None:
        self.index = index
        self.its_answer: _Entry | None = None
        """Of a call that was answered."""
        self.before: _Entry = self
        self.after: _Entry | None = None


class _Search(Generic[State, Op]):
    """One search; ``done`` is the set of operations in the order so far, as bits."""

    def __init__(self, model: Model[State, Op], history: Sequence[Op], steps_max: int) -> None:
        self._model = model
        self._history = history
        self._steps_max = steps_max
        self._head = _Entry(-1)
        self._calls: set[_Entry] = set()
        self._open_answers = sum(1 for each in history if each.completed is not None)
        self._link(history)

    def _link(self, history: Sequence[Op]) -> None:
        moments: list[tuple[int, int, _Entry]] = []
        for index, operation in enumerate(history):
            call = _Entry(index)
            self._calls.add(call)
            moments.append((operation.invoked, 0, call))  # of one moment, calls come first: they may overlap
            if operation.completed is not None:
                call.its_answer = _Entry(index)
                moments.append((operation.completed, 1, call.its_answer))
        last = self._head
        for _, _, entry in sorted(moments, key=lambda each: each[:2]):
            last.after, entry.before = entry, last
            last = entry

    def run(self) -> Verdict:
        states, done, steps = frozenset((self._model.initial(),)), 0, 0
        chosen: list[tuple[_Entry, frozenset[State], int]] = []
        longest: tuple[int, ...] = ()
        seen = {(done, states)}
        entry = self._head.after
        while self._open_answers:
            if entry is not None and entry in self._calls:
                steps += 1
                if steps > self._steps_max:
                    return Verdict(None, longest, steps)
                following = self._step(states, self._history[entry.index])
                now_done = done | 1 << entry.index
                if following and (now_done, following) not in seen:
                    seen.add((now_done, following))
                    chosen.append((entry, states, done))
                    if len(chosen) > len(longest):
                        longest = tuple(each.index for each, _, _ in chosen)
                    states, done = following, now_done
                    self._lift(entry)
                    entry = self._head.after
                else:
                    entry = entry.after
            elif chosen:  # an answer, or the end: what was called before it cannot all wait any longer
                entry, states, done = chosen.pop()
                self._put_back(entry)
                entry = entry.after
            else:
                return Verdict(False, longest, steps)
        return Verdict(True, tuple(each.index for each, _, _ in chosen), steps)

    def _step(self, states: frozenset[State], operation: Op) -> frozenset[State]:
        return frozenset(after for state in states for after in self._model.step(state, operation))

    def _lift(self, call: _Entry) -> None:
        _unlink(call)
        if call.its_answer is not None:
            _unlink(call.its_answer)
            self._open_answers -= 1

    def _put_back(self, call: _Entry) -> None:
        if call.its_answer is not None:
            _relink(call.its_answer)
            self._open_answers += 1
        _relink(call)


def _unlink(entry: _Entry) -> None:
    entry.before.after = entry.after
    if entry.after is not None:
        entry.after.before = entry.before


def _relink(entry: _Entry) -> None:
    entry.before.after = entry
    if entry.after is not None:
        entry.after.before = entry
