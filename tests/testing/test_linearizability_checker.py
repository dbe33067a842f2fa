"""The checker says of a history what an exhaustive search over all orders says of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepstep.testing.linearizability import find_order


@dataclass(frozen=True)
class Access:
    """A write of ``value``, or a read that found it, on a register; or a compare-and-set from ``before`` to it."""

    verb: str
    value: int
    invoked: int
    completed: int | None
    before: int = 0
    ok: bool = True


class Register:
    """One number, 0 at first."""

    def initial(self) -> int:
        return 0

    def step(self, state: int, access: Access) -> Iterator[int]:
        if access.verb == "write":
            yield access.value
        elif access.verb == "read":
            if access.completed is None or access.value == state:
                yield state
        else:
            fits = state == access.before
            if access.completed is None or access.ok == fits:
                yield access.value if fits else state


class Coin:
    """A model that is not determined: after a toss it shows one side or the other, and stays so."""

    def initial(self) -> int:
        return 0

    def step(self, state: int, access: Access) -> Iterator[int]:
        if access.verb == "write":
            yield from (1, 2)
        elif access.value == state:
            yield state


def write(value: int, invoked: int, completed: int | None) -> Access:
    return Access("write", value, invoked, completed)


def read(value: int, invoked: int, completed: int | None) -> Access:
    return Access("read", value, invoked, completed)


FITTING = {
    "nothing at all": [],
    "one after the other": [write(1, 0, 1), read(1, 2, 3), write(2, 4, 5), read(2, 6, 7)],
    "a read during a write finds the new value": [write(1, 0, 9), read(1, 1, 2)],
    "a read during a write finds the old value": [write(1, 0, 9), read(0, 1, 2)],
    "two overlapping writes happen in either order": [write(1, 0, 5), write(2, 0, 5), read(1, 6, 7)],
    "touching intervals may overlap": [write(1, 0, 5), read(0, 5, 6)],
    "a write that nobody heard of happened late": [write(1, 0, None), read(0, 1, 2), read(1, 3, 4)],
    "a write that nobody heard of never happened": [write(1, 0, None), read(0, 1, 2)],
    "an answer comes out of the order of the calls": [write(1, 0, 9), write(2, 1, 2), read(2, 3, 4), read(1, 5, 6)],
}

CONTRADICTING = {
    "a value that nobody wrote": [read(7, 0, 1)],
    "a stale read": [write(1, 0, 1), read(0, 2, 3)],
    "new, then old again": [write(1, 0, 9), read(1, 1, 2), read(0, 3, 4)],
    "a value from the future": [read(1, 0, 1), write(1, 2, 3)],
    "a lost write": [write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)],
    "two readers disagree about the order": [
        write(1, 0, 3),
        write(2, 0, 3),
        read(1, 4, 5),
        read(2, 6, 7),
        read(1, 8, 9),
    ],
    "a write that nobody heard of, undone": [write(1, 0, None), read(1, 1, 2), read(0, 3, 4)],
    "two who both were first": [Access("swap", 1, 0, 5), Access("swap", 2, 0, 5)],
}


@pytest.mark.parametrize("history", FITTING.values(), ids=FITTING)
def test_a_history_that_could_have_happened_has_an_order(history: list[Access]) -> None:
    verdict = find_order(Register(), history)
    assert verdict.is_linearizable is True
    assert is_order(history, verdict.order)


@pytest.mark.parametrize("history", CONTRADICTING.values(), ids=CONTRADICTING)
def test_a_history_that_could_not_have_happened_has_none(history: list[Access]) -> None:
    assert find_order(Register(), history).is_linearizable is False


def test_what_a_model_leaves_open_is_settled_by_what_is_seen_and_stays_so() -> None:
    assert find_order(Coin(), [write(0, 0, 1), read(2, 2, 3), read(2, 4, 5)]).is_linearizable is True
    assert find_order(Coin(), [write(0, 0, 1), read(2, 2, 3), read(1, 4, 5)]).is_linearizable is False


def test_a_search_that_is_given_up_says_neither_yes_nor_no() -> None:
    assert find_order(Register(), CONTRADICTING["a lost write"], steps_max=2).is_linearizable is None


def test_many_overlapping_operations_are_judged_without_trying_all_their_orders() -> None:
    reads = [read(n % 3, 0, 1000) for n in range(10)]  # in 6,227,020,800 orders
    writes = [write(n, 0, 1000) for n in range(3)]
    verdict = find_order(Register(), [*writes, *reads, read(9, 1001, 1002)])
    assert verdict.is_linearizable is False
    assert verdict.steps < 100_000


@st.composite
def histories(draw: st.DrawFn) -> list[Access]:
    """Up to six accesses of two values; some of unknown outcome."""
    accesses: list[Access] = []
    for _ in range(draw(st.integers(1, 6))):
        invoked = draw(st.integers(0, 8))
        completed = draw(st.none() | st.integers(invoked, 10))
        verb = draw(st.sampled_from(("read", "write", "swap")))
        value, before = draw(st.integers(0, 2)), draw(st.integers(0, 2))
        accesses.append(Access(verb, value, invoked, completed, before, draw(st.booleans())))
    return accesses


@given(histories())
def test_the_checker_agrees_with_an_exhaustive_search(history: list[Access]) -> None:
    verdict = find_order(Register(), history)
    assert verdict.is_linearizable is any(is_order(history, order) for order in all_orders(history))
    if verdict.is_linearizable:
        assert is_order(history, verdict.order)


def all_orders(history: list[Access]) -> Iterator[tuple[int, ...]]:
    """Every order of everything that was answered and any choice of what was not."""
    answered = [index for index, each in enumerate(history) if each.completed is not None]
    unanswered = [index for index, each in enumerate(history) if each.completed is None]
    for count in range(len(unanswered) + 1):
        for happened in itertools.combinations(unanswered, count):
            yield from itertools.permutations([*answered, *happened])


def is_order(history: list[Access], order: Sequence[int]) -> bool:
    """Whether the order respects the moments and the register allows it."""
    answered = {index for index, each in enumerate(history) if each.completed is not None}
    if not answered <= set(order):
        return False
    for earlier, later in itertools.combinations(order, 2):
        completed = history[later].completed
        if completed is not None and completed < history[earlier].invoked:
            return False
    states = {0}
    for index in order:
        states = {after for state in states for after in Register().step(state, history[index])}
    return bool(states)
