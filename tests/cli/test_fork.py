"""``keepstep fork`` in real processes, which are killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import Command

CODE = """
import pathlib, time
import keepstep
from keepstep import step, workflow

@step
async def weigh_before_fork(n: int) -> int:
    return n

@step
def ship_in_fork(grams: int) -> str:
    with pathlib.Path("shipped").open("a") as file:
        file.write(f"{keepstep.step_info().run_id} {grams}\\n")
    while not pathlib.Path("may-ship").exists():
        time.sleep(0.02)
    return f"shipped {grams} g"

@workflow
async def parcel_to_fork(n: int) -> str:
    grams = await weigh_before_fork(n)
    return await ship_in_fork(grams)
"""


@pytest.fixture
def keepstep(tmp_path: Path) -> Command:
    (tmp_path / "parcels.py").write_text(CODE)
    (tmp_path / "may-ship").touch()
    return Command(tmp_path)


def test_a_fork_with_another_result_goes_on_after_its_worker_was_killed(keepstep: Command) -> None:
    with keepstep.worker(module="parcels"):
        assert keepstep("start", "parcel_to_fork", "--input", "70", "--id", "parcel", "--wait").returncode == 0
    (keepstep.folder / "may-ship").unlink()
    refused = keepstep("fork", "parcel", "--replace", 'weigh_before_fork="heavy"')
    assert (refused.returncode, "could not have returned" in refused.stderr) == (2, True)
    ran = keepstep("fork", "parcel", "--replace", "weigh_before_fork=700", "--id", "again")
    assert (ran.returncode, ran.stdout) == (0, "again\n"), ran.stderr

    shipped = keepstep.folder / "shipped"
    with keepstep.worker(module="parcels"):
        keepstep.until(lambda: len(shipped.read_text().splitlines()) == 2)
    with keepstep.worker(module="parcels"):
        keepstep.until(lambda: len(shipped.read_text().splitlines()) == 3)
        (keepstep.folder / "may-ship").touch()
        keepstep.until(lambda: keepstep.json("show", "again")["status"] == "completed")
    run_id = keepstep.json("show", "again")["run_id"]
    assert shipped.read_text().splitlines()[1:] == [f"{run_id} 700"] * 2

    shown = keepstep("show", "again").stdout
    assert "forked    from parcel at seq 2 (run" in shown
    assert 'Result: "shipped 700 g"' in shown
    assert keepstep.json("show", "again")["forked_from"]["replaced"] == ["weigh_before_fork"]
    assert keepstep.json("show", "parcel")["forked_from"] is None
    checked = keepstep("check", "parcels", "--closed", "10")
    assert (checked.returncode, "2 runs" in checked.stdout) == (0, True), checked.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fork", "parcel"), "say where to fork"),
        (("fork", "nobody", "--at", "1"), "no run 'nobody'"),
        (("fork", "parcel", "--at", "9"), "the events 1 to 4"),
        (("fork", "parcel", "--at", "2", "--replace", "weigh_before_fork"), "takes KEY=JSON"),
        (("fork", "parcel", "--replace", "weigh_before_fork=seven"), "weigh_before_fork"),
    ],
)
def test_what_cannot_be_forked_is_one_line(forked_before: Command, arguments: tuple[str, ...], said: str) -> None:
    ran = forked_before(*arguments)
    assert ran.returncode == 2
    assert said in ran.stderr
    assert ran.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def forked_before(tmp_path_factory: pytest.TempPathFactory) -> Command:
    folder = tmp_path_factory.mktemp("forked")
    (folder / "parcels.py").write_text(CODE)
    (folder / "may-ship").touch()
    command = Command(folder)
    with command.worker(module="parcels"):
        command("start", "parcel_to_fork", "--input", "70", "--id", "parcel", "--wait")
    return command
