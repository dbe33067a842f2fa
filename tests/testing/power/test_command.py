"""``python -m keepstep.testing.power``: what it prints last, and how it ends."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from keepstep.testing.power.__main__ import main
from keepstep.testing.scoreboard import Score, read_score


def call(*arguments: str) -> tuple[int, Score | None, str]:
    result = CliRunner().invoke(main, arguments)
    return result.exit_code, read_score(result.stdout), result.output


def test_it_ends_with_a_score_and_exits_with_0_where_nothing_was_lost() -> None:
    code, score, _ = call("--cuts", "40", "--seed", "5")
    assert code == 0
    assert score is not None
    assert (score.part, score.lost, score.seeds, score.unit) == ("power", 0, (5, 5), "power cuts")
    assert score.tried >= 40
    assert score.counts["acknowledged commits looked for"] > 0


def test_what_was_lost_is_told_with_the_command_that_shows_it_again() -> None:
    code, score, _ = call("--cuts", "60", "--plant", "no-sync")
    assert code == 1
    assert score is not None
    assert score.lost > 0
    command = score.replay[0].split("  #")[0]
    again, same, _ = call(*command.removeprefix("python -m keepstep.testing.power ").split())
    assert (again, same and same.lost) == (1, 1)


@pytest.mark.parametrize("option", ["--fault", "--engine-fault"])
def test_one_fault_can_be_tried_alone(option: str) -> None:
    code, score, _ = call(option, "151.short-full.while")
    assert code == 0
    assert score is not None
    assert score.counts["disk faults"] == 1


@pytest.mark.parametrize("option", ["--fault", "--engine-fault"])
def test_a_fault_that_cannot_happen_is_refused(option: str) -> None:
    code, _, output = call(option, "150000.full.once")
    assert code == 2
    assert "no such call" in output


def test_one_succession_can_be_tried_alone() -> None:
    code, score, _ = call("--succession", "0")
    assert code == 0
    assert score is not None
    assert score.counts["disk faults"] == 1


def test_whoever_asks_for_nothing_is_told_what_to_ask_for() -> None:
    code, _, output = call()
    assert code == 2
    assert "--cuts N" in output
