"""Poison for real: what cannot go on is parked, workers live on, and noisy percentiles are judged with care."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from random import Random

import pytest

from keepstep.testing.chaos.poison.__main__ import main
from keepstep.testing.chaos.poison.plants import PLANTS
from keepstep.testing.chaos.poison.potions import POTIONS
from keepstep.testing.chaos.poison.round import draw_sleepers, interleave
from keepstep.testing.chaos.poison.verdict import judge_code, judge_data, judge_ratios, wants_another_round
from keepstep.testing.chaos.poison.visit import Parked, Visited

ROUND = """
import sys
from pathlib import Path
from keepstep.testing.chaos.poison.plants import PLANTS
from keepstep.testing.chaos.poison.round import play_round
if sys.argv[2]:
    PLANTS[sys.argv[2]]()
played = play_round(5, Path(sys.argv[1]), blocks=2)
print(played)
sys.exit(1 if played.findings or not played.errands else 0)
"""


@pytest.mark.stress
@pytest.mark.skipif(sys.platform == "win32", reason="it forks")
async def test_poisoned_runs_are_parked_and_all_others_come_to_their_ends(tmp_path: Path) -> None:
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ROUND, str(tmp_path / "round"), "",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output = (await program.communicate())[0].decode()
    assert program.returncode == 0, output


def test_every_potion_is_drawn_as_often_as_any_other() -> None:
    healthy, poisoned = draw_sleepers(Random(1), 2 * len(POTIONS))
    assert len(healthy) == len(poisoned) == 2 * len(POTIONS)
    assert sorted(poisoned.values()) == sorted([*POTIONS, *POTIONS])


def test_blocks_of_both_kinds_take_turns_and_wake_everybody_once() -> None:
    healthy, poisoned = draw_sleepers(Random(1), 24)
    blocks = interleave(healthy, list(poisoned), Random(2))
    assert sorted(name for block in blocks for name in block.names) == sorted([*healthy, *poisoned])
    kinds = [block.kind for block in blocks]
    assert kinds.count("healthy") == kinds.count("poisoned")
    assert all(kinds[i] == kinds[i + 3] != kinds[i + 1] == kinds[i + 2] for i in range(0, len(kinds), 4))


@pytest.mark.parametrize(
    ("parked", "expected"),
    [
        (Parked("x", "running", "blocked", "why"), []),
        (Parked("x", "running", "blocked", ""), ["x is running, blocked without a word why"]),
        (Parked("x", "running", "waiting", ""), ["x is running, waiting: no word why"]),
        (Parked("x", "failed", "", "lost"), ["x is failed, not parked: lost"]),
    ],
)
def test_a_poisoned_run_that_is_not_parked_for_a_reason_is_found(parked: Parked, expected: list[str]) -> None:
    assert judge_data(Visited(parked=[parked]), deaths=0) == expected


def test_lost_errands_dead_workers_and_standstill_are_found() -> None:
    assert judge_data(Visited(failed=["errand 3"]), deaths=1) == [
        "errand 3",
        "1 workers died of poisoned histories",
    ]
    parked = [Parked("a", "running", "quarantined", ""), Parked("b", "running", "quarantined", "")]
    fine = Visited(parked=[*parked, Parked("c", "running", "blocked", "why")])
    assert judge_code(fine, deaths=12) == []
    slow = Visited(parked=fine.parked, longest_gap_seconds=99.0)
    assert len(judge_code(slow, deaths=99)) == 2


def test_bad_luck_is_evened_out_by_more_rounds_and_what_stays_slow_is_found() -> None:
    assert wants_another_round([], 5)
    assert not wants_another_round([1.0] * 5, 5)
    assert wants_another_round([1.5] * 5, 5)
    assert not wants_another_round([1.5] * 15, 5)
    assert judge_ratios([0.9, 1.0, 1.05, 1.4, 2.0]) == []
    assert "1.40 times" in judge_ratios([1.0, 1.4, 2.0])[0]
    dice = Random(4)
    slowed = sum(_is_found(dice, 1.33) for _ in range(300))
    even = sum(_is_found(dice, 1.0) for _ in range(300))
    assert slowed > 250
    assert even < 5


def _is_found(dice: Random, true_ratio: float) -> bool:
    """Whether a poison that costs so much is found, where single rounds are wrong by a fifth."""
    ratios: list[float] = []
    while wants_another_round(ratios, 5):
        ratios.append(true_ratio * dice.lognormvariate(0.0, 0.2))
    return bool(judge_ratios(ratios))


def test_the_ways_to_break_the_engine_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--plants"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in PLANTS)
