"""What concurrent clients see could have happened one call after the other; and where it could not, it is found."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from keepstep.testing.linearizability import find_order, processes
from keepstep.testing.linearizability.model import ClientModel
from keepstep.testing.linearizability.operation import Cancel, Describe, Done, Refused, Seen
from keepstep.testing.linearizability.plants import PLANTS, planted
from keepstep.testing.linearizability.recording import (
    Answered,
    Called,
    Line,
    Recorder,
    appending_to,
    by_subject,
    operations_of,
    read_lines,
    save_history,
)
from keepstep.testing.linearizability.simulated import record_history
from keepstep.testing.scoreboard import Score, read_score

SEEDS = range(1, 61)
SEEDS_FOR_PLANTS = range(1, 201)


def is_right(lines: Iterable[Line]) -> bool:
    histories = by_subject(operations_of(lines)).values()
    return all(find_order(ClientModel(), history).is_linearizable for history in histories)


def test_clients_of_dying_processes_and_failing_stores_see_one_order_of_all_calls() -> None:
    wrong = [seed for seed in SEEDS if not is_right(record_history(seed))]
    assert wrong == []


def test_the_histories_contain_what_makes_them_worth_judging() -> None:
    operations = [each for seed in range(1, 21) for each in operations_of(record_history(seed))]
    verbs = {type(each.call).__name__ for each in operations}
    answers = {type(each.answer).__name__ for each in operations}
    assert verbs == {"Start", "Signal", "Update", "Query", "Cancel", "Terminate", "Describe", "Result"}
    assert answers == {"Ran", "Done", "Told", "Seen", "Ended", "Refused", "NoneType"}
    errors = {each.answer.error for each in operations if isinstance(each.answer, Refused)}
    assert errors == {"AlreadyStarted", "InvalidInput", "NotFound", "RunClosed", "UpdateRejected"}
    ends = {each.answer.status for each in operations if type(each.answer).__name__ == "Ended"}  # type: ignore[union-attr]
    assert ends == {"completed", "cancelled", "terminated"}


def test_a_seed_makes_the_same_history_every_time() -> None:
    assert record_history(7) == record_history(7)
    assert record_history(7) != record_history(8)


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_bug_is_found(plant: str) -> None:
    with planted(plant):
        assert any(not is_right(record_history(seed)) for seed in SEEDS_FOR_PLANTS)


def test_a_plant_is_pulled_out_again() -> None:
    with planted("lost-restart"):
        pass
    assert all(is_right(record_history(seed)) for seed in range(1, 11))


def test_real_processes_that_are_killed_on_real_sqlite_see_one_order_of_all_calls(tmp_path: Path) -> None:
    lines = processes.record_history(1, tmp_path)
    assert is_right(lines)
    writers = {line.client.split(".")[0] for line in lines}
    assert len(writers) > processes.PROCESSES + 1  # those that took the place of the killed, and the last


def test_a_bug_in_real_processes_is_found_too(tmp_path: Path) -> None:
    assert not is_right(processes.record_history(1, tmp_path, "late-signal"))


def test_a_process_that_cannot_live_is_named(tmp_path: Path) -> None:
    with pytest.raises(processes.ProcessEnded, match=r"process p\d ended by itself \(2\):[^$]*invalid choice"):
        processes.record_history(1, tmp_path, "no-such-plant")


def test_a_line_that_was_cut_off_by_a_kill_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    called = Called("c", 1, "x", Cancel(None), 1)
    save_history(file, [called, Answered("c", 1, Done(), 2)])
    file.write_bytes(file.read_bytes()[:-5])
    assert read_lines(file) == [called]
    assert read_lines(tmp_path / "never-written.jsonl") == []


def test_a_recorder_writes_a_call_before_its_answer_with_growing_moments(tmp_path: Path) -> None:
    file, moments = tmp_path / "history.jsonl", iter(range(10))
    recorder = Recorder(appending_to(file), lambda: next(moments))
    first = recorder.call("a", "x", Cancel(None))
    second = recorder.call("b", "x", Describe("r"))
    recorder.answer("b", second, Seen("r", "running"))
    recorder.answer("a", first, Done())
    cancel, describe = operations_of(read_lines(file))
    assert (cancel.invoked, cancel.completed, describe.invoked, describe.completed) == (0, 3, 1, 2)
    assert describe.answer == Seen("r", "running")


def test_a_read_that_was_never_answered_says_nothing() -> None:
    lines: list[Line] = [Called("c", 1, "x", Describe(None), 1), Called("c", 2, "x", Cancel(None), 2)]
    assert [each.call for each in operations_of(lines)] == [Cancel(None)]


def check(*arguments: str) -> tuple[int, str, Score]:
    """Run the program; its exit code, what it printed, and its score."""
    done = subprocess.run(
        [sys.executable, "-m", "keepstep.testing.linearizability", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    score = read_score(done.stdout)
    assert score is not None, done.stdout + done.stderr
    return done.returncode, done.stdout, score


def test_the_program_says_in_its_last_line_what_it_tried() -> None:
    code, _, score = check("--histories", "5", "--seed", "3")
    assert code == 0
    assert (score.part, score.tried, score.lost, score.seeds) == ("linearizability on memory", 5, 0, (3, 7))
    assert score.counts["calls"] > 300


def test_the_program_prints_the_smallest_wrong_history_and_the_command_that_plays_it_again(tmp_path: Path) -> None:
    code, printed, score = check("--histories", "3", "--plant", "late-signal", "--keep", str(tmp_path))
    assert code == 1
    assert score.lost > 0
    assert "fits no order of these calls" in printed
    assert f"again: {score.replay[0]}" in printed
    arguments = score.replay[0].split()[3:]
    assert arguments[:2] == ["--histories", "1"]
    assert check(*arguments)[0] == 1
    kept = sorted(tmp_path.iterdir())
    assert len(kept) == score.lost
    assert check("--check", str(kept[0]))[0] == 1
