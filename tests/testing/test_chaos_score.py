"""The line by which a part of the torture tells the scoreboard what it tried and lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from keepstep.testing.scoreboard import Score, read_score
from keepstep.testing.scoreboard.machine import describe_commit
from keepstep.testing.scoreboard.score import LINES_BEHIND_MAX, find_scores


def test_a_score_reads_back_from_the_last_line_of_what_a_part_printed() -> None:
    score = Score(
        part="power", tried=200, lost=1, seeds=(1, 200), unit="power cuts", seconds=31.2,
        replay=["python -m keepstep.testing.power --seed 17"], counts={"commits": 91244}, commit="abc",
    )  # fmt: skip
    assert read_score(f"seed 17: an acknowledged commit is gone\n{score.line()}\n\n") == score


def test_a_score_carries_only_so_many_commands_and_no_false_precision() -> None:
    score = read_score(Score(part="x", tried=99, lost=99, seconds=1.23456, replay=["again"] * 99).line())
    assert score is not None
    assert (len(score.replay), score.seconds) == (10, 1.2)


def test_all_scores_of_a_log_are_found_among_complaints() -> None:
    first, last = (Score(part="kills", tried=tried, lost=0, commit="abc") for tried in (300, 600))
    log = f"{first.line()}\nround 2\n{last.line()}\nException ignored in: <x>\n  File …\n"
    assert find_scores(log) == [first, last]
    assert find_scores("round 1\nround 2\n") == []


def test_a_log_that_goes_on_long_after_its_last_score_is_not_believed() -> None:
    score = Score(part="kills", tried=300, lost=0, commit="abc")
    assert find_scores(score.line() + "\nround 2" * LINES_BEHIND_MAX) == []


def test_a_score_says_which_commit_it_is_about() -> None:
    score = read_score(Score(part="x", tried=1, lost=0).line())
    assert score is not None
    assert score.commit == describe_commit(Path(__file__).parent)


@pytest.mark.parametrize("output", ["", "\n", "all is well", '{"part": "power"}', "[1, 2]", "Traceback\nKeyError: 1"])
def test_what_is_no_score_is_not_taken_for_one(output: str) -> None:
    assert read_score(output) is None
