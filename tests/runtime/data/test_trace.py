"""The text of a traceback is what Python prints, to the letter, at the first time and at each later one."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest

from keepstep.runtime.data import trace
from keepstep.runtime.data.trace import trace_of

FRAMES_MAX = 50


def fail_deeply(depth: int) -> float:
    return fail_deeply(depth - 1) if depth else 1 / 0 + 2


def fail_in_turns(depth: int) -> float:
    if depth % 2:
        return fail_in_turns(depth - 1)
    return (fail_in_turns(
        depth - 1) if depth else [0.0][9])  # fmt: skip


def fail_within_an_expression() -> int:
    numbers = [1, 2]
    return numbers[0] + numbers[1] + [][3]


def fail_with_a_suggestion() -> str:
    return str("text".uper())  # type: ignore[attr-defined]


def fail_with_causes_and_notes() -> None:
    try:
        fail_deeply(1)
    except ZeroDivisionError as error:
        consequence = ValueError("two\nlines")
        consequence.add_note("travels by itself")
        raise consequence from error


def fail_with_a_group() -> None:
    errors = []
    for depth in (0, 5):
        try:
            fail_deeply(depth)
        except ZeroDivisionError as error:
            errors.append(error)
    raise ExceptionGroup("several", errors)


def fail_where_there_is_no_source() -> None:
    exec(compile("def fail():\n    1 / 0\nfail()", "<gone>", "exec"))


FAILING: dict[str, Callable[[], object]] = {
    **{f"line {n} times": lambda n=n: fail_deeply(n - 1) for n in (1, 2, 3, 4, 5, 200)},  # type: ignore[misc]
    "lines in turns": lambda: fail_in_turns(20),
    "within an expression": fail_within_an_expression,
    "with a suggestion": fail_with_a_suggestion,
    "causes and notes": fail_with_causes_and_notes,
    "group": fail_with_a_group,
    "no source": fail_where_there_is_no_source,
    "syntax": lambda: compile("1 +", "<wrong>", "exec"),
}


def printed(error: BaseException) -> str:
    whole = traceback.TracebackException(type(error), error, error.__traceback__, limit=-FRAMES_MAX, compact=True)
    whole.__notes__ = None
    return "".join(whole.format(chain=False))


@pytest.mark.parametrize("name", FAILING)
def test_a_trace_reads_as_python_prints_it(name: str) -> None:
    for _ in range(2):
        with pytest.raises(Exception) as raised:
            FAILING[name]()
        assert trace_of(raised.value, FRAMES_MAX) == printed(raised.value)


def test_an_error_that_was_never_raised_has_no_frames() -> None:
    assert trace_of(ValueError("never"), FRAMES_MAX) == "ValueError: never\n"


def test_only_so_many_places_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "PLACES_KEPT_MAX", 3)
    monkeypatch.setattr(trace, "_texts", {})
    for name in FAILING:
        test_a_trace_reads_as_python_prints_it(name)
        assert len(trace._texts) <= 3


def test_the_text_of_a_place_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "_texts", {})
    test_a_trace_reads_as_python_prints_it("line 2 times")
    monkeypatch.delattr(traceback, "format_tb")
    test_a_trace_reads_as_python_prints_it("line 2 times")
