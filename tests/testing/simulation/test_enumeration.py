"""Every store call of a run fails in every way, one at a time; a few programs here, all by the program itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

from keepstep.schedules import Overlap
from keepstep.testing.scoreboard import read_score
from keepstep.testing.simulation.enumeration import WAYS, enumerate_program, enumerate_schedule, programs
from keepstep.testing.simulation.handwritten import HANDWRITTEN
from keepstep.testing.simulation.plants import planted

TRIED_HERE = ("a signal", "once", "a saga that fails", "a child", "sync: branches", "sync: a saga that is cut off")


@pytest.mark.parametrize("name", TRIED_HERE)
def test_no_failure_of_a_store_call_changes_what_comes_of_a_program(name: str) -> None:
    cases = dict(enumerate_program(HANDWRITTEN[name], "memory"))
    assert {case: wrong for case, wrong in cases.items() if wrong} == {}
    assert len(cases) > 15 * len(WAYS)
    assert any(case.endswith("-commit-died_after") for case in cases)


def test_a_claim_whose_answer_was_lost_costs_nobody_their_run() -> None:
    """The run is started by another process, so that the worker must claim it."""
    cases = dict(enumerate_program(HANDWRITTEN["a step on a queue"], "memory", is_claimed=True))
    assert {case: wrong for case, wrong in cases.items() if wrong} == {}
    assert any(case.endswith("-claim_runs-lost") for case in cases)
    assert any(case.endswith("-claim_work-lost") for case in cases)


@pytest.mark.parametrize("overlap", [Overlap.TERMINATE, Overlap.BUFFER_ONE])
def test_no_failure_of_a_store_call_changes_what_a_schedule_starts(overlap: Overlap) -> None:
    cases = dict(enumerate_schedule(overlap, "memory"))
    assert {case: wrong for case, wrong in cases.items() if wrong} == {}
    assert len(cases) > 50 * len(WAYS)


def test_a_schedule_that_does_not_tell_runs_to_end_is_found() -> None:
    with planted("overlap-unsaid"):
        assert any(wrong for _, wrong in enumerate_schedule(Overlap.TERMINATE, "memory"))


def test_nor_does_it_on_sqlite() -> None:
    cases = dict(enumerate_program(HANDWRITTEN["a chain of steps"], "sqlite"))
    assert {case: wrong for case, wrong in cases.items() if wrong} == {}


@pytest.mark.parametrize("name", ["steps in transactions beside others", "a step in a transaction that is retried"])
def test_a_step_in_a_transaction_has_one_effect_wherever_its_process_dies(name: str) -> None:
    cases = dict(enumerate_program(HANDWRITTEN[name], "sqlite"))
    assert {case: wrong for case, wrong in cases.items() if wrong} == {}
    assert any(case.endswith("-commit-died_after") for case in cases)


def test_a_promise_that_is_broken_at_one_call_only_is_found() -> None:
    with planted("once-twice"):
        assert any(wrong for _, wrong in enumerate_program(HANDWRITTEN["once"], "memory"))


def test_there_are_enough_programs_and_every_one_has_a_name() -> None:
    assert len(HANDWRITTEN) >= 45
    assert len(programs(60)) == 60


def test_the_program_says_what_it_tried() -> None:
    command = [sys.executable, "-m", "keepstep.testing.simulation.enumeration", "--only", "nothing"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    score = read_score(done.stdout)
    assert score is not None
    assert (done.returncode, score.lost, score.counts) == (0, 0, {"programs": 1})
    assert score.tried > 60
