"""The kill loop as users start it: real processes, real kills, and an audit that notices a broken engine."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from random import Random

import pytest

from keepstep.testing.chaos.__main__ import main
from keepstep.testing.chaos.fate import DELAY_SECONDS_MIN, STAGES, draw_fate
from keepstep.testing.chaos.plants import PLANTS
from keepstep.testing.scoreboard import Score, read_score

pytestmark = [
    pytest.mark.stress,
    pytest.mark.skipif(sys.platform == "win32", reason="it forks"),
]


async def play(folder: Path, *options: str) -> tuple[int | None, str, Score]:
    """The program in a process of its own: exit code, output, score."""
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "keepstep.testing.chaos", "--folder", str(folder), *options,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output = (await program.communicate())[0].decode()
    score = read_score(output)
    assert score is not None, output
    return program.returncode, output, score


async def test_sixty_kills_lose_nothing(tmp_path: Path) -> None:
    code, output, score = await play(tmp_path / "rounds", "--kills", "60", "--seed", "7")
    assert code == 0, output
    assert score.part == "kills"
    assert score.tried >= 60
    assert score.lost == 0
    assert score.seeds == (7, 7)
    for what in ("acknowledged starts", "acknowledged letters", "repeats", "freezes", "runs", "steps"):
        assert score.counts[what] > 0, what
    assert list((tmp_path / "rounds").iterdir()) == []


@pytest.mark.parametrize("plant", ["wake-nobody"])
async def test_a_broken_engine_is_found_and_everything_is_kept(plant: str, tmp_path: Path) -> None:
    options = ("--kills", "25", "--seed", "3", "--ending-seconds", "4", "--plant", plant)
    code, output, score = await play(tmp_path / "rounds", *options)
    assert code == 1
    assert score.lost > 0
    assert "LOST:" in output
    assert "--seed 3" in score.replay[0]
    assert (tmp_path / "rounds" / "round-3" / "ledger").exists()


def test_the_ways_to_break_the_engine_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--plants"]) == 0
    listed = capsys.readouterr().out
    assert len(PLANTS) >= 10
    assert all(name in listed for name in PLANTS)


async def test_every_plant_still_finds_in_the_engine_what_it_breaks() -> None:
    plants = "keepstep.testing.chaos.plants", "keepstep.testing.chaos.poison.plants"
    apply = "[plant() for plant in __import__(sys.argv[1], fromlist=['PLANTS']).PLANTS.values()]"
    for module in plants:
        program = await asyncio.create_subprocess_exec(sys.executable, "-c", f"import sys; {apply}", module)
        assert await program.wait() == 0, module


def test_fates_are_repeatable_and_reach_from_microseconds_to_seconds() -> None:
    def draw(seed: int) -> list[object]:
        dice = Random(seed)
        return [draw_fate(dice, 1.0) for _ in range(2000)]

    assert draw(1) == draw(1) != draw(2)
    fates = [draw_fate(Random(n), 1.0) for n in range(2000)]
    assert {fate.stage for fate in fates} == set(STAGES)
    delays = sorted(fate.delay_seconds for fate in fates)
    assert delays[0] < 10 * DELAY_SECONDS_MIN
    assert delays[-1] > 1.0
    assert any(fate.frozen_seconds for fate in fates)
    assert any(fate.is_together for fate in fates)
