"""The scoreboard runs parts for their share of the time, adds up what they say, and believes none that breaks off."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from keepstep.testing.scoreboard.__main__ import main
from keepstep.testing.scoreboard.batch import run_part
from keepstep.testing.scoreboard.part import PARTS, Part
from keepstep.testing.scoreboard.table import BEGIN, END, table, write_table

PROGRAM = """
import argparse, sys
from keepstep.testing.scoreboard import Score
parser = argparse.ArgumentParser()
parser.add_argument("--tries", type=int, default=5)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--bad", type=int, default=-1)
parser.add_argument("--whole", action="store_true")
o = parser.parse_args()
seeds = (o.seed, o.seed + o.tries - 1)
lost = int(seeds[0] <= o.bad <= seeds[1])
print(Score(part="toy", tried=o.tries, lost=lost, seeds=None if o.whole else seeds, seconds=1.0,
            replay=[f"toy --seed {o.bad}"] * lost,
            counts={"checks": 10.0, "faults": 3.0, "wait, at most": o.seed / 8}).line())
sys.exit(lost)
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that keeps the agreement."""
    (tmp_path / "toy_part.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", ":".join([str(tmp_path), *sys.path]))
    return "toy_part"


def part(*command: str, **options: object) -> Part:
    given = {"title": "a toy", "unit": "tries", "share": 0.5, "count_option": "--tries", "first_tries": 3, **options}
    return Part(name="toy", command=command, **given)  # type: ignore[arg-type]


def test_batches_go_on_with_fresh_seeds_until_the_time_is_over(toy: str) -> None:
    told: list[str] = []
    result = run_part(part(toy, tries_max=4), 3.0, 11, told.append)
    assert result.is_clean
    assert len(told) >= 2
    assert result.seeds == [(11, 10 + result.tried)]
    assert 3 < result.tried <= 3 + 4 * (len(told) - 1)
    assert result.counts["checks"] == 10 * len(told)
    assert 11 / 8 < result.counts["wait, at most"] <= (11 + result.tried) / 8


def test_what_is_lost_is_counted_and_ends_the_part(toy: str) -> None:
    result = run_part(part(toy, "--bad", "12", tries_max=4), 60.0, 11, lambda _: None)
    assert (result.tried, result.lost, result.replay) == (3, 1, ["toy --seed 12"])
    assert not result.is_clean


def test_an_enumeration_is_run_once_and_may_count_something_else(toy: str) -> None:
    result = run_part(part(toy, "--whole", count_option="", counted="faults"), 60.0, 1, lambda _: None)
    assert (result.tried, result.seeds, result.is_clean) == (3, [], True)


@pytest.mark.parametrize(("seconds", "every"), [(1000.0, 1), (100.0, 1), (30.0, 4)])
def test_an_enumeration_is_thinned_where_its_time_is_short(toy: str, seconds: float, every: int) -> None:
    thinned = part(toy, "--whole", count_option="", thin_option="--tries", whole_seconds=100.0)
    assert run_part(thinned, seconds, 1, lambda _: None).tried == (every if every > 1 else 5)


def test_complaints_after_the_score_do_not_hide_it(toy: str, tmp_path: Path) -> None:
    (tmp_path / "grumbling_part.py").write_text(
        """import sys; print('{"part":"toy","tried":1,"lost":0}', flush=True); print("oh no", file=sys.stderr)"""
    )
    assert run_part(part("grumbling_part", count_option=""), 0.0, 1, lambda _: None).is_clean


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print('no score')", "no score"),
        ("raise SystemExit(3)", "ended with 3 and no score"),
        ("""print('{"part":"toy","tried":1,"lost":0}'); raise SystemExit(4)""", "lost 0 and ended with 4"),
        ("no python", "SyntaxError"),
    ],
)
def test_a_part_that_breaks_the_agreement_is_not_believed(code: str, said: str, toy: str, tmp_path: Path) -> None:
    (tmp_path / "broken_part.py").write_text(code)
    result = run_part(part("broken_part"), 5.0, 1, lambda _: None)
    assert not result.is_clean
    assert said in result.broken


def test_a_part_that_does_not_end_is_ended(toy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keepstep.testing.scoreboard.batch.OVERTIME_SECONDS", 0.5)
    (tmp_path / "endless_part.py").write_text("import time\nwhile True: time.sleep(1)")
    result = run_part(part("endless_part"), 0.1, 1, lambda _: None)
    assert "did not end" in result.broken


def test_the_table_is_written_between_its_marks_and_the_rest_of_the_page_stays(toy: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nProse.\n")
    assert main(["--seconds", "0", "--page", str(page)], [part(toy)]) == 0
    written = page.read_text()
    assert written.startswith(f"# Title\n\n{BEGIN}\n\n")
    assert written.endswith(f"{END}\n\nProse.\n")
    assert "| a toy (`toy`) | 3 tries | 0 | 1–3 | 1 s |" in written
    assert "* `toy`: 10 checks, 3 faults, 0.12 wait, at most" in written
    assert "old" not in written


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Title\n")
    with pytest.raises(ValueError, match="has no lines"):
        write_table(page, "text")
    assert page.read_text() == "# Title\n"


def test_what_is_lost_is_shown_and_the_exit_code_says_so(toy: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seconds", "0"], [part(toy, "--bad", "2")]) == 1
    shown = capsys.readouterr().out
    assert "| 3 tries | **1** |" in shown
    assert "LOST (toy): toy --seed 2" in shown


def test_scores_of_earlier_campaigns_are_added_up_instead_of_running(
    toy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = []
    for number, seeds in enumerate([(1, 900), (901, 990), (2001, 2010)]):
        files.append(tmp_path / f"log-{number}")
        tried = seeds[1] - seeds[0] + 1
        files[-1].write_text(
            f'much was said\n{{"part":"toy","tried":{tried},"lost":0,"seeds":[{seeds[0]},{seeds[1]}],"commit":"abc"}}\n'
        )
    taken = [word for file in files for word in ("--take", "toy", str(file))]
    assert main(taken, [part("not_a_module")]) == 0
    assert "| a toy (`toy`, at abc) | 1,000 tries | 0 | 1–990, 2001–2010 |" in capsys.readouterr().out


def test_a_campaign_whose_runs_were_kept_in_one_file_is_taken_as_a_whole(
    toy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, more = tmp_path / "log", tmp_path / "more"
    score = '{"part":"toy","tried":10,"lost":%d,"seeds":[%d,%d],"commit":"abc","replay":["toy 11"]}'
    log.write_text("\n".join(["10 seeds", score % (0, 1, 10), "seed 11 FAILED", score % (1, 11, 20), "bye"]))
    more.write_text(score % (0, 21, 30))
    assert main(["--take", "toy", str(log), str(more)], [part("not_a_module")]) == 1
    assert "| a toy (`toy`, at abc) | 30 tries | **1** | 1–30 |" in capsys.readouterr().out


def test_rows_of_parts_that_are_not_run_stay_and_say_at_which_commit_they_were_tried(toy: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    old = "| {} (`{}`{}) | 7 tries | 0 | 1–7 | 9 s |"
    rows = [old.format("a toy", "toy", ""), old.format("a bear", "bear", ""), old.format("a doll", "doll", ", at fed")]
    rows += ["", "* `toy`: 1 check", "* `bear`: 2 checks"]
    page.write_text("\n".join([f"{BEGIN}", "yesterday, commit abc with changes. a machine.", *rows, END]))
    parts = [msgspec.structs.replace(part(toy), name=name) for name in ("bear", "toy", "doll")]
    assert main(["--seconds", "0", "--only", "toy", "--page", str(page)], parts) == 0
    written = page.read_text()
    assert old.format("a bear", "bear", ", at abc with changes") in written
    assert old.format("a doll", "doll", ", at fed") in written
    assert "| a toy (`toy`) | 3 tries | 0 | 1–3 | 1 s |" in written
    assert "Rows that name a commit were tried at that one" in written
    assert written.index("`bear`") < written.index("`toy`") < written.index("`doll`")
    assert "* `bear`: 2 checks" in written
    assert "1 check\n" not in written


def test_a_row_whose_commit_nobody_noted_says_so(toy: str, tmp_path: Path) -> None:
    page, log = tmp_path / "page.md", tmp_path / "log"
    old = "| a bear (`bear`, at {}) | 7 tries | 0 | 1–7 | 9 s |"
    page.write_text("\n".join([BEGIN, "yesterday, commit abc. a machine.", old.format("unknown"), END]))
    log.write_text('{"part":"toy","tried":10,"lost":0,"seeds":[1,10],"seconds":4}')
    parts = [msgspec.structs.replace(part(toy), name=name) for name in ("bear", "toy")]
    assert main(["--take", "toy", str(log), "--only", "toy", "--page", str(page)], parts) == 0
    assert old.format("a commit that was not noted") in page.read_text()
    assert "| a toy (`toy`, at a commit that was not noted) | 10 tries | 0 | 1–10 | 4 s |" in page.read_text()


def test_all_parts_get_a_share_and_have_names_of_their_own() -> None:
    assert len({each.name for each in PARTS}) == len(PARTS)
    assert sum(each.share for each in PARTS) == pytest.approx(1.0)
    assert table([], "today", "abc", "a machine").startswith("today, commit abc. a machine.")
