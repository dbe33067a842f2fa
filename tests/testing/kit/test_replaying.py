"""Recorded histories are replayed against today's code, and tell where it does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from keepstep import InvalidInput, WorkflowFailed, sleep, workflow
from keepstep.runtime import registry
from keepstep.testing.kit import HistoryMisfit, Stage, mock_step, record, replay
from tests.testing.kit.inner import run_pytest
from tests.testing.kit.programs import EFFECTS, kit_charge, kit_mail, kit_order


@workflow
async def kit_order_that_mails_first(order: int) -> str:
    await kit_mail("early")
    return await kit_charge(order)


@workflow
async def kit_order_that_ends_early(order: int) -> str:
    receipt = await kit_charge(order)
    await sleep("30d")
    return receipt


@pytest.fixture
def recorded(tmp_path: Path) -> dict[str, Path]:
    """A run asleep, one completed, and one failed."""
    files = {name: tmp_path / f"{name}.json" for name in ("asleep", "completed", "failed")}

    async def act() -> None:
        run = await stage.engine.start(kit_order, 7, id="o7")
        await stage.time.advance("1d")
        await record(run, files["asleep"])
        await run.result()
        await record(run, files["completed"])
        with mock_step(kit_charge, raises=OSError("no network")):
            run = await stage.engine.start(kit_order, 8, id="o8")
            with pytest.raises(WorkflowFailed):
                await run.result()
        await record(run, files["failed"])

    with Stage() as stage:
        stage.play(act)
    EFFECTS.clear()
    return files


def test_histories_of_the_same_code_fit_and_nothing_is_run(recorded: dict[str, Path]) -> None:
    for file in recorded.values():
        replay(file)
        replay(str(file), kit_order)
    assert EFFECTS == []


def test_a_misfit_tells_what_history_has_and_what_the_code_asks_and_where(recorded: dict[str, Path]) -> None:
    with pytest.raises(HistoryMisfit) as misfit:
        replay(recorded["asleep"], kit_order_that_mails_first)
    said = str(misfit.value)
    assert said.startswith("asleep.json: the history of kit_order 'o7' (running, ")
    assert "history has    seq 2: step_completed kit_charge" in said
    assert "the code asks  kit_mail: " in said
    assert "test_replaying.py:" in said


def test_code_that_would_have_ended_sooner_does_not_fit_a_completed_run_but_one_asleep(
    recorded: dict[str, Path],
) -> None:
    replay(recorded["asleep"], kit_order_that_ends_early)
    with pytest.raises(HistoryMisfit, match="kit_mail"):
        replay(recorded["completed"], kit_order_that_ends_early)


def test_a_workflow_that_is_not_there_is_named(recorded: dict[str, Path]) -> None:
    nowhere = pytest.raises(InvalidInput, match="no workflow 'kit_order' in this process; import its module")
    with registry.emptied(), nowhere:
        replay(recorded["asleep"])
    with pytest.raises(InvalidInput, match="decorated with @workflow"):
        replay(recorded["asleep"], len)


def test_a_file_that_is_no_recording_is_refused(recorded: dict[str, Path], tmp_path: Path) -> None:
    whole = json.loads(recorded["completed"].read_text())
    wrong = {
        "no recorded history: Input data was truncated": "{",
        r"format None, not 2.*keepstep history ID --export FILE": "{}",
        "Expected `object`": "[]",
        r"format 3, not 2": json.dumps({**whole, "keepstep_recording": 3}),
        "does not hold all": json.dumps({**whole, "events": whole["events"][:-1]}),
        "missing required field": json.dumps({**whole, "run": {}}),
    }
    for why, text in wrong.items():
        (tmp_path / "wrong.json").write_text(text)
        with pytest.raises(InvalidInput, match=why):
            replay(tmp_path / "wrong.json")
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        replay(tmp_path / "missing.json")


def test_the_fixture_finds_recordings_beside_the_test(recorded: dict[str, Path], tmp_path: Path) -> None:
    source = """
    def test_fits(keepstep_replay):
        keepstep_replay("asleep.json")

    def test_fits_not(keepstep_replay):
        from tests.testing.kit.test_replaying import kit_order_that_mails_first
        keepstep_replay("asleep.json", kit_order_that_mails_first)
    """
    code, said = run_pytest(tmp_path, source)
    assert (code, "1 failed, 1 passed" in said) == (1, True), said
    assert "history has    seq 2: step_completed kit_charge" in said
